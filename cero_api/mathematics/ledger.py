"""The books: what was dealt, what came back, what is left. One budget over the whole training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.changes import Changes, collected
from cero_api.errors import BudgetError, InvalidOutcomeError
from cero_api.mathematics.contrast import group_variance, has_contrast, whole_squares
from cero_api.mathematics.open_groups import Groups, OpenGroups
from cero_api.mathematics.rounding import ROUNDING


class Report(NamedTuple):
    """What booking some outcomes showed, aligned with them."""

    first: BoolArray  # [P] nothing of this prompt's group in this round had been reported before
    groups: int  # groups that are complete now
    effective: int  # of those, the ones whose rewards differ


class Completed(NamedTuple):
    """What complete groups say together."""

    groups: int
    effective: int  # of those, the ones whose rewards differ
    rollouts: float  # scored
    signal: float  # sum over these of the variance of their group's rewards

    @classmethod
    def of(cls, groups: Groups) -> Self:
        """Of groups of which nothing is out; one that was refunded whole never was one."""
        won, lost, squares = groups.successes, groups.failures, groups.squares
        scored = won + lost
        return cls(
            int(np.count_nonzero(scored > 0)),
            int(np.count_nonzero(has_contrast(won, lost, squares))),
            float(scored.sum()),
            float((scored * group_variance(won, lost, squares)).sum()),
        )


@dataclass
class Ledger:
    r"""Budget and outstanding rollouts; `spent + remaining = budget` after every call, in any order.

    Every method either makes its changes at once, or adds them to those of a larger call, of which it is the only one
    to touch these books.

    >>> ledger = Ledger(budget=100)
    >>> ledger.charge(0, np.array([3, 5]), np.array([8, 8]))
    >>> ledger.refund(0, np.array([5]), np.array([2]))
    >>> ledger.spent, ledger.refunded, ledger.remaining, ledger.outstanding
    (14, 2, 86, 14)
    """

    budget: int
    spent: int = 0  # net of refunds
    refunded: int = 0
    groups: int = 0  # groups completed so far
    effective_groups: int = 0
    scored: float = 0.0  # rollouts of complete groups
    signal_sum: float = 0.0  # sum over these of the variance of their group's rewards
    open: OpenGroups = field(default_factory=OpenGroups)

    @property
    def remaining(self) -> int:
        """Rollouts that may still be dealt."""
        return self.budget - self.spent

    @property
    def outstanding(self) -> int:
        """Rollouts dealt and neither reported nor refunded."""
        return self.open.rollouts

    @property
    def signal(self) -> float:
        """Variance of the rewards in a rollout's group, mean over the rollouts of complete groups; 0 without one."""
        return self.signal_sum / self.scored if self.scored > 0 else 0.0

    def check(self) -> str | None:
        """What is wrong with these books, or None: for states that come from outside."""
        if not 0 <= self.spent <= self.budget or self.refunded < 0:
            return f"spent={self.spent} of budget={self.budget} with {self.refunded} refunded cannot be"
        if not 0 <= self.effective_groups <= self.groups:
            return f"{self.effective_groups} of {self.groups} groups effective cannot be"
        if not 0 <= self.signal_sum <= self.scored / 2 + ROUNDING * max(self.scored, 1.0):
            return f"a signal of {self.signal_sum} in {self.scored} scored rollouts cannot be"
        if self.outstanding > self.spent:
            return f"{self.outstanding} rollouts out of {self.spent} spent cannot be"
        return None

    def charge(self, round: int, prompt_ids: IntArray, counts: IntArray, changes: Changes | None = None) -> None:
        """Book an allocation, `counts` positive or zero.

        Raises:
            BudgetError: it costs more than remains.
        """
        total = int(counts.sum())
        if total > self.remaining:
            raise BudgetError(f"{total} rollouts asked for, {self.remaining} remain; ask for fewer")
        with collected(changes) as later:
            later.set(self, "spent", self.spent + total)
            self.open.replace(round, Groups.dealt(prompt_ids, counts), later)

    def settle(
        self,
        round: int,
        prompt_ids: IntArray,
        successes: FloatArray,
        failures: FloatArray,
        squares: FloatArray | None = None,
        changes: Changes | None = None,
    ) -> Report:
        """Book outcomes; nothing changes if any of them was not allocated.

        Args:
            round: in which they were dealt.
            prompt_ids: int64 `[P]`, no repeats.
            successes: float64 `[P]`.
            failures: float64 `[P]`; with the successes at least one rollout each.
            squares: float64 `[P]`, of shares of a success; None is that of whole successes and failures.
            changes: of the call that this is a part of.

        Raises:
            InvalidOutcomeError: more rollouts than are out for a prompt in that round.
        """
        counts = np.rint(successes + failures).astype(np.int64)
        groups, rows = self._find(round, prompt_ids, counts, "reported")
        first = groups.successes[rows] + groups.failures[rows] == 0
        squares = whole_squares(successes, failures) if squares is None else squares
        with collected(changes) as later:
            told = groups.less(rows, counts).earned(rows, successes, failures, squares)
            complete = self._take(round, told, later)
        return Report(first, complete.groups, complete.effective)

    def reopen(self, round: int, groups: Groups, changes: Changes | None = None) -> None:
        """Book more rollouts for groups of a round that are complete: each goes on, as one group.

        Args:
            round: in which they were dealt; none of its rollouts is out.
            groups: with what they have earned, and in `rollouts` what they get now, 0 or more.
            changes: of the call that this is a part of.

        Raises:
            BudgetError: it costs more than remains.
        """
        total = int(groups.rollouts.sum())
        if total > self.remaining:
            raise BudgetError(f"{total} rollouts asked for, {self.remaining} remain; ask for fewer")
        going = groups.part(groups.rollouts > 0)
        begun = Completed.of(going)
        with collected(changes) as later:
            later.set(self, "spent", self.spent + total)
            later.set(self, "groups", self.groups - begun.groups)
            later.set(self, "effective_groups", self.effective_groups - begun.effective)
            later.set(self, "scored", max(self.scored - begun.rollouts, 0.0))
            later.set(self, "signal_sum", max(self.signal_sum - begun.signal, 0.0))  # which rounding may miss by a bit
            self.open.replace(round, going.part(np.argsort(going.prompt)), later)

    def refund(self, round: int, prompt_ids: IntArray, counts: IntArray, changes: Changes | None = None) -> None:
        """Return rollouts that were never generated to the budget; nothing changes if any was not allocated.

        Raises:
            InvalidOutcomeError: more rollouts than are out for a prompt in that round.
        """
        groups, rows = self._find(round, prompt_ids, counts, "refunded")
        total = int(counts.sum())
        with collected(changes) as later:
            self._take(round, groups.less(rows, counts), later)
            later.set(self, "spent", self.spent - total)
            later.set(self, "refunded", self.refunded + total)

    def _find(self, round: int, prompt_ids: IntArray, counts: IntArray, verb: str) -> tuple[Groups, IntArray]:
        """The round's groups, and which of them these are, after checking that so many rollouts are out."""
        groups = self.open.of(round)
        rows: IntArray = np.searchsorted(groups.prompt, prompt_ids)
        known = rows < groups.prompt.size
        known[known] = groups.prompt[rows[known]] == prompt_ids[known]
        out = np.zeros(counts.size, dtype=np.int64)
        out[known] = groups.rollouts[rows[known]]
        excess = np.flatnonzero(counts > out)
        if excess.size:
            worst = excess[0]
            raise InvalidOutcomeError(
                f"{counts[worst]} rollouts {verb} for prompt {prompt_ids[worst]} in round {round}, where "
                f"{out[worst]} are out ({excess.size} such prompts): report each rollout once, under its "
                "allocation's round"
            )
        return groups, rows

    def _take(self, round: int, groups: Groups, later: Changes) -> Completed:
        """Leave of the round what is still out; return what is complete now."""
        done = groups.rollouts == 0
        complete = Completed.of(groups.part(done))
        later.set(self, "groups", self.groups + complete.groups)
        later.set(self, "effective_groups", self.effective_groups + complete.effective)
        later.set(self, "scored", self.scored + complete.rollouts)
        later.set(self, "signal_sum", self.signal_sum + complete.signal)
        self.open.replace(round, groups.part(~done), later)
        return complete
