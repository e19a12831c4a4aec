"""Shrinkage by the evidence: against brute force, and by what it does to columns that say nothing."""

import numpy as np
import pytest
from scipy import stats

from cero_api._types import FloatArray
from cero_api.mathematics.shrinkage import _common_precision, feature_precisions, most_probable


def data(rows: int, effects: list[float], noise: float = 1.0, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, len(effects)))
    return z, z @ np.array(effects) + rng.normal(0, noise, rows)


def test_the_most_probable_coefficients_minimise_the_penalised_squares() -> None:
    z, y = data(40, [1.0, -2.0, 0.5])
    mean, precision = np.array([0.3, 0, 0]), np.array([2.0, 5.0, 0.1])
    found = most_probable(z.T @ z, z.T @ y, mean, precision)
    stacked = np.vstack([z, np.diag(np.sqrt(precision))])
    best = np.linalg.lstsq(stacked, np.concatenate([y, np.sqrt(precision) * mean]), rcond=None)[0]
    np.testing.assert_allclose(found, best, rtol=1e-10)


def test_the_evidence_is_the_marginal_likelihood() -> None:
    """The grid's weights are those of the data under the prior, integrated over the coefficients."""
    z, y = data(30, [0.8, -0.4])
    grid = np.exp(np.linspace(np.log(0.05), np.log(300), 14))
    exact = np.array([stats.multivariate_normal(np.zeros(30), np.eye(30) + z @ z.T / a).logpdf(y) for a in grid])
    weight = exact - 0.5 * (np.log(grid / 2) / 1.5) ** 2
    weight = np.exp(weight - weight.max())
    expected = np.exp(weight @ np.log(grid) / weight.sum())
    assert _common_precision(z.T @ z, z.T @ y) == pytest.approx(expected, rel=1e-8)


def test_columns_that_say_nothing_get_next_to_nothing() -> None:
    z, y = data(60, [2.0, *[0.0] * 30])
    one = np.ones(1)
    information, pull = np.zeros((32, 32)), np.zeros(32)  # with a level that the data say nothing of
    information[1:, 1:], pull[1:] = z.T @ z, z.T @ y
    precision = feature_precisions(information, pull, 0 * one, one)
    found = most_probable(information, pull, np.zeros(32), np.concatenate([one, precision]))
    plain = np.linalg.lstsq(z, y, rcond=None)[0]
    assert found[1] == pytest.approx(2.0, abs=0.25)
    assert np.square(found[2:]).sum() < 0.5 * np.square(plain[1:]).sum()
    assert precision[0] < 0.2 * precision[1:].min()


def test_other_coefficients_are_integrated_out() -> None:
    """Those of a fixed prior take what they explain with them."""
    z, y = data(200, [3.0, 1.0, 0.0])
    loose, mean = np.array([1e-9]), np.zeros(1)
    level = z[:, 0] / np.linalg.norm(z[:, 0])
    without = z[:, 1:] - np.outer(level, level @ z[:, 1:])
    rest = y - level * (level @ y)
    alone = feature_precisions(without.T @ without, without.T @ rest, np.zeros(0), np.zeros(0))
    np.testing.assert_allclose(feature_precisions(z.T @ z, z.T @ y, mean, loose), alone, rtol=1e-5)


def test_without_features_there_is_nothing_to_find() -> None:
    assert feature_precisions(np.eye(2), np.ones(2), np.zeros(2), np.ones(2)).size == 0
