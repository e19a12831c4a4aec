"""The allocator's books in the process that generates: what each group was dealt, and what has come back."""

from __future__ import annotations

import io
import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cero_api import Allocation, RolloutAllocator, RolloutOutcomes, load_allocator, save_allocator
from cero_api.errors import BudgetError, CheckpointError
from cero_api.trace import TraceRound


@dataclass
class Deal:
    """One group: what was dealt and what it earned."""

    row: int
    count: int
    round: int | None  # None: not in the allocator's books
    refill: bool = False  # takes the place, and the count, of a group that was filtered out
    shares: list[float] = field(default_factory=list)  # of a success; NaN for a rollout without a reward

    @property
    def done(self) -> bool:
        """Whether every rollout was reported."""
        return len(self.shares) >= self.count


class Books:
    """Deals counts to groups, takes their rewards, and enters both in the allocator at fixed moments.

    Rollouts finish in any order. Evidence therefore waits until the generation is over and is then entered by round and
    row, so that the same outcomes always lead to the same counts.

    Args:
        allocator: whose decisions these are; the books own it from here on.
        on_round: called with every round once it is complete, in order.
    """

    def __init__(self, allocator: RolloutAllocator, on_round: Callable[[TraceRound], None] | None = None) -> None:
        self.allocator = allocator
        self._on_round = on_round
        self.unbudgeted = 0  # rollouts generated after the budget was spent
        self.seconds = 0.0  # spent here since the last metrics
        self._next = 0
        self._open: dict[int, Deal] = {}
        self._latest: list[Deal] = []

    def begin(self) -> None:
        """A new generation: whatever the last one has not reported will not come any more."""
        started = time.perf_counter()
        self._close()
        self._latest = []
        self.seconds += time.perf_counter() - started

    def deal(self, rows: Sequence[int], mean: int) -> list[tuple[int, int]]:
        """Uid and count of a group for each of these prompts; the counts sum to exactly `mean` times their number.

        A prompt that stands twice in the dataset can come twice. It is then dealt in consecutive rounds, for an
        allocator takes each candidate once.

        Args:
            rows: of the prompts that the loader drew, in order.
            mean: rollouts per prompt.
        """
        started = time.perf_counter()
        dealt: list[tuple[int, int]] = [(0, 0)] * len(rows)
        waiting = list(range(len(rows)))
        while waiting:
            first = {rows[place]: place for place in reversed(waiting)}
            turn = sorted(first.values())
            waiting = sorted(set(waiting) - set(turn))
            candidates, total = [rows[place] for place in turn], mean * len(turn)
            if total > self._remaining():
                # Filtering can cost more than was planned for. Generation goes on as without an allocator.
                self.unbudgeted += total
                groups = [Deal(row, mean, None) for row in candidates]
            else:
                allocation = self.allocator.allocate(np.array(candidates), total=total)
                groups = _deals(allocation, total)
            for place, group in zip(turn, groups, strict=True):
                dealt[place] = self._file(group), group.count
        self.seconds += time.perf_counter() - started
        return dealt

    def deal_pool(self, total: int) -> list[tuple[int, int, int]] | None:
        """Uid, row and count of groups for prompts from the whole pool; None once the budget cannot pay for them."""
        if total > self._remaining():
            return None
        started = time.perf_counter()
        groups = [group for group in _deals(self.allocator.allocate(total=total), total) if group.count]
        dealt = [(self._file(group), group.row, group.count) for group in groups]
        self.seconds += time.perf_counter() - started
        return dealt

    def refill(self, row: int, count: int) -> int:
        """Uid of a group that takes the place of a filtered one; the allocator hears of it when the generation ends."""
        return self._file(Deal(row, count, None, refill=True))

    def report(self, uid: int, share: float) -> None:
        """Take one rollout's success, from 0 to 1; NaN is a rollout without a reward."""
        self._open[uid].shares.append(share)

    def metrics(self) -> dict[str, float]:
        """The allocator's own numbers, and what the latest generation was dealt and earned."""
        started = time.perf_counter()
        self._enter()
        numbers = dict(self.allocator.metrics())
        numbers["unbudgeted"] = float(self.unbudgeted)
        counts = np.array([deal.count for deal in self._latest], dtype=np.int64)
        if counts.size:
            numbers |= {
                "count/min": float(counts.min()),
                "count/mean": float(counts.mean()),
                "count/max": float(counts.max()),
                "count/zero": float((counts == 0).sum()),
                **{f"count/share_{name}": share for name, share in _histogram(counts).items()},
            }
        scored = [[share for share in deal.shares if not math.isnan(share)] for deal in self._latest]
        scored = [shares for shares in scored if shares]
        if scored:
            mixed = [0.0 < sum(shares) < len(shares) for shares in scored]
            numbers["step_effective_group_rate"] = sum(mixed) / len(mixed)
            numbers["step_success_rate"] = sum(map(sum, scored)) / sum(map(len, scored))
        numbers["seconds"] = self.seconds + time.perf_counter() - started
        self.seconds = 0.0
        return numbers

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs, as bytes and numbers."""
        self._close()
        with tempfile.TemporaryDirectory() as folder:
            allocator = save_allocator(self.allocator, Path(folder) / "allocator.npz").read_bytes()
        return {"allocator": allocator, "unbudgeted": self.unbudgeted, "next": self._next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same allocator and configuration.

        Raises:
            CheckpointError: it is of another allocator or configuration, or damaged.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "allocator.npz")
            with io.FileIO(path, "w") as file:
                file.write(state["allocator"])
            saved = load_allocator(path)
        mine = self.allocator
        if type(saved) is not type(mine) or saved.config != mine.config:
            raise CheckpointError(
                f"the checkpoint holds a {type(saved).__name__} with {saved.config}, this run has a "
                f"{type(mine).__name__} with {mine.config}; resume with the arguments and the dataset of that run"
            )
        mine.load_state_dict(saved.state_dict())
        self.unbudgeted, self._next = int(state["unbudgeted"]), int(state["next"])
        self._open, self._latest = {}, []

    def _remaining(self) -> int:
        return int(self.allocator.metrics()["budget_remaining"])

    def _file(self, deal: Deal) -> int:
        uid, self._next = self._next, self._next + 1
        self._latest.append(deal)
        self._open[uid] = deal
        return uid

    def _close(self) -> None:
        for deal in self._open.values():
            deal.shares += [math.nan] * (deal.count - len(deal.shares))
        self._enter()

    def _enter(self) -> None:
        """Tell the allocator of the rounds under way, then of the refills, if all that they wait for is in."""
        if not all(deal.done for deal in self._open.values()):
            return
        done, self._open = list(self._open.values()), {}
        rounds: dict[int, list[Deal]] = {}
        for deal in done:
            if deal.round is not None:
                rounds.setdefault(deal.round, []).append(deal)
        for round in sorted(rounds):
            self._observe(round, sorted(rounds[round], key=lambda deal: deal.row))
        # By row and count, not by uid: which refill came first depends on which rollout finished first.
        for deal in sorted((deal for deal in done if deal.refill), key=lambda deal: (deal.row, deal.count)):
            if deal.count > self._remaining():
                self.unbudgeted += deal.count
                continue
            allocation = self.allocator.allocate(np.array([deal.row]), total=deal.count)
            deal.round = allocation.round
            self._observe(allocation.round, [deal])

    def _observe(self, round: int, deals: list[Deal]) -> None:
        rows = np.array([deal.row for deal in deals], dtype=np.int64)
        shares = [np.array([share for share in deal.shares if not math.isnan(share)]) for deal in deals]
        scored = np.array([part.size for part in shares], dtype=np.int64)
        won = np.array([math.fsum(part) for part in shares])
        lost = np.maximum(scored - won, 0.0)
        counts = np.array([deal.count for deal in deals], dtype=np.int64)
        # Evidence first: a group that is partly refunded counts as a group by what did come in.
        self.allocator.observe(RolloutOutcomes(rows, won, lost, round=round))
        self.allocator.refund(rows, counts - scored, round=round)
        if self._on_round is not None:
            self._on_round(TraceRound(round, rows, counts, won, lost))


def _deals(allocation: Allocation, total: int) -> list[Deal]:
    if allocation.total != total:
        raise BudgetError(
            f"round {allocation.round}: the allocator gave {allocation.total} rollouts, and OpenRLHF's batch takes "
            f"{total}; give the allocator a budget and caps for that"
        )
    pairs = zip(allocation.prompt_ids.tolist(), allocation.counts.tolist(), strict=True)
    return [Deal(row, count, allocation.round) for row, count in pairs]


def _histogram(counts: NDArray[np.int64]) -> dict[str, float]:
    """Share of groups by count: 0, 1, 2, 3-4, 5-8, 9-16 and so on, which keeps the names few and fixed.

    >>> _histogram(np.array([0, 2, 4, 4]))
    {'0': 0.25, '2': 0.25, '3_4': 0.5}
    """
    upper = [0] + [1 << k for k in range(max(int(counts.max()) - 1, 0).bit_length() + 1)]
    shares, below = {}, -1
    for top in upper:
        share = float(((counts > below) & (counts <= top)).mean())
        if share:
            shares[str(top) if top - below == 1 else f"{below + 1}_{top}"] = share
        below = top
    return shares
