"""Choosing among more prompts than fit: what is expected of each, and full groups for those that are worth most."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Generic, TypeVar

import numpy as np

from cero_api._types import FloatArray, IntArray, RankArray
from cero_api.allocators.choice import Choice
from cero_api.allocators.parts import Parts, PartsState
from cero_api.allocators.states import AllocatorState
from cero_api.allocators.whole import Whole
from cero_api.beliefs import Expectation
from cero_api.config import AllocatorConfig
from cero_api.errors import CeroWarning
from cero_api.mathematics.contrast import varying_share
from cero_api.mathematics.posterior import posterior_mean, variance_proxy
from cero_api.mathematics.selection import groups_in_order
from cero_api.offers import Offered, width

ConfigT = TypeVar("ConfigT", bound=AllocatorConfig)
StateT = TypeVar("StateT", bound=AllocatorState)

LEAST_VARYING = 1e-9  # share of a contrast, for its logarithm


class Choosing(Whole[StateT], Generic[ConfigT, StateT]):
    """The part of an allocator that deals a window. A method says what a group is worth: `_worth`."""

    config: ConfigT
    _parts: Parts
    _parts_now: PartsState  # as of the call that is under way
    _idle_said: bool  # that nothing is decided

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
        offered = self._offered(room)
        self._changes.set(state, "parts", replace(self._parts.ticked(self._parts_now), window=offered.walk))
        candidates, again = self._parted(offered.rows, room)
        worth = self._worth(candidates, group)
        rows, worth = candidates[worth > least], worth[worth > least]
        line = np.concatenate([again, rows[self._line(rows, worth, self._rank(rows))]])
        sizes = groups_in_order(line.size, need // unit, group // unit, smallest=-(-smallest // unit))
        return line[: sizes.size], sizes * unit

    def _offered(self, room: int) -> Offered:
        """Prompts of the window for a round with room for so many full groups, no more than it pays to look at."""
        offered = self._parts.offered(self._parts_now, room, self._state.round)
        variety = self.config.variety
        if variety == 0.0:
            return offered
        worth = self._worth(offered.rows, self.config.group) / self._parts.costs(self._parts_now, offered.rows)
        return self._parts.offered(self._parts_now, width(worth, room, variety), self._state.round, factor=1)

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

    def _varying(self, rows: IntArray) -> FloatArray:
        """Share of the contrast of whole successes and failures that rewards of these prompts are expected to have."""
        graded, (a0, b0), state = self._graded(rows), self.config.prior, self._state
        if graded is None:
            return np.ones(rows.size)
        return np.maximum(varying_share(a0 + state.successes[rows], b0 + state.failures[rows], graded), LEAST_VARYING)

    def _weigh(self, choice: Choice | None, ends: bool, dealt: int, round: int) -> None:
        """Note how much of the round was there to decide; say, once, that nothing is.

        Args:
            choice: what the round could have been, or None.
            ends: the budget is spent with it, and with the budget what the method would have dealt.
            dealt: rollouts of the round.
            round: its number.
        """
        if choice is None or not dealt:
            return
        self._changes.set(self._state, "decidable", choice.decidable(dealt))
        # A straggler, as of a retry or a last batch, is no matter in a training that decides otherwise.
        straggler = choice.prompts == 1 and self._state.decidable > 0.0
        if choice.nothing and not (ends or straggler or self._idle_said):
            self._idle_said = True
            warnings.warn(
                f"round {round}: there is nothing to decide, for {choice.remedy}. This is said once; the "
                "metric `decidable` is 0 in every such round",
                CeroWarning,
                stacklevel=4,
            )

    def _left(self) -> int:
        """Most rollouts of this round: what is left of the budget, and what the tokens left for it pay for."""
        state, pace = self._state, self._parts.pace
        left = state.ledger.remaining
        if pace is None:
            return left
        rounds = max(self.config.rounds - state.round, 1)
        affordable = pace.affordable(state.parts.pace, state.tokens, state.ledger.outstanding, rounds)
        return left if affordable is None else min(left, affordable)

    def _even_round(self, unit: int = 1) -> int:
        """Whole units for the next round if what the plan had left is spread evenly over its rounds."""
        return self._state.plan.even_round(self._state.round, self.config, unit)
