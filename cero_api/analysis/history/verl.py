"""Histories from what verl dumps of its rollouts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from cero_api.analysis.history.builder import Builder
from cero_api.analysis.history.files import opened
from cero_api.analysis.history.visits import Progress, SuccessHistory
from cero_api.errors import TraceError
from cero_api.prompts import content_key
from cero_api.rewards import SuccessRule


def from_verl(path: Path, threshold: float, progress: Progress | None) -> SuccessHistory:
    """Dumps of verl: one file per step, one line per rollout with `input`, `score`, `step` and more.

    A prompt is known by its input (and expected answer, `gts`, where dumped): verl writes no stable id.
    """
    files = sorted(path.glob("*.jsonl"), key=_step_of) if path.is_dir() else [path]
    if not files:
        raise TraceError(f"{path} has no .jsonl files; give the folder of verl's trainer.rollout_data_dir")
    rows: dict[str, int] = {}
    lowest = SuccessRule(success_threshold=threshold).lowest_success()
    builder, notes = Builder(), list[str]()
    latest = -1
    for number, file in enumerate(files):
        steps: dict[int, dict[int, list[int]]] = {}
        for line, record in _json_lines(file, notes):
            try:
                step, text, score = int(record.get("step", number)), record["input"], float(record["score"])
            except (KeyError, TypeError, ValueError) as error:
                raise TraceError(
                    f"{file}, line {line}: no {error if isinstance(error, KeyError) else 'number for score or step'}; "
                    "verl dumps input, output, score and step for every rollout"
                ) from None
            if not np.isfinite(score):
                raise TraceError(f"{file}, line {line}: score {score}; remove rollouts without a score")
            key = content_key(str(text), json.dumps(record.get("gts")))
            tally = steps.setdefault(step, {}).setdefault(rows.setdefault(key, len(rows)), [0, 0])
            tally[0] += score >= lowest
            tally[1] += 1
        for step in sorted(steps):
            if step <= latest:
                raise TraceError(f"{file}: step {step} comes after step {latest}; keep one run's files in the folder")
            latest = step
            won, count = zip(*steps[step].values(), strict=True)
            builder.add([step] * len(won), list(steps[step]), count, won)
        if progress is not None:
            progress((number + 1) / len(files))
    return builder.history(list(rows), source=path, notes=tuple(notes))


def _step_of(path: Path) -> tuple[int, str]:
    return (int(path.stem) if path.stem.isdecimal() else 2**62, path.stem)


def _json_lines(path: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    with opened(path) as file:
        for number, text in enumerate(file, start=1):
            try:
                record = json.loads(text)
            except ValueError as error:
                if not text.endswith("\n"):
                    notes.append(f"{path.name}, line {number} is torn and was passed over")
                    return
                raise TraceError(f"{path}, line {number}: not JSON ({error}); correct or remove the line") from None
            if not isinstance(record, dict):
                raise TraceError(f"{path}, line {number}: no JSON object; correct or remove the line")
            yield number, record
