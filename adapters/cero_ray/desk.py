"""The desk between an allocator and processes that retry, restart and answer late: every request has a name.

A *ticket* is one prompt's turn at generation (verl's uid). Asking twice for a ticket gives the same count, and
reporting a session of it twice counts once, so callers may repeat whatever they are not sure has arrived.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np

from cero_api import Allocation, RolloutAllocator
from cero_api.adapting.waves import refuse_waves_of
from cero_api.errors import BudgetError, CeroWarning, CheckpointError, PromptError
from cero_api.rewards import SuccessRule
from cero_api.trace import TraceRound
from cero_ray.evidence import Evidence
from cero_ray.rounds import Rounds
from cero_ray.tickets import Deal, Tickets, spread

__all__ = ["Deal", "Desk", "expect_total", "spread"]

logger = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")

# Rounds without rollouts, one after the other, after which prices are taken to have no way down.
_MOST_ZERO_ROUNDS = 200


class Desk:
    """Deals counts to tickets and takes their rewards, in any order, any number of times.

    Evidence waits until the next request and is then booked in one go, see `Evidence`.

    No report ends a training: a reward that cannot be used is counted and left out (see `Judge`), and so is one of a
    ticket or session that was never dealt.

    Args:
        allocator: whose decisions these are; the desk owns it from here on.
        rule: how a reward becomes a success.
        on_round: called once for every round, in order, when its last rollout is in. A round that it refuses with a
            `CeroError` is kept and offered again.
        option: how the trainer's users write the rule's options, before their names; for what is logged.
        quiet: log nothing of rewards: somebody has judged them before, and did.
    """

    def __init__(
        self,
        allocator: RolloutAllocator,
        rule: SuccessRule | None = None,
        on_round: Callable[[TraceRound], None] | None = None,
        option: str = "",
        quiet: bool = False,
    ) -> None:
        refuse_waves_of(allocator.config)
        self.allocator = allocator
        self.rule = rule or SuccessRule()
        self.unbudgeted = 0  # rollouts dealt after the budget was spent
        self._option = option
        self._poor = False  # that the budget has no room for a round, which is said once
        self._begin = partial(Evidence, self.rule, option, quiet)
        self._evidence = self._begin()
        self._tickets = Tickets()
        self._rounds = Rounds(on_round)
        self._latest: list[Deal] = []

    @property
    def on_round(self) -> Callable[[TraceRound], None] | None:
        """Who gets every round once it is complete."""
        return self._rounds.on_round

    @on_round.setter
    def on_round(self, on_round: Callable[[TraceRound], None] | None) -> None:
        self._rounds.on_round = on_round

    def deal(
        self, tickets: Sequence[str], rows: Sequence[int], *, mean: int, step: int = 0, exact: bool = True
    ) -> list[int]:
        """Rollouts of each ticket.

        A row that stands twice among new tickets (the end of one epoch and the start of the next) is dealt in
        consecutive rounds, for an allocator takes each candidate once; so are more tickets than its round takes.

        Args:
            tickets: names, new or old; an old one gets what it got.
            rows: the prompt of each.
            mean: rollouts per prompt; a round's total is this times its prompts.
            step: the trainer's, for the record.
            exact: whether the total is exactly that; else the allocator's prices decide.

        Raises:
            PromptError: an old ticket comes with another prompt.
        """
        self.book()
        fresh: dict[str, int] = {}
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
            for part in _parts(list(turn), self._room(mean) if exact else len(turn)):
                self._deal_round([turn[row] for row in part], part, mean, step, exact)
            for ticket in turn.values():
                del fresh[ticket]
        return [self._tickets.known(ticket).count for ticket in tickets]

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
        """
        self.book()
        fresh = {ticket: int(row) for ticket, row in zip(tickets, rows, strict=True) if self.find(ticket) is None}
        if fresh:
            self._latest = []
            for part in _parts(list(fresh), self._room(mean) if exact else len(fresh)):
                self._deal_from_pool(part, [fresh[ticket] for ticket in part], mean, step, exact)
        deals = [self._tickets.known(ticket) for ticket in tickets]
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
                self._rounds.add(round, ticket, deal)
            self._tickets.enter(ticket, deal)
        self._rounds.hand_over()

    def report(self, ticket: str, session: int, reward: float, tokens: float | None = None) -> None:
        """Take the reward of one rollout; NaN and infinity are one that was lost.

        Args:
            ticket: whose rollout it is.
            session: number of the rollout, from 0.
            reward: as it came.
            tokens: that were generated in it; None where nobody counts them.
        """
        deal = self._tickets.under_way(ticket)
        # A repetition is not judged again, and neither is what nobody dealt.
        news = deal is not None and session in range(deal.count) and session not in deal.outcomes
        share = self._evidence.share(deal.row, reward) if deal is not None and news else None
        self._settle(ticket, session, share, tokens)

    def refund(self, ticket: str, session: int) -> None:
        """Give back one rollout that failed."""
        self._settle(ticket, session, None)

    def close(self, ticket: str) -> None:
        """Give back all rollouts of a ticket that have not been reported: none will come any more."""
        deal = self._tickets.under_way(ticket)
        if deal is not None:
            for session in range(deal.count):
                self._settle(ticket, session, None)

    def find(self, ticket: str) -> Deal | None:
        """The deal of a ticket, or None if there never was one (or it has long been completed)."""
        return self._tickets.find(ticket)

    def book(self) -> None:
        """Tell the allocator what has come in since the last time."""
        self._evidence.book(self.allocator)

    def open(self) -> list[str]:
        """Tickets of which something is still to come."""
        return self._tickets.open()

    def metrics(self) -> dict[str, float]:
        """The allocator's own numbers, and how the latest request's counts are spread."""
        self.book()
        return {
            **self.allocator.metrics(),
            "unbudgeted": float(self.unbudgeted),
            **self._tickets.numbers(),
            **self._evidence.judge.numbers(),
            **spread(self._latest),
        }

    def state_dict(self) -> dict[str, Any]:
        """Tickets that may be asked for again, as plain JSON; the allocator's state is saved apart."""
        self.book()
        return {
            **self._tickets.state_dict(),
            "rounds": self._rounds.state_dict(),
            "unbudgeted": self.unbudgeted,
            "rewards": self._evidence.judge.numbers(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`.

        Raises:
            CheckpointError: it is not one, or not of this allocator.
        """
        try:
            tickets = Tickets.from_state(state)
            rounds = Rounds.from_state(state["rounds"], tickets, self.on_round)
            unbudgeted = int(state["unbudgeted"])
            rewards = {name: int(value) for name, value in state.get("rewards", {}).items()}  # new in 0.1.0
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"these are not a desk's tickets ({error!r}); load an earlier checkpoint") from error
        dealt, pool = int(self.allocator.metrics()["round"]), self.allocator.config.num_prompts
        if not all(deal.round is None or (deal.round < dealt and deal.row < pool) for deal in tickets.deals_open()):
            raise CheckpointError(
                f"these tickets speak of other rounds or prompts than the allocator, which has dealt {dealt} rounds "
                f"and knows {pool} prompts; take both files from one checkpoint"
            )
        self._tickets, self._rounds, self.unbudgeted = tickets, rounds, unbudgeted
        self._evidence, self._latest = self._begin(), []
        self._evidence.judge.missing = rewards.get("rewards_missing", 0)
        self._evidence.judge.clipped = rewards.get("rewards_clipped", 0)

    @property
    def next_round(self) -> int:
        """The first round that has not been handed to `on_round`."""
        first = self._rounds.first
        return int(self.allocator.metrics()["round"]) if first is None else first

    def _room(self, mean: int) -> int:
        """Prompts that a round of exactly `mean` rollouts each has room for."""
        capacity = getattr(self.allocator.config, "round_capacity", None)  # CERO's; others have none
        pool = self.allocator.config.num_prompts
        return pool if capacity is None else min(max(capacity // mean, 1), pool)

    def _deal_round(self, tickets: list[str], rows: list[int], mean: int, step: int, exact: bool) -> None:
        total = mean * len(rows)
        if not self._affords(total if exact else 1, step):
            # Refills and retries can cost more than was planned for. Generation goes on as without an allocator.
            self.hand_out(None, tickets, rows, [mean] * len(rows), step)
            return
        with _no_word_of_lone_tickets(tickets):
            allocation = self.allocator.allocate(np.array(rows), total=total if exact else None)
        if exact:
            expect_total(allocation, total)
        elif not allocation.total:  # and somebody waits for a batch: see above
            self.hand_out(None, tickets, rows, [mean] * len(rows), step)
            return
        self.hand_out(allocation.round, tickets, rows, allocation.counts.tolist(), step)

    def _deal_from_pool(self, tickets: list[str], rows: list[int], mean: int, step: int, exact: bool) -> None:
        total, allocation = mean * len(tickets), None
        if self._affords(total if exact else 1, step):
            with _no_word_of_lone_tickets(tickets):
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

    def _affords(self, rollouts: int, step: int) -> bool:
        numbers = self.allocator.metrics()
        left = numbers["budget_remaining"]
        affords = rollouts <= left and numbers.get("tokens_remaining", 1.0) > 0
        if not affords and not self._poor:
            self._poor = True
            logger.warning(
                "the allocator's budget is spent at step %d: it has %d rollouts left%s. From here on every prompt gets "
                "the uniform number, which nobody decides, and nothing more is learned (they are counted in "
                "unbudgeted); give it a larger %s",
                *(step, left, "" if rollouts > left else " and no tokens"),
                f"{self._option}{'budget' if rollouts > left else 'token_budget'}",
            )
        return affords

    def _affordable_round(self) -> Allocation | None:
        """The next round in which something is worth its price; every empty one lowers the price."""
        for _ in range(_MOST_ZERO_ROUNDS):
            allocation = self.allocator.allocate()
            if allocation.total:
                return allocation
        return None

    def _settle(self, ticket: str, session: int, share: float | None, tokens: float | None = None) -> None:
        deal = self._tickets.settle(ticket, session, share, tokens)
        if deal is None:
            return
        self._evidence.add(deal, session)
        if deal.done:
            self._rounds.hand_over()


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


@contextlib.contextmanager
def _no_word_of_lone_tickets(tickets: Sequence[str]) -> Iterator[None]:
    """That one prompt takes all is no news where a trainer replaces a single group, and nobody can do anything."""
    with warnings.catch_warnings():
        if len(tickets) == 1:
            warnings.simplefilter("ignore", CeroWarning)
        yield


def _parts(items: list[ItemT], room: int) -> list[list[ItemT]]:
    """The items, in order, in as few parts of equal size as hold at most `room` each.

    >>> _parts([1, 2, 3, 4, 5], 3)
    [[1, 2], [3, 4, 5]]
    """
    parts = -(-len(items) // room)
    edges = [len(items) * part // parts for part in range(parts + 1)]
    return [items[start:end] for start, end in itertools.pairwise(edges)]
