"""The optimum against exhaustive search, and the plan against its promises."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from cero_api.mathematics.oracle import feasible_plan, optimal_counts, optimal_exposure, regret_bound
from cero_api.mathematics.utility import utility

rates = st.lists(st.sampled_from([0.0, 0.01, 0.05, 0.2, 0.8]), min_size=1, max_size=4).map(np.array)


@given(rates, st.integers(0, 14), st.integers(1, 6))
def test_whole_counts_are_optimal_among_all(rate: np.ndarray, budget: int, limit: int) -> None:
    counts = optimal_counts(rate, budget, limit)
    assert counts.sum() <= budget
    assert counts.max() <= limit
    every = (np.array(n) for n in itertools.product(range(limit + 1), repeat=rate.size) if sum(n) <= budget)
    assert utility(rate, counts).sum() == pytest.approx(max(utility(rate, n).sum() for n in every), abs=1e-12)


@given(rates, st.floats(0, 14), st.floats(0.5, 6))
def test_continuous_exposures_are_optimal(rate: np.ndarray, budget: float, limit: float) -> None:
    exposure = optimal_exposure(rate, budget, limit)
    assert exposure.sum() <= budget + 1e-9
    assert (exposure >= 0).all()
    assert (exposure <= limit).all()
    assert (exposure[rate == 0] == 0).all()
    spendable = min(budget, limit * np.count_nonzero(rate))
    assert exposure.sum() == pytest.approx(spendable, abs=1e-6)
    start = np.full(rate.size, min(limit, budget / rate.size))
    solved = optimize.minimize(
        lambda z: -utility(rate, z).sum(),
        start,
        jac=lambda z: -rate * np.exp(-rate * z),
        bounds=[(0, limit)] * rate.size,
        constraints={"type": "ineq", "fun": lambda z: budget - z.sum(), "jac": lambda z: -np.ones(z.size)},
        method="SLSQP",
    )
    assert utility(rate, exposure).sum() >= -solved.fun - 1e-6


def test_continuous_beats_whole() -> None:
    rate = np.random.default_rng(0).uniform(0.001, 0.3, 200)
    whole, continuous = optimal_counts(rate, 1500, 40), optimal_exposure(rate, 1500, 40)
    gap = utility(rate, continuous).sum() - utility(rate, whole).sum()
    assert 0 <= gap < 0.1
    assert np.abs(whole - continuous).max() <= 1.0 + 1e-9


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8).map(np.array), st.integers(1, 9))
def test_the_plan_deals_everything_and_evenly(counts: np.ndarray, rounds: int) -> None:
    plan = feasible_plan(counts, rounds)
    np.testing.assert_array_equal(plan.sum(axis=0), counts)
    assert (plan <= -(-counts // rounds)).all()
    assert plan.sum(axis=1).max() - plan.sum(axis=1).min() <= 1


def test_the_bound_shrinks_with_the_root_of_the_rounds() -> None:
    def bound(rounds: int) -> float:
        return regret_bound(prompts=50, rounds=rounds, budget=40.0 * rounds, capacity=50, cap=1, proxy_error=0.0)

    assert bound(40_000) == pytest.approx(bound(10_000) / 2)
    assert bound(1) == 1.0
