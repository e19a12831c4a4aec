"""What is proved of prices and of choices whatever predicts the values, path by path: docs/method.md has the proofs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api._types import FloatArray, IntArray
from cero_api.mathematics.duals import step_budget_price, step_prompt_prices
from cero_api.mathematics.utility import conjugate, marginal_gain, supporting_exposure, utility

PROMPTS, CAP, SATURATION, LEAST = 12, 2, 0.8, 1e-4
MEAN, CAPACITY = 6, 8  # units of a round, on average and at most


def still(rounds: int, rng: np.random.Generator) -> FloatArray:
    return np.tile(rng.uniform(LEAST, 0.25, PROMPTS), (rounds, 1))


def noise(rounds: int, rng: np.random.Generator) -> FloatArray:
    return rng.uniform(LEAST, 0.25, (rounds, PROMPTS))


def drifting(rounds: int, rng: np.random.Generator) -> FloatArray:
    odds = rng.normal(-2, 1, PROMPTS) + rng.normal(0.05, 0.2, (rounds, PROMPTS)).cumsum(0)
    rates = 1 / (1 + np.exp(-odds))
    return np.asarray(np.maximum(rates * (1 - rates), LEAST))


def swinging(rounds: int, rng: np.random.Generator) -> FloatArray:
    """From nothing to everything and back, half of the prompts at a time."""
    high = (np.arange(rounds)[:, None] // 3 + np.arange(PROMPTS)) % 2
    return np.where(high > 0, np.full(high.shape, 0.25), LEAST)


PREDICTIONS = [still, noise, drifting, swinging]


class Path:
    """Algorithm 1 with given predictions: what it deals, and its prices, normalised."""

    def __init__(self, predicted: FloatArray) -> None:
        self.rounds = len(predicted)
        self.budget = MEAN * self.rounds
        self.share = self.budget / PROMPTS  # R
        self.limit = float(self.rounds * CAP)  # Z
        self.steepest = SATURATION / self.share  # cbar
        self.rates = 4 * SATURATION * predicted / self.share  # [K, M] c
        self.prices = np.empty((self.rounds, PROMPTS))
        self.budget_prices = np.empty(self.rounds)
        self.virtual = np.zeros((self.rounds, PROMPTS))
        executed, step = np.zeros(PROMPTS), self.rounds**-0.5
        price, budget_price = 4 * predicted[0], 0.5
        for k in range(self.rounds):
            self.prices[k], self.budget_prices[k] = price, budget_price
            self.virtual[k] = admitted(price - budget_price, CAPACITY)
            executed += admitted(price - budget_price, min(CAPACITY, self.budget - int(executed.sum())))
            served = np.flatnonzero(self.virtual[k])
            supply = self.share / (SATURATION * self.limit)
            price = step_prompt_prices(
                price.copy(), 4 * predicted[k], step=step, supply=supply, served=served,
                share=self.virtual[k, served] / CAP,
            )  # fmt: skip
            dealt = float(self.virtual[k].sum())
            budget_price = step_budget_price(budget_price, step=step, mean=MEAN, dealt=dealt, capacity=CAPACITY)
        self.executed = executed

    def support(self, price: FloatArray) -> FloatArray:
        """z* of every round at a normalised price, [K, M]."""
        return supporting_exposure(self.rates, self.steepest * price, self.limit)

    def costs(self, price: FloatArray) -> FloatArray:
        """Each prompt's convex cost of a normalised price in every round, of slope at most 1, [K, M]."""
        worth = conjugate(self.rates, self.steepest * price, self.limit)
        return price * self.virtual / CAP - worth / (self.rounds * self.steepest * CAP)


def admitted(margin: FloatArray, units: int) -> FloatArray:
    counts = np.zeros(margin.size)
    for row in np.argsort(-margin):
        if margin[row] > 0 and units > 0:
            counts[row] = min(CAP, units)
            units -= int(counts[row])
    return counts


