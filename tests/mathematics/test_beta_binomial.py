"""The likelihood of outcomes against scipy, and its slopes against differences."""

import numpy as np
import pytest
from scipy import special, stats

from cero_api._types import FloatArray
from cero_api.mathematics.beta_binomial import digamma_rise, log_likelihood, log_rise, slopes


def arguments() -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(0)
    return np.exp(rng.uniform(-18, 12, 20_000)), np.floor(np.exp(rng.uniform(-1, 10, 20_000)))


def test_rises_are_differences_of_scipys() -> None:
    x, n = arguments()
    np.testing.assert_allclose(log_rise(x, n), special.gammaln(x + n) - special.gammaln(x), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(digamma_rise(x, n), special.digamma(x + n) - special.digamma(x), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("x", [1e-6, 0.03, 1.0, 7.5])
@pytest.mark.parametrize("n", [0, 1, 5])
def test_rises_are_the_sums_that_they_stand_for(x: float, n: int) -> None:
    at, steps = np.array(x), np.array(float(n))
    assert log_rise(at, steps) == pytest.approx(sum(np.log(x + k) for k in range(n)), abs=1e-10)
    assert digamma_rise(at, steps) == pytest.approx(sum(1 / (x + k) for k in range(n)), rel=1e-9, abs=1e-10)


def test_the_likelihood_is_that_of_a_beta_binomial_count_in_one_order() -> None:
    rng = np.random.default_rng(1)
    mean, weight = rng.uniform(0.01, 0.99, 200), np.exp(rng.uniform(-3, 5, 200))
    n = rng.integers(1, 60, 200).astype(np.float64)
    won = np.floor(rng.uniform(0, n + 1))
    counted = stats.betabinom.logpmf(won, n, weight * mean, weight * (1 - mean))
    in_order = counted - special.gammaln(n + 1) + special.gammaln(won + 1) + special.gammaln(n - won + 1)
    np.testing.assert_allclose(log_likelihood(mean, weight, won, n - won), in_order, atol=1e-7)


def test_the_likelihood_of_parts_is_that_of_the_whole() -> None:
    mean, weight = np.array(0.3), np.array(2.5)
    first = log_likelihood(mean, weight, np.array(2.0), np.array(1.0))
    after = (weight * mean + 2) / (weight + 3)
    then = log_likelihood(after, weight + 3, np.array(1.0), np.array(4.0))
    assert first + then == pytest.approx(log_likelihood(mean, weight, np.array(3.0), np.array(5.0)), rel=1e-12)


def test_guesses_are_answered_together() -> None:
    mean, weight = np.array([0.2, 0.6]), np.array([[1.0], [4.0], [9.0]])
    won, lost = np.array([1.0, 3.0]), np.array([5.0, 0.5])
    together = log_likelihood(np.broadcast_to(mean, (3, 2)), np.broadcast_to(weight, (3, 2)), won, lost)
    for k in range(3):
        np.testing.assert_allclose(together[k], log_likelihood(mean, np.full(2, weight[k, 0]), won, lost), rtol=1e-12)


def test_the_score_is_the_derivative_by_the_log_odds() -> None:
    rng = np.random.default_rng(2)
    odds, weight = rng.normal(0, 2, 300), np.exp(rng.uniform(-2, 4, 300))
    won, lost = rng.integers(0, 9, 300).astype(float), rng.integers(0, 9, 300).astype(float)
    h = 1e-5
    values = [log_likelihood(special.expit(odds + step), weight, won, lost) for step in (h, -h)]
    score = slopes(special.expit(odds), weight, won, lost).score
    np.testing.assert_allclose(score, (values[0] - values[1]) / (2 * h), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weight", [0.7, 5.0, 300.0])
def test_the_information_is_the_squared_slope_that_the_moments_leave(weight: float) -> None:
    """Of the best linear score; the exact information is at least this."""
    n, mean = 8, 0.3
    counts = np.arange(n + 1.0)
    chance = stats.betabinom.pmf(counts, n, weight * mean, weight * (1 - mean))
    sizes = np.full(n + 1, mean), np.full(n + 1, weight)
    score, information = slopes(*sizes, counts, n - counts)
    variance = chance @ (counts - n * mean) ** 2
    slope = n * mean * (1 - mean)
    assert information[0] == pytest.approx(slope**2 / variance, rel=1e-9)
    assert chance @ score == pytest.approx(0, abs=1e-9)
    assert chance @ score**2 >= information[0] * (1 - 1e-9)
