"""A prompt's posterior by numerical integration, and its derivatives by differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, special

from cero_api._types import FloatArray
from cero_api.beliefs import Features, OfflineRates
from cero_api.beliefs.posteriors import Common, Evidence, Known, Posterior

PROMPTS = 7
RNG = np.random.default_rng(5)
TABLE = RNG.normal(size=(PROMPTS, 2))
WON, LOST = np.array([0.0, 0, 3, 8, 1, 0, 40]), np.array([0.0, 8, 5, 0, 1, 30, 2.5])
AGE = np.array([0.0, 4, 0, 9, 30, 2, 100])
ROWS = np.arange(PROMPTS)
COMMON = Common(np.array([-0.4, 0.02, 0.7, -1.1]), strength=1.7, fading=0.03, offline=2.5)


def known(rates: bool) -> Known:
    shares, samples = RNG.integers(0, 5, PROMPTS) / 4, RNG.integers(0, 6, PROMPTS)
    return Known(Features(TABLE, PROMPTS), OfflineRates(shares, PROMPTS, samples) if rates else None)


def found(of: Known, common: Common, age: FloatArray = AGE, began: float = 50.0) -> Posterior:
    return of.posterior(ROWS, Evidence(WON, LOST, age), np.array([began]), common)


def test_fresh_evidence_and_the_pool_make_bayes_posterior() -> None:
    of = known(rates=False)
    posterior = found(of, COMMON, age=0 * AGE)
    features = of.features.of(ROWS)
    for row in range(PROMPTS):
        prior = special.expit(COMMON.coefficients[0] + features[row] @ COMMON.coefficients[2:])
        a, b = COMMON.strength * prior - 1, COMMON.strength * (1 - prior) - 1

        def density(p: float, a: float = a, b: float = b, row: int = row) -> float:
            return float(np.exp((a + WON[row]) * np.log(p) + (b + LOST[row]) * np.log1p(-p)))

        mass, mean, spread = (
            integrate.quad(lambda p, f=f: f(p) * density(p), 0, 1, limit=400, epsabs=1e-13)[0]
            for f in (lambda p: 1.0, lambda p: p, lambda p: p * (1 - p))
        )
        assert posterior.mean[row] == pytest.approx(mean / mass, rel=1e-4)
        m, c = posterior.mean[row], posterior.weight[row]
        assert c * m * (1 - m) / (c + 1) == pytest.approx(spread / mass, rel=1e-4)


def test_offline_rates_are_evidence_of_the_beginning() -> None:
    of = known(rates=True)
    assert of.offline is not None
    won, lost = of.offline.evidence(COMMON.offline, ROWS)
    merged = Known(of.features, None).posterior(ROWS, Evidence(WON + won, LOST + lost, 0 * AGE), np.zeros(1), COMMON)
    together = found(of, COMMON, age=0 * AGE, began=0.0)
    np.testing.assert_allclose(together.mean, merged.mean, rtol=1e-12)
    np.testing.assert_allclose(together.weight, merged.weight, rtol=1e-12)


def test_old_evidence_has_moved_by_the_drift_and_weighs_less() -> None:
    posterior, fresh = found(known(rates=False), COMMON), found(known(rates=False), COMMON, age=0 * AGE)
    old = (AGE > 0) & (WON > 0) & (LOST > 0)
    odds = posterior.own.successes[old] / (posterior.own.weight - posterior.own.successes)[old]
    np.testing.assert_allclose(np.log(odds), np.log(WON[old] / LOST[old]) + 0.02 * AGE[old], rtol=1e-9)
    aged = (AGE > 0) & (WON + LOST > 0)
    assert (posterior.own.weight[aged] < fresh.own.weight[aged]).all()
    np.testing.assert_array_equal(posterior.own.weight[AGE == 0], (WON + LOST)[AGE == 0])


def test_fading_is_what_a_random_walk_of_the_log_odds_leaves() -> None:
    """Precision of evidence on log-odds is n p (1 - p); a walk adds variance to its inverse."""
    n, p, age, tau = 200.0, 0.3, 40.0, 0.01
    common = Common(np.array([special.logit(p), 0.0]), strength=1e-6, fading=tau, offline=0.0)
    of = Known(Features.none(1), None)
    moved = of.posterior(
        np.zeros(1, np.int64),
        Evidence(np.array([n * p]), np.array([n * (1 - p)]), np.array([age])),
        np.zeros(1),
        common,
    ).own
    information = moved.weight[0] * p * (1 - p)
    assert 1 / information == pytest.approx(1 / (n * p * (1 - p)) + age * tau, rel=1e-6)


@pytest.mark.parametrize("rates", [False, True])
def test_the_design_is_the_derivative_of_the_log_odds(rates: bool) -> None:
    of = known(rates)
    # The share that is kept depends on the coefficients too, next to nothing; here it does not.
    common = COMMON._replace(fading=0.0)
    design = of.design(ROWS, found(of, common), common)
    for place in range(4):
        h = 1e-5 if place == 1 else 2e-3  # features are scored in single precision
        sides = []
        for step in (h, -h):
            moved = common.coefficients.copy()
            moved[place] += step
            sides.append(special.logit(found(of, common._replace(coefficients=moved)).mean))
        np.testing.assert_allclose(design[:, place], (sides[0] - sides[1]) / (2 * h), rtol=2e-3, atol=1e-3)


def test_guesses_are_answered_together() -> None:
    of = known(rates=True)
    guesses = Common(COMMON.coefficients, *(np.array([[v], [2 * v], [3 * v]]) for v in COMMON[1:]))
    together = found(of, guesses)
    for k in range(3):
        one = found(of, COMMON._replace(strength=(k + 1) * 1.7, fading=(k + 1) * 0.03, offline=(k + 1) * 2.5))
        np.testing.assert_allclose(together.mean[k], one.mean, rtol=1e-12)
        np.testing.assert_allclose(together.weight[k], one.weight, rtol=1e-12)


def test_few_with_evidence_are_to_the_last_bit_what_they_are_among_many() -> None:
    prompts, tried = 64, np.array([3, 17, 40])
    of = Known(Features(RNG.normal(size=(prompts, 2)), prompts), None)
    won, lost, age = np.zeros(prompts), np.zeros(prompts), np.full(prompts, 50.0)
    won[tried], lost[tried], age[tried] = (3.0, 0.0, 8.0), (5.0, 8.0, 0.0), (0.0, 12.0, 49.0)
    now = np.array([50.0])
    few = of.posterior(np.arange(prompts), Evidence(won, lost, age), now, COMMON)
    for rows in (tried, np.array([0, 3]), np.array([5])):
        part = of.posterior(rows, Evidence(won[rows], lost[rows], age[rows]), now, COMMON)
        np.testing.assert_array_equal(part.mean, few.mean[rows])
        np.testing.assert_array_equal(part.weight, few.weight[rows])
    np.testing.assert_array_equal(few.own.weight > 0, won + lost > 0)
