"""Groups of which rollouts are still out, round by round: a call costs what its round holds, however many are open."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.changes import Changes
from cero_api.mathematics.contrast import squares_fit
from cero_api.state import no_integers

_MOST = 2**53  # rollouts; float64 counts exactly up to here


class Groups(NamedTuple):
    """Groups of one round, by prompt; never changed, only replaced."""

    prompt: IntArray  # [P] ascending
    rollouts: IntArray  # [P] still out
    successes: FloatArray  # [P] reported so far
    failures: FloatArray  # [P]
    squares: FloatArray  # [P] of shares of a success

    @classmethod
    def dealt(cls, prompt_ids: IntArray, counts: IntArray) -> Self:
        """Those that a round has just been dealt."""
        dealt = np.flatnonzero(counts)
        dealt = dealt[np.argsort(prompt_ids[dealt])]
        return cls(prompt_ids[dealt], counts[dealt], *(np.zeros(dealt.size) for _ in range(3)))

    def less(self, rows: IntArray, counts: IntArray) -> Self:
        """With so many rollouts fewer out."""
        rollouts = self.rollouts.copy()
        rollouts[rows] -= counts
        return self._replace(rollouts=rollouts)

    def earned(self, rows: IntArray, successes: FloatArray, failures: FloatArray, squares: FloatArray) -> Self:
        """With this reported of some."""
        won, lost, squared = self.successes.copy(), self.failures.copy(), self.squares.copy()
        won[rows] += successes
        lost[rows] += failures
        squared[rows] += squares
        return self._replace(successes=won, failures=lost, squares=squared)

    def part(self, chosen: BoolArray | IntArray | slice) -> Self:
        """Only some of them, in arrays of their own."""
        return self._replace(
            prompt=self.prompt[chosen].copy(),
            rollouts=self.rollouts[chosen].copy(),
            successes=self.successes[chosen].copy(),
            failures=self.failures[chosen].copy(),
            squares=self.squares[chosen].copy(),
        )


_NONE = Groups.dealt(no_integers(), no_integers())


class OpenGroups:
    """All groups with rollouts still out. A group leaves when its last rollout is reported or refunded.

    One whose rewards never come stays, and costs 40 bytes. In a state they are columns sorted by round, then by prompt.

    >>> groups, changes = OpenGroups(), Changes()
    >>> groups.replace(7, Groups.dealt(np.array([5, 3]), np.array([8, 4])), changes)
    >>> changes.make()
    >>> groups.rollouts, groups.of(7).prompt, groups.columns()["round"]
    (12, array([3, 5]), array([7, 7]))
    """

    def __init__(self) -> None:
        self.rounds: dict[int, Groups] = {}  # in ascending order, for rounds are dealt so; none is empty
        self.rollouts = 0  # out in all of them

    def of(self, round: int) -> Groups:
        """Those of one round."""
        return self.rounds.get(round, _NONE)

    def replace(self, round: int, groups: Groups, changes: Changes) -> None:
        """These are now the round's; one such change at a time."""
        out = int(groups.rollouts.sum()) - int(self.of(round).rollouts.sum())
        changes.set(self, "rollouts", self.rollouts + out)
        if groups.prompt.size:
            changes.put(self.rounds, round, groups)
        else:
            changes.drop(self.rounds, round)

    def columns(self) -> dict[str, NDArray[Any]]:
        """All groups as plain arrays of one length, which are the caller's own."""
        parts = [_NONE, *self.rounds.values()]
        sizes = [groups.prompt.size for groups in parts]
        columns: dict[str, NDArray[Any]] = {"round": np.repeat(np.array([0, *self.rounds], dtype=np.int64), sizes)}
        return columns | {name: np.concatenate([getattr(groups, name) for groups in parts]) for name in Groups._fields}

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Self:
        """What `columns` gave; of the right types already.

        Raises:
            ValueError: they are no such columns.
        """
        round, groups = columns["round"], Groups(*(columns[name] for name in Groups._fields))
        if any(column.shape != round.shape for column in groups):
            raise ValueError("its open rollouts have columns of different length")
        if (groups.rollouts < 1).any() or (groups.rollouts > _MOST).any():
            raise ValueError("it has open groups without a rollout out, or with more than can be counted")
        if min(groups.successes.min(initial=0.0), groups.failures.min(initial=0.0)) < 0:
            raise ValueError("it has negative outcomes")
        if not squares_fit(groups.successes, groups.failures, groups.squares).all():
            raise ValueError("it has outcomes whose squares do not fit")
        new_round = round[1:] > round[:-1]
        if not (new_round | ((round[1:] == round[:-1]) & (groups.prompt[1:] > groups.prompt[:-1]))).all():
            raise ValueError("its open rollouts are out of order")
        opened, edges = cls(), [0, *(1 + np.flatnonzero(new_round)).tolist(), round.size]
        for start, stop in pairwise(edges) if round.size else ():
            opened.rounds[int(round[start])] = groups.part(slice(start, stop))
        opened.rollouts = int(groups.rollouts.sum())
        return opened
