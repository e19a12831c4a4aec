"""Tickets by name: what each was dealt, and what has come back of it; asked or told twice, nothing changes."""

from __future__ import annotations

import logging
import math
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.adapting.rounds import round_numbers

logger = logging.getLogger(__name__)

# Completed tickets that are still recognised. A trainer that restarts asks again for what was in flight when it
# saved, and the last reward of such a prompt may have come in just before.
_REMEMBERED = 16_384

# Times in a row that a prompt comes back without a single reward, after which somebody should look.
_FAILING = 3
_NAMED = 5  # such prompts

_MOST_TOKENS = 2**53  # of a rollout; what is more is no count


@dataclass
class Deal:
    """What one ticket was dealt, and what has come back."""

    round: int | None  # None: outside of the allocator's books, the budget being spent
    row: int
    count: int
    step: int
    outcomes: dict[int, float | None] = field(default_factory=dict)  # session -> success; None: refunded
    tokens: dict[int, float] = field(default_factory=dict)  # session -> generated; of those with a reward, if counted

    @property
    def done(self) -> bool:
        """Whether every rollout has been reported or refunded."""
        return len(self.outcomes) >= self.count

    def plain(self) -> list[Any]:
        """As JSON."""
        counted = [sorted(self.tokens.items())] if self.tokens else []
        return [self.round, self.row, self.count, self.step, sorted(self.outcomes.items()), *counted]

    @classmethod
    def from_plain(cls, values: Sequence[Any]) -> Deal:
        """From JSON."""
        round, row, count, step, outcomes, *counted = values
        tokens = {int(session): float(number) for session, number in counted[0]} if counted else {}
        return cls(round, row, count, step, {int(session): share for session, share in outcomes}, tokens)


