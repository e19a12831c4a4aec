"""CERO's rules with the exact success rates: what knowing everything would be worth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators import BaseAllocator, WalkState
from cero_api.config import CeroConfig
from cero_api.errors import BudgetError
from cero_api.mathematics.selection import TieOrder, fill_by_gain, groups_in_order
from cero_api.mathematics.utility import marginal_gain, saturation_rate
from cero_api.mathematics.walk import Walk

_LEAST = 1e-6  # of a variance: beyond saturation and out of reach both, gains still have an order


class OracleAllocator(BaseAllocator[CeroConfig, WalkState]):
    r"""Deals by the exact variance $q = p(1-p)$ of each candidate's rewards.

    Over candidates unit by unit to the largest gain, as CERO does. Over the pool it is offered `window` times as many
    prompts as fit into the round, drawn by a seeded walk that offers each prompt once an epoch, and serves whole groups
    in order of their gain.

    Args:
        config: CERO's.
        rates: the success rates of given rows, asked in every round.
        window: see above.
    """

    config_type = CeroConfig

    def __init__(self, config: CeroConfig, rates: Callable[[IntArray], FloatArray], window: int = 1) -> None:
        self._ties = TieOrder(config.num_prompts, config.seed)
        self._rates, self._window = rates, window
        super().__init__(config)

    def citation(self) -> str:
        """Nobody's."""
        return ""

    def _initial_state(self) -> WalkState:
        return WalkState.initial(self.config, walk=Walk.start(self.config.num_prompts, self.config.seed))

    def _check_request(self, rows: IntArray | None, total: int | None) -> None:
        if total is None:
            raise BudgetError("an oracle deals exact totals; pass total")

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        assert total is not None  # checked
        cap = self.config.limits(None if rows is None else rows.size, total)[1]
        if rows is not None:
            rate, exposure = self._rate(rows), self._state.exposure[rows].astype(np.float64)
            rank = self._ties.rank[rows]
            return rows, fill_by_gain(rate, exposure, rank, 0.0, total, self.config.floor, cap, smallest=2)
        fit = -(-total // cap)
        offered = min(self._window * fit, self.config.num_prompts)
        rows, walk = self._state.walk.take(offered, (self.config.seed, self._state.round))
        self._changes.set(self._state, "walk", walk)
        gain = marginal_gain(self._rate(rows), self._state.exposure[rows], cap)
        sizes = groups_in_order(rows.size, total, cap, smallest=2)
        best = np.lexsort((self._ties.rank[rows], -np.round(gain, 12)))[: sizes.size]
        return rows[best], sizes

    def _rate(self, rows: IntArray) -> FloatArray:
        """Of saturation, by rollout."""
        p = self._rates(rows)
        share = self.config.budget / self.config.num_prompts
        return saturation_rate(np.maximum(p * (1 - p), _LEAST), self.config.saturation, share)
