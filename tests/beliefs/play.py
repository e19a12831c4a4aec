"""A belief at work, as an allocator would use it: for the tests of this folder."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.beliefs import Belief, Expectation, Results
from cero_api.changes import Changes
from cero_api.state import state_entries, with_entries


class Cell:
    """A belief and its state."""

    def __init__(self, belief: Belief[Any]) -> None:
        self.belief = belief
        self.state = belief.start()

    def deal(self, rows: IntArray | None = None) -> Expectation:
        """What is expected in a round that is being dealt."""
        state = self.belief.learned(self.state)
        expected = self.belief.ask(state, rows)
        self.state = self.belief.tick(state)
        return expected

    def told(
        self,
        rows: IntArray,
        won: FloatArray,
        lost: FloatArray,
        *,
        round: int | None = None,
        graded: FloatArray | None = None,
        first: bool = True,
    ) -> None:
        changes = Changes()
        none = np.zeros(rows.size)
        number = self.state.round - 1 if round is None else round
        told = Results(number, rows, won, lost, none if graded is None else graded, np.full(rows.size, first))
        self.belief.told(self.state, told, changes)
        changes.make()

    def resumed(self) -> Cell:
        """The same from a checkpoint."""
        other = Cell(self.belief)
        other.state = with_entries(self.belief.start(), state_entries(self.state))
        assert self.belief.fault(other.state) is None
        return other

    def copied(self) -> Cell:
        other = Cell(self.belief)
        other.state = copy.deepcopy(self.state)
        return other


def same(one: Any, other: Any) -> bool:
    """Whether two states hold the same to the last bit."""
    left, right = state_entries(one), state_entries(other)
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


def play(cell: Cell, rates: FloatArray, rounds: int, batch: int, seed: int = 0, group: int = 8) -> None:
    """Rounds of a loader's batches: every prompt once an epoch."""
    rng, line = np.random.default_rng(seed), np.empty(0, dtype=np.int64)
    for _ in range(rounds):
        if line.size < batch:
            line = rng.permutation(rates.size)
        rows, line = line[:batch], line[batch:]
        cell.deal(rows)
        won = rng.binomial(group, rates[rows]).astype(np.float64)
        cell.told(rows, won, group - won)
