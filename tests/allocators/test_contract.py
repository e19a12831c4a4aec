"""What every allocator keeps, whatever its method: one table, one set of tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import (
    Allocation,
    CeroError,
    CheckpointError,
    InvalidOutcomeError,
    PromptError,
    RolloutAllocator,
    RolloutOutcomes,
    make_allocator,
)

POOL, BUDGET = 24, 960
SIZE: dict[str, Any] = {"num_prompts": POOL, "rounds": 30, "budget": BUDGET, "seed": 5}
TABLE: dict[str, Callable[[], RolloutAllocator]] = {
    "uniform": lambda: make_allocator("uniform", **SIZE, rollouts_per_prompt=4),
    "knapsack": lambda: make_allocator("knapsack", **SIZE),
    "hora": lambda: make_allocator("hora", **SIZE),
    "vip": lambda: make_allocator("vip", **SIZE),
    "gvm": lambda: make_allocator("gvm", **SIZE),
    "coba_rl": lambda: make_allocator("coba_rl", **SIZE),
    "mopps": lambda: make_allocator("mopps", **SIZE),
    "mopps, pool": lambda: make_allocator("mopps", **SIZE, offer="pool", forgetting=1.0),
    "greso": lambda: make_allocator("greso", **SIZE),
    "greso, window": lambda: make_allocator("greso", **SIZE, offer="window", window=2),
    "random_matched": lambda: make_allocator("random_matched", **SIZE),
    "cero": lambda: make_allocator("cero", **SIZE),
    "cero, units of 4": lambda: make_allocator("cero", **SIZE, rollouts_per_unit=4),
    "cero, marginal": lambda: make_allocator("cero", **SIZE, selection="marginal"),
    "cero, dual": lambda: make_allocator("cero", **SIZE, selection="dual"),
    "cero, fixed": lambda: make_allocator("cero", **SIZE, pacing="fixed"),
    "cero, forgetful": lambda: make_allocator("cero", **SIZE, forgetting=0.9),
    "cero, forgetful at visits": lambda: make_allocator("cero", **SIZE, forgetting=0.9, forgetting_clock="visit"),
}
every_allocator = pytest.mark.parametrize("make", TABLE.values(), ids=TABLE.keys())


def rewards(allocation: Allocation, seed: int) -> RolloutOutcomes:
    rng = np.random.default_rng(seed)
    rates = np.linspace(0, 1, POOL)[allocation.prompt_ids]
    won = rng.binomial(allocation.counts, rates)
    return RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round)


def part(outcomes: RolloutOutcomes, rows: slice) -> RolloutOutcomes:
    return RolloutOutcomes(
        outcomes.prompt_ids[rows], outcomes.successes[rows], outcomes.failures[rows], round=outcomes.round
    )


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@every_allocator
@given(data=st.data())
def test_the_books_balance_in_any_order_of_calls(make: Callable[[], RolloutAllocator], data: st.DataObject) -> None:
    allocator, open_rounds, seen, dealt = make(), {}, 0.0, np.zeros(POOL, dtype=int)
    for _ in range(data.draw(st.integers(1, 20))):
        action = data.draw(st.sampled_from(["pool", "batch", "exact", "observe", "refund", "reload"]))
        if action in ("pool", "batch", "exact"):
            rows = None if action == "pool" else data.draw(st.permutations(range(POOL)))[:6]
            total = 36 if action == "exact" else None
            before = allocator.state_dict()
            try:
                allocation = allocator.allocate(rows, total)
            except CeroError:  # the budget ran short of an exact total
                assert total is not None
                assert equal(allocator.state_dict(), before)
                continue
            assert total is None or allocation.total == total
            assert rows is None or allocation.prompt_ids.tolist() == list(rows)
            assert rows is not None or (allocation.counts > 0).all()
            assert not (allocation.counts == 1).any() or allocation.total < 36
            dealt[allocation.prompt_ids] += allocation.counts
            open_rounds[allocation.round] = rewards(allocation, allocation.round)
        elif action == "reload":
            fresh = make()
            fresh.load_state_dict(allocator.state_dict())
            allocator = fresh
        elif open_rounds:
            round_ = data.draw(st.sampled_from(sorted(open_rounds)))
            outcomes = open_rounds.pop(round_)
            half = data.draw(st.integers(0, outcomes.prompt_ids.size))
            now, rest = part(outcomes, slice(half)), part(outcomes, slice(half, None))
            if action == "refund":
                allocator.refund(now.prompt_ids, now.rollouts, round=now.round)
                dealt[now.prompt_ids] -= now.rollouts
            else:
                allocator.observe(now)
                seen += now.rollouts.sum()
            if rest.rollouts.sum():
                open_rounds[round_] = rest
        metrics = allocator.metrics()
        assert metrics["budget_spent"] + metrics["budget_remaining"] == BUDGET
        assert metrics["budget_spent"] == dealt.sum()
        np.testing.assert_array_equal(allocator.exposure(), dealt)
        assert metrics["outstanding"] == dealt.sum() - seen
        assert ((allocator.success_rate() > 0) & (allocator.success_rate() < 1)).all()


@every_allocator
def test_what_is_wrong_is_refused_and_changes_nothing(make: Callable[[], RolloutAllocator]) -> None:
    allocator = make()
    allocation = allocator.allocate([3, 1, 2])
    allocator.observe(rewards(allocation, seed=0))
    before = allocator.state_dict()
    refused: list[tuple[type[CeroError], Callable[[], object]]] = [
        (PromptError, lambda: allocator.allocate([POOL])),
        (PromptError, lambda: allocator.allocate([-1])),
        (PromptError, lambda: allocator.allocate([2, 2])),
        (PromptError, lambda: allocator.allocate([0.5])),
        (PromptError, lambda: allocator.allocate([[1], [2]])),
        (PromptError, lambda: allocator.observe(RolloutOutcomes([POOL], [1], [0]))),
        (InvalidOutcomeError, lambda: allocator.observe(rewards(allocation, seed=0))),  # twice
        (InvalidOutcomeError, lambda: allocator.observe(RolloutOutcomes([9], [1], [0]))),  # never dealt
        (InvalidOutcomeError, lambda: allocator.observe(RolloutOutcomes([3], [1], [0], round=1))),  # not yet
        (InvalidOutcomeError, lambda: allocator.refund([3], [1])),  # reported already
        (InvalidOutcomeError, lambda: allocator.refund([3], [-1])),
        (InvalidOutcomeError, lambda: allocator.refund([3, 1], [1])),
        (PromptError, lambda: allocator.refund([3, 3], [1, 1])),
    ]
    for error, call in refused:
        with pytest.raises(error):
            call()
        assert equal(allocator.state_dict(), before)


@every_allocator
def test_foreign_states_are_refused_whole(make: Callable[[], RolloutAllocator]) -> None:
    allocator = make()
    allocator.observe(rewards(allocator.allocate(), seed=0))
    allocator.allocate()
    good = allocator.state_dict()
    longer = {"successes": np.zeros(POOL + 1), "exposure": np.zeros(POOL, dtype=np.int32)}
    torn = {
        "successes": good["successes"] * np.nan,
        "failures": good["failures"] - 1e6,
        "exposure": good["exposure"] + 1,
        "round": 0,
        "ledger.spent": good["ledger.spent"] + 1,
        "ledger.budget": BUDGET + 1,
        "ledger.open_prompt": good["ledger.open_prompt"] + POOL,
    }
    for name, value in (longer | torn | {"round": "three", "ledger.spent": 1.5}).items():
        with pytest.raises(CheckpointError):
            allocator.load_state_dict(good | {name: value})
        assert equal(allocator.state_dict(), good)
    for state in ({}, good | {"more": 1}, {name: good[name] for name in list(good)[1:]}):
        with pytest.raises(CheckpointError, match="not a state of this allocator"):
            allocator.load_state_dict(state)
    allocator.load_state_dict(good)


@every_allocator
def test_empty_reports_are_no_reports(make: Callable[[], RolloutAllocator]) -> None:
    allocator = make()
    before = allocator.state_dict()
    allocator.observe(RolloutOutcomes([], [], []))
    allocator.observe(RolloutOutcomes([5], [0], [0]))
    allocator.refund([5], [0])
    assert equal(allocator.state_dict(), before)


@every_allocator
def test_a_spent_budget_gives_empty_rounds(make: Callable[[], RolloutAllocator]) -> None:
    allocator = make()
    for _ in range(400):
        allocator.allocate(range(6))
    assert allocator.metrics()["budget_remaining"] == 0
    assert allocator.allocate().prompt_ids.size == 0
    assert allocator.allocate([1, 2]).counts.tolist() == [0, 0]


@every_allocator
def test_an_allocator_says_whose_method_it_is(make: Callable[[], RolloutAllocator]) -> None:
    assert make().citation().startswith("@")
