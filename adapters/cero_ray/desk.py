"""The desk between an allocator and processes that retry, restart and answer late: every request has a name.

A *ticket* is one prompt's turn at generation (verl's uid). Asking twice for a ticket gives the same count, and
reporting a session of it twice counts once, so callers may repeat whatever they are not sure has arrived.
"""

from __future__ import annotations

import logging
import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cero_api import Allocation, RolloutAllocator, RolloutOutcomes
from cero_api.adapting.rounds import round_numbers
from cero_api.errors import BudgetError, CeroError, CheckpointError, InvalidOutcomeError, PromptError
from cero_api.rewards import SuccessRule
from cero_api.trace import TraceRound

logger = logging.getLogger(__name__)

# Completed tickets that are still recognised. A trainer that restarts asks again for what was in flight when it
# saved, and the last reward of such a prompt may have come in just before.
_REMEMBERED = 16_384

# Times in a row that a prompt comes back without a single reward, after which somebody should look.
_FAILING = 3

# Rounds without rollouts, one after the other, after which prices are taken to have no way down.
_MOST_ZERO_ROUNDS = 200


@dataclass
class Deal:
    """What one ticket was dealt, and what has come back."""

    round: int | None  # None: outside of the allocator's books, the budget being spent
    row: int
    count: int
    step: int
    outcomes: dict[int, float | None] = field(default_factory=dict)  # session -> success; None: refunded

    @property
    def done(self) -> bool:
        """Whether every rollout has been reported or refunded."""
        return len(self.outcomes) >= self.count


