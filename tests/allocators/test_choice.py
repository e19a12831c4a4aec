"""How much of a round could have gone elsewhere: against all possible rounds, and said where it is nothing."""

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import CeroWarning, GroupConfig, RolloutOutcomes, make_allocator
from cero_api.allocators import available_allocators, config_type
from cero_api.allocators.choice import Choice

ONE_WAVE = available_allocators(waves=1)


SIZE: dict[str, Any] = {"num_prompts": 40, "rounds": 20, "budget": 20 * 64, "seed": 1}
CHOOSING = [name for name in ONE_WAVE if issubclass(config_type(name), GroupConfig)]  # a group or nothing
SHARING = [name for name in ONE_WAVE if name not in (*CHOOSING, "uniform")]


@given(st.integers(1, 4), st.integers(0, 3), st.integers(0, 4), st.integers(0, 16), st.integers(0, 16))
def test_what_every_possible_round_gives_cannot_go_elsewhere(
    prompts: int, floor: int, room: int, least: int, most: int
) -> None:
    cap = floor + room
    rounds = [
        counts
        for counts in itertools.product(range(floor, cap + 1), repeat=prompts)
        if min(least, most) <= sum(counts) <= max(least, most)
    ]
    if not rounds:
        return
    choice = Choice(prompts, floor, cap, min(map(sum, rounds)), max(map(sum, rounds)))
    forced = sum(min(counts[i] for counts in rounds) for i in range(prompts))
    for total in {sum(counts) for counts in rounds} - {0}:
        assert choice.decidable(total) == pytest.approx(1 - forced / total)
    assert choice.nothing == (len(rounds) == 1 and sum(rounds[0]) > 0)


@pytest.mark.parametrize("name", ["cero", "random_matched"])
@pytest.mark.parametrize("group", [4, 8, 16, 32])
def test_the_commonest_loop_decides(name: str, group: int) -> None:
    """A loader's batches with so many rollouts a prompt, and nothing set but the size of the training."""
    allocator = make_allocator(name, num_prompts=64, rounds=40, budget=40 * 16 * group)
    for k in range(40):
        rows = np.arange(16 * k, 16 * k + 16) % 64
        allocation = allocator.allocate(rows, total=group * rows.size)
        won = np.where(rows % 2 == 0, 0, np.arange(16) % group)
        won = np.minimum(won, allocation.counts)
        allocator.observe(RolloutOutcomes(rows, won, allocation.counts - won, round=allocation.round))
        assert allocator.metrics()["decidable"] == 1 - 2 / group
    assert np.ptp(allocation.counts) > 0
    assert allocation.counts.max() <= 2 * group


IDLE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "at the cap": ({"max_rollouts_per_prompt": 8}, {"row_ids": range(8), "total": 64}, "raise max_rollouts_per_prompt"),
    "at the floor": (
        {"min_rollouts_per_prompt": 8},
        {"row_ids": range(8), "total": 64},
        "lower min_rollouts_per_prompt",
    ),
    "one candidate": ({}, {"row_ids": [7], "total": 16}, "pass all prompts of a step in one call"),
}


@pytest.mark.parametrize("name", SHARING)
@pytest.mark.parametrize("idle", IDLE)
def test_a_round_without_a_choice_is_said_once(name: str, idle: str) -> None:
    options, request, remedy = IDLE[idle]
    allocator = make_allocator(name, **SIZE, **options)
    with pytest.warns(CeroWarning, match=f"round 0: there is nothing to decide, for .*{remedy}.*decidable") as said:
        allocator.allocate(**request)
    assert said[0].filename == __file__
    assert allocator.metrics()["decidable"] == 0.0
    allocator.allocate(**request)  # a second warning would be an error here
    allocator.allocate([1, 2, 3], total=27 if "min_rollouts_per_prompt" in options else 18)
    assert allocator.metrics()["decidable"] > 0.0


@pytest.mark.parametrize("name", SHARING)
def test_a_straggler_in_a_training_that_decides_is_no_matter(name: str) -> None:
    allocator = make_allocator(name, **SIZE)
    allocator.allocate(range(8), total=64)
    allocator.allocate([9], total=8)
    assert allocator.metrics()["decidable"] == 0.0
    allocator.allocate(range(8), total=64)


@pytest.mark.parametrize("name", SHARING)
def test_a_warning_that_is_an_error_leaves_the_round_undealt(name: str) -> None:
    allocator = make_allocator(name, **SIZE)
    before = allocator.state_dict()
    with pytest.raises(CeroWarning):
        allocator.allocate([3], total=8)
    assert all(np.array_equal(before[entry], value) for entry, value in allocator.state_dict().items())
    assert allocator.allocate([3], total=8).total == 8


@pytest.mark.parametrize("name", CHOOSING)
def test_who_chooses_prompts_needs_more_than_fit(name: str) -> None:
    allocator = make_allocator(name, **SIZE)
    with pytest.warns(CeroWarning, match="64 rollouts for 8 prompts are all that a cap of 8 allows.* more prompts"):
        allocator.allocate(range(8), total=64)
    assert allocator.metrics()["decidable"] == 0.0
    for request in ({"row_ids": range(9), "total": 64}, {"row_ids": range(9)}, {}):
        allocator.allocate(**request)
        assert allocator.metrics()["decidable"] > 0.0
    allocator.allocate([9], total=8)  # a straggler is no matter in a training that decides


def test_uniform_means_to_decide_nothing() -> None:
    allocator = make_allocator("uniform", **SIZE)
    for request in ({}, {"row_ids": [3]}, {"row_ids": range(8), "total": 64}, {"total": 40}):
        allocator.allocate(**request)
        assert allocator.metrics()["decidable"] == 0.0


@pytest.mark.parametrize("name", ONE_WAVE)
def test_the_end_of_the_budget_and_empty_rounds_say_nothing(name: str) -> None:
    allocator = make_allocator(name, num_prompts=40, rounds=3, budget=100)
    allocator.allocate([], total=0)
    for _ in range(20):
        allocator.allocate()
    for _ in range(3):
        allocator.allocate(range(8))
    assert allocator.metrics()["budget_remaining"] == 0


def test_over_the_pool_everything_can_go_elsewhere_but_what_the_whole_pool_takes() -> None:
    allocator = make_allocator("cero", num_prompts=12, rounds=20, budget=20 * 96, pacing="fixed")
    with pytest.warns(CeroWarning, match="96 rollouts for 12 prompts are all that a cap of 8 allows"):
        allocator.allocate()
    allocator = make_allocator("cero", **SIZE)
    allocator.allocate()
    assert allocator.metrics()["decidable"] == 1.0


def test_nothing_is_said_of_a_size_that_the_price_decides() -> None:
    allocator = make_allocator("cero", **SIZE, initial_price=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert allocator.allocate(range(8)).counts.tolist() == [2] * 8
        assert allocator.metrics()["decidable"] == 0.0
        allocator.allocate([9])
