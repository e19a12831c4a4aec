"""The proxy against scipy, and Propositions 1 and 2 by simulation."""

import numpy as np
import pytest
from scipy import stats

from cero_api.mathematics.posterior import calibration_bound, forget, posterior_mean, variance_proxy

SHAPES = [(1.0, 1.0), (0.5, 0.5), (3.0, 1.0), (40.0, 2.5)]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_the_proxy_is_the_expected_bernoulli_variance(a: float, b: float) -> None:
    posterior = stats.beta(a, b)
    mean = posterior.mean()
    assert variance_proxy(a, b) == pytest.approx(mean * (1 - mean) - posterior.var(), rel=1e-12)
    assert variance_proxy(a, b) == pytest.approx(posterior.expect(lambda p: p * (1 - p)), rel=1e-6)
    assert posterior_mean(a, b) == pytest.approx(mean, rel=1e-12)


def test_the_proxy_is_symmetric_and_keeps_its_precision_at_the_ends() -> None:
    a, b = np.random.default_rng(0).uniform(0.1, 500, (2, 10_000))
    np.testing.assert_array_equal(variance_proxy(a, b), variance_proxy(b, a))
    assert variance_proxy(1e150, 1e150) == pytest.approx(0.25)
    assert variance_proxy(1e9, 1.0) == pytest.approx(1e-9, rel=1e-6)


@pytest.mark.parametrize("group", [2, 3, 8])
def test_prop_1_the_proxy_predicts_the_unbiased_group_variance(group: int) -> None:
    rng = np.random.default_rng(group)
    a, b, draws = 2.0, 5.0, 400_000
    rewards = rng.random((draws, group)) < rng.beta(a, b, draws)[:, None]
    variances = rewards.var(axis=1, ddof=1)
    error = variances.std() / np.sqrt(draws)
    assert variance_proxy(a, b) == pytest.approx(variances.mean(), abs=4 * error)


@pytest.mark.parametrize("prior", [(1.0, 1.0), (0.5, 2.0)])
@pytest.mark.parametrize("rollouts", [1, 8, 64, 512])
def test_prop_2_bounds_the_calibration_error(prior: tuple[float, float], rollouts: int) -> None:
    rng = np.random.default_rng(0)
    for p in (0.0, 0.03, 0.3, 0.5, 0.98, 1.0):
        won = rng.binomial(rollouts, p, 4000)
        error = np.abs(variance_proxy(prior[0] + won, prior[1] + rollouts - won) - p * (1 - p)).mean()
        assert error <= calibration_bound(rollouts, prior)


def test_forgetting_decays_evidence_and_keeping_everything_copies_nothing() -> None:
    evidence = np.array([8.0, 0.0])
    np.testing.assert_array_equal(forget(forget(evidence, 0.5), 0.5), [2.0, 0.0])
    assert forget(evidence, 1.0) is evidence
