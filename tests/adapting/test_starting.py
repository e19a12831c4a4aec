"""What an allocator says of itself at the start."""

from typing import Any

import numpy as np
import pytest

from cero_api import RolloutOutcomes, available_allocators, make_allocator
from cero_api.adapting import informed, limits, start_line
from cero_api.rewards import SuccessRule

SIZE: dict[str, Any] = {"num_prompts": 8, "rounds": 4, "budget": 64}


def test_every_method_but_uniform_has_limits() -> None:
    for name in available_allocators(waves=1):
        bounds = limits(make_allocator(name, **SIZE).config)
        assert (bounds is None) == (name == "uniform")
        if bounds is not None:
            counts = make_allocator(name, **SIZE).allocate(range(4), total=16).counts
            assert bounds.floor <= counts.min()
            assert counts.max() <= bounds.cap


def test_known_is_what_tells_prompts_apart() -> None:
    allocator = make_allocator("cero", **SIZE)
    assert not informed(allocator)
    dealt = allocator.allocate([1, 2], total=16)
    assert not informed(allocator)
    allocator.observe(RolloutOutcomes(dealt.prompt_ids, [0, 8], [8, 0]))
    assert informed(allocator)


@pytest.mark.parametrize(
    ("known", "apart"),
    [
        ({"features": np.ones((8, 2))}, False),
        ({"features": np.eye(8)}, True),
        ({"features": np.arange(8)}, True),
        ({"offline_rates": np.full(8, 0.5), "offline_samples": np.arange(8)}, False),
        ({"offline_rates": np.linspace(0, 1, 8)}, True),
    ],
)
def test_what_is_alike_for_all_prompts_tells_none_apart(known: dict[str, Any], apart: bool) -> None:
    belief = "features" if "features" in known else "pooled"
    allocator = make_allocator("cero", **SIZE, belief=belief, **known)
    assert informed(allocator) == apart
    line = start_line("cero", allocator, scope="window", mean=8, rule=SuccessRule())
    assert "known of a prompt before its first visit: " in line
    assert line.endswith(", alike for all") != apart


def test_the_line_names_the_judge() -> None:
    allocator = make_allocator("cero", **SIZE)
    for rule, said in (
        (SuccessRule(), "; a reward by correct of 1 or more is a success;"),
        (SuccessRule(reward_range=(0, 2)), "; a reward by correct is a success by its share of the way from 0 to 2;"),
    ):
        assert said in start_line("cero", allocator, scope="batch", mean=8, rule=rule, judge="correct")


def test_the_line_names_everything() -> None:
    allocator = make_allocator("uniform", **SIZE)
    line = start_line("mine", allocator, scope="pool", mean=8, rule=SuccessRule(reward_range=(-1, 1)))
    for part in (
        "mine: scope pool",
        "8 rollouts a prompt on average;",
        "from -1 to 1",
        "64 of 64",
        "8 prompts; nothing",
    ):
        assert part in line
    dealt = allocator.allocate([1, 2, 3], total=12)
    allocator.observe(RolloutOutcomes(dealt.prompt_ids, [0, 4, 4], [4, 0, 0]))
    line = start_line("mine", allocator, scope="pool", mean=8, rule=SuccessRule())
    assert "52 of 64 rollouts and 3 of 4 rounds to go" in line
    assert line.endswith("success rates are told apart, 3 prompts visited")
    assert np.count_nonzero(allocator.exposure()) == 3