class Tickets:
    """All tickets of which something is to come, and the latest of those that are complete.

    What is told of a ticket that was never dealt, or of a session that it does not have, is left aside: it is counted
    in `strays`, and the first is logged. No report ends a training.
    """

    def __init__(self) -> None:
        self._open: dict[str, Deal] = {}
        self._done: OrderedDict[str, Deal] = OrderedDict()
        self._failed: Counter[int] = Counter()  # by row: times in a row that nothing of it was rewarded
        self._named = 0  # of them
        self.strays = 0  # reports of what was never dealt

    def find(self, ticket: str) -> Deal | None:
        """The deal of a ticket, or None if there never was one (or it has long been completed)."""
        return self._open.get(ticket) or self._done.get(ticket)

    def known(self, ticket: str) -> Deal:
        """The deal of a ticket that has one."""
        deal = self.find(ticket)
        assert deal is not None  # the caller has entered it
        return deal

    def enter(self, ticket: str, deal: Deal) -> None:
        """Enter a new ticket; one without rollouts is complete at once."""
        (self._open if deal.count else self._done)[ticket] = deal

    def settle(self, ticket: str, session: int, share: float | None, tokens: float | None = None) -> Deal | None:
        """Note what became of one rollout: its success, and the tokens that were generated in it, if they are counted.

        Returns:
            The deal, if that was news.
        """
        deal = self._open.get(ticket)
        if deal is None:
            if ticket not in self._done:
                self._stray(f"a rollout of {ticket}, which was never dealt")
            return None
        if session in deal.outcomes:
            return None
        if not 0 <= session < deal.count:
            self._stray(f"session {session} of {ticket}, which was dealt {deal.count}")
            return None
        deal.outcomes[session] = share
        if share is not None and tokens is not None and 0 <= tokens < _MOST_TOKENS:  # else nobody has counted
            deal.tokens[session] = tokens
        if deal.done:
            self._note_failure(deal)
            self._done[ticket] = self._open.pop(ticket)
            while len(self._done) > _REMEMBERED:
                self._done.popitem(last=False)
        return deal

    def open(self) -> list[str]:
        """Tickets of which something is still to come."""
        return list(self._open)

    def deals_open(self) -> list[Deal]:
        """Deals of which something is still to come."""
        return list(self._open.values())

    def under_way(self, ticket: str) -> Deal | None:
        """The deal of a ticket of which something is still to come."""
        return self._open.get(ticket)

    def numbers(self) -> dict[str, float]:
        """For the trainer's log."""
        return {
            "prompts_in_flight": float(len(self._open)),
            "prompts_failing": float(sum(times >= _FAILING for times in self._failed.values())),
            "reports_unknown": float(self.strays),
        }

    def state_dict(self) -> dict[str, Any]:
        """What may be asked for again, as plain JSON."""
        return {
            "open": {ticket: deal.plain() for ticket, deal in self._open.items()},
            "done": {ticket: [deal.round, deal.row, deal.count, deal.step] for ticket, deal in self._done.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Continue from a `state_dict`; whatever is wrong with it raises."""
        tickets = cls()
        tickets._open = {ticket: Deal.from_plain(row) for ticket, row in state["open"].items()}
        tickets._done = OrderedDict((ticket, _completed(*row)) for ticket, row in state["done"].items())
        return tickets

    def _stray(self, what: str) -> None:
        if not self.strays:
            logger.warning(
                "%s, was reported and is left aside; report what was dealt, and number sessions from 0 (further ones "
                "are counted in reports_unknown)",
                what,
            )
        self.strays += 1

    def _note_failure(self, deal: Deal) -> None:
        """Say, once, that a prompt keeps coming back without a reward: refunded each time, it stays worth a try.

        Of so many prompts only: where all rewards stay away, it is no prompt's error.
        """
        if any(share is not None for share in deal.outcomes.values()):
            self._failed.pop(deal.row, None)
            return
        self._failed[deal.row] += 1
        if self._failed[deal.row] == _FAILING and self._named < _NAMED:
            self._named += 1
            logger.warning(
                "prompt %d (row of the pool) was dealt %d times and came back without a single reward. Its rollouts "
                "are refunded, so it goes on taking the place of others: find its error in the trainer's log, and mend "
                "or drop it (prompts_failing counts all such; %d are named)",
                *(deal.row, _FAILING, _NAMED),
            )


def sums(shares: Sequence[Sequence[float]]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Successes, failures and squares of groups by the shares of a success of their rollouts, float64 `[P]` each.

    >>> sums([[1.0, 0.25], []])
    (array([1.25, 0.  ]), array([0.75, 0.  ]), array([1.0625, 0.    ]))
    """
    won = np.array([math.fsum(part) for part in shares])
    squares = np.array([math.fsum(share * share for share in part) for part in shares])
    return won, np.array([len(part) for part in shares]) - won, squares


def totals(deals: Sequence[Deal]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Successes, failures and squares of each deal so far, float64 `[P]` each.

    >>> totals([Deal(0, 7, 3, 0, {0: 1.0, 1: 0.25, 2: None})])
    (array([1.25]), array([0.75]), array([1.0625]))
    """
    return sums([[share for share in deal.outcomes.values() if share is not None] for deal in deals])


def tokens_of(told: Sequence[tuple[Deal, Sequence[int]]]) -> FloatArray | None:
    """Tokens of these rollouts of each deal together, float64 `[P]`; None where any with a reward was not counted.

    Args:
        told: `[P]` deals, and sessions of each that have been told.

    >>> tokens_of([(Deal(0, 7, 3, 0, {0: 1.0, 1: 0.25, 2: None}, {0: 9.0, 1: 4.0}), [0, 1, 2])])
    array([13.])
    >>> tokens_of([(Deal(0, 7, 1, 0, {0: 1.0}), [0])]) is None
    True
    """
    scored = [(deal, [at for at in sessions if deal.outcomes[at] is not None]) for deal, sessions in told]
    if not any(sessions for _, sessions in scored):
        return None
    if any(at not in deal.tokens for deal, sessions in scored for at in sessions):
        return None
    return np.array([math.fsum(deal.tokens[at] for at in sessions) for deal, sessions in scored])


def spread(deals: Sequence[Deal]) -> dict[str, float]:
    """How counts are spread over these deals, and what those that are complete have earned.

    >>> spread([Deal(0, 7, 2, 0, {0: 1.0, 1: 0.0}), Deal(0, 8, 4, 0)])["round_effective_group_rate"]
    1.0
    """
    counts: IntArray = np.array([deal.count for deal in deals], dtype=np.int64)
    if not counts.size:
        return {}
    complete = np.array([deal.done for deal in deals])
    won, lost, squares = np.where(complete, totals(deals), 0.0)
    tokens = tokens_of([(deal, list(deal.outcomes) if deal.done else []) for deal in deals])
    return round_numbers(counts, won, lost, squares=squares, tokens=tokens)


def _completed(round: int | None, row: int, count: int, step: int) -> Deal:
    return Deal(round, row, count, step, dict.fromkeys(range(count)))
