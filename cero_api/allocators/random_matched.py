"""The control: CERO's sizes and timing, for prompts drawn at random."""

from __future__ import annotations

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.cero import CeroAllocator
from cero_api.allocators.pilot import PilotState
from cero_api.config import RandomMatchedConfig


class RandomMatchedAllocator(CeroAllocator):
    """Takes how much and how unevenly from CERO, and to whom from chance: what is left is the value of the choice.

    Over the pool the round's groups go to prompts drawn at random; over candidates its counts are shuffled.

    Deviation: the paper replays the sizes of a finished CERO run; here a CERO runs along, on the evidence of the
    prompts that were in fact dealt to. A recorded run's totals can be replayed with `pacing=(...)`.

    Source: arXiv 2610.09679, section "Ablations".

    >>> allocator = RandomMatchedAllocator(RandomMatchedConfig(num_prompts=6, rounds=4, budget=64))
    >>> allocator.allocate().counts
    array([8, 8, 8])
    """

    config_type = RandomMatchedConfig

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        prompts, counts = super()._deal(rows, total)
        # Of its own stream: the ties use the seed alone.
        rng = np.random.default_rng((self.config.seed, self._state.round))
        if rows is None and self.config.offer == "window":
            return prompts, counts  # of the window, at random already
        if rows is None:
            return rng.choice(self.config.num_prompts, size=prompts.size, replace=False), counts
        order = np.argsort(prompts)  # the candidates' own order must not matter
        counts[order] = rng.permutation(counts[order])
        return prompts, counts

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        return np.random.default_rng((self.config.seed, self._state.round, 2)).random(rows.size)

    def _worth_after(self, pilot: PilotState, more: int) -> FloatArray:
        worth = np.empty(pilot.prompts.size)  # the candidates' own order must not matter
        worth[np.argsort(pilot.prompts)] = self._worth(pilot.prompts, more)
        return worth
