"""Drivers: an allocator over the batches of a loader, or over the whole pool; dynamic sampling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cero_api import Allocation, PilotAllocator, RolloutAllocator, RolloutOutcomes
from cero_api.mathematics.walk import Walk
from cero_lab.fast.driver import Ask, Ints


class Loader:
    """Batches of the pool in seeded epochs, as a trainer's loader draws them.

    Args:
        prompts: in the pool.
        batch: prompts of one batch.
        seed: of the order.
    """

    def __init__(self, prompts: int, batch: int, seed: int) -> None:
        self._walk, self._batch, self._seed, self._drawn = Walk.start(prompts, seed), batch, seed, 0

    def __call__(self) -> NDArray[np.int64]:
        """The next batch, int64 `[batch]`."""
        self._drawn += 1
        rows, self._walk = self._walk.take(self._batch, (self._seed, self._drawn))
        return rows


@dataclass
class Dealt:
    """Every round is one allocation of an allocator, or two where it has a pilot: these train as one.

    Args:
        allocator: over the pool.
        total: rollouts of a round.
        loader: whose batches it shares out; None lets it pick the prompts itself.
    """

    allocator: RolloutAllocator
    total: int
    loader: Loader | None

    def play(self, ask: Ask) -> None:
        """Allocate, generate, observe; once more with the rest of a round that had a pilot."""
        batch = None if self.loader is None else self.loader()
        allocation = self.allocator.allocate(batch, total=self.total)
        self._wave(allocation, ask)
        if allocation.to_commit and isinstance(self.allocator, PilotAllocator):
            self._wave(self.allocator.commit(), ask)

    def _wave(self, allocation: Allocation, ask: Ask) -> None:
        answer = ask(allocation.prompt_ids, allocation.counts)
        told = answer.outcomes
        self.allocator.observe(
            RolloutOutcomes(
                told.prompt_ids, told.successes, told.failures, allocation.round, told.squares, answer.tokens
            )
        )


@dataclass
class DynamicSampling:
    """DAPO's: batch after batch, until enough groups have contrast; only these are trained on, all are paid for.

    Source: arXiv 2503.14476, section 3.2; the most batches of a round are verl's `max_num_gen_batches` in its recipe.

    Args:
        loader: of the batches, each as large as a step.
        groups: that a step trains on.
        size: rollouts of a group.
        budget: rollouts of the whole training; the steps end with it.
        most: batches of a round; then it trains on what has contrast so far.
    """

    loader: Loader
    groups: int
    size: int
    budget: int
    most: int = 10

    def play(self, ask: Ask) -> Ints:
        """Generate until the step is full, the round's batches are drawn or the budget is spent."""
        kept: list[int] = []
        for _ in range(self.most):
            if len(kept) >= self.groups or self.groups * self.size > self.budget:
                break
            rows = self.loader()
            self.budget -= rows.size * self.size
            outcomes = ask(rows, np.full(rows.size, self.size)).outcomes
            kept += rows[(outcomes.successes > 0) & (outcomes.failures > 0)].tolist()
        return np.asarray(kept[: self.groups], dtype=np.int64)
