"""Rounds under way: each is handed over, in order, once its last rollout is in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from cero_api.errors import CeroError
from cero_api.trace import TraceRound
from cero_ray.tickets import Deal, Tickets, tokens_of, totals

logger = logging.getLogger(__name__)


class Rounds:
    """Rounds that are not complete, or wait for one that is not.

    Args:
        on_round: called once for every round, in order, when its last rollout is in. A round that it refuses with a
            `CeroError` is kept and offered again.
    """

    def __init__(self, on_round: Callable[[TraceRound], None] | None = None) -> None:
        self.on_round = on_round
        self._rounds: dict[int, dict[str, Deal]] = {}
        self._complaint: str | None = None  # why a round could not be handed over, once it has been said

    @property
    def first(self) -> int | None:
        """The first round that has not been handed over, None if there is none."""
        return min(self._rounds, default=None)

    def add(self, round: int, ticket: str, deal: Deal) -> None:
        """A ticket of this round."""
        self._rounds.setdefault(round, {})[ticket] = deal

    def hand_over(self) -> None:
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

    def state_dict(self) -> dict[int, Any]:
        """As plain JSON."""
        return {round: {t: deal.plain() for t, deal in deals.items()} for round, deals in self._rounds.items()}

    @classmethod
    def from_state(
        cls, state: Mapping[Any, Any], tickets: Tickets, on_round: Callable[[TraceRound], None] | None
    ) -> Self:
        """Continue from a `state_dict`, with the deals of these tickets; whatever is wrong with it raises."""
        rounds = cls(on_round)
        for round, deals in state.items():
            for ticket, row in deals.items():
                rounds.add(int(round), ticket, tickets.under_way(ticket) or Deal.from_plain(row))
        return rounds


def _record(round: int, deals: list[Deal]) -> TraceRound:
    won, lost, squares = totals(deals)
    return TraceRound(
        round=round,
        prompt_ids=np.array([deal.row for deal in deals], dtype=np.int64),
        counts=np.array([deal.count for deal in deals], dtype=np.int64),
        successes=won,
        failures=lost,
        squares=squares,
        tokens=tokens_of([(deal, list(deal.outcomes)) for deal in deals]),
    )
