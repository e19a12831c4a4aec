"""Where a history may be: which format a file has, the trace in a folder, text plain or gzip."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Literal, TextIO

from cero_api.errors import TraceError

HistoryFormat = Literal["auto", "trace", "verl", "rates", "table"]
TRACE_NAMES = ("trace.jsonl", "trace.jsonl.gz")


def kind_of(path: Path) -> HistoryFormat:
    """The format, by the name of the file and, for JSON lines, its first line."""
    name = path.name.removesuffix(".gz")
    if path.is_dir():
        return "trace" if has_trace(path) else "verl"
    if name.endswith((".csv", ".tsv", ".parquet")):
        return "table"
    if name.endswith(".jsonl"):
        with opened(path) as file:
            first = file.readline(1 << 16)
        return "verl" if '"score"' in first and '"format"' not in first else "trace"
    if name.endswith(".json"):
        return "rates"
    raise TraceError(
        f"{path} is neither a folder nor one of .jsonl, .json, .csv, .tsv, .parquet (or .gz); say which format it has"
    )


def has_trace(folder: Path) -> bool:
    """Whether a run's folder holds a trace under its own name."""
    return any((folder / name).is_file() for name in TRACE_NAMES)


def trace_in(path: Path) -> Path:
    """The trace itself, or that of a run's folder.

    Raises:
        TraceError: the folder has none.
    """
    if not path.is_dir():
        return path
    for name in TRACE_NAMES:
        if (path / name).is_file():
            return path / name
    raise TraceError(f"{path} has no {' or '.join(TRACE_NAMES)}; give the trace itself")


def opened(path: Path) -> TextIO:
    """A text file, inflated if it is a gzip."""
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding="utf-8")
        return open(path, encoding="utf-8", newline="")
    except OSError as error:
        raise TraceError(f"{path} cannot be read ({error}); check the path") from error
