"""Sums of a run, by round and by prompt: all that the figures need of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.arrays import real_numbers, whole_numbers
from cero_api.errors import TraceError
from cero_api.mathematics.contrast import group_variance, has_contrast, whole_squares
from cero_api.trace import TraceReader

# Groups by the share of their rollouts that succeeded, with the colors of the plot.
BANDS = {
    "none": "#3B3B3B",
    "below 1/3": "#F4A582",
    "1/3 to 2/3": "#FFD92F",
    "above 2/3": "#92C5DE",
    "all": "#BBBBBB",
}


@dataclass(frozen=True, eq=False)
class RunSummary:
    """What the plots need of a run: sums per round and per prompt.

    Args:
        label: what it is called in legends; runs of equal label share a color.
        num_prompts: of the pool, M; those that were ever offered where the pool is not known.
        rounds: int64 `[K]`, numbers of the rounds in which rollouts were given.
        rollouts: int64 `[K]`.
        groups: int64 `[K]`, prompts that got rollouts.
        effective: int64 `[K]`, of those, with rewards that differ: both a success and a failure, if they are binary.
        successes: float64 `[K]`.
        signal: float64 `[K]`, sum over rollouts of the unbiased variance of their group's rewards, $S F / (n (n - 1))$
            of $n = S + F$ binary ones: at most $n / (4 (n - 1))$ each.
        tokens: float64 `[K]`, generated in the rollouts that have a reward; NaN where some were not counted.
        bands: int64 `[K, 5]`, groups by the share of their rollouts that succeeded, see `BANDS`.
        exposure: int64 `[<= M]`, rollouts of each prompt that was offered, in any order; others got none.
        note: what was wrong with the file, None if nothing.
        place: what tells it from other runs of its label, None if nothing is needed.
    """

    label: str
    num_prompts: int
    rounds: IntArray
    rollouts: IntArray
    groups: IntArray
    effective: IntArray
    successes: FloatArray
    signal: FloatArray
    tokens: FloatArray
    bands: IntArray
    exposure: IntArray
    note: str | None = None
    place: str | None = None

    @property
    def name(self) -> str:
        """Its label, with its place if that is needed."""
        return self.label if self.place is None else f"{self.label} ({self.place})"

    @property
    def budget(self) -> int:
        """Rollouts in all."""
        return int(self.rollouts.sum())

    def numbers(self) -> dict[str, Any]:
        """The row of the page's table."""
        return {
            "run": self.name,
            "rounds": int(self.rounds.size),
            "rollouts": self.budget,
            "tokens": int(self.tokens.sum()) if np.isfinite(self.tokens).all() else None,
            "prompts": self.num_prompts,
            "never served": self.num_prompts - int(np.count_nonzero(self.exposure)),
            "groups": int(self.groups.sum()),
            "effective groups": float(self.effective.sum() / self.groups.sum()),
            "signal": f"{self.signal.sum() / self.budget:.3f}",
            "success rate": float(self.successes.sum() / self.budget),
        }

    @classmethod
    def of_rounds(
        cls,
        label: str,
        rounds: Iterable[tuple[int, ArrayLike, ArrayLike, ArrayLike]],
        num_prompts: int,
    ) -> RunSummary:
        """From rounds in memory.

        Args:
            label: of the run.
            rounds: (number, rows `[P]`, counts `[P]`, successes `[P]`) of each.
            num_prompts: of the pool, M.

        Raises:
            TraceError: an array is none of numbers, or of rows and counts that are not whole.

        >>> run = RunSummary.of_rounds("cero", [(0, [0, 2], [4, 2], [1, 2])], num_prompts=3)
        >>> run.effective, run.exposure
        (array([1]), array([4, 0, 2]))
        """
        tally = _Tally()
        for number, rows, counts, successes in rounds:
            count, row = whole_numbers(counts, "counts", TraceError), whole_numbers(rows, "rows", TraceError)
            won = real_numbers(successes, "successes", TraceError)
            tally.add(np.full(count.size, number), row, count, won, count - won, whole_squares(won, count - won), None)
        return tally.summary(label, num_prompts, None)

    @classmethod
    def of_trace(
        cls, path: str | os.PathLike[str], label: str | None = None, progress: Callable[[float], None] | None = None
    ) -> RunSummary:
        """From a trace, in memory that grows with its rounds and prompts, not with its lines.

        Args:
            path: of the file.
            label: None is the allocator of the trace's metadata, or the file's name.
            progress: called with the share of the file that is read.

        Raises:
            TraceError: the file is no trace, or has a bad line.
        """
        reader, tally = TraceReader(path), _Tally()
        for columns in reader.columns():
            tally.add(
                *(columns.round, columns.row, columns.count, columns.successes, columns.failures, columns.squares),
                columns.tokens,
            )
            if progress is not None:
                progress(reader.fraction)
        if label is None:
            label = str(reader.header.metadata.get("allocator") or Path(path).name)
        summary = tally.summary(label, reader.header.num_prompts or len(reader.keys), reader.torn)
        if not summary.rounds.size:
            raise TraceError(f"{path} has not one round with rollouts; give the trace of a run")
        return summary


