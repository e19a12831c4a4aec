r"""Recorded runs: one line per (round, prompt), appended as training goes, read back in bounded memory.

A trace is a text file of JSON lines, compressed if its name ends in `.gz`. The first line is the header, every other
line says what one prompt got and earned in one round:

    {"format":"cero-trace","version":1,"num_prompts":8958,"metadata":{"allocator":"cero"}}
    {"round":0,"prompt":17,"count":8,"successes":3}
    {"round":0,"prompt":21,"count":0,"successes":0}
    {"round":1,"prompt":17,"count":6,"successes":2,"failures":3}

- `round`: 0-based, never decreasing; a zero round has no lines.
- `prompt`: its stable key, a string or an integer, once per round.
- `count`: rollouts given; 0 is a candidate that was passed over.
- `successes`: of those, fractional for graded rewards.
- `failures`: only where rewards are missing, else `count - successes`.

Unknown fields are ignored. A round is appended in one write, so a crash can tear the last line only; readers pass over
it and say so. In a `.gz` every round is a gzip member of its own, which `zcat` and `gzip` read as one.
"""

from __future__ import annotations

import gzip
import json
import operator
import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, BinaryIO, Literal, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictInt, StrictStr, ValidationError

from cero_api._types import FloatArray, IntArray
from cero_api.errors import TraceError
from cero_api.prompts import Key
from cero_api.protocol import whole_numbers

_PIECE = 1 << 20  # bytes read, or inflated, at a time: the reader's memory
_EXACT = 2**53  # float64 holds whole numbers up to here

# What the writer writes, so that the reader need not run a JSON parser over it: see _canonical.
_LITERALS = (b'{"round":', b',"prompt":', b',"count":', b',"successes":', b"}\n")
_SKELETON = b"".join(_LITERALS)
_NUMERALS = b"0123456789.-"
_NO_NUMERALS = bytes(sorted(set(range(256)) - set(_NUMERALS) - set(b",\n")))
_LINE_TO_LIST = bytes.maketrans(b"\n", b",")


