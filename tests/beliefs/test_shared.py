"""Shared strength on simulated truth: calibrated, better than uniform where something is said, else no worse."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from cero_api._types import FloatArray
from cero_api.beliefs import Belief, BeliefKind, Features, OfflineRates, make_belief
from tests.beliefs.play import Cell

PROMPTS, BATCH, GROUP = 600, 16, 8


def pool(seed: int, said: float, drift: float = 0.0) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log-odds now, what a feature says of them, and the drift in a round."""
    rng = np.random.default_rng(seed)
    feature, rest = rng.normal(size=(2, PROMPTS))
    return -1.0 + 2.0 * (said * feature + np.sqrt(1 - said**2) * rest), feature, np.full(PROMPTS, drift)


def errors(
    belief: Belief[object], log_odds: FloatArray, drift: FloatArray, seed: int, rounds: int, epoch: int
) -> dict[str, FloatArray]:
    """Predicted less true expected variance, of first visits and of later ones, round by round."""
    rng, cell = np.random.default_rng(seed), Cell(belief)
    seen = np.zeros(PROMPTS, dtype=bool)
    kept: dict[str, list[FloatArray]] = {"first": [], "later": []}
    for k in range(rounds):
        rates = expit(log_odds + drift * k)
        rows = np.arange(k * BATCH, (k + 1) * BATCH) % epoch
        expected = cell.deal(rows)
        error = expected.variance - rates[rows] * (1 - rates[rows])
        kept["first"].append(error[~seen[rows]])
        kept["later"].append(error[seen[rows]])
        won = rng.binomial(GROUP, rates[rows]).astype(float)
        cell.told(rows, won, GROUP - won)
        seen[rows] = True
    return {name: np.concatenate(parts[3:]) for name, parts in kept.items()}  # the first rounds know nothing


def rmse(error: FloatArray) -> float:
    return float(np.sqrt((error**2).mean()))


@pytest.mark.parametrize("drift", [0.0, 0.03])
@pytest.mark.parametrize("kind", ["pooled", "features"])
def test_predictions_are_calibrated(kind: BeliefKind, drift: float) -> None:
    bias: dict[str, list[float]] = {"first": [], "later": []}
    for seed in range(6):
        log_odds, feature, moving = pool(seed, 0.8, drift)
        features = Features(feature, PROMPTS) if kind == "features" else None
        belief = make_belief(kind, PROMPTS, features=features)
        for name, error in errors(belief, log_odds, moving, seed, rounds=60, epoch=480).items():
            bias[name].append(float(error.mean()))
    assert abs(np.mean(bias["first"])) < 0.01
    assert abs(np.mean(bias["later"])) < 0.01


def test_the_less_the_pool_is_like_a_uniform_prior_the_more_is_gained() -> None:
    gain = {}
    for said in (0.0, 0.5, 0.95):
        ratios = []
        for seed in range(4):
            log_odds, feature, still = pool(seed, said)
            beliefs = (
                make_belief("features", PROMPTS, features=Features(feature, PROMPTS)),
                make_belief("beta", PROMPTS),
            )
            ours, uniform = (errors(belief, log_odds, still, seed, rounds=37, epoch=PROMPTS) for belief in beliefs)
            ratios.append(rmse(ours["first"]) / rmse(uniform["first"]))
        gain[said] = np.mean(ratios)
    assert gain[0.95] < 0.7 * gain[0.0]
    assert gain[0.95] < gain[0.5] < gain[0.0]
    assert gain[0.0] < 1.0  # the pool's own rate is no feature, and is learned all the same