class _Tally:
    def __init__(self) -> None:
        self._parts: list[tuple[IntArray, FloatArray]] = []  # round numbers, and sums by round
        self._exposure = np.zeros(0, dtype=np.int64)

    def add(
        self,
        round: IntArray,
        row: IntArray,
        count: IntArray,
        won: FloatArray,
        lost: FloatArray,
        squares: FloatArray,
        tokens: FloatArray | None,
    ) -> None:
        given = count > 0
        # Where nothing came back, nothing was there to count.
        uncounted = np.where(won + lost > 0, np.nan, 0.0)
        tokens = uncounted if tokens is None else np.where(np.isnan(tokens), uncounted, tokens)
        round, row, count = round[given], row[given], count[given]
        won, lost, squares, tokens = won[given], lost[given], squares[given], tokens[given]
        if not round.size:
            return
        size = max(int(row.max()) + 1, self._exposure.size)
        self._exposure = np.pad(self._exposure, (0, size - self._exposure.size))
        self._exposure += np.bincount(row, weights=count, minlength=size).astype(np.int64)
        scored = won + lost
        band = np.where(won <= 0, 0, np.where(lost <= 0, 4, 1 + (3 * won >= scored) + (3 * won > 2 * scored)))
        numbers, place = np.unique(round, return_inverse=True)

        def total(weights: NDArray[Any] | None = None) -> FloatArray:
            return np.bincount(place, weights, minlength=numbers.size).astype(np.float64)

        seen = scored > 0
        cells = (place * len(BANDS) + band)[seen]
        bands = np.bincount(cells, minlength=numbers.size * len(BANDS)).reshape(numbers.size, len(BANDS))
        mixed = has_contrast(won, lost, squares)
        variance = group_variance(won, lost, squares)
        columns = [
            total(count),
            total(),
            total(mixed.astype(np.float64)),
            total(won),
            total(count * variance),
            total(tokens),
        ]
        self._parts.append((numbers, np.column_stack([*columns, bands])))

    def summary(self, label: str, num_prompts: int, note: str | None) -> RunSummary:
        if self._parts:
            numbers = np.concatenate([part[0] for part in self._parts])
            sums = np.concatenate([part[1] for part in self._parts])
            # A round may lie across two blocks.
            starts = np.flatnonzero(np.diff(numbers, prepend=-1))
            numbers, sums = numbers[starts], np.add.reduceat(sums, starts, axis=0)
        else:
            numbers, sums = np.zeros(0, dtype=np.int64), np.zeros((0, 6 + len(BANDS)))
        whole = np.nan_to_num(sums).astype(np.int64)
        return RunSummary(
            label=label,
            num_prompts=max(num_prompts, self._exposure.size),
            rounds=numbers.astype(np.int64),
            rollouts=whole[:, 0],
            groups=whole[:, 1],
            effective=whole[:, 2],
            successes=sums[:, 3],
            signal=sums[:, 4],
            tokens=sums[:, 5],
            bands=whole[:, 6:],
            exposure=self._exposure,  # and not as long as the file only claims that its pool is
            note=note,
        )
