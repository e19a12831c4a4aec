"""The baseline: the same number of rollouts for every prompt."""

from __future__ import annotations

import numpy as np

from cero_api._types import IntArray
from cero_api.allocators.base import BaseAllocator, WalkState
from cero_api.config import UniformConfig
from cero_api.errors import BudgetError
from cero_api.mathematics.selection import groups_in_order
from cero_api.mathematics.walk import Walk

_CITATION = """\
@article{shao2024deepseekmath,
  title   = {DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models},
  author  = {Shao, Zhihong and Wang, Peiyi and Zhu, Qihao and others},
  journal = {arXiv preprint arXiv:2402.03300},
  year    = {2024}
}
"""


class UniformAllocator(BaseAllocator[UniformConfig, WalkState]):
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

    def _initial_state(self) -> WalkState:
        return WalkState.initial(self.config, walk=Walk.start(self.config.num_prompts, self.config.seed))

    def _fault(self, state: WalkState) -> str | None:
        return state.walk.check() or super()._fault(state)

    def _check_request(self, rows: IntArray | None, total: int | None) -> None:
        size, pool = self.config.rollouts_per_prompt, self.config.num_prompts
        if rows is None and total is not None and total > size * pool:
            raise BudgetError(
                f"total={total} is more than {pool} prompts x {size}; lower it or raise rollouts_per_prompt"
            )
        if rows is not None and rows.size == 0 and total:
            raise BudgetError(f"total={total} rollouts for no candidates; pass candidates, or total=0")

    def _choice(self, rows: IntArray | None, total: int | None, dealt: int) -> None:
        """Nothing is decided here, and nothing else is expected."""

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        state, size = self._state, self.config.rollouts_per_prompt
        remaining = self._left()
        if rows is None:
            need = min(self._even_round() if total is None else total, remaining)
            if self.config.offer == "window":
                return self._deal_window(need)
            counts = groups_in_order(self.config.num_prompts, need, size, smallest=2)
            rows, walk = state.walk.take(counts.size, (self.config.seed, state.round))
            self._changes.set(state, "walk", walk)
            return rows, counts
        counts = np.zeros(rows.size, dtype=np.int64)
        if total is None:
            sizes = groups_in_order(rows.size, min(size * rows.size, remaining), size, smallest=2)
            counts[: sizes.size] = sizes
        elif rows.size:
            share, left = divmod(total, rows.size)
            counts += share
            counts[:left] += 1
        return rows, counts
