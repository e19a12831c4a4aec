"""CERO: rollouts as one budget over the whole training, dealt by Fenchel duals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cero_api._types import FloatArray, IntArray, RankArray
from cero_api.allocators.base import AllocatorState, BaseAllocator
from cero_api.allocators.choice import Choice
from cero_api.allocators.whole import atomic
from cero_api.config import CeroConfig
from cero_api.errors import BudgetError, ConfigurationError
from cero_api.knowledge import Knowledge
from cero_api.mathematics.blocks import blocks
from cero_api.mathematics.duals import exact_prompt_price, step_budget_price, step_prompt_prices
from cero_api.mathematics.ledger import Report
from cero_api.mathematics.posterior import forget, variance_proxy
from cero_api.mathematics.selection import TieOrder, fill_by_gain, fill_in_order, groups_in_order
from cero_api.mathematics.utility import marginal_gain, saturation_rate
from cero_api.state import DERIVED, RAGGED, no_floats, no_integers

_CITATION = """\
@article{zong2026crossepoch,
  title   = {Cross-Epoch Adaptive Rollout Optimization for {RL} Post-Training},
  author  = {Zong, Yiming and Wang, Yige and Jiang, Jiashuo},
  journal = {arXiv preprint arXiv:2606.05606},
  year    = {2026}
}
@article{zong2026cero,
  title   = {{CERO}: Where and When to Allocate Rollouts for {RL} Post-Training},
  author  = {Zong and Wang and Hu and Jiang and Shen},
  journal = {arXiv preprint arXiv:2610.09679},
  year    = {2026}
}
"""


_LEAST = 1e-12  # variance: the least of a prompt of which everything is believed to be known

# What a round deals if it deals so many units: prompts, and the units of each.
Filler = Callable[[int], tuple[IntArray, IntArray]]


@dataclass
class CeroState(AllocatorState):
    """Duals, and the virtual allocation whose dual step is still to come."""

    budget_price: float  # nu
    prompt_price: FloatArray  # [M] vartheta
    # [M] value of a prompt's first rollout, U'(0)/cbar = 4 q-hat: kept because every dual step reads it.
    slope: FloatArray = field(default_factory=no_floats, metadata=DERIVED)
    mean: float = field(default=0.0, metadata=DERIVED)  # Bbar of the present plan, units
    capacity: int = field(default=0, metadata=DERIVED)  # C of the present plan, units
    pending: int = 0  # 1 while the latest round's dual step is to be taken
    pending_dual: int = 0  # 1 if that round was selected by the duals
    virtual_prompt: IntArray = field(default_factory=no_integers, metadata=RAGGED)
    virtual_units: IntArray = field(default_factory=no_integers, metadata=RAGGED)


class CeroAllocator(BaseAllocator[CeroConfig, CeroState]):
    r"""Deals each round where a rollout is worth most at the current price of the budget (Algorithm 1).

    Each prompt has a Beta posterior, whose expected Bernoulli variance $\hat q$ (that of its rewards, where they are
    graded) sets the saturating utility $U(z) = 1 - e^{-4\lambda\hat q z/R}$ of its cumulative exposure. The duals
    $\vartheta_i$ (of prompts) and $\nu$ (of the budget) follow projected online gradient descent. A round over the pool
    admits positive margins $\vartheta_i - \nu$ in order, each up to its cap; a round over candidates deals units one by
    one to the largest gain, down to the floor and up to the cap. `selection` makes either rule hold for both.

    The dual step of a round is taken when the next one is dealt, with the evidence at hand by then: with rewards in
    time this is Algorithm 1, and asynchronous trainers never wait. It uses the *virtual* allocation; what is
    dealt is the same order cut at the remaining budget.

    Args:
        config: hyper-parameters; the defaults are the paper's.

    Source: arXiv 2606.05606, arXiv 2610.09679.

    >>> from cero_api import CeroAllocator, CeroConfig, RolloutOutcomes
    >>> allocator = CeroAllocator(CeroConfig(num_prompts=6, rounds=4, budget=64))
    >>> allocation = allocator.allocate()
    >>> allocation.counts
    array([8, 8, 8])
    >>> allocator.observe(RolloutOutcomes(allocation.prompt_ids, [8, 4, 0], [0, 4, 8], round=allocation.round))
    >>> allocator.metrics()["budget_remaining"]
    40.0
    """

    config_type = CeroConfig
    asks_belief = True

    def __init__(self, config: CeroConfig, knowledge: Knowledge | None = None) -> None:
        unit = config.rollouts_per_unit
        self._cap = config.limits()[1] // unit  # N_max
        self._equal_share = config.budget / config.num_prompts / unit  # R
        self._smallest = -(-2 // unit)  # units of the smallest group that can have contrast
        self._ties = TieOrder(config.num_prompts, config.seed)
        super().__init__(config, knowledge)
        others = self._parts.belief is not None or config.offer == "window" or config.pilot is not None
        if config.selection == "dual" and others:
            raise ConfigurationError(
                "selection='dual' reads the papers' own posterior over the whole pool; with another belief, offline "
                "rates, a window or a pilot leave it out: there the gain decides"
            )

    def citation(self) -> str:
        """BibTeX of both papers."""
        return _CITATION

    @atomic
    def metrics(self) -> dict[str, float]:
        """The ledger's numbers, the budget's price in [0, 1] and the pool's mean variance proxy."""
        return super().metrics() | {
            "budget_price": self._state.budget_price,
            "mean_variance_proxy": self._mean_variance(),
        }

    def _mean_variance(self) -> float:
        if self._parts.belief is None:
            return float(self._state.slope.mean()) / 4.0
        return float(self._parts.belief.ask(self._parts.learned(self._state.parts).belief).variance.mean())

    def _initial_state(self) -> CeroState:
        price = 4.0 * float(variance_proxy(*self.config.prior))
        return CeroState.initial(
            self.config,
            # Without adaptive pacing the budget has no price (the paper's fixed and preset ablations).
            budget_price=self.config.initial_price if self.config.pacing == "adaptive" else 0.0,
            prompt_price=np.full(self.config.num_prompts, price),
        )

    def _check_request(self, rows: IntArray | None, total: int | None) -> None:
        unit = self.config.rollouts_per_unit
        if total is not None and total % unit:
            raise BudgetError(f"total={total} is not a multiple of rollouts_per_unit={unit}; round it")
        if total is not None and total > self._state.capacity * unit:
            raise BudgetError(
                f"total={total} exceeds the round's capacity of {self._state.capacity * unit}; configure a larger "
                "capacity (or a budget of total x rounds, from which it follows)"
            )
        if rows is None:
            return
        need = self._need(total) * unit
        floor, cap = (unit * size for size in self._limits(rows, total))
        least, most = rows.size * floor, rows.size * cap
        if 0 < need < least or (total is not None and not least <= total <= most):
            raise BudgetError(
                f"a round of {need} rollouts for {rows.size} candidates needs {least} to {most}: at least "
                f"{floor} and at most {cap} each; change the number of "
                "candidates, total, capacity, min_rollouts_per_prompt or max_rollouts_per_prompt"
            )

    def _limits(self, rows: IntArray, total: int | None) -> tuple[int, int]:
        """Floor and cap of these candidates, units."""
        unit = self.config.rollouts_per_unit
        floor, cap = self.config.limits(rows.size, self._state.mean * unit if total is None else total)
        return floor // unit, cap // unit

    def _choice(self, rows: IntArray | None, total: int | None, dealt: int) -> Choice:
        unit, prompts = self.config.rollouts_per_unit, self.config.num_prompts if rows is None else rows.size
        floor, cap = (0, self._cap) if rows is None else self._limits(rows, total)
        if rows is None and self.config.offer == "window":
            prompts = self._window_size(dealt)
        most = min(self._need(total), prompts * cap)
        # Where the price decides how much, every size down to the floors was possible.
        least = prompts * floor if total is None and self.config.pacing == "adaptive" else most
        return Choice(prompts, unit * floor, unit * cap, unit * least, unit * most)

    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        unit = self.config.rollouts_per_unit
        by_duals = rows is None and self.config.offer == "pool" and self._parts.belief is None
        selection = self.config.selection or ("dual" if by_duals else "marginal")
        prompt_price, budget_price = self._stepped_duals(selection)
        # With an exact total the price cannot decide how much: it acts through the ranking alone.
        above = -np.inf if total is not None else budget_price
        need, left = self._need(total), self._left() // unit
        need = min(need, left) if self._parts.pace else need  # prices see what tokens pay for, as they do a capacity
        if rows is None and self.config.offer == "window":
            fill: Filler = self._window_filler(above)
        elif rows is None:
            fill = self._pool_filler(prompt_price if selection == "dual" else self._gains_of_full_groups(), need, above)
        elif selection == "dual":
            fill = self._ranking_filler(rows, prompt_price[rows], above, *self._limits(rows, total))
        else:
            fill = self._gain_filler(rows, above, *self._limits(rows, total))
        prompts, units = virtual = fill(need)
        if units.sum() > left:
            prompts, units = fill(left)
        self._note_virtual(*virtual, dual=selection == "dual")
        self._forget_round()
        return prompts, units * unit

    def _note_virtual(self, prompts: IntArray, units: IntArray, dual: bool) -> None:
        """What the next dual step is about."""
        said = {"virtual_prompt": prompts, "virtual_units": units, "pending": 1, "pending_dual": int(dual)}
        for name, value in said.items():
            self._changes.set(self._state, name, value)

    def _need(self, total: int | None) -> int:
        """Units that this round is to deal, as far as prices and caps allow."""
        k, config = self._state.round, self.config
        if total is not None:
            return total // config.rollouts_per_unit
        if config.pacing == "adaptive":
            return self._state.capacity
        if config.pacing == "fixed":
            return self._even_round(config.rollouts_per_unit)
        return config.pacing[k] // config.rollouts_per_unit if k < config.rounds else 0

    def _window_filler(self, above: float) -> Filler:
        """Full groups for those of the window that are worth most, if they are worth their price."""
        unit = self.config.rollouts_per_unit
        # The price is of the gain over cbar, per unit; a group's gain is compared with as many.
        least = above * self.config.saturation * self._cap / self._equal_share

        def fill(units: int) -> tuple[IntArray, IntArray]:
            prompts, counts = self._deal_window(units * unit, unit, least)
            return prompts, counts // unit

        return fill

    def _round_size(self, rows: IntArray | None, total: int | None) -> int:
        most = self.config.budget if rows is None else rows.size * self._limits(rows, total)[1]
        return min(self._need(total), most) * self.config.rollouts_per_unit

    def _begin_round(self) -> None:
        self._stepped_duals("marginal")
        self._forget_round()

    def _dealt_waves(self, prompts: IntArray, counts: IntArray) -> None:
        # The duals step by both waves, as by any round.
        self._note_virtual(prompts, counts // self.config.rollouts_per_unit, dual=False)

    def _least_worth(self, more: int) -> float:
        units = more // self.config.rollouts_per_unit
        return self._state.budget_price * self.config.saturation * units / self._equal_share

    def _worth(self, rows: IntArray, group: int) -> FloatArray:
        units = group // self.config.rollouts_per_unit
        return marginal_gain(self._saturation_rate(rows), self._units_given(rows), units)

    def _rank(self, rows: IntArray) -> RankArray:
        return self._ties.rank[rows]

    def _pool_filler(self, values: FloatArray, need: int, above: float) -> Filler:
        """Admission: prompts in order of their margin, each up to its cap (Algorithm 1, lines 1 to 3)."""
        line = self._ties.leading(values, max(1, -(-need // self._cap)), above)

        def fill(units: int) -> tuple[IntArray, IntArray]:
            sizes = groups_in_order(line.size, units, self._cap, self._smallest)
            return line[: sizes.size], sizes

        return fill

    def _gains_of_full_groups(self) -> FloatArray:
        r"""The paper's greedy, $U(\hat q, z + N_{\max}) - U(\hat q, z)$, per unit and over $\bar c$ like the duals."""
        gains = np.empty(self.config.num_prompts)
        for rows in blocks(gains.size):
            gains[rows] = marginal_gain(self._saturation_rate(rows), self._units_given(rows), self._cap)
        gains *= self._equal_share / (self.config.saturation * self._cap)
        return gains

    def _ranking_filler(self, rows: IntArray, price: FloatArray, above: float, floor: int, cap: int) -> Filler:
        """Candidates in order of their prices, each up to its cap while it is worth it."""
        line = np.lexsort((self._ties.rank[rows], -price))
        eager = int(np.count_nonzero(price > above))
        return lambda units: (rows, fill_in_order(line, eager, units, floor, cap, self._smallest))

    def _gain_filler(self, rows: IntArray, above: float, floor: int, cap: int) -> Filler:
        """Candidates unit by unit, in order of the gain."""
        rate, exposure, rank = self._saturation_rate(rows), self._units_given(rows), self._ties.rank[rows]
        price_of_unit = max(above, 0.0) * self.config.saturation / self._equal_share  # mu = cbar nu
        sizes = floor, cap, self._smallest
        return lambda units: (rows, fill_by_gain(rate, exposure, rank, price_of_unit, units, *sizes))

    def _stepped_duals(self, selection: str) -> tuple[FloatArray, float]:
        """Prices after the dual step of the latest round, with the evidence at hand (Algorithm 1, line 5)."""
        state, config = self._state, self.config
        prompt_price, budget_price = state.prompt_price, state.budget_price
        if not state.pending:
            return prompt_price, budget_price
        served = np.flatnonzero(state.virtual_units)
        rows, units = state.virtual_prompt[served], state.virtual_units[served]
        if state.pending_dual:
            prompt_price = step_prompt_prices(
                prompt_price,
                state.slope,
                step=config.step,
                supply=self._equal_share / (config.saturation * config.rounds * self._cap),
                served=rows,
                share=units / self._cap,
                out=self._rewritten("prompt_price"),
            )
        else:
            # Deviation: the marginal rule reads exposures, not duals, so theirs are set where the steps would
            # tend to instead of moved; the rest of the pool need not be touched.
            exposure_share = self._units_given(rows) / self._equal_share
            exact = exact_prompt_price(self._slope_now(rows), config.saturation, exposure_share)
            if selection == "dual":  # which reads them now
                prompt_price = self._rewritten("prompt_price")
                np.copyto(prompt_price, state.prompt_price)
                prompt_price[rows] = exact
            else:
                self._changes.put(prompt_price, rows, exact)
        if config.pacing == "adaptive":
            budget_price = step_budget_price(
                budget_price,
                step=config.step,
                mean=self._state.mean,
                dealt=float(units.sum()),
                capacity=self._state.capacity,
            )
            self._changes.set(state, "budget_price", budget_price)
        return prompt_price, budget_price

    def _learn(
        self, round: int, ids: IntArray, won: FloatArray, lost: FloatArray, graded: FloatArray, report: Report
    ) -> None:
        keep, kept = self.config.forgetting, np.ones(ids.size)
        if keep < 1.0 and self.config.forgetting_clock == "visit":
            kept[report.first] = keep
        elif keep < 1.0:
            # Late evidence has aged: it weighs what it would weigh had it come in its own round.
            age = keep ** (self._state.round - 1 - round)
            won, lost, graded = won * age, lost * age, graded * age
        self._add(ids, won, lost, graded, kept)

    def _believe(self, ids: IntArray, successes: FloatArray, failures: FloatArray, graded: FloatArray | None) -> None:
        super()._believe(ids, successes, failures, graded)
        self._changes.put(self._state.slope, ids, self._slopes(successes, failures, graded))

    def _forget_round(self) -> None:
        """The dealt round's tick of the paper's clock, for visited and unvisited prompts alike."""
        state, keep = self._state, self.config.forgetting
        if keep == 1.0 or self.config.forgetting_clock != "round":
            return
        successes, failures, slope = (self._rewritten(field) for field in ("successes", "failures", "slope"))
        graded = self._rewritten("graded") if state.graded.size else None
        for rows in blocks(self.config.num_prompts):
            successes[rows], failures[rows] = forget(state.successes[rows], keep), forget(state.failures[rows], keep)
            if graded is not None:
                graded[rows] = forget(state.graded[rows], keep)
            known = None if graded is None else graded[rows]
            slope[rows] = self._slopes(successes[rows], failures[rows], known)

    def _derived(self, state: CeroState) -> CeroState:
        config, plan, unit = self.config, state.plan, self.config.rollouts_per_unit
        state.mean = plan.mean_round(config) / unit
        state.capacity = config.capacity_for(plan.budget(config), plan.rounds(config)) // unit
        state.slope = np.empty(self.config.num_prompts)
        for rows in blocks(state.slope.size):
            graded = state.graded[rows] if state.graded.size else None
            state.slope[rows] = self._slopes(state.successes[rows], state.failures[rows], graded)
        return state

    def _replanned(self, before: CeroConfig) -> None:
        state, adaptive = self._state, self.config.pacing == "adaptive"
        if not adaptive or before.pacing != "adaptive":
            state.budget_price = self.config.initial_price if adaptive else 0.0
        if not state.pending_dual:  # the latest round's rule set prices by exposure, as a share of what R was
            for rows in blocks(state.prompt_price.size):
                share = self._units_given(rows) / self._equal_share
                state.prompt_price[rows] = exact_prompt_price(state.slope[rows], self.config.saturation, share)

    def _slopes(self, successes: FloatArray, failures: FloatArray, graded: FloatArray | None) -> FloatArray:
        r"""Value of a prompt's first rollout for this evidence, $U'(0)/\bar c = 4\hat q$."""
        a, b = self.config.prior
        return 4.0 * variance_proxy(a + successes, b + failures, graded)

    def _units_given(self, rows: IntArray | slice) -> FloatArray:
        """Exposure $z$."""
        return self._state.exposure[rows] / self.config.rollouts_per_unit

    def _saturation_rate(self, rows: IntArray | slice) -> FloatArray:
        """$c$, per unit."""
        return saturation_rate(self._slope_now(rows) / 4.0, self.config.saturation, self._equal_share)

    def _slope_now(self, rows: IntArray | slice) -> FloatArray:
        r"""$4\hat q$ as it is believed in this round."""
        if self._parts.belief is None:
            return self._state.slope[rows]
        return 4.0 * np.maximum(self._parts.expected(self._parts_now, rows).variance, _LEAST)

    def _fault(self, state: CeroState) -> str | None:
        # By the sign bit: -0.0 is no price either, and has no logarithm.
        if not 0 <= state.budget_price <= 1 or np.signbit(state.prompt_price).any() or state.prompt_price.max() > 1:
            return "it has a price outside of [0, 1]"
        if state.virtual_prompt.shape != state.virtual_units.shape:
            return "its virtual allocation has columns of different length"
        if {state.pending, state.pending_dual} - {0, 1}:
            return "its pending flags are neither 0 nor 1"
        if ((state.virtual_prompt < 0) | (state.virtual_prompt >= self.config.num_prompts)).any():
            return "its virtual allocation has a prompt that is not in the pool"
        config = self.config
        cap = self._cap if config.max_rollouts_per_prompt is not None else config.budget // config.rollouts_per_unit
        if ((state.virtual_units < 0) | (state.virtual_units > cap)).any():
            return "its virtual allocation has more than the cap for a prompt, or less than nothing"
        return super()._fault(state)
