"""Synthetic pools: the stated drift, regret against the oracle, and no allocator above the optimum."""

import numpy as np
import pytest

from cero_api import ConfigurationError, available_allocators
from cero_api.analysis.simulate import SyntheticArena, simulate
from cero_api.mathematics.oracle import optimal_exposure
from cero_api.mathematics.utility import saturation_rate


def arena(**options: object) -> SyntheticArena:
    sizes = {
        "num_prompts": 50, "rounds": 20, "budget": 1600, "batch": False, "group_size": 8, "cap": 16,
        "beta": (0.5, 0.5), "drift": 0.0, "drift_spread": 0.0,
    }  # fmt: skip
    return SyntheticArena(**(sizes | options))  # type: ignore[arg-type]


def test_log_odds_move_in_a_straight_line() -> None:
    pool, every = arena(drift=2.0), np.arange(50)
    odds = [np.log(p / (1 - p)) for p in (pool.rates(t, every, 7) for t in (0.0, 0.25, 1.0))]
    np.testing.assert_allclose(odds[1] - odds[0], 0.5, atol=1e-5)
    np.testing.assert_allclose(odds[2] - odds[0], 2.0, atol=1e-5)
    spread = arena(drift=2.0, drift_spread=1.0, num_prompts=4000)
    every = np.arange(4000)
    shift = np.subtract(*(np.log(p / (1 - p)) for p in (spread.rates(t, every, 7) for t in (1.0, 0.0))))
    assert shift.mean() == pytest.approx(2.0, abs=0.06)
    assert shift.std() == pytest.approx(1.0, abs=0.04)
    assert not np.array_equal(pool.rates(0.0, np.arange(50), 7), pool.rates(0.0, np.arange(50), 8))


@pytest.mark.parametrize("drift", [0.0, 1.5])
def test_regret_is_zero_at_the_optimum_and_one_sided(drift: float) -> None:
    pool, every = arena(drift=drift), np.arange(50)
    p = np.mean([pool.rates(t, every, 1) * (1 - pool.rates(t, every, 1)) for t in np.linspace(0, 1, 20)], axis=0)
    best = optimal_exposure(saturation_rate(p, 1.0, 32.0), 1600, 20 * 16)
    assert pool.extra(best, 1)["regret"] == pytest.approx(0.0, abs=1e-12)  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert pool.extra(rng.multinomial(1600, rng.dirichlet(np.ones(50))), 1)["regret"] > 0


@pytest.mark.parametrize("scope", ["pool", "batch"])
def test_all_allocators_at_one_budget(scope: str) -> None:
    report = simulate(available_allocators(), num_prompts=64, rounds=40, seeds=[0, 1], scope=scope, drift=0.5)  # type: ignore[arg-type]
    regrets = {result.allocator: result.metrics["regret"].mean for result in report.results}
    for result in report.results:
        assert 0.9 * 2048 <= result.metrics["rollouts"].mean <= 2048
        assert result.metrics["regret"].mean > -1e-9
    assert regrets["cero"] < regrets["uniform"]
    assert any("nothing about what a model would learn" in note for note in report.notes)


def test_what_cannot_be_is_refused() -> None:
    for wrong in (
        {"num_prompts": 0},
        {"rounds": 0},
        {"beta": (0.0, 1.0)},
        {"drift": float("nan")},
        {"drift_spread": -1.0},
        {"scope": "batch", "budget": 10},
    ):
        with pytest.raises(ConfigurationError):
            simulate(["uniform"], **wrong)
