"""What the methods have in common that choose prompts, and give a full group to each that they choose."""

from __future__ import annotations

import abc
from typing import TypeVar

import numpy as np

from cero_api._types import FloatArray, IntArray, RankArray
from cero_api.allocators.base import AllocatorState, BaseAllocator
from cero_api.allocators.choice import Choice
from cero_api.config import GroupConfig
from cero_api.errors import BudgetError
from cero_api.knowledge import Knowledge
from cero_api.mathematics.selection import TieOrder, groups_in_order

GroupConfigT = TypeVar("GroupConfigT", bound=GroupConfig)
StateT = TypeVar("StateT", bound=AllocatorState)


class GroupAllocator(BaseAllocator[GroupConfigT, StateT]):
    """Full groups for the prompts that are worth most: of the candidates, of a window, or of the pool.

    A subclass says what one is worth (`_worth`), and how many of the candidates it would take where no total is
    given (`_wanted`). Over the pool, rounds without a total spread the budget evenly. Where a total is more than a
    group for each candidate, there is nothing to choose, and all get the same.

    Args:
        config: the frozen hyper-parameters.
        knowledge: what is known of the prompts before they are tried; None is nothing.
    """

    def __init__(self, config: GroupConfigT, knowledge: Knowledge | None = None) -> None:
        self._ties = TieOrder(config.num_prompts, config.seed)
        super().__init__(config, knowledge)

    def _check_request(self, rows: IntArray | None, total: int | None) -> None:
        if total is None:
            return
        group, most = self.config.group, self.config.num_prompts * self.config.group
        if total == 1 < group:
            raise BudgetError("total=1 is a group without contrast; ask for 0, or at least 2")
        if rows is None and total > most:
            raise BudgetError(f"total={total} is more than a group of {group} for each prompt; ask for at most {most}")
        if rows is not None and rows.size == 0 and total:
            raise BudgetError(f"total={total} rollouts for no candidates; pass candidates, or total=0")

    def _choice(self, rows: IntArray | None, total: int | None, dealt: int) -> Choice | None:
        if rows is None or total is None or dealt <= rows.size * self.config.group:
            return super()._choice(rows, total, dealt)
        share, left = divmod(dealt, rows.size)  # more than a group for each: see `_deal`
        return Choice(rows.size, share, share + bool(left), dealt, dealt)

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        group, remaining = self.config.group, self._left()
        if rows is None:
            need = min(self._even_round() if total is None else total, remaining)
            return self._deal_window(need) if self.config.offer == "window" else self._deal_pool(need)
        worth = self._worth(rows, group)
        need = min(self._wanted(worth) * group if total is None else total, remaining)
        counts = np.zeros(rows.size, dtype=np.int64)
        if need > rows.size * group:  # more than a group for each, which nobody can choose: all get the same
            share, left = divmod(need, rows.size)
            counts += share
            counts[self._line(rows, worth, self._ties.rank[rows])[:left]] += 1
            return rows, counts
        places, sizes = self._best(rows, worth, need)
        counts[places] = sizes
        return rows, counts

    def _deal_pool(self, need: int) -> tuple[IntArray, IntArray]:
        everybody = np.arange(self.config.num_prompts)
        return self._best(everybody, self._worth(everybody, self.config.group), need)

    def _best(self, rows: IntArray, worth: FloatArray, need: int) -> tuple[IntArray, IntArray]:
        """Places of those that get a group, best first, and the sizes."""
        line = self._line(rows, worth, self._ties.rank[rows])
        sizes = groups_in_order(rows.size, need, self.config.group, smallest=2)
        return line[: sizes.size], sizes

    def _round_size(self, rows: IntArray | None, total: int | None) -> int:
        if rows is None or total is not None:
            return super()._round_size(rows, total)
        return self._wanted(self._worth(rows, self.config.group)) * self.config.group

    def _rank_again(self, rows: IntArray) -> RankArray:
        return self._ties.rank[rows]  # as for candidates, whose own order must not matter

    def _chance(self, stream: int) -> np.random.Generator:
        """Of this round alone; streams 0 and 1 are the walks'."""
        return np.random.default_rng((self.config.seed, self._state.round, stream))

    @abc.abstractmethod
    def _wanted(self, worth: FloatArray) -> int:
        """How many of the candidates, of so much worth, are to get a group where no total is given."""
