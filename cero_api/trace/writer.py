"""Appends rounds to a trace, and takes one up where a crash or an earlier checkpoint left it."""

from __future__ import annotations

import gzip
import json
import operator
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import FloatArray, IntArray
from cero_api.arrays import whole_numbers
from cero_api.errors import TraceError
from cero_api.prompts import Key
from cero_api.trace.columns import Columns
from cero_api.trace.files import Inflater, Lines, compressed, first_line
from cero_api.trace.records import TraceHeader, header_line, header_text, parse_header, trace_lines


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
        # By way of JSON, so that it equals what is read back: tuples are lists there.
        self._header = parse_header(
            self.path, header_line(num_prompts, json.loads(json.dumps(dict(metadata or {}), default=_plain)))
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
        rows = whole_numbers(prompt_ids, "prompt_ids", TraceError)
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
        text = header_text(self._header)
        if self.path.is_file() and self.path.stat().st_size:
            head, torn = first_line(self.path)
            # A crash in the first write of all leaves a part of the header.
            fresh = torn and text.startswith(head)
            if not fresh:
                self._refuse_other(parse_header(self.path, head))
        else:
            fresh = True
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._handle = os.open(self.path, flags | (os.O_TRUNC if fresh else 0), 0o666)
        if fresh:
            self._append(text)

    def _refuse_other(self, found: TraceHeader) -> None:
        names = [n for n in TraceHeader.model_fields if not _agree(getattr(found, n), getattr(self._header, n))]
        if names:
            raise TraceError(
                f"{self.path} is another run's trace (its {' and '.join(names)} differ); choose another path, or "
                "move that file away"
            )

    def _continue(self, round: int) -> None:
        """Cut off what this run is about to write again, and what a crash tore."""
        self._continued = True
        lines = Lines(self.path)
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
        if not compressed(self.path):
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

    def _append(self, text: bytes) -> None:
        if self._handle is None:
            raise TraceError(f"{self.path} is closed; make a new TraceWriter to go on")
        data = gzip.compress(text, mtime=0) if compressed(self.path) else text
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


def _plain(value: object) -> object:
    """NumPy's numbers, and paths, as JSON has them."""
    return value.item() if isinstance(value, np.generic) else str(value)


def _agree(found: Any, mine: Any, depth: int = 2) -> bool:
    """Equality; but what is nested in the metadata may say more in the file: earlier versions wrote a length too."""
    if not (isinstance(found, dict) and isinstance(mine, dict)):
        return bool(found == mine)
    same = found.keys() == mine.keys() if depth == 2 else found.keys() >= mine.keys()
    return same and all(_agree(found[name], mine[name], depth - 1) for name in mine)


def _start_of_line(block: bytes, index: int) -> int:
    """Offset of a line in a block of lines."""
    if index == 0:
        return 0
    return int(np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 10)[index - 1]) + 1
