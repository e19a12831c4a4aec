"""Reads a trace round by round, or a block of lines at a time, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.errors import TraceError
from cero_api.interrupts import interruptible
from cero_api.mathematics.contrast import whole_squares
from cero_api.prompts import Key
from cero_api.trace.columns import Columns, Rows
from cero_api.trace.files import Lines, first_line
from cero_api.trace.records import parse_header


@dataclass(frozen=True, eq=False, init=False)
class TraceRound:
    """One recorded round.

    Args:
        round: 0-based number.
        prompt_ids: int64 `[P]`, rows into `TraceReader.keys`, no repeats.
        counts: int64 `[P]`, rollouts given to each, 0 for a candidate that was passed over.
        successes: float64 `[P]`.
        failures: float64 `[P]`; with the successes less than the count where rewards are missing.
        squares: float64 `[P]`, sums of squared shares of a success; None where rewards are whole successes or failures.
        tokens: float64 `[P]`, generated in the rollouts that have a reward, NaN where a line has none; None where
            nobody counted them.
    """

    round: int
    prompt_ids: IntArray
    counts: IntArray
    successes: FloatArray
    failures: FloatArray
    squares: FloatArray
    tokens: FloatArray | None

    def __init__(
        self,
        round: int,
        prompt_ids: IntArray,
        counts: IntArray,
        successes: FloatArray,
        failures: FloatArray,
        squares: FloatArray | None = None,
        tokens: FloatArray | None = None,
    ) -> None:
        object.__setattr__(self, "round", round)
        object.__setattr__(self, "prompt_ids", prompt_ids)
        object.__setattr__(self, "counts", counts)
        object.__setattr__(self, "successes", successes)
        object.__setattr__(self, "failures", failures)
        object.__setattr__(self, "squares", whole_squares(successes, failures) if squares is None else squares)
        object.__setattr__(self, "tokens", tokens)


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

    @interruptible
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.header = parse_header(self.path, first_line(self.path)[0])
        self.torn: str | None = None
        self._rows = Rows()
        self._lines: Lines | None = None

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
        self._rows = Rows()
        self.torn = None
        lines = self._lines = Lines(self.path)
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
        counted = whole.tokens is not None and not np.isnan(whole.tokens).all()  # in its block others may be
        return TraceRound(
            int(whole.round[0]),
            *(whole.row, whole.count, whole.successes, whole.failures, whole.squares),
            whole.tokens if counted else None,
        )
