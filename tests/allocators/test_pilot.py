"""Rounds in two waves: the contract for every rule that takes a pilot, the choice by hand, mistakes with remedies."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cero_api import (
    PilotAllocator,
    PilotError,
    RolloutOutcomes,
    check_allocator,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_api.mathematics.utility import marginal_gain
from cero_api.testing import PROMPTS
from tests.faults.test_interrupts import interrupted, lines

RNG = np.random.default_rng(3)
TABLE = RNG.normal(size=(PROMPTS, 3))
WINDOW: dict[str, Any] = {"pilot": 2, "offer": "window", "window": 2}
WAVES: dict[str, tuple[str, dict[str, Any]]] = {
    "cero": ("cero", WINDOW),
    "cero, fixed": ("cero", WINDOW | {"pacing": "fixed"}),
    "cero, units of 2": ("cero", WINDOW | {"rollouts_per_unit": 2}),
    "cero, forgetful": ("cero", WINDOW | {"forgetting": 0.9}),
    "cero, forgetful at visits": ("cero", WINDOW | {"forgetting": 0.9, "forgetting_clock": "visit"}),
    "cero, pooled": ("cero", WINDOW | {"belief": "pooled"}),
    "cero, candidates alone": ("cero", {"pilot": 2}),
    "cero, features, tokens, some at rest": (
        "cero",
        WINDOW
        | {"belief": "features", "features": TABLE, "cost": "tokens", "hopeless": 0.1, "mastered": 0.8, "window": 3},
    ),
    "cero, a pilot of three": ("cero", WINDOW | {"pilot": 3, "pilot_share": 0.6}),
    "random_matched": ("random_matched", WINDOW),
    "vip, rloo": ("vip", WINDOW | {"estimator": "rloo", "min_rollouts_per_prompt": 2}),
    "vip, pooled": ("vip", WINDOW | {"pilot": 3, "belief": "pooled"}),
    "gvm": ("gvm", WINDOW),
    "hora": ("hora", WINDOW),
    "knapsack": ("knapsack", WINDOW),
    "coba_rl": ("coba_rl", WINDOW),
    "mopps": ("mopps", WINDOW),
    "mopps, forgetting nothing": ("mopps", WINDOW | {"forgetting": 1.0}),
    "pilot_commit": ("pilot_commit", {}),
    "pilot_commit, nobody evicted": ("pilot_commit", {"solved": None, "window": 3, "band": (0.4, 0.6)}),
}
every_rule = pytest.mark.parametrize("name", list(WAVES))
# Random rounds leave nothing to decide now and then, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")


def make(name: str, **size: Any) -> PilotAllocator:
    method, fields = WAVES[name]
    allocator = make_allocator(method, **size, **fields)
    assert isinstance(allocator, PilotAllocator)
    return allocator


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@every_rule
def test_it_keeps_the_contract(name: str) -> None:
    check_allocator(lambda **size: make(name, **size))


# Any order of calls

SIZE: dict[str, Any] = {"num_prompts": 24, "rounds": 40, "budget": 40 * 32, "seed": 3}


@every_rule
@settings(max_examples=25)
@given(data=st.data())
def test_any_order_of_calls_leaves_one_round_and_whole_books(name: str, data: st.DataObject) -> None:
    """A twin is never saved nor loaded; rewards come in parts, are refunded in parts, and calls in the wrong order."""
    allocator, twin, dealt = make(name, **SIZE), make(name, **SIZE), np.zeros(24, dtype=np.int64)
    window = allocator.config.offer == "window"
    rounds, out, waiting = 0, np.zeros(24, dtype=np.int64), None
    for _ in range(data.draw(st.integers(4, 25))):
        action = data.draw(st.sampled_from(["allocate", "commit", "observe", "observe", "refund", "reload"]))
        before = allocator.state_dict()
        if action == "reload":
            allocator = make(name, **SIZE)
            allocator.load_state_dict(before)
        elif action == "allocate":
            given = data.draw(st.permutations(range(24)))[:4] if not window or data.draw(st.booleans()) else None
            total = data.draw(st.sampled_from([None, 24, 30])) if given is None else 24
            if waiting is not None:
                with pytest.raises(PilotError):
                    allocator.allocate(given, total)
                assert same(allocator.state_dict(), before)
                continue
            first, again = allocator.allocate(given, total), twin.allocate(given, total)
            assert first.prompt_ids.tolist() == again.prompt_ids.tolist()
            assert first.round == rounds
            assert total is None or first.total + first.to_commit == total
            rounds, out = rounds + 1, np.zeros(24, dtype=np.int64)  # what was out of the last round stays out
            dealt[first.prompt_ids] += first.counts
            out[first.prompt_ids] = first.counts
            waiting = first if first.to_commit else None
        elif action == "commit":
            if waiting is None or out.any():
                with pytest.raises(PilotError):
                    allocator.commit()
                assert same(allocator.state_dict(), before)
                continue
            rest, again = allocator.commit(), twin.commit()
            assert rest.counts.tolist() == again.counts.tolist()
            assert rest.total <= waiting.to_commit
            dealt[rest.prompt_ids] += rest.counts
            out[rest.prompt_ids] += rest.counts
            waiting = None
        elif out.any():
            rows = np.flatnonzero(out)[: data.draw(st.integers(1, 24))]
            counts = np.minimum(out[rows], data.draw(st.integers(1, 8)))
            out[rows] -= counts
            won = np.minimum(rows % 3, counts)
            for one in (allocator, twin):
                if action == "observe":
                    one.observe(RolloutOutcomes(rows, won, counts - won, round=rounds - 1))
                else:
                    one.refund(rows, counts, round=rounds - 1)
            if action == "refund":
                dealt[rows] -= counts
        metrics = allocator.metrics()
        assert metrics["round"] == rounds
        assert metrics["to_commit"] == (0 if waiting is None else waiting.to_commit)
        assert metrics["budget_spent"] + metrics["budget_remaining"] == SIZE["budget"]
        np.testing.assert_array_equal(allocator.exposure(), dealt)
    assert same(allocator.state_dict(), twin.state_dict())


@every_rule
def test_a_file_between_the_waves_goes_on_as_if_it_had_never_stopped(name: str, tmp_path: Path) -> None:
    straight = make(name, **SIZE)
    window = straight.config.offer == "window"

    def waves(allocator: PilotAllocator, stop: bool) -> list[list[int]]:
        dealt = []
        for k in range(6):
            first = allocator.allocate(None if window else range(k, k + 4), total=24)
            allocator.observe(outcomes(first.prompt_ids, first.counts))
            if stop:
                loaded = load_allocator(save_allocator(allocator, tmp_path / "allocator.npz"))
                assert isinstance(loaded, PilotAllocator)
                allocator = loaded
            rest = allocator.commit()
            dealt += [first.prompt_ids.tolist(), rest.counts.tolist()]
            allocator.observe(outcomes(rest.prompt_ids, rest.counts))
        return dealt

    assert waves(straight, stop=False) == waves(make(name, **SIZE), stop=True)


def outcomes(ids: np.ndarray, counts: np.ndarray) -> RolloutOutcomes:
    won = np.minimum(ids % 4, counts)
    return RolloutOutcomes(ids, won, counts - won)


def test_threads_share_the_rounds() -> None:
    """Whoever deals a pilot commits it; the others are told to wait, and nothing is lost."""
    allocator = make("cero", num_prompts=60, rounds=200, budget=200 * 32, seed=0)
    rounds: list[int] = []
    waits = 0

    def work() -> None:
        nonlocal waits
        while len(rounds) < 60:
            try:
                first = allocator.allocate(total=32)
            except PilotError:
                waits += 1
                continue
            rounds.append(first.round)
            allocator.observe(RolloutOutcomes(first.prompt_ids, 0 * first.counts, first.counts, round=first.round))
            rest = allocator.commit(first.round)
            allocator.observe(RolloutOutcomes(rest.prompt_ids, rest.counts, 0 * rest.counts, round=first.round))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(rounds) == list(range(len(rounds)))
    assert allocator.metrics()["budget_spent"] == 32 * len(rounds) == allocator.exposure().sum()
    assert allocator.metrics()["outstanding"] == 0


@pytest.mark.parametrize("name", ["cero, forgetful", "cero, pooled", "knapsack", "mopps", "pilot_commit"])
@pytest.mark.parametrize("call", ["allocate", "commit"])
def test_an_interrupted_wave_happened_whole_or_not_at_all(name: str, call: str) -> None:
    def started() -> PilotAllocator:
        allocator = make(name, **SIZE)
        for _ in range(2):
            dealt = allocator.allocate(total=24)
            allocator.observe(outcomes(dealt.prompt_ids, dealt.counts))
            dealt = allocator.commit()
            allocator.observe(outcomes(dealt.prompt_ids, dealt.counts))
        if call == "commit":
            first = allocator.allocate(total=24)
            allocator.observe(outcomes(first.prompt_ids, first.counts))
        return allocator

    def wave(allocator: PilotAllocator) -> object:
        return allocator.commit() if call == "commit" else allocator.allocate(total=24)

    undisturbed = started()
    before = undisturbed.state_dict()
    wave(undisturbed)
    after = undisturbed.state_dict()
    count = sum(1 for _ in lines(lambda: wave(started())))
    for line in range(0, count + 2, 1 + count // 40):
        allocator = started()
        interrupted(lambda allocator=allocator: wave(allocator), line)  # type: ignore[misc]  # a default has no type
        assert same(allocator.state_dict(), before) or same(allocator.state_dict(), after)


# Who gets what


def test_a_pilot_goes_to_more_prompts_than_fit_and_the_rest_to_the_largest_gain() -> None:
    allocator = make("cero", num_prompts=64, rounds=40, budget=40 * 64, seed=1)
    for k in range(4):
        first = allocator.allocate(total=64)
        assert first.counts.tolist() == [2] * 16  # eight prompts fit at full groups
        assert first.to_commit == 32
        won = np.random.default_rng(k).binomial(2, 0.5, 16)
        allocator.observe(RolloutOutcomes(first.prompt_ids, won, 2 - won))
        state, ids = allocator.state_dict(), first.prompt_ids
        a, b = 1 + state["successes"][ids], 1 + state["failures"][ids]
        rate = 4 * a * b / (a + b) / (a + b + 1) / (40 * 64 / 64)
        gain = marginal_gain(rate, state["exposure"][ids], 6)
        counts = allocator.commit().counts
        assert sorted(counts.tolist()) == [0] * 10 + [2] + [6] * 5
        assert gain[counts == 6].min() >= gain[counts == 2] - 1e-12
        assert gain[counts == 2] >= gain[counts == 0].max() - 1e-12
        allocator.observe(RolloutOutcomes(ids, counts, 0 * counts))


def test_all_candidates_get_the_pilot_and_few_of_them_more_than_a_group() -> None:
    allocator = make("cero, candidates alone", **SIZE)
    first = allocator.allocate([5, 3, 8, 1], total=40)  # a mean of 10: a cap of 20
    assert (first.prompt_ids.tolist(), first.counts.tolist()) == ([5, 3, 8, 1], [2, 2, 2, 2])
    allocator.observe(RolloutOutcomes([5, 3, 8, 1], [0, 1, 2, 0], [2, 1, 0, 2]))
    counts = allocator.commit().counts
    assert sorted(counts.tolist()) == [0, 0, 14, 18]
    assert counts[1] == 18  # one of two: the most uncertain


def test_a_prompt_that_was_never_tried_comes_last_and_in_no_group_of_one() -> None:
    allocator = make("cero, candidates alone", **SIZE)
    first = allocator.allocate([0, 1, 2, 3], total=31)
    allocator.refund([2], [2])
    allocator.observe(RolloutOutcomes([0, 1, 3], [1, 1, 1], [1, 1, 1]))
    whole = allocator.commit().counts + np.array([2, 2, 0, 2])
    assert whole.sum() == 31 - 2
    assert whole.min() != 1
    assert first.to_commit == 23


@every_rule
def test_a_round_whose_pilot_is_refunded_whole_is_a_state_like_any_other(name: str) -> None:
    """As where a training is interrupted: what is committed may be full groups, though no pilot came before them."""
    allocator = make(name, **SIZE)
    window = allocator.config.offer == "window"
    first = allocator.allocate(None if window else [5, 3, 8, 1], total=24)
    allocator.refund(first.prompt_ids, first.counts, first.round)
    rest = allocator.commit()
    again = make(name, **SIZE)
    again.load_state_dict(allocator.state_dict())
    assert same(again.state_dict(), allocator.state_dict())
    again.refund(rest.prompt_ids, rest.counts, rest.round)
    assert again.exposure().sum() == again.metrics()["budget_spent"] == 0
    assert again.allocate(None if window else [5, 3, 8, 1], total=24).round == 1


def test_the_price_decides_how_much_where_no_total_is_given() -> None:
    dear = make_allocator("cero", **SIZE, **WINDOW, initial_price=1.0)
    cheap = make_allocator("cero", **SIZE, **WINDOW, initial_price=0.0)
    assert isinstance(cheap, PilotAllocator)
    assert isinstance(dear, PilotAllocator)
    for allocator, all_of_it in ((dear, False), (cheap, True)):
        first = allocator.allocate()
        allocator.observe(RolloutOutcomes(first.prompt_ids, 0 * first.counts, first.counts))
        rest = allocator.commit()
        assert (rest.total == first.to_commit) == all_of_it
        state = allocator.state_dict()
        assert state["virtual_units"].sum() == first.total + rest.total  # the dual steps by both waves


def test_the_decidable_share_is_the_rounds() -> None:
    allocator = make("cero", num_prompts=64, rounds=40, budget=40 * 64, seed=1)
    first = allocator.allocate(total=64)
    allocator.observe(RolloutOutcomes(first.prompt_ids, [1] * 16, [1] * 16))
    allocator.commit()
    assert allocator.metrics()["decidable"] == 0.5  # the pilot's half is everybody's


def test_the_end_of_the_budget_is_dealt_in_one_wave() -> None:
    allocator = make_allocator("hora", num_prompts=24, rounds=3, budget=3 * 24 + 2, **WINDOW)
    assert isinstance(allocator, PilotAllocator)
    for total in (24, 24, 24):
        first = allocator.allocate(total=total)
        allocator.observe(outcomes(first.prompt_ids, first.counts))
        allocator.commit()
    last = allocator.allocate()
    assert (last.total, last.to_commit) == (2, 0)
