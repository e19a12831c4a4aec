"""What the methods that share out one batch have in common: floor, cap, and a walk where no batch is given."""

from __future__ import annotations

import abc
from typing import TypeVar, cast

import numpy as np

from cero_api._types import IntArray, RankArray
from cero_api.allocators.base import BaseAllocator, WalkState
from cero_api.allocators.choice import Choice
from cero_api.config import BatchConfig
from cero_api.errors import BudgetError
from cero_api.knowledge import Knowledge
from cero_api.mathematics.selection import TieOrder, fill_in_order, groups_in_order
from cero_api.mathematics.walk import Walk

BatchConfigT = TypeVar("BatchConfigT", bound=BatchConfig)
WalkStateT = TypeVar("WalkStateT", bound=WalkState)


class BatchAllocator(BaseAllocator[BatchConfigT, WalkStateT]):
    """Shares a batch's rollouts among its prompts; over the pool, the batches are those of a seeded walk.

    A subclass says how: `_share`. A batch's total is `rollouts_per_prompt` each unless it is given, and over the
    pool the budget spread evenly.

    Args:
        config: the frozen hyper-parameters.
    """

    def __init__(self, config: BatchConfigT, knowledge: Knowledge | None = None) -> None:
        self._ties = TieOrder(config.num_prompts, config.seed)
        super().__init__(config, knowledge)

    def _initial_state(self) -> WalkStateT:
        # Right for a subclass that keeps no more state than this; one that does overrides it.
        return cast(WalkStateT, WalkState.initial(self.config, walk=self._walk()))

    def _walk(self) -> Walk:
        return Walk.start(self.config.num_prompts, self.config.seed)

    def _fault(self, state: WalkStateT) -> str | None:
        return state.walk.check() or super()._fault(state)

    def _check_request(self, rows: IntArray | None, total: int | None) -> None:
        config = self.config
        if total is None:
            return
        if rows is None and config.offer == "window":
            nearest = self._groups_of(total)
            if nearest != total:
                raise BudgetError(
                    f"total={total} cannot be dealt to {config.num_prompts} prompts in groups of {config.group}, the "
                    f"last of them of {self._smallest} at least; ask for {nearest}"
                )
            return
        if rows is None:
            prompts, nearest = self._batch_of(total)
            if nearest != total:
                raise BudgetError(
                    f"total={total} cannot be shared among prompts that get {config.min_rollouts_per_prompt} to "
                    f"{config.max_rollouts_per_prompt} each; ask for {nearest}, which {prompts} of them can, or change "
                    "min_rollouts_per_prompt or max_rollouts_per_prompt"
                )
            return
        least, most = rows.size * config.min_rollouts_per_prompt, rows.size * config.max_rollouts_per_prompt
        if not least <= total <= most:
            raise BudgetError(
                f"total={total} rollouts for {rows.size} candidates; it takes {least} to {most}: at least "
                f"{config.min_rollouts_per_prompt} and at most {config.max_rollouts_per_prompt} each; change the "
                "number of candidates, total, min_rollouts_per_prompt or max_rollouts_per_prompt"
            )

    def _choice(self, rows: IntArray | None, total: int | None, dealt: int) -> Choice | None:
        if rows is None and self.config.offer == "window":
            return super()._choice(rows, total, dealt)
        prompts = self._batch_of(dealt)[0] if rows is None else rows.size
        return Choice(prompts, *self.config.limits(), dealt, dealt)  # its size is no choice of these methods

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        config, state = self.config, self._state
        remaining = self._left()
        if rows is not None:
            need = config.rollouts_per_prompt * rows.size if total is None else total
            return rows, self._counts(rows, min(need, remaining))
        need = min(self._even_round() if total is None else total, remaining)
        if config.offer == "window":
            return self._deal_window(min(self._groups_of(need), remaining), smallest=self._smallest)
        prompts, need = self._batch_of(need)
        rows, walk = state.walk.take(prompts, (config.seed, state.round))
        self._changes.set(state, "walk", walk)
        counts = self._counts(rows, min(need, remaining))
        return rows[counts > 0], counts[counts > 0]  # with a floor of 0 the walk may pass over a prompt

    def _round_size(self, rows: IntArray | None, total: int | None) -> int:
        return (
            self.config.rollouts_per_prompt * rows.size
            if rows is not None and total is None
            else super()._round_size(rows, total)
        )

    @property
    def _smallest(self) -> int:
        """Rollouts of the smallest group that a window's prompt may get."""
        return min(max(2, self.config.min_rollouts_per_prompt), self.config.group)

    def _groups_of(self, need: int) -> int:
        """The rollouts nearest to so many that a window's groups can take: `need` itself, or whole groups."""
        pool, group = self.config.num_prompts, self.config.group
        sizes = groups_in_order(pool, need, group, self._smallest)
        if sizes.sum() == need and sizes.min(initial=group) >= self._smallest:
            return need
        return min(max(need // group * group, self._smallest), pool * group)

    def _batch_of(self, need: int) -> tuple[int, int]:
        """How many of the walk's prompts can share how many rollouts: `need`, `rollouts_per_prompt` each on average.

        Where no number of prompts can, the most below it, or one prompt's floor.
        """
        config = self.config
        floor, cap = config.min_rollouts_per_prompt, config.max_rollouts_per_prompt
        fewest, most = -(-need // cap), min(need // max(floor, 1), config.num_prompts)
        if fewest <= most:
            return min(max(need // config.rollouts_per_prompt, fewest), most), need
        return (most, most * cap) if most else (1, floor)

    def _counts(self, rows: IntArray, need: int) -> IntArray:
        floor, cap = self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt
        if need < floor * rows.size:  # the budget ends within this batch
            return fill_in_order(np.argsort(self._ties.rank[rows]), 0, need, floor, cap, smallest=1)
        return self._share(rows, need)

    def _rank(self, rows: IntArray) -> RankArray:
        return self._ties.rank[rows]

    @abc.abstractmethod
    def _share(self, rows: IntArray, need: int) -> IntArray:
        """Counts that sum to `need`, each from floor to cap; `need` fits."""