class Desk:
    """Deals counts to tickets and takes their rewards, in any order, any number of times.

    Evidence waits here until the next request and is then booked in one go, in the order of rounds and rows: what
    the allocator sees does not depend on which rollout happened to finish first.

    Args:
        allocator: whose decisions these are; the desk owns it from here on.
        rule: how a reward becomes a success.
        on_round: called once for every round, in order, when its last rollout is in. A round that it refuses with a
            `CeroError` is kept and offered again.
    """

    def __init__(
        self,
        allocator: RolloutAllocator,
        rule: SuccessRule | None = None,
        on_round: Callable[[TraceRound], None] | None = None,
    ) -> None:
        self.allocator = allocator
        self.rule = rule or SuccessRule()
        self.on_round = on_round
        self._open: dict[str, Deal] = {}
        self._done: OrderedDict[str, Deal] = OrderedDict()
        self._unbooked: list[tuple[str, int]] = []
        self._latest: list[Deal] = []
        # Rounds that are not complete, or wait for one that is not: ticket -> deal.
        self._rounds: dict[int, dict[str, Deal]] = {}
        self._failed: Counter[int] = Counter()  # by row: times in a row that nothing of it was rewarded
        self._complaint: str | None = None  # why a round could not be handed over, once it has been said
        self.unbudgeted = 0  # rollouts dealt after the budget was spent
        self.fault: str | None = None  # an outcome that cannot be booked, for whoever asks next

    def deal(
        self, tickets: Sequence[str], rows: Sequence[int], *, mean: int, step: int = 0, exact: bool = True
    ) -> list[int]:
        """Rollouts of each ticket.

        A row that stands twice among new tickets (the end of one epoch and the start of the next) is dealt in
        consecutive rounds, for an allocator takes each candidate once.

        Args:
            tickets: names, new or old; an old one gets what it got.
            rows: the prompt of each.
            mean: rollouts per prompt; a round's total is this times its prompts.
            step: the trainer's, for the record.
            exact: whether the total is exactly that; else the allocator's prices decide.

        Raises:
            PromptError: an old ticket comes with another prompt.
            InvalidOutcomeError: rewards that came in could not be booked.
        """
        self.book()
        fresh: OrderedDict[str, int] = OrderedDict()
        for ticket, row in zip(tickets, rows, strict=True):
            known = self.find(ticket)
            if known is not None and known.row != row:
                raise PromptError(f"ticket {ticket} was dealt for row {known.row}, not {row}; give each prompt its own")
            if known is None:
                fresh[ticket] = int(row)
        self._latest = self._latest if not fresh else []
        while fresh:
            turn: dict[int, str] = {}
            for ticket, row in fresh.items():
                turn.setdefault(row, ticket)
            self._deal_round(list(turn.values()), list(turn), mean, step, exact)
            for ticket in turn.values():
                del fresh[ticket]
        return [self._known(ticket).count for ticket in tickets]

    def deal_pool(
        self, tickets: Sequence[str], rows: Sequence[int], *, mean: int, step: int = 0, exact: bool = True
    ) -> tuple[list[int], list[int]]:
        """Prompts from the whole pool for these tickets, and rollouts of each.

        Args:
            tickets: names, one per prompt that the trainer has room for; an old one gets what it got.
            rows: the prompts that somebody else drew for them, which are taken once the budget is spent.
            mean: rollouts per ticket; a round's total is this times the tickets.
            step: the trainer's, for the record.
            exact: whether the total is exactly that; else the allocator's prices decide, and rounds in which nothing
                is worth its price are passed over.

        Returns:
            rows and counts, aligned with the tickets; a row of -1 has no rollouts.

        Raises:
            InvalidOutcomeError: rewards that came in could not be booked.
        """
        self.book()
        fresh = {ticket: int(row) for ticket, row in zip(tickets, rows, strict=True) if self.find(ticket) is None}
        if fresh:
            self._latest = []
            self._deal_from_pool(list(fresh), list(fresh.values()), mean, step, exact)
        deals = [self._known(ticket) for ticket in tickets]
        return [deal.row for deal in deals], [deal.count for deal in deals]

    def hand_out(
        self, round: int | None, tickets: Sequence[str], rows: Sequence[int], counts: Sequence[int], step: int = 0
    ) -> None:
        """Enter what somebody else has asked the allocator for, `book` having been called before.

        Args:
            round: of the allocation; None is outside of the allocator's books.
            tickets: new names.
            rows: the prompt of each; -1 has no rollouts.
            counts: rollouts of each.
            step: the trainer's, for the record.
        """
        for ticket, row, count in zip(tickets, rows, counts, strict=True):
            deal = Deal(round, row, int(count), step)
            self._latest.append(deal)
            if round is None:
                self.unbudgeted += deal.count
            elif row >= 0:
                self._rounds.setdefault(round, {})[ticket] = deal
            (self._open if deal.count else self._done)[ticket] = deal
        self._hand_over()

    def report(self, ticket: str, session: int, reward: float) -> None:
        """Take the reward of one rollout; NaN and infinity are one that was lost.

        What cannot be booked is kept as the desk's fault and raised at the next deal: a reward must never stop
        the generation that earned it.
        """
        try:
            share = float(self.rule.successes([reward])[0]) if math.isfinite(reward) else None
        except InvalidOutcomeError as error:
            self.fault = self.fault or str(error)
            return
        self._settle(ticket, session, share)

    def refund(self, ticket: str, session: int) -> None:
        """Give back one rollout that failed."""
        self._settle(ticket, session, None)

    def close(self, ticket: str) -> None:
        """Give back all rollouts of a ticket that have not been reported: none will come any more."""
        deal = self._open.get(ticket)
        if deal is not None:
            for session in range(deal.count):
                self._settle(ticket, session, None)

    def find(self, ticket: str) -> Deal | None:
        """The deal of a ticket, or None if there never was one (or it has long been completed)."""
        return self._open.get(ticket) or self._done.get(ticket)

    def book(self) -> None:
        """Tell the allocator what has come in since the last time.

        Raises:
            InvalidOutcomeError: some of it could not be booked.
        """
        waiting, self._unbooked = self._unbooked, []
        rounds: dict[int, dict[int, list[tuple[int, float | None]]]] = {}
        for ticket, session in waiting:
            deal = self._known(ticket)
            assert deal.round is not None  # others are never put here
            rounds.setdefault(deal.round, {}).setdefault(deal.row, []).append((session, deal.outcomes[session]))
        for round in sorted(rounds):
            self._book_round(round, rounds[round])
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise InvalidOutcomeError(fault)

    def open(self) -> list[str]:
        """Tickets of which something is still to come."""
        return list(self._open)

    def metrics(self) -> dict[str, float]:
        """The allocator's own numbers, and how the latest request's counts are spread."""
        self.book()
        return {
            **self.allocator.metrics(),
            "unbudgeted": float(self.unbudgeted),
            "prompts_in_flight": float(len(self._open)),
            "prompts_failing": float(sum(times >= _FAILING for times in self._failed.values())),
            **spread(self._latest),
        }

    def state_dict(self) -> dict[str, Any]:
        """Tickets that may be asked for again, as plain JSON; the allocator's state is saved apart."""
        self.book()
        recent = list(self._done.items())[-_REMEMBERED:]
        return {
            "open": {ticket: _plain(deal) for ticket, deal in self._open.items()},
            "done": {ticket: [deal.round, deal.row, deal.count, deal.step] for ticket, deal in recent},
            "rounds": {round: {t: _plain(d) for t, d in deals.items()} for round, deals in self._rounds.items()},
            "unbudgeted": self.unbudgeted,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`.

        Raises:
            CheckpointError: it is not one.
        """
        try:
            opened = {ticket: _deal(*row) for ticket, row in state["open"].items()}
            done = {ticket: _completed(*row) for ticket, row in state["done"].items()}
            rounds = {
                int(round): {ticket: opened.get(ticket) or _deal(*row) for ticket, row in deals.items()}
                for round, deals in state["rounds"].items()
            }
            unbudgeted = int(state["unbudgeted"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"these are not a desk's tickets ({error!r}); load an earlier checkpoint") from error
        self._open, self._done, self.unbudgeted = opened, OrderedDict(done), unbudgeted
        self._rounds, self._unbooked, self._latest = rounds, [], []

    @property
    def next_round(self) -> int:
        """The first round that has not been handed to `on_round`."""
        return min(self._rounds, default=int(self.allocator.metrics()["round"]))

    def _deal_round(self, tickets: list[str], rows: list[int], mean: int, step: int, exact: bool) -> None:
        total = mean * len(rows)
        if not self._affords(total if exact else 1):
            # Refills and retries can cost more than was planned for. Generation goes on as without an allocator.
            self.hand_out(None, tickets, rows, [mean] * len(rows), step)
            return
        allocation = self.allocator.allocate(np.array(rows), total=total if exact else None)
        if exact:
            expect_total(allocation, total)
        self.hand_out(allocation.round, tickets, rows, allocation.counts.tolist(), step)

    def _deal_from_pool(self, tickets: list[str], rows: list[int], mean: int, step: int, exact: bool) -> None:
        total, allocation = mean * len(tickets), None
        if self._affords(total if exact else 1):
            allocation = self.allocator.allocate(total=total) if exact else self._affordable_round()
        if allocation is None:
            self.hand_out(None, tickets, rows, [mean] * len(rows), step)
            return
        if exact:
            expect_total(allocation, total)
        chosen, counts = allocation.prompt_ids.tolist(), allocation.counts.tolist()
        room = len(tickets)
        if len(chosen) > room:
            # More prompts than the trainer has room for: the last in line wait for another round.
            self.allocator.refund(chosen[room:], counts[room:], round=allocation.round)
        spare = [0] * (room - len(chosen))
        chosen = chosen[:room] + [-1 for _ in spare]
        self.hand_out(allocation.round, tickets, chosen, counts[:room] + spare, step)

    def _affords(self, rollouts: int) -> bool:
        return rollouts <= self.allocator.metrics()["budget_remaining"]

    def _affordable_round(self) -> Allocation | None:
        """The next round in which something is worth its price; every empty one lowers the price."""
        for _ in range(_MOST_ZERO_ROUNDS):
            allocation = self.allocator.allocate()
            if allocation.total:
                return allocation
        return None

    def _settle(self, ticket: str, session: int, share: float | None) -> None:
        deal = self._open.get(ticket)
        if deal is None:
            if ticket not in self._done:
                self.fault = self.fault or f"a rollout of {ticket} was reported, which was never dealt; deal it first"
            return
        if session in deal.outcomes:
            return
        if not 0 <= session < deal.count:
            self.fault = self.fault or (
                f"session {session} of {ticket} was reported, and {deal.count} were dealt; number them from 0"
            )
            return
        deal.outcomes[session] = share
        if deal.round is not None:
            self._unbooked.append((ticket, session))
        if deal.done:
            self._note_failure(deal)
            self._done[ticket] = self._open.pop(ticket)
            # Twice the number, so that the evidence waiting to be booked is never among what is forgotten.
            while len(self._done) > 2 * _REMEMBERED:
                self._done.popitem(last=False)
            self._hand_over()

    def _note_failure(self, deal: Deal) -> None:
        """Say, once, that a prompt keeps coming back without a reward: refunded each time, it stays worth a try."""
        if any(share is not None for share in deal.outcomes.values()):
            self._failed.pop(deal.row, None)
            return
        self._failed[deal.row] += 1
        if self._failed[deal.row] == _FAILING:
            logger.warning(
                "prompt %d (row of the pool) was dealt %d times and came back without a single reward. Its rollouts "
                "are refunded, so it goes on taking the place of others: find its error in the trainer's log, and mend "
                "or drop it",
                *(deal.row, _FAILING),
            )

    def _hand_over(self) -> None:
        """Give away the rounds that are complete, as far as no earlier one is under way."""
        for round in sorted(self._rounds):
            deals = list(self._rounds[round].values())
            if not all(deal.done for deal in deals):
                return
            if self.on_round is not None:
                try:
                    self.on_round(_record(round, deals))
                except CeroError as error:
                    # A full disk must not end a training. The round is kept, and tried again with the next one.
                    if str(error) != self._complaint:
                        logger.warning("round %d and later ones wait in memory: %s", round, error)
                    self._complaint = str(error)
                    return
                self._complaint = None
            del self._rounds[round]

    def _book_round(self, round: int, came: dict[int, list[tuple[int, float | None]]]) -> None:
        rows = np.array(sorted(came))
        shares = [[share for _, share in sorted(came[row]) if share is not None] for row in rows.tolist()]
        given = np.array([len(part) for part in shares])
        won = np.array([math.fsum(part) for part in shares])
        lost = np.array([len(came[row]) for row in rows.tolist()]) - given
        # Evidence first: a group that is partly refunded counts as a group by what did come in.
        self.allocator.observe(RolloutOutcomes(rows, won, given - won, round=round))
        self.allocator.refund(rows, lost, round=round)

    def _known(self, ticket: str) -> Deal:
        deal = self.find(ticket)
        assert deal is not None  # dealt above, or taken from the open ones
        return deal


def expect_total(allocation: Allocation, total: int) -> None:
    """Refuse an allocation of another size than was asked for, before the trainer mixes two batches.

    Raises:
        BudgetError: its counts do not sum to `total`.
    """
    if allocation.total != total:
        raise BudgetError(
            f"round {allocation.round}: the allocator gave {allocation.total} rollouts, and the trainer's batch takes "
            f"{total}; give the allocator a budget and caps for that"
        )


def spread(deals: Sequence[Deal]) -> dict[str, float]:
    """How counts are spread over these deals, and what those that are complete have earned.

    >>> spread([Deal(0, 7, 2, 0, {0: 1.0, 1: 0.0}), Deal(0, 8, 4, 0)])["round_effective_group_rate"]
    1.0
    """
    counts = np.array([deal.count for deal in deals], dtype=np.int64)
    if not counts.size:
        return {}
    shares = [[share for share in deal.outcomes.values() if share is not None] if deal.done else [] for deal in deals]
    won = np.array([math.fsum(part) for part in shares])
    return round_numbers(counts, won, np.array([len(part) for part in shares]) - won)


def _plain(deal: Deal) -> list[Any]:
    return [deal.round, deal.row, deal.count, deal.step, sorted(deal.outcomes.items())]


def _deal(round: int | None, row: int, count: int, step: int, outcomes: list[tuple[int, float | None]]) -> Deal:
    return Deal(round, row, count, step, {int(session): share for session, share in outcomes})


def _completed(round: int | None, row: int, count: int, step: int) -> Deal:
    return Deal(round, row, count, step, dict.fromkeys(range(count)))


def _record(round: int, deals: list[Deal]) -> TraceRound:
    shares = [[share for share in deal.outcomes.values() if share is not None] for deal in deals]
    won = np.array([math.fsum(part) for part in shares])
    return TraceRound(
        round=round,
        prompt_ids=np.array([deal.row for deal in deals], dtype=np.int64),
        counts=np.array([deal.count for deal in deals], dtype=np.int64),
        successes=won,
        failures=np.array([len(part) for part in shares]) - won,
    )
