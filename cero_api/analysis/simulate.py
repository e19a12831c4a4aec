r"""Synthetic pools with success rates that stay or drift by themselves: allocation against the known optimum.

At the start rates are Beta distributed. The log-odds of prompt i then move in a straight line, whatever is allocated:
$\mathrm{logit}\,p_i(k) = \mathrm{logit}\,p_i(0) + \delta_i\,k/(K-1)$ with $\delta_i$ normal. This is no model of
learning; it says how a method keeps up with rates that move.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.analysis.contest import (
    ContestReport,
    Progress,
    Turn,
    contest,
    epochs,
    equal_terms,
    even_totals,
    suffices,
)
from cero_api.errors import ConfigurationError
from cero_api.mathematics.oracle import optimal_exposure
from cero_api.mathematics.utility import saturation_rate, utility

NOTES = (
    "Success rates here move by themselves, whatever is allocated: this compares allocation, and says nothing about "
    "what a model would learn.",
    "A higher effective-group rate or signal is not by itself a better model.",
    "Regret is measured in CERO's own utility, which the other methods do not pursue.",
)


def simulate(
    allocators: Sequence[str],
    *,
    num_prompts: int = 1000,
    rounds: int = 200,
    budget: int | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    scope: Literal["batch", "pool"] = "pool",
    group_size: int = 8,
    cap: int | None = None,
    beta: tuple[float, float] = (0.3, 0.6),
    drift: float = 0.0,
    drift_spread: float = 0.0,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> ContestReport:
    r"""Let allocators deal the rounds of a synthetic training, all at the same budget; each seed is another pool.

    Beside the numbers of a replay it has the regret: with $q_i$ the mean over rounds of $p_i(k)(1-p_i(k))$, how much
    utility $\sum_i U(q_i, z_i)$ per prompt the exposures $z$ miss of the optimum (`cero_api.mathematics.oracle`).

    Args:
        allocators: registered names.
        num_prompts: M.
        rounds: K.
        budget: rollouts in all; None is `32 * num_prompts`.
        seeds: of the pools, the draws and the allocators' ties; at least two for an interval.
        scope: "pool" offers all prompts every round and leaves the round's size to the method; "batch" offers the
            next batch of shuffled epochs, `budget / rounds / group_size` prompts, and asks for an exact total.
        group_size: rollouts of a prompt where all get the same.
        cap: rollouts of a prompt in a round; None is twice the group size.
        beta: of the rates at the start.
        drift: mean of the shift in log-odds over the whole run.
        drift_spread: its standard deviation over prompts.
        settings: fields of an allocator's configuration by its name, which overrule the common ones.
        progress: called with the allocator, the seed and the share of its rounds that is done.

    Raises:
        ConfigurationError: an unknown allocator, or sizes that do not fit each other.

    Returns:
        The report.

    >>> report = simulate(["uniform", "cero"], num_prompts=60, rounds=30, seeds=[0, 1])
    >>> uniform, cero = (result.metrics["regret"].mean for result in report.results)
    >>> cero < uniform
    True
    """
    cap = 2 * group_size if cap is None else cap
    if budget is not None:
        suffices(budget, rounds)
    arena = SyntheticArena(
        num_prompts=num_prompts,
        rounds=rounds,
        budget=32 * num_prompts if budget is None else budget,
        batch=scope == "batch",
        group_size=group_size,
        cap=cap,
        beta=beta,
        drift=drift,
        drift_spread=drift_spread,
    )
    totals = even_totals(arena.budget, rounds)
    mean = -(-int(totals.max()) // arena.batch_size) if arena.batch_size else 0
    if cap < max(group_size, mean):
        raise ConfigurationError(
            f"cap={cap} is less than a group of {max(group_size, mean)}; raise the cap or lower group_size"
        )
    terms = equal_terms(
        arena,
        allocators,
        group_size=group_size,
        cap=cap,
        floor=int(totals.min()) // arena.batch_size if arena.batch_size else None,
        capacity=int(totals.max()) if arena.batch_size else None,
        whole_pool=not arena.batch_size,
        settings=settings,
    )
    results, adapted = contest(arena, terms, seeds=seeds, progress=progress)
    return ContestReport(
        kind="simulation",
        settings={
            "scope": scope,
            "prompts": num_prompts,
            "rounds": rounds,
            "budget": arena.budget,
            "group_size": group_size,
            "cap": cap,
            "beta": list(beta),
            "drift": drift,
            "drift_spread": drift_spread,
        },
        seeds=tuple(seeds),
        results=results,
        notes=(*adapted, *NOTES),
    )


class SyntheticArena:
    """A pool of drifting rates for each seed; see `simulate` for the arguments."""

    def __init__(
        self,
        *,
        num_prompts: int,
        rounds: int,
        budget: int,
        batch: bool,
        group_size: int,
        cap: int,
        beta: tuple[float, float],
        drift: float,
        drift_spread: float,
    ) -> None:
        sizes = {"num_prompts": num_prompts, "rounds": rounds, "budget": budget, "group_size": group_size, "cap": cap}
        for name, size in sizes.items():
            if size < 1:
                raise ConfigurationError(f"{name}={size} must be at least 1")
        if not (np.isfinite([*beta, drift, drift_spread]).all() and min(beta) > 0 and drift_spread >= 0):
            raise ConfigurationError(
                f"beta={beta} must be two positive numbers, drift={drift} finite, drift_spread={drift_spread} not "
                "negative"
            )
        self.num_prompts, self.rounds, self.budget = num_prompts, rounds, budget
        self.batch_size = 0  # prompts of a batch; 0 offers the whole pool
        if batch:
            self.batch_size = round(budget / rounds / group_size)
            if not 1 <= self.batch_size <= num_prompts:
                raise ConfigurationError(
                    f"budget={budget} in {rounds} rounds of groups of {group_size} makes batches of {self.batch_size} "
                    f"prompts, out of {num_prompts}; change the budget, the rounds or the group size"
                )
        self._beta, self._drift, self._spread, self._cap = beta, drift, drift_spread, cap
        self._pool = lru_cache(maxsize=1)(self._new_pool)

    def turns(self, seed: int) -> Iterator[Turn]:
        """The rounds, the same for every allocator."""
        times = np.linspace(0.0, 1.0, self.rounds).tolist()
        if not self.batch_size:
            for time in times:
                yield Turn(time, None, None)
            return
        batches = epochs(self.num_prompts, self.batch_size, self.rounds, seed)
        for time, rows, total in zip(times, batches, even_totals(self.budget, self.rounds).tolist(), strict=True):
            yield Turn(time, rows, total)

    def rates(self, time: float, rows: IntArray, seed: int) -> FloatArray:
        """Success rate of these prompts at a time from 0 to 1, float64 `[P]`."""
        start, shift = self._pool(seed)
        return np.asarray(1.0 / (1.0 + np.exp(-(start[rows] + shift[rows] * time))))

    def varying(self, time: float, rows: IntArray, seed: int) -> None:
        """Nothing: rewards are whole successes and failures."""

    def extra(self, exposure: IntArray, seed: int) -> dict[str, float]:
        """Regret per prompt against the best exposures for the rates as they were."""
        variance = np.zeros(self.num_prompts)
        every = np.arange(self.num_prompts)
        times = np.linspace(0.0, 1.0, self.rounds if self._drift or self._spread else 1)
        for time in times.tolist():
            p = self.rates(time, every, seed)
            variance += p * (1.0 - p)
        rate = saturation_rate(variance / times.size, 1.0, self.budget / self.num_prompts)
        best = optimal_exposure(rate, self.budget, self.rounds * self._cap)
        return {"regret": float((utility(rate, best) - utility(rate, exposure)).sum()) / self.num_prompts}

    def _new_pool(self, seed: int) -> tuple[FloatArray, FloatArray]:
        """Log-odds at the start and their shift until the end, float64 `[M]` each."""
        rng = np.random.default_rng((seed, 3))
        p = rng.beta(*self._beta, size=self.num_prompts).clip(1e-12, 1.0 - 1e-12)
        return np.log(p) - np.log1p(-p), rng.normal(self._drift, self._spread, self.num_prompts)
