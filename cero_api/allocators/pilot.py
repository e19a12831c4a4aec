"""What is kept between the two waves of a round: who had the pilot, and what it earned."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.changes import Changes
from cero_api.mathematics.contrast import squares_fit
from cero_api.mathematics.open_groups import Groups
from cero_api.state import RAGGED, no_floats, no_integers


@dataclass
class PilotState:
    """A round whose rest is still to be dealt; none at all where `round` is -1.

    >>> pilot, changes = PilotState.of(0, left=12, exact=1, cap=8, prompts=np.array([5, 3])), Changes()
    >>> pilot.told(np.array([3]), np.array([1.0]), np.array([1.0]), np.array([1.0]), changes)
    >>> changes.make()
    >>> pilot.rollouts
    array([0, 2])
    """

    round: int = -1
    left: int = 0  # rollouts of the rest
    exact: int = 0  # 1 if all of them are to be dealt
    cap: int = 0  # rollouts of a full group, the pilot's included
    prompts: IntArray = field(default_factory=no_integers, metadata=RAGGED)  # in the order in which they were dealt to
    successes: FloatArray = field(default_factory=no_floats, metadata=RAGGED)
    failures: FloatArray = field(default_factory=no_floats, metadata=RAGGED)
    squares: FloatArray = field(default_factory=no_floats, metadata=RAGGED)  # of shares of a success

    @classmethod
    def of(cls, round: int, left: int, exact: int, cap: int, prompts: IntArray) -> Self:
        """One that has just been dealt."""
        return cls(round, left, exact, cap, prompts, *(np.zeros(prompts.size) for _ in range(3)))

    @property
    def rollouts(self) -> IntArray:
        """Of each prompt that were rewarded."""
        return np.rint(self.successes + self.failures).astype(np.int64)

    def told(
        self, ids: IntArray, successes: FloatArray, failures: FloatArray, squares: FloatArray, changes: Changes
    ) -> None:
        """Rewards of these prompts came in."""
        order = np.argsort(self.prompts)
        places = order[np.searchsorted(self.prompts, ids, sorter=order)]
        for column, earned in ((self.successes, successes), (self.failures, failures), (self.squares, squares)):
            changes.put(column, places, column[places] + earned)

    def groups(self, counts: IntArray) -> Groups:
        """The prompts with what they have earned, and so many rollouts more."""
        return Groups(self.prompts, counts, self.successes, self.failures, self.squares)

    def fault(self, dealt: int, pool: int, remaining: int) -> str | None:
        """What is wrong with a state of the right names and shapes, or None: for states that come from outside.

        Args:
            dealt: rounds dealt so far.
            pool: prompts.
            remaining: rollouts of the budget.
        """
        columns = (self.successes, self.failures, self.squares)
        if self.round == -1:
            empty = not self.prompts.size and self.left == self.exact == self.cap == 0
            return None if empty and not any(column.size for column in columns) else "it has a pilot of no round"
        if self.round != dealt - 1 or self.exact not in (0, 1):
            return f"it has a pilot in round {self.round}, and {dealt} rounds were dealt"
        if any(column.shape != self.prompts.shape for column in columns):
            return "its pilot has columns of different length"
        if ((self.prompts < 0) | (self.prompts >= pool)).any() or np.unique(self.prompts).size != self.prompts.size:
            return "its pilot has a prompt twice, or one that is not in the pool"
        if min(self.successes.min(initial=0.0), self.failures.min(initial=0.0)) < 0:
            return "its pilot has earned less than nothing"
        if (self.successes + self.failures > self.cap).any():
            return "its pilot has more rollouts than a full group"
        if not squares_fit(self.successes, self.failures, self.squares).all():
            return "its pilot has earned squares that do not fit"
        if not 0 <= self.left <= remaining:
            return f"the rest of round {self.round} is {self.left} rollouts, and {remaining} remain"
        return None
