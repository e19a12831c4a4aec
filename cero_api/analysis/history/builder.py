"""Deals records in time order out to their prompts."""

from __future__ import annotations

import array
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.errors import TraceError
from cero_api.mathematics.blocks import blocks
from cero_api.prompts import Key

Progress = Callable[[float], None]


class Fields(TypedDict):
    """What a `SuccessHistory` is made of, see there."""

    keys: Sequence[Key]
    offsets: IntArray
    visit_round: NDArray[np.int32]
    visit_successes: NDArray[np.float32]
    visit_count: NDArray[np.int32]
    visit_graded: NDArray[np.float32]
    round_numbers: IntArray
    candidates: NDArray[np.int32]
    candidate_offsets: IntArray
    rollouts: IntArray
    notes: tuple[str, ...]


class Builder:
    """Records in time order, 16 bytes each, dealt out to their prompts in the end."""

    def __init__(self, timed: bool = True) -> None:
        self._timed = timed
        self._round, self._row, self._scored = (array.array("i") for _ in range(3))
        self._won = array.array("f")
        self._graded = array.array("f")  # empty while no reward was graded
        self._numbers, self._sizes, self._rollouts = (array.array("q") for _ in range(3))  # of the rounds

    def add(
        self,
        round: ArrayLike,
        row: ArrayLike,
        scored: ArrayLike,
        successes: ArrayLike,
        given: ArrayLike | None = None,
        graded: FloatArray | None = None,
    ) -> None:
        """Append records, none earlier than those before.

        `given` counts rollouts without a reward too; `graded` is the sum of x(1 - x) over the rewards x.
        """
        rounds = np.asarray(round, dtype=np.int32)
        if graded is not None and graded.any() and not self._graded:
            self._graded.frombytes(bytes(self._graded.itemsize * len(self._round)))
        if (graded is not None and graded.any()) or self._graded:
            new = np.zeros(rounds.size) if graded is None else graded
            self._graded.frombytes(new.astype(np.float32).tobytes())
        for column, values in ((self._round, rounds), (self._row, row), (self._scored, scored)):
            column.frombytes(np.asarray(values, dtype=np.int32).tobytes())
        self._won.frombytes(np.asarray(successes, dtype=np.float32).tobytes())
        if self._timed:
            given = np.asarray(scored if given is None else given, dtype=np.int64)
            starts = np.flatnonzero(np.diff(rounds, prepend=-1))
            for number, size, rollouts in zip(
                rounds[starts].tolist(),
                np.diff(starts, append=rounds.size).tolist(),
                np.add.reduceat(given, starts).tolist(),
                strict=True,
            ):
                if self._numbers and self._numbers[-1] == number:
                    self._sizes[-1] += size
                    self._rollouts[-1] += rollouts
                else:
                    self._numbers.append(number)
                    self._sizes.append(size)
                    self._rollouts.append(rollouts)

    def fields(
        self,
        keys: Sequence[Key],
        *,
        source: object,
        counts_known: bool = True,
        notes: tuple[str, ...] = (),
        where: Callable[[int], str] = lambda record: f"record {record + 1}",
    ) -> Fields:
        """All records, by prompt; `where` names a record in the message of an error."""
        if not self._row:
            raise TraceError(f"{source} holds not one visit; give a record in which prompts were rolled out")
        round, row, scored = (
            np.frombuffer(column, dtype=np.int32) for column in (self._round, self._row, self._scored)
        )
        won = np.frombuffer(self._won, dtype=np.float32)
        offsets = np.zeros(len(keys) + 1, dtype=np.int64)
        latest = np.full(len(keys), -1, dtype=np.int32)  # round in which each prompt was last met
        for block in blocks(row.size):
            offsets[1:] += np.bincount(row[block], weights=scored[block] > 0, minlength=len(keys)).astype(np.int64)
        np.cumsum(offsets, out=offsets)

        visits = int(offsets[-1])
        visited, earned, count = np.empty(visits, np.int32), np.empty(visits, np.float32), np.empty(visits, np.int32)
        differing = np.empty(visits if self._graded else 0, np.float32)
        columns: list[tuple[NDArray[Any], NDArray[Any]]] = [(visited, round), (earned, won), (count, scored)]
        if self._graded:
            columns.append((differing, np.frombuffer(self._graded, dtype=np.float32)))
        place = offsets[:-1].copy()
        for block in blocks(row.size):
            order = np.argsort(row[block], kind="stable") + block.start
            mine = row[order]
            before = np.concatenate([latest[mine[:1]], round[order[:-1]]])
            first = np.concatenate([[True], mine[1:] != mine[:-1]])
            before[first] = latest[mine[first]]
            if (before == round[order]).any():
                record = int(order[before == round[order]].min())
                raise TraceError(
                    f"{where(record)}: prompt {keys[row[record]]!r} is in round {round[record]} already; sum its "
                    "rollouts"
                )
            latest[mine] = round[order]  # the last of equal rows stays
            if not scored[block].all():
                order = order[scored[order] > 0]
                mine = row[order]
            starts = np.flatnonzero(np.diff(mine, prepend=-1))
            met = np.diff(starts, append=mine.size)
            target = np.repeat(place[mine[starts]], met) + np.arange(mine.size) - np.repeat(starts, met)
            for column, values in columns:
                column[target] = values[order]
            place[mine[starts]] += met

        return Fields(
            keys=keys,
            offsets=offsets,
            visit_round=visited,
            visit_successes=earned,
            visit_count=count,
            visit_graded=differing,
            round_numbers=np.array(self._numbers, dtype=np.int64),
            candidates=row if self._timed else row[:0].copy(),
            candidate_offsets=np.concatenate([[0], np.cumsum(np.array(self._sizes, dtype=np.int64))]),
            rollouts=np.array(self._rollouts if counts_known else [], dtype=np.int64),
            notes=notes,
        )
