"""What an allocator says of itself at the start."""

from typing import Any

import numpy as np

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
