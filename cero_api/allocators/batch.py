"""What the methods that share out one batch have in common: floor, cap, and a walk where no batch is given."""

from __future__ import annotations

import abc
from typing import TypeVar, cast

import numpy as np

from cero_api._types import IntArray
from cero_api.allocators.base import BaseAllocator, WalkState
from cero_api.config import BatchConfig
from cero_api.errors import BudgetError
from cero_api.mathematics.selection import TieOrder, fill_in_order
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

    def __init__(self, config: BatchConfigT) -> None:
        self._ties = TieOrder(config.num_prompts, config.seed)
        super().__init__(config)

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
        if rows is None:
            most = config.num_prompts * config.max_rollouts_per_prompt
            if total > most or total == 1:
                raise BudgetError(f"total={total} cannot be shared among the pool: deal 0, or 2 to {most}")
            return
        least, most = rows.size * config.min_rollouts_per_prompt, rows.size * config.max_rollouts_per_prompt
        if not least <= total <= most:
            raise BudgetError(
                f"total={total} rollouts for {rows.size} candidates; it takes {least} to {most}: at least "
                f"{config.min_rollouts_per_prompt} and at most {config.max_rollouts_per_prompt} each; change the "
                "number of candidates, total, min_rollouts_per_prompt or max_rollouts_per_prompt"
            )

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        config, round = self.config, self._state.round
        if rows is None:
            need = min(self._even_round() if total is None else total, self._state.ledger.remaining)
            rows = self._state.walk.take(self._batch_size(need), (config.seed, round))
            counts = self._counts(rows, need)
            return rows[counts > 0], counts[counts > 0]  # with a floor of 0 the walk may pass over a prompt
        need = config.rollouts_per_prompt * rows.size if total is None else total
        return rows, self._counts(rows, min(need, self._state.ledger.remaining))

    def _batch_size(self, need: int) -> int:
        """Prompts among which `need` can be shared, `rollouts_per_prompt` each on average."""
        config = self.config
        fewest = -(-need // config.max_rollouts_per_prompt)
        most = need // max(config.min_rollouts_per_prompt, 1)
        return min(max(need // config.rollouts_per_prompt, fewest), max(most, fewest), config.num_prompts)

    def _counts(self, rows: IntArray, need: int) -> IntArray:
        floor, cap = self.config.min_rollouts_per_prompt, self.config.max_rollouts_per_prompt
        if need < floor * rows.size:  # the budget ends within this batch
            return fill_in_order(np.argsort(self._ties.rank[rows]), 0, need, floor, cap, smallest=1)
        return self._share(rows, need)

    @abc.abstractmethod
    def _share(self, rows: IntArray, need: int) -> IntArray:
        """Counts that sum to `need`, each from floor to cap; `need` fits."""
