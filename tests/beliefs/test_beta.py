"""The paper's belief is what CERO has always believed, to the last bit; and what offline rates add to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from cero_api import CeroAllocator, CeroConfig, RolloutOutcomes
from cero_api.beliefs import BetaBelief, OfflineRates, make_belief
from cero_api.beliefs.grid import GridNumber
from tests.beliefs.play import Cell, play


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prior": (0.5, 2.0)},
        {"forgetting": 0.9, "forgetting_clock": "round"},
        {"forgetting": 0.5, "forgetting_clock": "visit"},
    ],
)
@pytest.mark.parametrize("graded", [False, True])
def test_it_is_ceros_own_to_the_last_bit(fields: dict[str, Any], graded: bool) -> None:
    config = CeroConfig(num_prompts=40, rounds=60, budget=2400, max_rollouts_per_prompt=8, **fields)
    allocator = CeroAllocator(config)
    cell = Cell(
        make_belief("beta", 40, prior=config.prior, forgetting=config.forgetting, clock=config.forgetting_clock)
    )
    rng = np.random.default_rng(0)
    late: list[RolloutOutcomes] = []
    for _ in range(40):
        mean, variance = cell.belief.ask(cell.state)
        np.testing.assert_array_equal(mean, allocator.success_rate())
        np.testing.assert_array_equal(variance, allocator._state.slope / 4.0)
        allocation = allocator.allocate()
        cell.deal()
        ids, counts = allocation.prompt_ids, allocation.counts
        won = rng.binomial(counts, 0.4).astype(float)
        squares = won * rng.uniform(0.8, 1.0, won.size) if graded else won
        squares = np.maximum(squares, won**2 / np.maximum(counts, 1))
        late.append(RolloutOutcomes(ids, won, counts - won, round=allocation.round, squares=squares))
        while len(late) > 2 * (allocation.round % 2):  # every other round waits for its rewards
            outcomes = late.pop()
            allocator.observe(outcomes)
            assert outcomes.round is not None
            some = outcomes.rollouts > 0
            part = (outcomes.prompt_ids[some], outcomes.successes[some], outcomes.failures[some])
            cell.told(*part, round=outcomes.round, graded=(outcomes.successes - outcomes.squares)[some])


def test_offline_rates_are_a_part_of_the_prior() -> None:
    belief = BetaBelief(3, prior=(1.0, 2.0), offline=OfflineRates([0.0, 0.5, 1.0], 3, strength=4.0))
    cell = Cell(belief)
    two = np.full(1, 2.0)
    cell.deal()
    cell.told(np.array([1]), two, 3 * two)
    mean, variance = cell.deal()
    for row, (a, b) in enumerate([(1, 6), (1 + 2 + 2, 2 + 2 + 6), (5, 2)]):
        exact = stats.beta(a, b)
        assert mean[row] == pytest.approx(exact.mean())
        assert variance[row] == pytest.approx(exact.expect(lambda p: p * (1 - p)), rel=1e-6)


def test_the_strength_is_the_one_that_predicts_best() -> None:
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 0.5, 300)
    for offline, low, high in ((rates, 16.0, 100.0), (rng.permutation(rates), 0.0, 0.3)):
        cell = Cell(BetaBelief(300, offline=OfflineRates(offline, 300)))
        play(cell, rates, rounds=10, batch=30)
        assert low < cell.belief.metrics(cell.state)["offline_strength"] < high


def test_the_evidence_for_a_strength_is_the_likelihood_of_all_results() -> None:
    rng = np.random.default_rng(1)
    shares = rng.uniform(0, 1, 20)
    belief = BetaBelief(20, offline=OfflineRates(shares, 20))
    cell = Cell(belief)
    play(cell, shares, rounds=12, batch=5)
    strengths = GridNumber(0.125, 64.0, 10, 2.0, 1.5).values
    won, lost = cell.state.successes, cell.state.failures
    rates = shares.astype(np.float32).astype(float)  # as they are kept
    exact = []
    for k in strengths:
        each = zip(rates, won, lost, strict=True)
        exact.append(sum(stats.betabinom(int(s + f), 1 + k * r, 1 + k * (1 - r)).logpmf(int(s)) for r, s, f in each))
    difference = cell.state.offline_evidence - np.array(exact)  # the order of a count's outcomes says nothing of k
    np.testing.assert_allclose(difference, difference[0], atol=1e-6)