class TraceHeader(BaseModel):
    """First line of a trace.

    Args:
        num_prompts: prompts in the pool, those that were never visited included; None if unknown.
        metadata: whatever tells one run from another; a run that resumes must have equal metadata.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal["cero-trace"]
    version: Literal[1]
    num_prompts: Annotated[StrictInt, Field(gt=0)] | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class TraceLine(BaseModel):
    """Every other line of a trace: what one prompt got and earned in one round."""

    model_config = ConfigDict(frozen=True)

    round: Annotated[StrictInt, Field(ge=0, lt=2**31)]
    prompt: StrictInt | StrictStr
    count: Annotated[StrictInt, Field(ge=0, lt=2**31)]
    successes: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    failures: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None


@dataclass(frozen=True, eq=False)
class TraceRound:
    """One recorded round.

    Args:
        round: 0-based number.
        prompt_ids: int64 `[P]`, rows into `TraceReader.keys`, no repeats.
        counts: int64 `[P]`, rollouts given to each, 0 for a candidate that was passed over.
        successes: float64 `[P]`.
        failures: float64 `[P]`; with the successes less than the count where rewards are missing.
    """

    round: int
    prompt_ids: IntArray
    counts: IntArray
    successes: FloatArray
    failures: FloatArray


class RoundLike(Protocol):
    """What `TraceWriter` needs of an adapter's record of a round; every adapter's `RoundRecord` has it."""

    @property
    def round(self) -> int:
        """0-based number."""
        ...

    @property
    def prompt_ids(self) -> IntArray:
        """Rows of the pool, int64 `[P]`."""
        ...

    @property
    def counts(self) -> IntArray:
        """Rollouts given, int64 `[P]`."""
        ...

    @property
    def successes(self) -> FloatArray:
        """Successes, float64 `[P]`."""
        ...

    @property
    def failures(self) -> FloatArray:
        """Failures, float64 `[P]`."""
        ...


def trace_lines(
    round: int,
    prompts: Sequence[Key],
    counts: ArrayLike,
    successes: ArrayLike,
    failures: ArrayLike | None = None,
) -> bytes:
    r"""One round as the lines of a trace.

    Args:
        round: 0-based number.
        prompts: `[P]` keys, no repeats.
        counts: int `[P]`, at least 0.
        successes: float `[P]`, from 0 to the counts.
        failures: float `[P]`; None is `counts - successes`, no reward being missing.

    Returns:
        `[P]` lines of UTF-8, each with its line break.

    Raises:
        TraceError: lengths differ, a prompt repeats, or a number is out of range.

    >>> print(trace_lines(4, [17, 3], [8, 2], [3, 0.5]).decode(), end="")
    {"round":4,"prompt":17,"count":8,"successes":3}
    {"round":4,"prompt":3,"count":2,"successes":0.5}
    """
    count = whole_numbers(counts, "counts")
    won = np.asarray(successes, dtype=np.float64)
    lost = count - won if failures is None else np.asarray(failures, dtype=np.float64)
    keys = [key.item() if isinstance(key, np.generic) else key for key in prompts]
    if not len(keys) == count.size == won.size == lost.size:
        raise TraceError(
            f"{len(keys)} prompts, {count.size} counts, {won.size} successes and {lost.size} failures; give one of "
            "each per prompt"
        )
    if len(set(keys)) != len(keys):
        raise TraceError(f"round {round} names a prompt twice; sum its rollouts first")
    fault = _first_fault(count, won, lost)
    if fault is not None:
        row, said = fault
        raise TraceError(f"round {round}, prompt {keys[row]!r}: {said}; correct what is passed to the trace")
    missing = np.abs(count - won - lost) > 1e-6
    named = map(json.dumps, keys)
    lines = [
        f'{{"round":{round},"prompt":{key},"count":{n},"successes":{_number(s)}'
        + (f',"failures":{_number(f)}}}\n' if partial else "}\n")
        for key, n, s, f, partial in zip(
            named, count.tolist(), won.tolist(), lost.tolist(), missing.tolist(), strict=True
        )
    ]
    return "".join(lines).encode()


class TraceWriter:
    """Appends rounds to a trace; a resumed run's trace is that of one that never stopped.

    A writer is also a function of an adapter's record of a round: pass it as `on_round=`. Each round is one write and
    in the hands of the operating system when `write` returns, so that a killed process loses none.

    Where the file exists, it is continued: what a crash tore off is cut away, and so are the rounds from `from_round`
    on, which a run resumed from an earlier checkpoint is about to repeat. A file whose rounds would *all* go is kept as
    `<name>.bak`.

    Args:
        path: of the file; compressed if it ends in `.gz`.
        num_prompts: prompts in the pool, for the header.
        metadata: for the header, JSON values: what tells this run from another.
        keys: `[M]` stable keys of the pool's rows; None writes row numbers.
        from_round: first round that will be written; None learns it from the first write.

    Raises:
        TraceError: the file is another run's (or no trace), is damaged before its last line, or cannot be written.

    >>> import tempfile, os.path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "trace.jsonl")
    ...     with TraceWriter(path, num_prompts=30) as trace:
    ...         trace.write(0, [17, 21], [8, 0], [3, 0])
    ...     next(iter(TraceReader(path))).counts
    array([8, 0])
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        num_prompts: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        keys: Sequence[Key] | None = None,
        from_round: int | None = None,
    ) -> None:
        self.path = Path(path)
        # By way of JSON, so that it equals what is read back: tuples are lists there.
        self._header = _parse_header(
            self.path, _header_line(num_prompts, json.loads(json.dumps(dict(metadata or {}), default=_plain)))
        )
        self._keys = keys
        self._last = -1  # latest round in the file
        self._continued = False
        self._handle: int | None = None
        try:
            self._open()
        except OSError as error:
            raise TraceError(f"cannot write {self.path}: {error}; choose a folder that can be written") from error
        if from_round is not None:
            self._continue(operator.index(from_round))

    def write(
        self,
        round: int,
        prompt_ids: ArrayLike,
        counts: ArrayLike,
        successes: ArrayLike,
        failures: ArrayLike | None = None,
    ) -> None:
        """Append one round; a round without prompts appends nothing.

        Args:
            round: 0-based number, after those in the file; the first call also says where the file goes on.
            prompt_ids: int `[P]`, rows of the pool, no repeats.
            counts: int `[P]`, rollouts given.
            successes: float `[P]`.
            failures: float `[P]`; None where no reward is missing.

        Raises:
            TraceError: the numbers do not fit, the round is in the file already, or the disk refuses.
        """
        rows = whole_numbers(prompt_ids, "prompt_ids")
        keys = rows.tolist() if self._keys is None else [self._keys[row] for row in rows.tolist()]
        text = trace_lines(operator.index(round), keys, counts, successes, failures)
        if not self._continued:
            self._continue(round)
        if round <= self._last:
            raise TraceError(
                f"{self.path} has round {self._last} already, so round {round} cannot follow; write rounds in order, "
                f"or open TraceWriter(path, from_round={round}) to replace what is there"
            )
        if text:
            self._append(text)
        self._last = round

    def __call__(self, record: RoundLike) -> None:
        """Append an adapter's record of a round: `on_round=TraceWriter(path)`."""
        self.write(record.round, record.prompt_ids, record.counts, record.successes, record.failures)

    def close(self) -> None:
        """Give the file back; closing twice is fine."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()

    def _open(self) -> None:
        text = _header_text(self._header)
        if self.path.is_file() and self.path.stat().st_size:
            head, torn = _head(self.path)
            # A crash in the first write of all leaves a part of the header.
            fresh = torn and text.startswith(head)
            if not fresh:
                self._refuse_other(_parse_header(self.path, head))
        else:
            fresh = True
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._handle = os.open(self.path, flags | (os.O_TRUNC if fresh else 0), 0o666)
        if fresh:
            self._append(text)

    def _refuse_other(self, found: TraceHeader) -> None:
        if found != self._header:
            names = [n for n in TraceHeader.model_fields if getattr(found, n) != getattr(self._header, n)]
            raise TraceError(
                f"{self.path} is another run's trace (its {' and '.join(names)} differ); choose another path, or "
                "move that file away"
            )

    def _continue(self, round: int) -> None:
        """Cut off what this run is about to write again, and what a crash tore."""
        self._continued = True
        lines = _Lines(self.path)
        for block in lines.blocks():
            columns = Columns.of(block, self.path, lines.line)
            keep = int(np.count_nonzero(columns.round < round))
            if keep:
                self._last = int(columns.round[keep - 1])
            if keep < columns.round.size:
                if self._last < 0:
                    self._start_over()
                else:
                    self._cut(lines.offset + _start_of_line(block, keep), lines.members)
                return
        if lines.torn:
            self._cut(lines.offset, lines.members)

    def _start_over(self) -> None:
        self.close()
        os.replace(self.path, self.path.with_name(self.path.name + ".bak"))
        self._open()

    def _cut(self, offset: int, members: list[tuple[int, int]]) -> None:
        """Drop the text from `offset` on."""
        assert self._handle is not None
        if not _compressed(self.path):
            os.ftruncate(self._handle, offset)
            return
        start, text_start = next(member for member in reversed(members) if member[1] <= offset)
        kept = b""
        if text_start < offset:  # in the middle of a member: what stays of it is written again
            with open(self.path, "rb") as file:
                file.seek(start)
                for piece in _Inflater(file).pieces():
                    kept += piece
                    if len(kept) >= offset - text_start:
                        break
        os.ftruncate(self._handle, start)
        if kept:
            self._append(kept[: offset - text_start])

    def _append(self, text: bytes) -> None:
        if self._handle is None:
            raise TraceError(f"{self.path} is closed; make a new TraceWriter to go on")
        data = gzip.compress(text, mtime=0) if _compressed(self.path) else text
        before = os.fstat(self._handle).st_size
        try:
            written = os.write(self._handle, data)
            while written < len(data):  # a full disk or a signal; os.write says how far it got
                written += os.write(self._handle, data[written:])
        except OSError as error:
            os.ftruncate(self._handle, before)
            raise TraceError(f"cannot write {self.path}: {error}; the rounds before are unharmed, free the disk") from (
                error
            )


class TraceReader:
    """Reads a trace round by round, in memory that does not grow with its length (the keys' table apart).

    Iterate it for `TraceRound`s; every iteration reads the file anew.

    Args:
        path: of the file.

    Attributes:
        header: the `TraceHeader`.
        keys: `[M]` prompts in order of their first line; complete once the iteration is.
        torn: what a crash tore off the end, in words, None if nothing; known once the iteration is over.
        fraction: of the file read so far, from 0 to 1.

    Raises:
        TraceError: the file is missing or no trace; while iterating, a bad line, by its number.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.header = _parse_header(self.path, _head(self.path)[0])
        self.torn: str | None = None
        self._rows = _Rows()
        self._lines: _Lines | None = None

    @property
    def keys(self) -> list[Key]:
        """Prompts by row."""
        return list(self._rows)

    @property
    def fraction(self) -> float:
        """Share of the file's bytes read so far."""
        return self._lines.fraction if self._lines is not None else 0.0

    def __iter__(self) -> Iterator[TraceRound]:
        line = 2
        pending: list[Columns] = []
        for columns in self.columns():
            edges = np.flatnonzero(np.diff(columns.round)) + 1
            for start, stop in zip([0, *edges.tolist()], [*edges.tolist(), columns.round.size], strict=True):
                part = columns.part(start, stop)
                if pending and pending[0].round[0] != part.round[0]:
                    yield self._round(pending, line)
                    line += sum(p.round.size for p in pending)
                    pending = []
                pending.append(part)
        if pending:
            yield self._round(pending, line)

    def columns(self) -> Iterator[Columns]:
        """The lines after the header as columns, a block at a time: for reading whole files fast."""
        self._rows = _Rows()
        self.torn = None
        lines = self._lines = _Lines(self.path)
        last = -1
        for block in lines.blocks(accept_unterminated=True):
            columns = Columns.of(block, self.path, lines.line, self._rows)
            steps = np.diff(columns.round, prepend=last)
            if (steps < 0).any():
                at = int(np.argmax(steps < 0))
                raise TraceError(
                    f"{self.path}, line {lines.line + at}: round {columns.round[at]} comes after round "
                    f"{columns.round[at] - steps[at]}; rounds must not decrease, sort the lines by round"
                )
            last = int(columns.round[-1])
            yield columns
        if lines.torn:
            self.torn = f"line {lines.line_after} is torn ({len(lines.tail)} bytes without an end) and was passed over"

    def _round(self, parts: list[Columns], line: int) -> TraceRound:
        whole = Columns.joined(parts)
        order = np.argsort(whole.row, kind="stable")
        again = np.flatnonzero(np.diff(whole.row[order]) == 0)
        if again.size:
            repeat = int(order[again + 1].min())
            key = self.keys[whole.row[repeat]]
            raise TraceError(
                f"{self.path}, line {line + repeat}: prompt {key!r} is in round {whole.round[0]} already; sum its "
                "rollouts into one line"
            )
        return TraceRound(int(whole.round[0]), whole.row, whole.count, whole.successes, whole.failures)


class _Rows(dict[Key, int]):
    """Row of every key seen, in order of appearance."""

    def __missing__(self, key: Key) -> int:
        row = self[key] = len(self)
        return row


@dataclass(frozen=True, eq=False)
class Columns:
    """Lines of a trace side by side, all `[L]`: the fast way to read a whole file."""

    round: IntArray
    row: IntArray  # of the prompt, in order of first appearance
    count: IntArray
    successes: FloatArray
    failures: FloatArray

    @classmethod
    def of(cls, block: bytes, path: Path, line: int, rows: _Rows | None = None) -> Columns:
        """Read complete lines; the first is number `line` of the file."""
        rows = _Rows() if rows is None else rows
        parsed = _canonical(block)
        round, prompts, count, won, lost = _general(block, path, line) if parsed is None else parsed
        known = type(next(iter(rows), prompts[0]))
        if set(map(type, prompts)) != {known} or known not in (int, str):
            at = next(n for n, prompt in enumerate(prompts) if type(prompt) is not known or known not in (int, str))
            raise TraceError(
                f"{path}, line {line + at}: prompt {prompts[at]!r}; all prompts must be strings, or all integers"
            )
        row = np.fromiter(map(rows.__getitem__, prompts), dtype=np.int64, count=len(prompts))
        fault = _first_fault(count, won, lost)
        if fault is not None:
            raise TraceError(f"{path}, line {line + fault[0]}: {fault[1]}; correct or remove the line")
        return cls(round, row, count, won, lost)

    def part(self, start: int, stop: int) -> Columns:
        """Lines from `start` up to `stop`."""
        lines = slice(start, stop)
        return Columns(
            self.round[lines], self.row[lines], self.count[lines], self.successes[lines], self.failures[lines]
        )

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """One after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.round for part in parts]),
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.count for part in parts]),
            np.concatenate([part.successes for part in parts]),
            np.concatenate([part.failures for part in parts]),
        )


_Parsed = tuple[IntArray, list[Key], IntArray, FloatArray, FloatArray]


def _canonical(block: bytes) -> _Parsed | None:
    """Lines exactly as the writer writes them, with integer prompts, at C speed; None for any others.

    Without numerals the block must be the skeleton of a line, repeated; and the skeleton's literals must be there
    unbroken, so that numerals can stand in the four places for them and nowhere else.
    """
    lines = block.count(b"\n")
    if block.translate(None, _NUMERALS) != _SKELETON * lines:
        return None
    if not block.startswith(_LITERALS[0]) or block.count(b"}\n" + _LITERALS[0]) != lines - 1:
        return None
    if any(block.count(literal) != lines for literal in _LITERALS):
        return None
    numerals = block.translate(_LINE_TO_LIST, _NO_NUMERALS)
    whole = _numbers(numerals, np.int64, 4 * lines)
    if whole is not None:
        table = whole.reshape(lines, 4)
        won = table[:, 3].astype(np.float64)
    else:
        numbers = _numbers(numerals, np.float64, 4 * lines)
        if numbers is None:
            return None
        table = numbers.reshape(lines, 4).astype(np.int64)
        if (table[:, :3] != numbers.reshape(lines, 4)[:, :3]).any():
            return None
        won = numbers.reshape(lines, 4)[:, 3].copy()
    round, prompt, count = (table[:, field].copy() for field in range(3))
    if round.min() < 0 or round.max() >= 2**31:
        return None
    return round, prompt.tolist(), count, won, count - won


def _numbers(numerals: bytes, dtype: type[np.generic], size: int) -> NDArray[Any] | None:
    """So many numbers, separated by commas, none too large to be exact; None if they are not that."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # what is no number, in today's numpy
            numbers = np.fromstring(numerals, dtype=dtype, sep=",")
    except (ValueError, DeprecationWarning):
        return None
    exact = numbers.size == size and bool(((numbers > -_EXACT) & (numbers < _EXACT)).all())
    return numbers if exact else None


def _general(block: bytes, path: Path, line: int) -> _Parsed:
    """Any JSON lines with the right fields, or the first bad one by its number."""
    lines = block.count(b"\n")
    try:
        records = json.loads(b"[" + block[:-1].replace(b"\n", b",") + b"]")
        if len(records) != lines:
            raise ValueError
        round = _integers([record["round"] for record in records])
        count = _integers([record["count"] for record in records])
        won = _floats([record["successes"] for record in records])
        prompts = [record["prompt"] for record in records]
        lost = count - won
        partial = [at for at, record in enumerate(records) if "failures" in record]
        lost[partial] = _floats([records[at]["failures"] for at in partial])
        if round.min() < 0 or round.max() >= 2**31:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise _diagnosis(block, path, line) from None
    return round, prompts, count, won, lost


def _diagnosis(block: bytes, path: Path, line: int) -> TraceError:
    """The first bad line of a block, by its number, and what is wrong with it."""
    for number, text in enumerate(block.splitlines(), start=line):
        try:
            TraceLine.model_validate_json(text)
        except ValidationError as error:
            return TraceError(f"{path}, line {number}: {_said(error)}; correct or remove the line")
    return TraceError(f"{path}, lines {line} to {line + block.count(10)}: not one record per line; reformat the file")


def _integers(values: list[Any]) -> IntArray:
    array = np.array(values)
    if array.dtype.kind != "i" or array.ndim != 1:
        raise ValueError
    return array.astype(np.int64, copy=False)


def _floats(values: list[Any]) -> FloatArray:
    array = np.array(values if values else [0.0][:0])
    if array.dtype.kind not in "if" or array.ndim != 1:
        raise ValueError
    return array.astype(np.float64)


def _first_fault(count: IntArray, won: FloatArray, lost: FloatArray) -> tuple[int, str] | None:
    """First record whose numbers cannot be, and why."""
    slack = 1e-6
    with np.errstate(invalid="ignore"):
        good = (count >= 0) & (count < 2**31) & (won >= 0) & (lost >= -slack) & (won + lost <= count + slack)
    if good.all():  # NaN is not good
        return None
    at = int(np.argmin(good))
    if not 0 <= count[at] < 2**31:
        return at, f"count {count[at]} is not a number of rollouts"
    return at, f"{won[at]:g} successes and {lost[at]:g} failures in {count[at]} rollouts"


class _Lines:
    """Complete lines of a trace after its header, in blocks; what follows the last line break is the tail."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 1  # number of the block's first line
        self.line_after = 1  # of the first line behind it
        self.offset = 0  # of the block in the text; after the last one, of the tail
        self.tail = b""
        self.torn = False
        self.members: list[tuple[int, int]] = []  # of a gzip: (offset in the file, offset in the text)
        self.fraction = 0.0

    def blocks(self, accept_unterminated: bool = False) -> Iterator[bytes]:
        size = max(self.path.stat().st_size, 1)
        with open(self.path, "rb") as file:
            source = _Inflater(file) if _compressed(self.path) else None
            self.members = [] if source is None else source.members
            pieces = iter(lambda: file.read(_PIECE), b"") if source is None else source.pieces()
            carry, at_header = b"", True
            try:
                for piece in pieces:
                    self.fraction = file.tell() / size
                    text = carry + piece
                    end = text.rfind(b"\n") + 1
                    carry = text[end:]
                    if at_header and end:
                        start = text.index(b"\n") + 1
                        self.offset, self.line, self.line_after, at_header = start, 2, 2, False
                        text, end = text[start:], end - start
                    if end > 0:
                        yield from self._block(text[:end])
            except (zlib.error, EOFError) as error:
                raise TraceError(
                    f"{self.path}: its compression is damaged ({error}) after line {self.line_after - 1}; restore the "
                    "file, or cut it there"
                ) from error
            self.tail = carry
            self.torn = bool(carry) or (source is not None and source.torn)
            # A last line without a line break is torn unless it is whole: other tools leave the break out.
            if accept_unterminated and carry and not (source is not None and source.torn) and _whole(carry):
                self.tail, self.torn = b"", False
                yield from self._block(carry + b"\n")

    def _block(self, block: bytes) -> Iterator[bytes]:
        self.line, self.line_after = self.line_after, self.line_after + block.count(b"\n")
        yield block
        self.offset += len(block)


class _Inflater:
    """Text of a gzip file of any number of members, piece by piece, up to where it was torn."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.members: list[tuple[int, int]] = []
        self.torn = False

    def pieces(self) -> Iterator[bytes]:
        position = length = 0
        decoder = None
        while piece := self._file.read(_PIECE):
            while piece:
                if decoder is None:
                    self.members.append((position, length))
                    decoder = zlib.decompressobj(wbits=31)
                text = decoder.decompress(piece, _PIECE)
                rest = decoder.unused_data if decoder.eof else decoder.unconsumed_tail
                position += len(piece) - len(rest)
                length += len(text)
                piece = rest
                if decoder.eof:
                    decoder = None
                if text:
                    yield text
        if decoder is not None:
            text = decoder.flush()
            if text:
                yield text
            self.torn = not decoder.eof


def _head(path: Path) -> tuple[bytes, bool]:
    """First line of a file, and whether it has no end."""
    try:
        with open(path, "rb") as file:
            text = b""
            pieces = _Inflater(file).pieces() if _compressed(path) else iter(lambda: file.read(_PIECE), b"")
            for piece in pieces:
                text += piece
                if b"\n" in text or len(text) > 16 * _PIECE:
                    break
    except OSError as error:
        raise TraceError(f"{path} cannot be read ({error}); check the path") from error
    except zlib.error as error:
        raise TraceError(f"{path} is not a gzip file ({error}); give the file a trace was written to") from error
    head, end, _ = text.partition(b"\n")
    return head + end, not end


def _parse_header(path: Path, line: bytes) -> TraceHeader:
    try:
        return TraceHeader.model_validate_json(line)
    except ValidationError as error:
        found = json.dumps(line[:40].decode(errors="replace"))
        raise TraceError(
            f"{path}, line 1: no header of a trace but {found} ({_said(error)}); a trace begins with "
            f"{_header_text(TraceHeader(format='cero-trace', version=1)).decode().strip()}"
        ) from None


def _header_line(num_prompts: int | None, metadata: dict[str, Any]) -> bytes:
    header = {"format": "cero-trace", "version": 1, "num_prompts": num_prompts, "metadata": metadata}
    return json.dumps(header).encode()


def _header_text(header: TraceHeader) -> bytes:
    fields = {name: value for name, value in header.model_dump().items() if value not in (None, {})}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def _plain(value: object) -> object:
    """NumPy's numbers, and paths, as JSON has them."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _whole(line: bytes) -> bool:
    try:
        TraceLine.model_validate_json(line)
    except ValidationError:
        return False
    return True


def _said(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"][:1])
    said = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def _start_of_line(block: bytes, index: int) -> int:
    """Offset of a line in a block of lines."""
    if index == 0:
        return 0
    return int(np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 10)[index - 1]) + 1


def _compressed(path: Path) -> bool:
    return path.suffix == ".gz"


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value
