"""The books: what was dealt, what came back, what is left. One budget over the whole training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.errors import BudgetError, InvalidOutcomeError
from cero_api.mathematics.contrast import has_contrast, squares_fit, whole_squares
from cero_api.state import RAGGED, no_floats, no_integers


class Report(NamedTuple):
    """What booking some outcomes showed, aligned with them."""

    first: BoolArray  # [P] nothing of this prompt's group in this round had been reported before
    groups: int  # groups that are complete now
    effective: int  # of those, the ones whose rewards differ


@dataclass
class Ledger:
    r"""Budget and outstanding rollouts; `spent + remaining = budget` after every call, in any order.

    Rows of the `open_*` arrays are groups with rollouts still out, sorted by round, then by prompt. A group leaves
    when its last rollout is reported or refunded; one whose rewards never come stays, and costs 48 bytes.

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
    open_round: IntArray = field(default_factory=no_integers, metadata=RAGGED)
    open_prompt: IntArray = field(default_factory=no_integers, metadata=RAGGED)
    open_rollouts: IntArray = field(default_factory=no_integers, metadata=RAGGED)
    open_successes: FloatArray = field(default_factory=no_floats, metadata=RAGGED)
    open_failures: FloatArray = field(default_factory=no_floats, metadata=RAGGED)
    open_squares: FloatArray = field(default_factory=no_floats, metadata=RAGGED)  # of shares of a success

    @property
    def remaining(self) -> int:
        """Rollouts that may still be dealt."""
        return self.budget - self.spent

    @property
    def outstanding(self) -> int:
        """Rollouts dealt and neither reported nor refunded."""
        return int(self.open_rollouts.sum())

    def check(self) -> str | None:
        """What is wrong with these books, or None: for states that come from outside."""
        columns = (self.open_prompt, self.open_rollouts, self.open_successes, self.open_failures, self.open_squares)
        if any(column.shape != self.open_round.shape for column in columns):
            return "its open rollouts have columns of different length"
        if not 0 <= self.spent <= self.budget or self.refunded < 0:
            return f"spent={self.spent} of budget={self.budget} with {self.refunded} refunded cannot be"
        if not 0 <= self.effective_groups <= self.groups:
            return f"{self.effective_groups} of {self.groups} groups effective cannot be"
        if (self.open_rollouts < 1).any() or self.outstanding > self.spent:
            return f"{self.outstanding} rollouts out of {self.spent} spent cannot be"
        if min(self.open_successes.min(initial=0.0), self.open_failures.min(initial=0.0)) < 0:
            return "it has negative outcomes"
        if not squares_fit(self.open_successes, self.open_failures, self.open_squares).all():
            return "it has outcomes whose squares do not fit"
        order = np.lexsort((self.open_prompt, self.open_round))
        if (np.diff(order) != 1).any():
            return "its open rollouts are out of order"
        return None

    def charge(self, round: int, prompt_ids: IntArray, counts: IntArray) -> None:
        """Book an allocation, `counts` positive or zero.

        Raises:
            BudgetError: it costs more than remains.
        """
        total = int(counts.sum())
        if total > self.remaining:
            raise BudgetError(f"{total} rollouts asked for, {self.remaining} remain; ask for fewer")
        dealt = np.flatnonzero(counts)
        dealt = dealt[np.argsort(prompt_ids[dealt])]
        zeros = np.zeros(dealt.size)
        self.spent += total
        self.open_round = np.concatenate([self.open_round, np.full(dealt.size, round)])
        self.open_prompt = np.concatenate([self.open_prompt, prompt_ids[dealt]])
        self.open_rollouts = np.concatenate([self.open_rollouts, counts[dealt]])
        self.open_successes = np.concatenate([self.open_successes, zeros])
        self.open_failures = np.concatenate([self.open_failures, zeros])
        self.open_squares = np.concatenate([self.open_squares, zeros])

    def settle(
        self,
        round: int,
        prompt_ids: IntArray,
        successes: FloatArray,
        failures: FloatArray,
        squares: FloatArray | None = None,
    ) -> Report:
        """Book outcomes; nothing changes if any of them was not allocated.

        Args:
            round: in which they were dealt.
            prompt_ids: int64 `[P]`, no repeats.
            successes: float64 `[P]`.
            failures: float64 `[P]`; with the successes at least one rollout each.
            squares: float64 `[P]`, of shares of a success; None is that of whole successes and failures.

        Raises:
            InvalidOutcomeError: more rollouts than are out for a prompt in that round.
        """
        counts = np.rint(successes + failures).astype(np.int64)
        rows = self._find(round, prompt_ids, counts, "reported")
        first = self.open_successes[rows] + self.open_failures[rows] == 0
        self.open_successes[rows] += successes
        self.open_failures[rows] += failures
        self.open_squares[rows] += whole_squares(successes, failures) if squares is None else squares
        groups, effective = self._take(rows, counts)
        return Report(first, groups, effective)

    def refund(self, round: int, prompt_ids: IntArray, counts: IntArray) -> None:
        """Return rollouts that were never generated to the budget; nothing changes if any was not allocated.

        Raises:
            InvalidOutcomeError: more rollouts than are out for a prompt in that round.
        """
        rows = self._find(round, prompt_ids, counts, "refunded")
        self._take(rows, counts)
        self.spent -= int(counts.sum())
        self.refunded += int(counts.sum())

    def _find(self, round: int, prompt_ids: IntArray, counts: IntArray, verb: str) -> IntArray:
        """Rows of these groups, after checking that they are open for so many rollouts."""
        start, stop = np.searchsorted(self.open_round, [round, round + 1])
        rows: IntArray = start + np.searchsorted(self.open_prompt[start:stop], prompt_ids)
        known = rows < stop
        known[known] = self.open_prompt[rows[known]] == prompt_ids[known]
        out = np.zeros(counts.size, dtype=np.int64)
        out[known] = self.open_rollouts[rows[known]]
        excess = np.flatnonzero(counts > out)
        if excess.size:
            worst = excess[0]
            raise InvalidOutcomeError(
                f"{counts[worst]} rollouts {verb} for prompt {prompt_ids[worst]} in round {round}, where "
                f"{out[worst]} are out ({excess.size} such prompts): report each rollout once, under its "
                "allocation's round"
            )
        return rows

    def _take(self, rows: IntArray, counts: IntArray) -> tuple[int, int]:
        """Rollouts are no longer out; return how many groups that completed, and how many are effective."""
        self.open_rollouts[rows] -= counts
        done = self.open_rollouts == 0
        won, lost, squares = self.open_successes[done], self.open_failures[done], self.open_squares[done]
        # A group that was refunded whole never was one.
        groups = int(np.count_nonzero(won + lost > 0))
        effective = int(np.count_nonzero(has_contrast(won, lost, squares)))
        self.groups += groups
        self.effective_groups += effective
        for column in ("round", "prompt", "rollouts", "successes", "failures", "squares"):
            setattr(self, f"open_{column}", getattr(self, f"open_{column}")[~done])
        return groups, effective
