"""Appends rounds to a trace, and takes one up where a crash or an earlier checkpoint left it."""

from __future__ import annotations

import contextlib
import gzip
import json
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import ValidationError

from cero_api._types import FloatArray, IntArray
from cero_api.arrays import keys_of, whole_numbers
from cero_api.errors import TraceError
from cero_api.interrupts import interruptible
from cero_api.prompts import Key
from cero_api.trace.columns import Columns, Rows
from cero_api.trace.files import Inflater, Lines, compressed, first_line
from cero_api.trace.records import (
    LONGEST,
    TraceHeader,
    header_line,
    header_text,
    parse_header,
    round_number,
    said,
    trace_lines,
)


class RoundLike(Protocol):
    """What `TraceWriter` needs of an adapter's record of a round; every adapter's `RoundRecord` has it.

    One with a field `squares` besides, float64 `[P]`, can tell graded rewards that differ from those that do not; one
    with `tokens`, float64 `[P]` or None, what was generated.
    """

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


class TraceWriter:
    """Appends rounds to a trace; a resumed run's trace is that of one that never stopped.

    A writer is also a function of an adapter's record of a round: pass it as `on_round=`. Each round is one write and
    in the hands of the operating system when `write` returns, so that a killed process loses none.

    Where the file exists, it is continued: what a crash tore off is cut away, and so are the rounds from `from_round`
    on, which a run resumed from an earlier checkpoint is about to repeat. A file whose rounds would *all* go is kept as
    `<name>.bak`.

    Args:
        path: of the file, whose folder is made; a new one is compressed if it ends in `.gz`.
        num_prompts: prompts in the pool, for the header.
        metadata: for the header, JSON values: what tells this run from another.
        keys: `[M]` stable keys of the pool's rows, all strings or all integers; None writes what `write` is given.
        from_round: first round that will be written; None learns it from the first write.

    Raises:
        TraceError: the file is another run's (or no trace), is damaged before its last line, or cannot be written; the
            keys or the metadata are such that no reader would take the file.

    >>> import tempfile, os.path
    >>> from cero_api.trace import TraceReader
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
        self._handle: int | None = None
        self._header = _new_header(self.path, num_prompts, metadata)
        self._keys = None if keys is None else _pool(keys, self._header.num_prompts)
        self._known: set[Key] | None = None  # the same as a set, once somebody writes keys instead of rows
        self._kind: type | None = None  # of the prompts in the file: str or int
        self._last = -1  # latest round in the file
        self._continued = False
        with self._writing():
            self._open()
        if from_round is not None:
            self._continue(round_number(from_round))

    def write(
        self,
        round: int,
        prompt_ids: ArrayLike,
        counts: ArrayLike,
        successes: ArrayLike,
        failures: ArrayLike | None = None,
        squares: ArrayLike | None = None,
        tokens: ArrayLike | None = None,
    ) -> None:
        """Append one round; a round without prompts appends nothing.

        Args:
            round: 0-based number, after those in the file; the first call also says where the file goes on.
            prompt_ids: int `[P]`, rows of the pool, no repeats; or str `[P]`, the keys themselves.
            counts: int `[P]`, rollouts given.
            successes: float `[P]`.
            failures: float `[P]`; None where no reward is missing.
            squares: float `[P]`, see `RolloutOutcomes`; None where rewards are whole successes or failures.
            tokens: float `[P]`, generated in the rollouts that have a reward; None where nobody counts them.

        Raises:
            TraceError: the numbers do not fit, a prompt is not of the pool, the round is in the file already, or the
                disk refuses.
        """
        round, keys = round_number(round), self._named(prompt_ids)
        text = trace_lines(round, keys, counts, successes, failures, squares, tokens)
        if not self._continued:
            self._continue(round)
        if round <= self._last:
            raise TraceError(
                f"{self.path} has round {self._last} already, so round {round} cannot follow; write rounds in order, "
                f"or open TraceWriter(path, from_round={round}) to replace what is there"
            )
        if text:
            self._keep_kind(keys)
            self._append(text)
        self._last = round

    def __call__(self, record: RoundLike) -> None:
        """Append an adapter's record of a round: `on_round=TraceWriter(path)`."""
        # What a record of somebody else's need not have.
        more = {name: getattr(record, name, None) for name in ("squares", "tokens")}
        self.write(record.round, record.prompt_ids, record.counts, record.successes, record.failures, **more)

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

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL byte
            if isinstance(error, TraceError):
                raise
            raise TraceError(f"cannot write {self.path}: {error}; choose a folder that can be written") from error

    def _named(self, prompt_ids: ArrayLike) -> list[Key]:
        """Keys of prompts that are given by row, or by name already."""
        names = _strings(prompt_ids)
        if names is None:
            rows = whole_numbers(prompt_ids, "prompt_ids", TraceError).tolist()
            size = 2**63 if self._keys is None else len(self._keys)
            strange = next((row for row in rows if not 0 <= row < size), None)
            if strange is not None:
                raise TraceError(f"prompt {strange} is no row of the pool; pass rows from 0 on, of the keys given")
            return rows if self._keys is None else [self._keys[row] for row in rows]
        if self._keys is not None:
            self._known = self._known or set(self._keys)
            strange = next((name for name in names if name not in self._known), None)
            if strange is not None:
                raise TraceError(f"prompt {strange!r} is not among the keys given; pass rows of the pool, or its keys")
        return names

    def _keep_kind(self, keys: Sequence[Key]) -> None:
        """Refuse a round that would leave a file with prompts of two kinds, which no reader takes."""
        kind = int if isinstance(keys[0], int) else str
        if self._kind not in (None, kind):
            names = {int: "integers", str: "strings"}
            raise TraceError(
                f"{self.path} names prompts by {names[self._kind]}, this round by {names[kind]}; pass what the rounds "
                "before were given, or choose another path"
            )
        self._kind = kind

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = header_text(self._header)
        if self.path.is_file() and self.path.stat().st_size:
            head, torn = first_line(self.path)
            # A crash in the first write of all leaves a part of the header.
            fresh = torn and text.startswith(head)
            if not fresh:
                self._refuse_other(parse_header(self.path, head))
        else:
            fresh = True
        self._packed = self.path.suffix == ".gz" if fresh else compressed(self.path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._handle = os.open(self.path, flags | (os.O_TRUNC if fresh else 0), 0o666)
        if fresh:
            self._append(text)

    def _refuse_other(self, found: TraceHeader) -> None:
        apart = _apart(found.model_dump(), self._header.model_dump())
        if apart:
            more = f" and {len(apart) - _SAID} more" if len(apart) > _SAID else ""
            raise TraceError(
                f"{self.path} is another run's trace, of {', '.join(apart[:_SAID])}{more}; choose another path, or "
                "move that file away"
            )

    def _continue(self, round: int) -> None:
        """Cut off what this run is about to write again, and what a crash tore."""
        self._continued = True
        with self._writing():
            self._cut_from(round)

    def _cut_from(self, round: int) -> None:
        lines = Lines(self.path)
        for block in lines.blocks():
            rows = Rows()
            columns = Columns.of(block, self.path, lines.line, rows)
            keep = int(np.count_nonzero(columns.round < round))
            if keep:
                self._last = int(columns.round[keep - 1])
                self._kind = type(next(iter(rows)))
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
        if not self._packed:
            os.ftruncate(self._handle, offset)
            return
        start, text_start = next(member for member in reversed(members) if member[1] <= offset)
        kept = b""
        if text_start < offset:  # in the middle of a member: what stays of it is written again
            with open(self.path, "rb") as file:
                file.seek(start)
                for piece in Inflater(file).pieces():
                    kept += piece
                    if len(kept) >= offset - text_start:
                        break
        os.ftruncate(self._handle, start)
        if kept:
            self._append(kept[: offset - text_start])

    @interruptible
    def _append(self, text: bytes) -> None:
        if self._handle is None:
            raise TraceError(f"{self.path} is closed; make a new TraceWriter to go on")
        data = gzip.compress(text, mtime=0) if self._packed else text
        before = os.fstat(self._handle).st_size
        try:
            written = os.write(self._handle, data)
            while written < len(data):  # a full disk or a signal; os.write says how far it got
                written += os.write(self._handle, data[written:])
        except OSError as error:
            with contextlib.suppress(OSError):  # a device cannot be cut, and holds no rounds to harm
                os.ftruncate(self._handle, before)
            raise TraceError(f"cannot write {self.path}: {error}; the rounds before are unharmed, free the disk") from (
                error
            )


def _new_header(path: Path, num_prompts: int | None, metadata: Mapping[str, Any] | None) -> TraceHeader:
    """The header of these, which a reader will take and find equal."""
    try:
        size = None if num_prompts is None else operator.index(num_prompts)
        # By way of JSON, so that it equals what is read back: tuples are lists there, and NaN would equal nothing.
        named = json.loads(json.dumps(dict(metadata or {}), default=_plain, allow_nan=False))
        line = header_line(size, named)
        if len(line) > LONGEST:
            raise ValueError(f"it is longer than {LONGEST:,} bytes")
        return TraceHeader.model_validate_json(line)
    except (TypeError, ValueError, RecursionError) as error:
        reason = said(error) if isinstance(error, ValidationError) else error
        raise TraceError(
            f"{path} cannot begin with this num_prompts and metadata ({reason}); give a positive number, and plain "
            "names and numbers that tell the run from others"
        ) from None


def _pool(keys: Sequence[Key], num_prompts: int | None) -> list[Key]:
    """Keys by row, if a reader can tell them apart."""
    pool: list[Key] = keys_of(keys, "keys", TraceError)
    if len(set(pool)) != len(pool):
        raise TraceError("keys repeat; drop the duplicates, or put what tells the prompts apart into the key")
    if num_prompts not in (None, len(pool)):
        raise TraceError(f"{len(pool)} keys for num_prompts={num_prompts}; give one per prompt of the pool")
    return pool


def _strings(prompt_ids: ArrayLike) -> list[Key] | None:
    """Prompts that are given by name; None if they are numbers, or nothing."""
    if isinstance(prompt_ids, str | bytes):
        raise TraceError(f"prompt_ids={prompt_ids!r} is one text; pass a list of prompts")
    try:
        first = next(iter(prompt_ids), None)  # type: ignore[arg-type]  # what cannot be gone through is no list
    except TypeError:
        return None
    return keys_of(prompt_ids, "prompt_ids", TraceError) if isinstance(first, str) else None


def _plain(value: object) -> object:
    """NumPy's numbers, and paths, as JSON has them."""
    return value.item() if isinstance(value, np.generic) else str(value)


_NOTHING: Any = object()
_SAID = 8  # differences of two runs, in a message


def _apart(found: Any, mine: Any, name: str = "", depth: int = 0) -> list[str]:
    """What differs in two headers, as `name=was (now is)`; empty if they agree.

    What is nested in the metadata may say more in the file: earlier versions wrote a length too.
    """
    if not (isinstance(found, dict) and isinstance(mine, dict)):
        said = ("nothing" if value is _NOTHING else f"{value!r:.40}" for value in (found, mine))
        return [] if found == mine else ["{}={} (now {})".format(name, *said)]
    names = found.keys() | mine.keys() if depth < 2 else mine.keys()
    apart = [_apart(found.get(one, _NOTHING), mine.get(one, _NOTHING), one, depth + 1) for one in sorted(names)]
    return [line for lines in apart for line in lines]


def _start_of_line(block: bytes, index: int) -> int:
    """Offset of a line in a block of lines."""
    if index == 0:
        return 0
    return int(np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 10)[index - 1]) + 1