@pytest.mark.parametrize("columns", [1, 16, 64])
def test_features_that_say_nothing_cost_next_to_nothing(columns: int) -> None:
    ratios: dict[str, list[float]] = {"first": [], "later": []}
    for seed in range(4):
        log_odds, _, still = pool(seed, 0.0)
        noise = np.random.default_rng((seed, 1)).normal(size=(PROMPTS, columns))
        with_noise = make_belief("features", PROMPTS, features=Features(noise, PROMPTS))
        runs = [
            errors(b, log_odds, still, seed, rounds=60, epoch=480) for b in (with_noise, make_belief("pooled", PROMPTS))
        ]
        for name, kept in ratios.items():
            kept.append(rmse(runs[0][name]) / rmse(runs[1][name]))
    assert np.mean(ratios["first"]) < 1.03
    assert np.mean(ratios["later"]) < 1.02


def test_own_evidence_takes_over() -> None:
    """A prompt that its features belie is believed, in the end."""
    feature = np.where(np.arange(PROMPTS) < 300, 1.0, 0.0)
    log_odds = np.where(feature > 0, 1.0, -6.0)
    log_odds[0] = -6.0
    cell, rng = Cell(make_belief("features", PROMPTS, features=Features(feature, PROMPTS))), np.random.default_rng(0)
    path = []
    for k in range(30):
        path.append(float(cell.deal().mean[0]))
        rows = np.unique(np.concatenate([[0], rng.integers(1, PROMPTS, BATCH)]))
        won = rng.binomial(GROUP, expit(log_odds[rows])).astype(float)
        cell.told(rows, won, GROUP - won)
        assert k < 5 or path[-1] < path[0]
    assert path[-1] < 0.1
    assert cell.deal().mean[1:300].mean() > 0.6


def test_the_drift_of_the_pool_is_found_and_moves_what_was_seen() -> None:
    log_odds, _, moving = pool(0, 0.0, 0.03)
    belief = make_belief("pooled", PROMPTS)
    cell, rng = Cell(belief), np.random.default_rng(0)
    for k in range(120):
        rows = np.arange(k * BATCH, (k + 1) * BATCH) % 160  # ten rounds an epoch
        cell.deal(rows)
        won = rng.binomial(GROUP, expit(log_odds + moving * k)[rows]).astype(float)
        cell.told(rows, won, GROUP - won)
    assert belief.metrics(cell.state)["belief_drift"] == pytest.approx(0.03, abs=0.012)


@pytest.mark.parametrize("kind", ["beta", "pooled", "features"])
def test_offline_rates_help_where_they_are_of_a_like_model_and_are_dropped_where_not(kind: BeliefKind) -> None:
    ratio = {}
    for like in (True, False):
        kept = []
        for seed in range(4):
            log_odds, feature, still = pool(seed, 0.3)
            rng = np.random.default_rng((seed, 9))
            other = log_odds + rng.normal(0, 0.5, PROMPTS) if like else rng.permutation(log_odds)
            offline = OfflineRates(rng.binomial(4, expit(other)) / 4, PROMPTS, np.full(PROMPTS, 4))
            features = Features(feature, PROMPTS) if kind == "features" else None
            runs = [
                errors(make_belief(kind, PROMPTS, features=features, offline=rates), log_odds, still, seed, 37, PROMPTS)
                for rates in (offline, None)
            ]
            kept.append(rmse(runs[0]["first"]) / rmse(runs[1]["first"]))
        ratio[like] = np.mean(kept)
    assert ratio[True] < 0.85
    assert ratio[False] < 1.04


def test_other_features_are_noticed() -> None:
    one, other = (Features(np.arange(9) ** power, 9) for power in (1, 2))
    belief = make_belief("features", 9, features=other)
    assert "other features" in (belief.fault(make_belief("features", 9, features=one).start()) or "")
    assert belief.fault(make_belief("features", 9, features=Features(np.arange(9) ** 2.0, 9)).start()) is None


def test_before_anything_is_known_it_is_the_prior() -> None:
    for prior in ((1.0, 1.0), (0.5, 2.0)):
        ours, papers = (make_belief(kind, 5, prior=prior) for kind in ("pooled", "beta"))
        one, other = ours.ask(ours.start()), papers.ask(papers.start())
        np.testing.assert_allclose(one.mean, other.mean, rtol=1e-6)
        np.testing.assert_allclose(one.variance, other.variance, rtol=0.05)
