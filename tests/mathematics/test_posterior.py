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


PRIORS = [(1.0, 1.0), (0.5, 2.0), (3.0, 0.25)]


def proxy_of(rewards: np.ndarray, prior: tuple[float, float]) -> float:
    won = rewards.sum()
    graded = (rewards * (1 - rewards)).sum()
    return float(variance_proxy(prior[0] + won, prior[1] + rewards.size - won, graded))


@pytest.mark.parametrize("prior", PRIORS)
def test_the_proxy_of_graded_rewards_is_the_expectation_under_a_dirichlet_process(prior: tuple[float, float]) -> None:
    """The process's posterior over these atoms is a Dirichlet: the prior's mass at 1 and 0, and one at each reward."""
    rng = np.random.default_rng(3)
    rewards = np.array([0.25, 0.25, 0.5, 1.0, 0.9])
    atoms = np.concatenate([[1.0, 0.0], rewards])
    weights = rng.dirichlet([*prior, *np.ones(rewards.size)], 400_000)
    variances = weights @ atoms**2 - (weights @ atoms) ** 2
    error = variances.std() / np.sqrt(variances.size)
    assert proxy_of(rewards, prior) == pytest.approx(variances.mean(), abs=4 * error)


@pytest.mark.parametrize("group", [2, 5])
def test_the_proxy_of_graded_rewards_predicts_the_unbiased_group_variance(group: int) -> None:
    """Proposition 1 beyond rewards 0 and 1: groups drawn from the process, by its urn."""
    rng, prior = np.random.default_rng(group), (1.0, 0.5)
    rewards, draws = np.array([0.5, 0.5, 0.25, 1.0]), 200_000
    urn = np.tile(np.concatenate([[1.0, 0.0], rewards]), (draws, 1))
    mass = np.tile(np.concatenate([prior, np.ones(rewards.size)]), (draws, 1))
    drawn = []
    for _ in range(group):  # each draw goes back with another of its kind
        place = (np.cumsum(mass, axis=1) < rng.random(draws)[:, None] * mass.sum(axis=1)[:, None]).sum(axis=1)
        drawn.append(urn[np.arange(draws), place])
        mass[np.arange(draws), place] += 1
    variances = np.array(drawn).var(axis=0, ddof=1)
    assert proxy_of(rewards, prior) == pytest.approx(variances.mean(), abs=4 * variances.std() / np.sqrt(draws))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.75, 1.0])
def test_the_proxy_of_rewards_that_never_differ_sinks_like_that_of_a_prompt_never_solved(
    prior: tuple[float, float], share: float
) -> None:
    a, b = prior
    for n in (8, 64, 512, 10**6):
        proxy = proxy_of(np.full(n, share), prior)
        assert 0 < proxy <= (a + b + a * b) / n  # as 1/n; a prompt solved half of the time stays near a quarter
        assert n * proxy == pytest.approx(a * (1 - share) ** 2 + b * share**2, rel=30 / n)
        if prior == (1.0, 1.0):
            assert proxy <= variance_proxy(1, 1 + n) * (1 + 1e-6)


def test_the_proxy_of_binary_rewards_keeps_every_bit() -> None:
    a, b = np.random.default_rng(1).uniform(0.1, 500, (2, 10_000))
    np.testing.assert_array_equal(variance_proxy(a, b, np.zeros(10_000)), a * b / ((a + b) * (a + b + 1.0)))


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
