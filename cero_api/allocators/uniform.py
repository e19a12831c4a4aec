"""The baseline: the same number of rollouts for every prompt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cero_api._types import IntArray
from cero_api.allocators.base import AllocatorState, BaseAllocator
from cero_api.config import UniformConfig
from cero_api.errors import BudgetError
from cero_api.selection import groups_in_order

_CITATION = """\
@article{shao2024deepseekmath,
  title   = {DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models},
  author  = {Shao, Zhihong and Wang, Peiyi and Zhu, Qihao and others},
  journal = {arXiv preprint arXiv:2402.03300},
  year    = {2024}
}
"""


@dataclass
class UniformState(AllocatorState):
    """Where the walk through the pool stands."""

    order: IntArray  # [M] the epoch's order
    cursor: int  # its prompts visited so far


class UniformAllocator(BaseAllocator[UniformConfig, UniformState]):
    """The same number of rollouts for every prompt, what GRPO-style trainers do by default.

    Over candidates each gets `rollouts_per_prompt`, or an equal share of `total`; a remainder goes one each to the
    first. Over the pool it walks through seeded epochs, `budget / rounds` rollouts a round.

    Source: GRPO, arXiv 2402.03300.

    >>> allocator = UniformAllocator(UniformConfig(num_prompts=10, rounds=5, budget=40, rollouts_per_prompt=4))
    >>> allocator.allocate([7, 2, 5]).counts, allocator.allocate([1, 4, 8], total=10).counts
    (array([4, 4, 4]), array([4, 3, 3]))
    """

    config_type = UniformConfig

    def citation(self) -> str:
        """BibTeX of GRPO."""
        return _CITATION

    def _initial_state(self) -> UniformState:
        return UniformState.initial(self.config, order=self._shuffled(epoch_end=0), cursor=0)

    def _fault(self, state: UniformState) -> str | None:
        if not 0 <= state.cursor <= state.order.size:
            return f"cursor={state.cursor} is outside of the epoch"
        if not np.array_equal(np.sort(state.order), np.arange(state.order.size)):
            return "its epoch is not a permutation of the pool"
        return super()._fault(state)

    def _check_request(self, rows: IntArray | None, total: int | None) -> None:
        size, pool = self.config.rollouts_per_prompt, self.config.num_prompts
        if rows is None and total is not None and total > size * pool:
            raise BudgetError(
                f"total={total} is more than {pool} prompts x {size}; lower it or raise rollouts_per_prompt"
            )
        if rows is not None and rows.size == 0 and total:
            raise BudgetError(f"total={total} rollouts for no candidates; pass candidates, or total=0")

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        remaining, size = self._state.ledger.remaining, self.config.rollouts_per_prompt
        if rows is None:
            need = min(self._mean_round() if total is None else total, remaining)
            counts = groups_in_order(self.config.num_prompts, need, size, smallest=2)
            return self._next_prompts(counts.size), counts
        counts = np.zeros(rows.size, dtype=np.int64)
        if total is None:
            sizes = groups_in_order(rows.size, min(size * rows.size, remaining), size, smallest=2)
            counts[: sizes.size] = sizes
        elif rows.size:
            share, left = divmod(total, rows.size)
            counts += share
            counts[:left] += 1
        return rows, counts

    def _mean_round(self) -> int:
        """Whole rollouts for this round, so that all rounds together spend the budget."""
        k, config = self._state.round, self.config
        return (k + 1) * config.budget // config.rounds - k * config.budget // config.rounds

    def _next_prompts(self, count: int) -> IntArray:
        """The next prompts of the walk; a round across the end of an epoch visits none twice."""
        state = self._state
        rows = state.order[state.cursor : state.cursor + count]
        state.cursor += rows.size
        if rows.size < count:
            fresh = self._shuffled(epoch_end=state.round)
            # The prompts that close the old epoch in this round come last in the new one.
            just_visited = np.isin(fresh, rows)
            state.order = np.concatenate([fresh[~just_visited], fresh[just_visited]])
            state.cursor = count - rows.size
            rows = np.concatenate([rows, state.order[: state.cursor]])
        return rows.copy()

    def _shuffled(self, epoch_end: int) -> IntArray:
        """An order of the pool that depends on the seed and on the round in which the last epoch ended."""
        return np.random.default_rng((self.config.seed, epoch_end)).permutation(self.config.num_prompts)
