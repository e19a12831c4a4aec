"""What a report is asked about: traces of runs, or records of trainings, wherever below a folder they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Found(NamedTuple):
    """What paths lead to; one of the two is empty."""

    traces: list[Path]
    trainings: list[Path]


def found(paths: Sequence[Path]) -> Found:
    """Traces, or records of trainings, of all paths together.

    A folder means the trace of the run that it is of; else the records in it; else all traces below it; else all
    records below it.

    Args:
        paths: of files and folders.

    Raises:
        TraceError: a path does not exist, leads to neither, or they lead to both.
    """
    from cero_api.analysis.history.files import unreadable
    from cero_api.errors import TraceError

    traces, trainings = list[Path](), list[Path]()
    for path in paths:
        try:
            path.stat()
        except (OSError, ValueError) as error:
            raise unreadable(path, error) from error
        if path.is_dir():
            own = _in_folder(path)
            traces += own.traces
            trainings += own.trainings
        elif path.suffix == ".json":
            trainings.append(path)
        elif _may_be_a_trace(path):
            traces.append(path)
        else:
            raise TraceError(f"{path} is neither a trace nor a record of a training (.json); give it to cero replay")
    if traces and trainings:
        raise TraceError(
            f"{traces[0]} is a trace and {trainings[0]} a record of a training; report on one kind at a time"
        )
    return Found(traces, trainings)


def places_of(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart, their own names left out where their folders do.

    Args:
        paths: of files; one that is there twice cannot be told from itself.

    >>> places_of([Path("a/seed0/trace.jsonl"), Path("a/seed1/trace.jsonl")])
    ['seed0', 'seed1']
    >>> places_of([Path("a/one.jsonl"), Path("a/two.jsonl")]), places_of([Path("a/x/t.jsonl"), Path("b/x/t.jsonl")])
    (['one.jsonl', 'two.jsonl'], ['a/x', 'b/x'])
    """
    different = len(set(paths))
    for ways in ([path.parent.parts for path in paths], [path.parts for path in paths]):
        for length in range(1, max(map(len, ways)) + 1):
            ends = [way[-length:] or (path.name,) for way, path in zip(ways, paths, strict=True)]
            if len(set(ends)) == different:
                return [str(Path(*end)) for end in ends]
    return [str(path) for path in paths]


def _in_folder(folder: Path) -> Found:
    from cero_api.analysis.history.files import has_trace, trace_in, traces_below
    from cero_api.errors import TraceError

    if has_trace(folder):
        return Found([trace_in(folder)], [])
    own = sorted(folder.glob("*.json"))
    if any(map(_is_training, own)):
        return Found([], own)
    traces = traces_below(folder)
    if traces:
        return Found(traces, [])
    below = sorted(path for path in folder.glob("**/*.json") if _is_training(path))
    if not below and not own:
        raise TraceError(
            f"{folder} holds no run: no trace.jsonl or trace.jsonl.gz, and no record of a training (.json), here or "
            "below; give the folder where they are"
        )
    return Found([], below or own)


def _may_be_a_trace(path: Path) -> bool:
    """Whether to read it as one, if only to hear what is wrong; a pipe is not looked into, which would empty it."""
    from cero_api.analysis.history.files import kind_of

    return not path.is_file() or path.name.endswith((".jsonl", ".jsonl.gz")) or kind_of(path) == "trace"


def _is_training(path: Path) -> bool:
    """Whether a file is a training's record, a list of some, or a regime's that share what they have in common."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    first = data[0] if isinstance(data, list) and data else data
    if not isinstance(first, dict):
        return False
    return {"rollouts", "accuracy"} <= first.keys() or first.get("format") == "cero-trainings"
