"""What every belief keeps: one suite for all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cero_api.beliefs import Belief, Features, OfflineRates, Results, make_belief
from cero_api.changes import Changes
from cero_api.errors import CheckpointError
from cero_api.state import state_entries, with_entries
from tests.beliefs.play import Cell, play, same

PROMPTS = 60
RNG = np.random.default_rng(7)
TABLE = np.column_stack([RNG.normal(size=PROMPTS), np.arange(PROMPTS) % 3 == 0, RNG.integers(0, 90, PROMPTS)])
SHARES = RNG.integers(0, 5, PROMPTS) / 4
SAMPLES = RNG.integers(0, 5, PROMPTS)
RATES = RNG.beta(0.4, 0.8, PROMPTS)

Factory = Callable[[Any], Belief[Any]]  # of a pool whose prompts stand in this order


def features(order: Any) -> Features:
    return Features(TABLE[order], PROMPTS)


FACTORIES: dict[str, Factory] = {
    "beta": lambda order: make_belief("beta", PROMPTS, prior=(0.5, 1.5)),
    "beta, forgetting by round": lambda order: make_belief("beta", PROMPTS, forgetting=0.9),
    "beta, forgetting by visit": lambda order: make_belief("beta", PROMPTS, forgetting=0.5, clock="visit"),
    "beta, rates": lambda order: make_belief("beta", PROMPTS, offline=OfflineRates(SHARES[order], PROMPTS)),
    "pooled": lambda order: make_belief("pooled", PROMPTS),
    "pooled, rates": lambda order: make_belief(
        "pooled", PROMPTS, offline=OfflineRates(SHARES[order], PROMPTS, SAMPLES[order], strength=3.0)
    ),
    "features": lambda order: make_belief("features", PROMPTS, features=features(order), memory=20),
    "features, rates": lambda order: make_belief(
        "features", PROMPTS, features=features(order), offline=OfflineRates(SHARES[order], PROMPTS, SAMPLES[order])
    ),
    "gp": lambda order: make_belief("gp", PROMPTS, features=features(order), prior=(1.0, 2.0)),
}
AS_IT_IS = np.arange(PROMPTS)


@pytest.fixture(params=list(FACTORIES))
def factory(request: pytest.FixtureRequest) -> Factory:
    return FACTORIES[request.param]


@pytest.fixture
def played(factory: Factory) -> Cell:
    """Two epochs in, with results that are still to be learned from."""
    cell = Cell(factory(AS_IT_IS))
    play(cell, RATES, rounds=20, batch=7)
    return cell


def test_expectations_are_possible(played: Cell) -> None:
    mean, variance = played.belief.ask(played.belief.learned(played.state))
    assert mean.shape == variance.shape == (PROMPTS,)
    assert ((mean > 0) & (mean < 1)).all()
    assert ((variance > 0) & (variance <= mean * (1 - mean))).all()


def test_a_prompt_is_expected_the_same_whoever_is_asked_for_beside_it(played: Cell) -> None:
    whole = played.belief.ask(played.state)
    for rows in (RNG.permutation(PROMPTS), np.array([41]), np.array([5, 3, 58]), np.empty(0, dtype=np.int64)):
        part = played.belief.ask(played.state, rows)
        np.testing.assert_array_equal(part.mean, whole.mean[rows])
        np.testing.assert_array_equal(part.variance, whole.variance[rows])


def test_asking_learning_and_ticking_leave_a_state_as_it_was(played: Cell) -> None:
    kept = played.copied()
    played.belief.tick(played.belief.learned(played.state))
    played.belief.ask(played.belief.learned(played.state))
    assert same(played.state, kept.state)


def test_nothing_is_told_before_the_changes_are_made(played: Cell) -> None:
    kept, changes = played.copied(), Changes()
    one = np.ones(1)
    played.belief.told(played.state, Results(19, np.array([3]), one, one, 0.5 * one, one > 0), changes)
    assert same(played.state, kept.state)
    changes.make()
    changed = played.copied()
    assert not same(changed.state, kept.state)
    changes.make()  # as after an interrupt
    assert same(played.state, changed.state)


def test_the_order_of_results_is_nothing(played: Cell) -> None:
    rows, won = RNG.permutation(PROMPTS)[:30], RNG.integers(0, 9, 30).astype(float)
    cells = []
    for order in (np.arange(30), RNG.permutation(30), np.argsort(rows)):
        cell = played.copied()
        cell.deal()
        cell.told(rows[order], won[order], 8 - won[order])
        cell.deal()
        cells.append(cell)
    assert same(cells[0].state, cells[1].state)
    assert same(cells[0].state, cells[2].state)


def test_results_in_parts_are_what_they_are_together(played: Cell) -> None:
    rows, won = np.array([4, 9, 33, 2]), np.array([2.0, 8, 0, 5])
    together, parts = played.copied(), played.copied()
    for cell in (together, parts):
        cell.deal()
    together.told(rows, won, 8 - won)
    parts.told(rows[1:3], won[1:3], 8 - won[1:3])
    parts.told(rows[[0, 3]], 0 * won[[0, 3]], np.array([1.0, 1.0]))
    parts.told(rows[[3, 0]], won[[3, 0]], 7 - won[[3, 0]], first=False)
    one, other = together.deal(), parts.deal()
    np.testing.assert_allclose(one.mean, other.mean, rtol=1e-9)
    np.testing.assert_allclose(one.variance, other.variance, rtol=1e-9)


def test_prompts_in_another_order_are_expected_the_same(factory: Factory) -> None:
    order = RNG.permutation(PROMPTS)
    place = np.argsort(order)  # of each prompt in the other pool
    one, other = Cell(factory(AS_IT_IS)), Cell(factory(order))
    rng = np.random.default_rng(3)
    for _ in range(15):
        rows = rng.permutation(PROMPTS)[:10]
        first, second = one.deal(), other.deal()
        np.testing.assert_allclose(second.mean[place], first.mean, rtol=1e-6)
        np.testing.assert_allclose(second.variance[place], first.variance, rtol=1e-6)
        won = rng.binomial(8, RATES[rows]).astype(float)
        one.told(rows, won, 8 - won)
        other.told(place[rows], won, 8 - won)


def test_a_state_goes_on_as_if_it_had_never_stopped(factory: Factory) -> None:
    straight, stopped = Cell(factory(AS_IT_IS)), Cell(factory(AS_IT_IS))
    for k in range(12):
        rng = np.random.default_rng(k)
        rows = rng.permutation(PROMPTS)[:9]
        won = rng.binomial(8, RATES[rows]).astype(float)
        graded = np.minimum(won, 8 - won) / 9 if k > 6 else None
        expected = []
        for cell in (straight, stopped):
            expected.append(cell.deal(rows))
            cell.told(rows[:5], won[:5], 8 - won[:5], graded=None if graded is None else graded[:5])
        stopped = stopped.resumed()  # in the middle of a round
        for cell in (straight, stopped):
            cell.told(rows[5:], won[5:], 8 - won[5:])
        np.testing.assert_array_equal(expected[0], expected[1])
        assert same(straight.state, stopped.state)


def test_late_and_missing_results_are_legal(factory: Factory) -> None:
    cell = Cell(factory(AS_IT_IS))
    for _ in range(6):
        cell.deal()
    three, won = np.array([1, 2, 3]), np.array([8.0, 0, 4])
    for round in (4, 0, 5, 2):
        cell.told(three, won, 8 - won, round=round)
    mean = cell.deal().mean
    assert mean[1] > mean[3] > mean[2]
    assert cell.belief.fault(cell.state) is None


def test_graded_rewards_leave_less_to_expect(factory: Factory) -> None:
    whole, graded = Cell(factory(AS_IT_IS)), Cell(factory(AS_IT_IS))
    rows, four = np.arange(20), np.full(20, 4.0)
    for _ in range(4):
        for cell, lacking in ((whole, 0 * four), (graded, 8 * np.full(20, 0.2))):  # rewards of 0.28 and 0.72
            cell.deal()
            cell.told(rows, four, four, graded=lacking)
    one, other = whole.deal(), graded.deal()
    np.testing.assert_array_equal(one.mean, other.mean)
    assert (other.variance[rows] < 0.5 * one.variance[rows]).all()
    assert (other.variance >= 0).all()


def test_a_damaged_or_foreign_state_is_refused(played: Cell) -> None:
    entries = state_entries(played.state)
    for name, value in entries.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
            with pytest.raises(CheckpointError, match="NaN"):
                with_entries(played.belief.start(), entries | {name: value * np.nan})
    with pytest.raises(CheckpointError, match="missing"):
        with_entries(played.belief.start(), {name: entries[name] for name in list(entries)[1:]})
    negative = with_entries(played.belief.start(), entries | {"successes": entries["successes"] - 1e3})
    assert "negative" in (played.belief.fault(negative) or "")
    early = with_entries(played.belief.start(), entries | {"round": -1})
    assert played.belief.fault(early) is not None


def test_threads_may_ask_at_once(played: Cell) -> None:
    belief, state, answers = played.belief, played.state, []
    whole = belief.ask(state)

    def ask() -> None:
        for _ in range(20):
            answers.append(belief.ask(belief.learned(state)).mean)

    learned = belief.ask(belief.learned(state)).mean
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 80
    assert all(np.array_equal(answer, learned) for answer in answers)
    np.testing.assert_array_equal(belief.ask(state).mean, whole.mean)


def test_extreme_evidence_stays_finite(factory: Factory) -> None:
    cell = Cell(factory(AS_IT_IS))
    for k in range(30):
        cell.deal()
        won = np.full(PROMPTS, 1e6) * (AS_IT_IS % 2 == 0)
        cell.told(AS_IT_IS, won, 1e6 - won)
        if k % 7 == 0:
            for _ in range(500):
                cell.deal(np.array([0]))
    mean, variance = cell.deal()
    assert np.isfinite(mean).all()
    assert np.isfinite(variance).all()
    assert (variance >= 0).all()
    assert mean[0] > 0.9
    assert mean[1] < 0.1
