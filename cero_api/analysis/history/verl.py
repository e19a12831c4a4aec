"""Histories from what verl dumps of its rollouts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cero_api.analysis.history.builder import Builder, Fields, Progress
from cero_api.analysis.history.opened import Text
from cero_api.analysis.history.values import Values
from cero_api.errors import TraceError
from cero_api.prompts import content_key
from cero_api.rewards import SuccessRule


def from_verl(files: list[Path], source: Path, rule: SuccessRule, progress: Progress | None) -> Fields:
    """Dumps of verl: one file per step, one line per rollout with `input`, `score`, `step` and more.

    A prompt is known by its input (and expected answer, `gts`, where dumped): verl writes no stable id. A rollout whose
    score is null or NaN was generated, and tells nothing of its prompt.
    """
    rows: dict[str, int] = {}
    builder, notes = Builder(), list[str]()
    latest, lines, missing = -1, 0, 0
    for number, file in enumerate(sorted(files, key=_step_of)):
        steps: dict[int, dict[int, list[float]]] = {}
        for line, record in _records(file, notes):
            try:
                step, text, found = int(record.get("step", number)), record["input"], record["score"]
                score = np.nan if found is None else float(found)
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                raise TraceError(
                    f"{file}, line {line}: no {error if isinstance(error, KeyError) else 'number for score or step'}; "
                    "verl dumps input, output, score and step for every rollout"
                ) from None
            if not 0 <= step < 2**31:
                raise TraceError(f"{file}, line {line}: step {step} is none; number steps from 0")
            if np.isinf(score):
                raise TraceError(f"{file}, line {line}: score {score}; correct it, or leave it out as null")
            lines, missing = lines + 1, missing + bool(np.isnan(score))
            key = content_key(str(text), json.dumps(record.get("gts")))
            steps.setdefault(step, {}).setdefault(rows.setdefault(key, len(rows)), []).append(score)
        for step in sorted(steps):
            if step <= latest:
                raise TraceError(f"{file}: step {step} comes after step {latest}; keep one run's files in the folder")
            latest = step
            groups = steps[step].values()
            count = [len(group) for group in groups]
            scores, starts = np.concatenate([np.array(group) for group in groups]), np.cumsum([0, *count[:-1]])
            known = ~np.isnan(scores)
            won = np.zeros(scores.size)
            won[known] = rule.successes(scores[known])
            scored = np.add.reduceat(known.astype(np.int64), starts)
            builder.add([step] * len(count), list(steps[step]), scored, np.add.reduceat(won, starts), given=count)
        if progress is not None:
            progress((number + 1) / len(files))
    if missing == lines > 0:
        raise TraceError(f"{source} holds not one visit: no rollout has a score; give a dump of a rewarded training")
    if missing:
        notes.append(f"Rollouts without a score, which count neither way: {missing} of {lines}.")
    return builder.fields(list(rows), source=source, notes=tuple(notes))


def _step_of(path: Path) -> tuple[int, str]:
    stem = path.name.partition(".")[0]
    return (int(stem) if stem.isdecimal() else 2**62, stem)


def _records(path: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    with Text(path) as text:
        values = Values(text, lines=True)
        for value in values:
            if not isinstance(value.data, dict):
                raise TraceError(f"{path}, line {value.line}: no JSON object; correct or remove the line")
            yield value.line, value.data
        if values.torn is not None:
            notes.append(f"{path.name}, line {values.torn} is torn and was passed over")
