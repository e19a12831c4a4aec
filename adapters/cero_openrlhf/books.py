"""The allocator's books in the process that generates: the desk, kept by generations instead of by requests."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from cero_api import RolloutAllocator, continued
from cero_api.adapting import Judge, RewardWatch, refuse_other_knowledge, refuse_other_rule, said_rule
from cero_api.checkpoint import allocator_from_bytes, allocator_to_bytes
from cero_api.rewards import SuccessRule
from cero_api.trace import TraceRound
from cero_ray.desk import Deal, Desk, expect_total, spread

logger = logging.getLogger(__name__)


class Books:
    """Deals counts to groups, takes their rewards, and enters both in the allocator at fixed moments.

    A group's uid is its ticket at a `Desk`. What a `Desk` does not know is a generation: groups that take the place of
    filtered ones, and groups of which nothing will come any more.

    Args:
        allocator: whose decisions these are; the books own it from here on.
        on_round: called with every round once it is complete, in order.
        rule: how a reward becomes a success.
        success_key: what gives the reward that is judged.
    """

    def __init__(
        self,
        allocator: RolloutAllocator,
        on_round: Callable[[TraceRound], None] | None = None,
        rule: SuccessRule | None = None,
        success_key: str = "reward",
    ) -> None:
        rule = rule or SuccessRule()
        self.judged_by = said_rule(rule, success_key=success_key)
        self._judge = Judge(rule, "--cero.reward_range")
        self._watch = RewardWatch(rule, "--cero.")
        self._rewards: list[tuple[int, float, float]] = []  # uid, reward and success, since the watch last looked
        self.desk = Desk(allocator, SuccessRule(reward_range=(0.0, 1.0)), on_round, quiet=True)
        self.seconds = 0.0  # spent here since the last metrics
        self._next = 0
        self._latest: list[int] = []  # uids of the generation
        self._refills: dict[int, Deal] = {}  # of which the allocator has not heard

    @property
    def allocator(self) -> RolloutAllocator:
        """Whose books these are."""
        return self.desk.allocator

    def begin(self, waiting: Collection[int] = ()) -> None:
        """A new generation: whatever the last one has not reported will not come any more.

        Args:
            waiting: uids of groups that were left over for a later batch and can still be judged.
        """
        with self._timed():
            self._close(set(waiting))
            self._latest = []

    def deal(self, rows: Sequence[int], mean: int) -> list[tuple[int, int]]:
        """Uid and count of a group for each of these prompts; the counts sum to exactly `mean` times their number.

        Args:
            rows: of the prompts that the loader drew, in order; one that comes twice is two groups.
            mean: rollouts per prompt.

        Raises:
            BudgetError: the allocator gave another total.
            InvalidOutcomeError: rewards that came in could not be booked.
        """
        with self._timed():
            uids = [self._new() for _ in rows]
            return list(zip(uids, self.desk.deal([str(uid) for uid in uids], rows, mean=mean), strict=True))

    def deal_pool(self, total: int) -> list[tuple[int, int, int]] | None:
        """Uid, row and count of groups for prompts from the whole pool; None once the budget cannot pay for them.

        Raises:
            BudgetError: the allocator gave another total.
            InvalidOutcomeError: rewards that came in could not be booked.
        """
        with self._timed():
            self.desk.book()
            if total > self.allocator.metrics()["budget_remaining"]:
                return None
            allocation = self.allocator.allocate(total=total)
            expect_total(allocation, total)
            admitted = allocation.counts > 0
            rows, counts = allocation.prompt_ids[admitted].tolist(), allocation.counts[admitted].tolist()
            uids = [self._new() for _ in rows]
            self.desk.hand_out(allocation.round, [str(uid) for uid in uids], rows, counts)
            return list(zip(uids, rows, counts, strict=True))

    def refill(self, row: int, count: int) -> int:
        """Uid of a group that takes the place of a filtered one; the allocator hears of it when it is complete."""
        uid = self._new()
        self._refills[uid] = Deal(None, row, count, 0)
        return uid

    def reward(self, uid: int, reward: float, prompt: object = "", tokens: float | None = None) -> None:
        """Take one rollout's reward, whatever it is; NaN is a rollout without one.

        Args:
            uid: of its group.
            reward: as it came.
            prompt: for the log.
            tokens: that were generated in it; None where nobody counts them.
        """
        share = float(self._judge.shares([reward], [prompt])[0])
        self._rewards.append((uid, reward, share))
        self.report(uid, share, tokens)

    def report(self, uid: int, share: float, tokens: float | None = None) -> None:
        """Take one rollout's success, from 0 to 1, and its tokens; NaN is a rollout without a reward."""
        deal = self._find(uid)
        session = len(deal.outcomes)  # numbered as they finish, which is as good as any other order
        if uid not in self._refills:
            self.desk.report(str(uid), session, share, tokens)
            return
        deal.outcomes[session] = share
        if tokens is not None:
            deal.tokens[session] = tokens

    def metrics(self) -> dict[str, float]:
        """The allocator's own numbers, and what the latest generation was dealt and earned."""
        with self._timed():
            self._enter_refills()
            numbers = self.desk.metrics() | spread([self._find(uid) for uid in self._latest])
            self._look()
        numbers["seconds"], self.seconds = self.seconds, 0.0
        return numbers | self._judge.numbers()

    def _look(self) -> None:
        """Say, once, that the success rule does not fit the rewards."""
        if not self._rewards:
            return
        uids, rewards, shares = zip(*self._rewards, strict=True)
        self._rewards = []
        said = self._watch.look(np.array(uids), np.array(rewards), np.array(shares))
        if said is not None:
            logger.warning(said)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as bytes and numbers."""
        self._close(set())
        return {
            "allocator": allocator_to_bytes(self.allocator),
            "unbudgeted": self.desk.unbudgeted,
            "next": self._next,
            "judged_by": self.judged_by,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same allocator and configuration, or of a training of another length.

        Raises:
            CheckpointError: it is of another allocator, configuration, success rule or knowledge of the prompts, or
                damaged.
        """
        refuse_other_rule(state.get("judged_by", {}), self.judged_by)  # earlier versions did not write it down
        saved = allocator_from_bytes(state["allocator"])
        # With another length the rest is planned anew; whatever else differs is refused.
        longer = continued(saved, self.allocator.config)
        refuse_other_knowledge(saved, self.allocator)
        self.allocator.load_state_dict(longer.state_dict())
        # No ticket outlives a checkpoint: a resumed OpenRLHF draws anew what was in flight.
        self.desk.load_state_dict({"open": {}, "done": {}, "rounds": {}, "unbudgeted": state["unbudgeted"]})
        self._next, self._latest, self._refills = int(state["next"]), [], {}

    def _new(self) -> int:
        uid, self._next = self._next, self._next + 1
        self._latest.append(uid)
        return uid

    def _find(self, uid: int) -> Deal:
        deal = self._refills.get(uid) or self.desk.find(str(uid))
        assert deal is not None  # uids come from here
        return deal

    def _close(self, waiting: set[int]) -> None:
        for ticket in self.desk.open():
            if int(ticket) not in waiting:
                self.desk.close(ticket)
        self._enter_refills(final=True)
        self.desk.book()

    def _enter_refills(self, final: bool = False) -> None:
        """Enter the refills, each in a round of its own, once all are complete or none will be any more."""
        if not final and not all(deal.done for deal in self._refills.values()):
            return
        self.desk.book()
        # By row and count, not by uid: which refill came first depends on which rollout finished first.
        entered = sorted(self._refills.items(), key=lambda item: (item[1].row, item[1].count))
        self._refills = {}
        for uid, deal in entered:
            ticket = str(uid)
            self.desk.deal([ticket], [deal.row], mean=deal.count)
            for session, share in deal.outcomes.items():
                assert share is not None  # NaN where there was no reward
                self.desk.report(ticket, session, share, deal.tokens.get(session))
            self.desk.close(ticket)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started
