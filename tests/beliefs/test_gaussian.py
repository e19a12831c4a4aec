"""VIP's Gaussian process against one with all of its matrices."""

from __future__ import annotations

import numpy as np
import pytest

from cero_api import VipConfig, make_allocator
from cero_api._types import FloatArray
from cero_api.beliefs import BetaBelief, Features, GaussianBelief, OfflineRates, make_belief
from cero_api.errors import ConfigurationError
from tests.beliefs.play import Cell

PROMPTS = 90


class Dense:
    """A mean for each prompt, and the covariance of all with all."""

    def __init__(self, table: FloatArray, prior: float, noise: float, scale: float) -> None:
        one = Features(table, len(table)).of(slice(None))
        squared = ((one[:, None] - one) ** 2).sum(-1)
        different = np.unique(one, axis=0)
        apart = np.sqrt(((different[:, None] - different) ** 2).sum(-1))[np.triu_indices(len(different), 1)]
        self.covariance = np.exp(-0.5 * squared / (scale * np.median(apart)) ** 2)
        self.mean, self.noise = np.full(len(table), prior), noise

    def told(self, rows: np.ndarray, won: FloatArray, lost: FloatArray) -> None:
        said = np.log(won + 0.5) - np.log(lost + 0.5)
        among = self.covariance[np.ix_(rows, rows)] + self.noise * np.eye(rows.size)
        self.mean = self.mean + self.covariance[:, rows] @ np.linalg.solve(among, said - self.mean[rows])
        self.mean[rows] = said


def tables(kind: str, prompts: int) -> FloatArray:
    rng = np.random.default_rng(3)
    if kind == "classes":
        return np.column_stack([rng.integers(0, 4, prompts) == name for name in range(4)]).astype(float)
    if kind == "lengths":  # a kernel that is nearly singular
        return rng.integers(3, 60, (prompts, 1)).astype(float)
    return rng.normal(size=(prompts, 8))


def played(cell: Cell, dense: Dense, rounds: int, batch: int) -> None:
    rng = np.random.default_rng(1)
    rates = rng.beta(0.5, 0.8, dense.mean.size)
    for _ in range(rounds):
        rows = rng.choice(rates.size, batch, replace=False)
        cell.deal(rows)
        won = rng.binomial(8, rates[rows]).astype(float)
        cell.told(rows, won, 8 - won)
        dense.told(rows, won, 8 - won)


@pytest.mark.parametrize("kind", ["classes", "lengths", "embeddings"])
@pytest.mark.parametrize(("noise", "scale"), [(1.0, 1 / 3), (1.0, 1.0), (0.01, 0.5)])
def test_it_is_the_dense_process_where_every_prompt_can_be_a_point(kind: str, noise: float, scale: float) -> None:
    table = tables(kind, PROMPTS)
    belief = GaussianBelief(PROMPTS, features=Features(table, PROMPTS), prior=(1.0, np.e), noise=noise, scale=scale)
    cell, dense = Cell(belief), Dense(table, -1.0, noise, scale)
    played(cell, dense, rounds=40, batch=12)
    expected = belief.ask(belief.learned(cell.state))
    np.testing.assert_allclose(expected.mean, 1 / (1 + np.exp(-dense.mean)), atol=1e-6)
    np.testing.assert_array_equal(expected.variance, expected.mean * (1 - expected.mean))


def test_more_prompts_than_points_are_expected_nearly_as_by_the_dense_process() -> None:
    prompts = 700
    table = np.column_stack(
        [tables("lengths", prompts) + np.arange(prompts)[:, None] / prompts, np.arange(prompts) % 3]
    )
    belief = GaussianBelief(prompts, features=Features(table, prompts))
    cell, dense = Cell(belief), Dense(table, 0.0, 1.0, 1 / 3)
    played(cell, dense, rounds=30, batch=16)
    state = belief.learned(cell.state)
    assert state.weights.size == 256
    error = belief.ask(state).mean - 1 / (1 + np.exp(-dense.mean))
    assert np.abs(error).max() < 0.02


def test_prompts_like_those_that_were_solved_are_expected_to_be_solved() -> None:
    table = np.arange(PROMPTS) % 2
    cell = Cell(make_belief("gp", PROMPTS, features=Features(table, PROMPTS)))
    cell.deal()
    rows = np.arange(20)
    won = np.where(rows % 2 == 1, 8.0, 0.0)
    cell.told(rows, won, 8 - won)
    mean = cell.deal().mean[40:]
    assert mean[1::2].min() > 0.8
    assert mean[::2].max() < 0.2


def test_nothing_but_equal_prompts_is_no_trouble() -> None:
    cell = Cell(make_belief("gp", 5, features=Features(np.zeros((5, 2)), 5)))
    cell.deal()
    cell.told(np.array([0, 1]), np.array([8.0, 8.0]), np.zeros(2))
    assert cell.deal().mean[4] > 0.8


def test_what_it_cannot_use_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="belief='gp' needs features"):
        make_belief("gp", 3)
    with pytest.raises(ConfigurationError, match="as a column of the features"):
        make_belief("gp", 3, features=Features([1, 2, 3], 3), offline=OfflineRates([0, 0, 1], 3))
    with pytest.raises(ConfigurationError, match="leave forgetting at 1"):
        make_belief("gp", 3, features=Features([1, 2, 3], 3), forgetting=0.5)
    one, other = (make_belief("gp", 3, features=Features(values, 3)) for values in ([1, 2, 3], [1, 2, 5]))
    assert "other features" in (one.fault(other.start()) or "")


def test_the_papers_vip_is_a_preset_that_asks_for_features() -> None:
    sizes = {"num_prompts": 40, "rounds": 20, "budget": 20 * 64}
    with pytest.raises(ConfigurationError, match="belief='gp' has no features to go by"):
        make_allocator("vip", preset="paper", **sizes)
    table = np.column_stack([np.arange(40) % 2, np.arange(40)])
    allocator = make_allocator("vip", preset="paper", features=table, **sizes)
    assert isinstance(allocator.config, VipConfig)
    assert allocator.allocate(np.arange(8)).counts.tolist() == [8] * 8
    np.testing.assert_allclose(
        allocator.success_rate(), BetaBelief(40, prior=(1.0, np.e)).ask(BetaBelief(40, prior=(1.0, np.e)).start()).mean
    )
