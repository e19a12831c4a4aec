"""Outcomes: how rewards become successes, and what is refused."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import (
    Allocation,
    CeroAllocator,
    CeroConfig,
    CeroError,
    ConfigurationError,
    InvalidOutcomeError,
    RolloutAllocator,
    RolloutOutcomes,
    UniformAllocator,
    UniformConfig,
)
from cero_api.trace.columns import Columns
from cero_api.trace.records import trace_lines


@given(st.lists(st.tuples(st.integers(-5, 5), st.sampled_from([0.0, 1.0])), min_size=1), st.randoms())
def test_from_rewards_counts_in_any_row_order(rollouts: list[tuple[int, float]], random: Random) -> None:
    random.shuffle(rollouts)
    outcomes = RolloutOutcomes.from_rewards([p for p, _ in rollouts], [r for _, r in rollouts], round=3)
    assert outcomes.round == 3
    for row, prompt in enumerate(outcomes.prompt_ids):
        rewards = [r for p, r in rollouts if p == prompt]
        assert outcomes.successes[row] == sum(rewards)
        assert outcomes.rollouts[row] == len(rewards)
        assert outcomes.mixed[row] == (len(set(rewards)) == 2)


def test_the_threshold_is_inclusive_and_one_by_default() -> None:
    rewards = [0.0, 0.5, 1.0, 2.0]
    assert RolloutOutcomes.from_rewards([0] * 4, rewards).successes[0] == 2
    assert RolloutOutcomes.from_rewards([0] * 4, rewards, success_threshold=0.5).successes[0] == 3


@given(st.lists(st.floats(-1, 3), min_size=1, max_size=64))
def test_a_reward_range_gives_fractional_successes(rewards: list[float]) -> None:
    outcomes = RolloutOutcomes.from_rewards([9] * len(rewards), rewards, reward_range=(-1.0, 3.0))
    assert outcomes.successes[0] == pytest.approx(sum((r + 1) / 4 for r in rewards), abs=1e-6 * len(rewards))
    assert outcomes.squares[0] == pytest.approx(sum(((r + 1) / 4) ** 2 for r in rewards), abs=2e-6 * len(rewards))
    assert outcomes.rollouts[0] == len(rewards)


@pytest.mark.parametrize(
    ("ids", "rewards", "options", "error", "remedy"),
    [
        ([0, 1], [1.0], {}, InvalidOutcomeError, "one reward per rollout"),
        ([0], [np.nan], {}, InvalidOutcomeError, "leave failed rollouts out"),
        ([0], [np.inf], {}, InvalidOutcomeError, "finite"),
        ([0.5], [1.0], {}, InvalidOutcomeError, "integers"),
        ([0], [1.5], {"reward_range": (0, 1)}, InvalidOutcomeError, "widen the range"),
        ([0], [0.5], {"reward_range": (1, 1)}, ConfigurationError, "lowest < highest"),
        ([0], [0.5], {"reward_range": (0, np.inf)}, ConfigurationError, "finite"),
        ([0], [0.5], {"reward_range": (0, 1), "success_threshold": 1}, ConfigurationError, "not both"),
        ([0], [0.5], {"success_threshold": np.nan}, ConfigurationError, "NaN"),
    ],
)
def test_bad_rewards_are_refused_with_a_remedy(
    ids: Any, rewards: Any, options: dict[str, Any], error: type[CeroError], remedy: str
) -> None:
    with pytest.raises(error, match=remedy) as caught:
        RolloutOutcomes.from_rewards(ids, rewards, **options)
    assert isinstance(caught.value, CeroError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("ids", "won", "lost", "remedy"),
    [
        ([1, 1], [1, 1], [0, 0], "from_rewards"),
        ([1], [-1], [2], ">= 0"),
        ([1], [np.nan], [1], "finite"),
        ([1], [0.5], [0.2], "whole number"),
        ([1, 2], [1], [0], "same length"),
        ([[1]], [[1]], [[0]], "one-dimensional"),
        (["a"], [1], [0], "integers"),
    ],
)
def test_bad_outcomes_are_refused_with_a_remedy(ids: Any, won: Any, lost: Any, remedy: str) -> None:
    with pytest.raises(InvalidOutcomeError, match=remedy):
        RolloutOutcomes(ids, won, lost)


def test_what_rounding_leaves_of_nothing_is_nothing() -> None:
    """Sums that users take themselves, such as the failures n - S, come out a little below 0."""
    outcomes = RolloutOutcomes([0, 1], [0.7 + 0.2 + 0.1, 0.3 - 0.2 - 0.1], [-1e-7, 1.0])
    assert outcomes.rollouts.tolist() == [1, 1]
    assert (outcomes.successes >= 0).all()
    assert (outcomes.failures >= 0).all()
    text = trace_lines(0, [0, 1], [1, 2], [1 + 1e-7, -1e-17], [-1e-7, 1.0])
    found = Columns.of(text, Path("trace"), 2)
    assert found.successes.tolist() == [1 + 1e-7, 0.0]
    for low in (-1e-3, -1.0):
        with pytest.raises(InvalidOutcomeError, match="finite and >= 0"):
            RolloutOutcomes([0], [1 - low], [low])


@pytest.mark.parametrize("squares", [[0.9], [2.1], [np.nan], [-1.0], [1.0, 1.0], [[1.0]], ["1"]])
def test_squares_that_no_rewards_have_are_refused(squares: Any) -> None:
    """Two successes and two failures: from 1, of four halves, to 2, of whole ones."""
    with pytest.raises(InvalidOutcomeError, match="squares"):
        RolloutOutcomes([3], [2], [2], squares=squares)


def test_squares_are_those_of_whole_successes_unless_given() -> None:
    assert RolloutOutcomes([3, 5], [2, 0.5], [2, 0.5]).squares.tolist() == [2.0, 0.25]  # of one rollout they are known
    outcomes = RolloutOutcomes([3, 5], [2, 2], [2, 2], squares=[1.0, 1.5])
    assert outcomes.squares.tolist() == [1.0, 1.5]
    assert outcomes.mixed.tolist() == [False, True]


def test_an_always_half_right_group_is_not_mixed() -> None:
    outcomes = RolloutOutcomes.from_rewards([0, 0, 1, 1, 2], [0.5, 0.5, 0.25, 0.75, 0.5], reward_range=(0, 1))
    assert outcomes.successes.tolist() == [1.0, 1.0, 0.5]
    assert outcomes.mixed.tolist() == [False, True, False]


def test_no_outcomes_are_outcomes() -> None:
    assert RolloutOutcomes.from_rewards([], []).rollouts.size == 0


def test_an_allocation_repeats_its_prompts() -> None:
    allocation = Allocation(2, np.array([5, 1, 3]), np.array([2, 0, 1]))
    assert allocation.total == 3
    assert allocation.prompt_ids_per_rollout.tolist() == [5, 5, 3]


def test_the_built_ins_implement_the_protocol() -> None:
    size: dict[str, Any] = {"num_prompts": 4, "rounds": 2, "budget": 16}
    assert isinstance(CeroAllocator(CeroConfig(**size)), RolloutAllocator)
    assert isinstance(UniformAllocator(UniformConfig(**size)), RolloutAllocator)