def lowest(of: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Minimum over [0, 1] of a convex function of each prompt, to within rounding."""
    low, high = np.zeros(PROMPTS), np.ones(PROMPTS)
    for _ in range(80):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        down = of(left) > of(right)
        low, high = np.where(down, left, low), np.where(down, high, right)
    return of(0.5 * (low + high))


@pytest.mark.parametrize("predict", PREDICTIONS)
@pytest.mark.parametrize("rounds", [1, 9, 100])
def test_no_fixed_price_does_better_than_by_the_root_of_the_rounds(
    predict: Callable[[int, np.random.Generator], FloatArray], rounds: int
) -> None:
    for seed in range(4):
        path = Path(predict(rounds, np.random.default_rng(seed)))
        paid = path.costs(path.prices).sum(0)

        def cost(price: FloatArray, path: Path = path) -> FloatArray:
            total: FloatArray = path.costs(price).sum(0)
            return total

        best = lowest(cost)
        assert (paid - best <= np.sqrt(rounds) + 1e-6).all()
        left = (MEAN - path.virtual.sum(1)) / max(MEAN, CAPACITY - MEAN)
        assert path.budget_prices @ left - min(left.sum(), 0.0) <= np.sqrt(rounds) + 1e-9


@pytest.mark.parametrize("predict", PREDICTIONS)
@pytest.mark.parametrize("rounds", [9, 100, 400])
def test_what_is_dealt_is_worth_as_much_as_any_plan_but_for_the_root_of_the_rounds(
    predict: Callable[[int, np.random.Generator], FloatArray], rounds: int
) -> None:
    for seed in range(2):
        path = Path(predict(rounds, np.random.default_rng(seed)))
        assert path.executed.sum() <= path.budget

        def bound(price: FloatArray, path: Path = path) -> FloatArray:
            worth: FloatArray = conjugate(path.rates, path.steepest * price, path.limit).mean(0)
            return path.steepest * price * path.executed - worth

        lost = best_plan(path) - lowest(bound).sum()
        root = path.steepest * np.sqrt(rounds)
        assert lost <= root * (PROMPTS * CAP + max(MEAN, CAPACITY - MEAN)) + 1e-6


def best_plan(path: Path) -> float:
    """The most that exposures within the budget are worth by the mean of all predictions."""

    def at(price: float) -> FloatArray:
        low, high = np.zeros(PROMPTS), np.full(PROMPTS, path.limit)
        for _ in range(60):
            middle = 0.5 * (low + high)
            steep = (path.rates * np.exp(-path.rates * middle)).mean(0) > price
            low, high = np.where(steep, middle, low), np.where(steep, high, middle)
        return low

    cheap, dear = 0.0, path.steepest
    for _ in range(60):
        middle = 0.5 * (cheap + dear)
        cheap, dear = (middle, dear) if at(middle).sum() > path.budget else (cheap, middle)
    return float(utility(path.rates, at(dear)).mean(0).sum())


@given(
    seed=st.integers(0, 10_000),
    room=st.integers(1, 8),
    window=st.integers(1, 6),
    group=st.integers(1, 16),
    error=st.floats(0, 0.25),
)
def test_a_choice_from_a_window_loses_no_more_than_its_predictions_err(
    seed: int, room: int, window: int, group: int, error: float
) -> None:
    rng, share = np.random.default_rng(seed), 8.0
    true = rng.uniform(0, 0.25, room * window)
    predicted = np.clip(true + rng.uniform(-error, error, true.size), 0, 0.25)
    exposure = rng.integers(0, 40, true.size).astype(np.float64)

    def gain(proxy: FloatArray) -> FloatArray:
        return marginal_gain(4 * SATURATION * proxy / share, exposure, group)

    def chosen(proxy: FloatArray) -> IntArray:
        return np.argsort(-gain(proxy), kind="stable")[:room]

    ours, best = chosen(predicted), chosen(true)
    differ = np.setxor1d(ours, best)
    lost = gain(true)[best].sum() - gain(true)[ours].sum()
    assert lost <= 4 * SATURATION * group / share * np.abs(predicted - true)[differ].sum() + 1e-12
