"""What rollouts earned, between the moment they say so and the moment the allocator hears of it."""

from __future__ import annotations

import logging
import math

import numpy as np

from cero_api import RolloutAllocator, RolloutOutcomes
from cero_api.adapting import Judge, RewardWatch
from cero_api.adapting.judging import number_of
from cero_api.rewards import SuccessRule
from cero_ray.tickets import Deal, sums, tokens_of

logger = logging.getLogger(__name__)


class Evidence:
    """Judges rewards, and keeps what they are worth until it is booked in one go, in the order of rounds and rows.

    So what the allocator sees does not depend on which rollout happened to finish first.

    Args:
        rule: how a reward becomes a success.
        option: how the trainer's users write the rule's options, before their names.
        quiet: log nothing of rewards: somebody has judged them before, and did.
    """

    def __init__(self, rule: SuccessRule, option: str = "", quiet: bool = False) -> None:
        self.judge = Judge(rule, f"{option}reward_range", quiet)
        self._watch = RewardWatch(rule, option)
        self._watched: list[tuple[int, float, float]] = []  # row, reward, success; until the watch has spoken
        self._waiting: list[tuple[Deal, int]] = []

    def share(self, row: int, reward: float) -> float | None:
        """Success of a rollout of this row, from 0 to 1; None if the reward is of no use."""
        reward = number_of(reward)
        share = float(self.judge.shares([reward], [f"{row} (row of the pool)"])[0])
        if self._watch.waiting:
            self._watched.append((row, reward, share))
        return None if math.isnan(share) else share

    def add(self, deal: Deal, session: int) -> None:
        """This outcome of a deal waits to be booked; one outside of the allocator's books is none of its business."""
        if deal.round is not None:
            self._waiting.append((deal, session))

    def book(self, allocator: RolloutAllocator) -> None:
        """Tell the allocator what has come in since the last time."""
        waiting, self._waiting = self._waiting, []
        rounds: dict[int, dict[int, tuple[Deal, list[int]]]] = {}
        for deal, session in waiting:
            assert deal.round is not None  # others are never put here
            rounds.setdefault(deal.round, {}).setdefault(deal.row, (deal, []))[1].append(session)
        for round in sorted(rounds):
            _book_round(allocator, round, rounds[round])
        self._look()

    def _look(self) -> None:
        """Whether the success rule fits the rewards of the first rounds."""
        if self._watched:
            rows, rewards, shares = (np.array(values) for values in zip(*self._watched, strict=True))
            self._watched = []
            said = self._watch.look(rows, rewards, shares)
            if said is not None:
                logger.warning(said)


def _book_round(allocator: RolloutAllocator, round: int, came: dict[int, tuple[Deal, list[int]]]) -> None:
    rows = np.array(sorted(came))
    told = [(deal, sorted(sessions)) for deal, sessions in (came[row] for row in rows.tolist())]
    outcomes = [[deal.outcomes[session] for session in sessions] for deal, sessions in told]
    shares = [[share for share in part if share is not None] for part in outcomes]
    won, lost, squares = sums(shares)
    refunded = np.array([len(part) for part in outcomes]) - [len(part) for part in shares]
    # Evidence first: a group that is partly refunded counts as a group by what did come in.
    allocator.observe(RolloutOutcomes(rows, won, lost, round, squares, tokens_of(told)))
    allocator.refund(rows, refunded, round=round)
