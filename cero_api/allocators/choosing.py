"""Choosing among more prompts than fit: what is expected of each, and full groups for those that are worth most."""

from __future__ import annotations

from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from cero_api._types import FloatArray, IntArray, RankArray
from cero_api.allocators.parts import Parts, PartsState
from cero_api.allocators.states import AllocatorState
from cero_api.allocators.whole import Whole
from cero_api.beliefs import Expectation
from cero_api.config import AllocatorConfig
from cero_api.mathematics.posterior import posterior_mean, variance_proxy
from cero_api.mathematics.selection import groups_in_order

ConfigT = TypeVar("ConfigT", bound=AllocatorConfig)
StateT = TypeVar("StateT", bound=AllocatorState)


class Choosing(Whole[StateT], Generic[ConfigT, StateT]):
    """The part of an allocator that deals a window. A method says what a group is worth: `_worth`."""

    config: ConfigT
    _parts: Parts
    _parts_now: PartsState  # as of the call that is under way

    def _expect(self, rows: IntArray) -> Expectation:
        """What is expected of these prompts in this round."""
        if self._parts.belief is not None:
            return self._parts.expected(self._parts_now, rows)
        a0, b0 = self.config.prior
        a, b = a0 + self._state.successes[rows], b0 + self._state.failures[rows]
        return Expectation(posterior_mean(a, b), variance_proxy(a, b, self._graded(rows)))

    def _deal_window(
        self, need: int, unit: int = 1, least: float = -np.inf, smallest: int = 2
    ) -> tuple[IntArray, IntArray]:
        """Full groups for the prompts of the window that are worth most, in this order, until `need` is dealt.

        Args:
            need: rollouts.
            unit: that are always dealt together.
            least: a prompt that is worth no more than this gets nothing.
            smallest: rollouts of the smallest group; the last may be smaller than the others.
        """
        group, state = self.config.group, self._state
        room = -(-need // group)
        offered = self._parts.offered(self._parts_now, room, state.round)
        self._changes.set(state, "parts", replace(self._parts.ticked(self._parts_now), window=offered.walk))
        candidates, again = self._parted(offered.rows, room)
        worth = self._worth(candidates, group)
        rows, worth = candidates[worth > least], worth[worth > least]
        line = np.concatenate([again, rows[self._line(rows, worth, self._rank(rows))]])
        sizes = groups_in_order(line.size, need // unit, group // unit, smallest=-(-smallest // unit))
        return line[: sizes.size], sizes * unit

    def _line(self, rows: IntArray, worth: FloatArray, rank: RankArray) -> IntArray:
        """Places of these prompts, whoever is worth most for what it costs first; equals by their rank."""
        worth = worth / self._parts.costs(self._parts_now, rows)
        scale = float(worth.max(initial=0.0))
        # To so many places, that no machine's rounding decides between equals; those go by the seed.
        rounded = np.round(worth / scale, 9) if scale > 0 else worth
        return np.lexsort((rank, -rounded))

    def _parted(self, rows: IntArray, room: int) -> tuple[IntArray, IntArray]:
        """Of a window's prompts those that may be chosen, and those at rest that are to be looked at again."""
        rest, state = self._parts.rest, self._state
        if rest is None:
            return rows, rows[:0]
        mean, exposure = self._expect(rows).mean, state.exposure[rows]
        parted = rest.parted(state.parts.rest, rows, mean, exposure, state.round, room, self._changes)
        return rows[parted.awake], rows[parted.again]

    def _window_size(self, need: int) -> int:
        """Prompts that the window offers to a round of so many rollouts."""
        return min(-(-need // self.config.group) * self.config.window, self.config.num_prompts)

    def _rank(self, rows: IntArray) -> RankArray:
        """Who goes first among equals: whoever the walk brought first."""
        return np.arange(rows.size)

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        """Of a full group to each of these prompts; a method that chooses by something says by what."""
        return np.ones(rows.size)

    def _graded(self, rows: IntArray | slice) -> FloatArray | None:
        """What graded rewards of these prompts lack of the contrast of successes and failures; None if none had."""
        return self._state.graded[rows] if self._state.graded.size else None
