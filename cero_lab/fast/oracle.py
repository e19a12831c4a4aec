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
        least, most = self._room(rows, total)
        if total is not None and (not least <= total <= most or (rows is None and total == 1)):
            raise BudgetError(f"total={total} cannot be shared out; ask for {least or 2} to {most}, or change the cap")

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        state, config = self._state, self.config
        need = self._even_round() if total is None else total
        need = min(need, state.ledger.remaining, self._room(rows, total)[1])
        _, cap = config.limits(None if rows is None else rows.size, total)
        if rows is not None:
            exposure, rank = state.exposure[rows].astype(np.float64), self._ties.rank[rows]
            return rows, fill_by_gain(self._rate(rows), exposure, rank, 0.0, need, config.floor, cap, smallest=2)
        offered = min(self._window * -(-need // cap), config.num_prompts)
        rows, walk = state.walk.take(offered, (config.seed, state.round))
        self._changes.set(state, "walk", walk)
        gain = marginal_gain(self._rate(rows), state.exposure[rows], cap)
        sizes = groups_in_order(rows.size, need, cap, smallest=2)
        best = np.lexsort((self._ties.rank[rows], -np.round(gain, 12)))[: sizes.size]
        return rows[best], sizes

    def _room(self, rows: IntArray | None, total: int | None) -> tuple[int, int]:
        """Least and most rollouts of a round."""
        least, most = self.config.limits(None if rows is None else rows.size, total)
        size = self.config.num_prompts if rows is None else rows.size
        return least * size, most * size

    def _rate(self, rows: IntArray) -> FloatArray:
        """Of saturation, by rollout."""
        p = self._rates(rows)
        share = self.config.budget / self.config.num_prompts
        return saturation_rate(np.maximum(p * (1 - p), _LEAST), self.config.saturation, share)
