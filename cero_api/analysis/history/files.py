"""Where a history may be: what a file is by what it holds, the files of a folder, pipes."""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import stat
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from cero_api.analysis.history.columnar import ARROW, PARQUET
from cero_api.analysis.history.opened import GZIP, PIECE, Text, encoding_of
from cero_api.analysis.history.values import Values
from cero_api.errors import CeroError, TraceError

HistoryFormat = Literal["auto", "trace", "verl", "rates", "table"]
Kind = Literal["trace", "verl", "json", "delimited", "parquet", "arrow"]
TRACE_NAMES = ("trace.jsonl", "trace.jsonl.gz")

_STREAM = b"\xff\xff\xff\xff"  # Arrow's, as the library `datasets` saves it
_TABLES = {PARQUET: "parquet", ARROW: "arrow", _STREAM: "arrow"}
_FOREIGN = {
    b"PK\x03\x04": "a zip archive or an Excel workbook; unpack it, or save the sheet as CSV UTF-8",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it",
    b"BZh": "compressed by bzip2; unpack it",
    b"\xfd7zXZ": "compressed by xz; unpack it",
    b"SQLite format 3": "a database; save the table as CSV",
    b"\x89HDF": "an HDF5 file; save the table as CSV or Parquet",
    b"\x93NUMPY": "a NumPy array; save it as CSV",
    b"\x80\x04": "a pickle, which may run any code when it is read; save it as JSON, CSV or Parquet",
    b"\x80\x05": "a pickle, which may run any code when it is read; save it as JSON, CSV or Parquet",
}
_RECORDS = (".jsonl", ".ndjson", ".parquet", ".arrow", ".csv", ".tsv", ".json")  # which a folder may hold many of
_ASIDE = {"dataset_info.json", "dataset_dict.json", "state.json", "config.json"}  # beside the files of `datasets`
_DEEPEST = 4  # folders below the one that was named
_MOST_OF_A_PIPE = 1 << 30  # bytes


def kind_of(path: Path) -> Kind:
    """What a file holds, by what stands in it.

    Raises:
        TraceError: it is empty, no text and no table, or of a format that is not read here.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(16)
    except OSError as error:
        raise unreadable(path, error) from error
    for mark, kind in _TABLES.items():
        if head.startswith(mark):
            return "parquet" if kind == "parquet" else "arrow"
    if path.suffix in (".parquet", ".arrow"):  # damaged: their readers say how
        return "parquet" if path.suffix == ".parquet" else "arrow"
    for mark, what in _FOREIGN.items():
        if head.startswith(mark):
            raise TraceError(f"{path} is {what}")
    with Text(path) as text:
        start = next((piece.lstrip()[:1] for piece in text.pieces() if piece.strip()), "")
    if not start:
        raise TraceError(f"{path} is empty; give a record in which prompts were rolled out")
    if start not in "{[":
        return "delimited"
    with Text(path) as text:
        first = next(iter(Values(text)), None)
    data = first.data if first is not None and not first.listed else None
    if isinstance(data, dict) and (data.get("format") == "cero-trace" or {"format", "version"} <= set(data)):
        return "trace"
    return "verl" if isinstance(data, dict) and {"input", "score"} <= set(data) else "json"


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


def traces_below(folder: Path) -> list[Path]:
    """The traces of all runs in a folder and in those below it, by path; those under their own name, else any."""
    named, others = [], []
    for place, _, names in _walk(folder):
        named += [place / name for name in TRACE_NAMES if name in names][:1]
        lines = [place / name for name in names if name.endswith((".jsonl", ".jsonl.gz"))]
        others += [] if named else [path for path in lines if is_trace(path)]
    return sorted(named or others)


def is_trace(path: Path) -> bool:
    """Whether a file begins as a trace does."""
    try:
        return kind_of(path) == "trace"
    except (CeroError, OSError, EOFError, zlib.error, RecursionError, ValueError):  # of what is no trace, any may come
        return False


def records_in(folder: Path) -> list[Path]:
    """The files of one record that a folder holds, in their order: its own, or those of the one folder below that does.

    Raises:
        TraceError: there is none, or of several kinds or places.
    """
    for place, folders, names in _walk(folder):
        own = [name for name in names if not name.startswith(".") and name not in _ASIDE and _ending(name)]
        kinds = {_ending(name) for name in own}
        if len(kinds) > 1:  # settings, beside the record
            own, kinds = [name for name in own if _ending(name) != ".json"], kinds - {".json"}
        if len(kinds) > 1:
            raise TraceError(f"{place} holds {' and '.join(sorted(kinds))} files; give those of one record")
        if own:
            return [place / name for name in sorted(own, key=_natural)]
        if len(folders) > 1:
            runs = [str(path) for path in traces_below(place)]
            if runs:
                raise TraceError(f"{place} holds {len(runs)} runs; give one of them, such as {runs[0]}")
            known = [name for name in folders if name in ("completions", "data", "train")]
            if len(known) != 1:
                break
            folders[:] = known
    raise TraceError(
        f"{folder} has no record: no {' or '.join(TRACE_NAMES)}, no .jsonl of verl's trainer.rollout_data_dir, no "
        "completions of TRL's and no table; give the file, or the folder that holds it"
    )


@contextlib.contextmanager
def readable(path: Path) -> Iterator[Path]:
    """The file or folder itself; of a pipe a copy, since what is read here is read twice.

    Raises:
        TraceError: it does not exist, or what comes out of the pipe is no record or has no end.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:  # ValueError: a NUL byte
        raise unreadable(path, error) from error
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "pipe"
        try:
            _copy(path, copy)
            yield copy
        except OSError as error:
            raise unreadable(path, error) from error
        except CeroError as error:
            raise type(error)(str(error).replace(str(copy), str(path))) from error


def _copy(path: Path, copy: Path) -> None:
    size = 0
    with open(path, "rb", buffering=0) as source, open(copy, "wb") as target:
        while piece := source.read(PIECE):
            if not size and not _may_be_a_record(piece):
                raise TraceError(f"{path} gives neither text nor Parquet; give a record of a run")
            size += len(piece)
            if size > _MOST_OF_A_PIPE:
                raise TraceError(f"{path} gives more than {_MOST_OF_A_PIPE:,} bytes; save them to a file, and give it")
            target.write(piece)


def _may_be_a_record(head: bytes) -> bool:
    if head.startswith((GZIP, *_TABLES)):
        return True
    try:
        text = codecs.getincrementaldecoder(encoding_of(head))().decode(head)
    except UnicodeError:
        return False
    return "\0" not in text


def unreadable(path: Path, error: Exception) -> TraceError:
    """Why a path leads nowhere."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return TraceError(f"{path} does not exist; check the path")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return TraceError(f"{path} cannot be read ({reason}); check the path")


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders from the top down, hidden ones left out; whoever goes through them may cut the folders below short."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield Path(place), folders, sorted(names)
        if len(Path(place).relative_to(folder).parts) >= _DEEPEST:
            folders[:] = []


def _ending(name: str) -> str:
    plain = name.removesuffix(".gz")
    return next((ending for ending in _RECORDS if plain.endswith(ending)), "")


def _natural(name: str) -> list[tuple[int, str]]:
    """So that 10 comes after 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]
