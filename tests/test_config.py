"""Configurations: the paper's numbers by default, and every infeasible one refused with what to change."""

from typing import Any

import pytest

from cero_api import CeroConfig, ConfigurationError, RandomMatchedConfig, UniformConfig, make_allocator

PAPER: dict[str, Any] = {"num_prompts": 8958, "rounds": 500, "budget": 256_000, "rollouts_per_unit": 4}


def test_the_defaults_are_the_papers() -> None:
    preset = CeroConfig.preset("paper", **PAPER)
    assert preset.max_rollouts_per_prompt == 8
    config = CeroConfig(**PAPER)
    assert config.limits() == preset.limits() == (0, 8)
    assert config.round_capacity == 528
    assert config.step == pytest.approx(500**-0.5)
    assert (config.initial_price, config.prior, config.saturation, config.forgetting) == (0.5, (1.0, 1.0), 1.0, 1.0)


def test_a_preset_gives_way_to_what_is_said_and_must_exist() -> None:
    size = {name: PAPER[name] for name in ("num_prompts", "rounds", "budget")}
    assert CeroConfig.preset("paper", **size).rollouts_per_unit == 4
    assert CeroConfig.preset("paper", **size, saturation=2.0).saturation == 2.0
    assert RandomMatchedConfig.preset("paper", **size).max_rollouts_per_prompt == 8
    allocator = make_allocator("cero", preset="paper", **size)
    assert allocator.config == CeroConfig.preset("paper", **size)
    with pytest.raises(ConfigurationError, match="UniformConfig has no preset 'paper'; there are: none"):
        make_allocator("uniform", preset="paper", **size)
    with pytest.raises(ConfigurationError, match="not both"):
        make_allocator("cero", allocator.config, preset="paper")


def test_the_default_cap_leaves_candidates_something_to_decide() -> None:
    config = CeroConfig(num_prompts=100, rounds=10, budget=10 * 128)
    assert config.limits() == (0, 8)
    for candidates, group in ((16, 8), (8, 16), (4, 32), (1, 128)):
        assert config.limits(candidates) == (2, 2 * group)
        assert config.limits(candidates, group * candidates) == (2, 2 * group)
        assert config.limits(candidates, group * candidates + 1) == (2, 2 * group + 2)
    in_units = config.model_copy(update={"rollouts_per_unit": 4})
    assert in_units.limits(16, 16 * 6) == (4, 12)
    assert config.model_copy(update={"max_rollouts_per_prompt": 8}).limits(4, 128) == (2, 8)


def test_a_pool_as_small_as_a_batch_is_no_matter() -> None:
    config = CeroConfig(num_prompts=16, rounds=10, budget=10 * 16 * 16)
    assert config.limits() == (0, 32)
    assert config.round_capacity >= 256


def test_the_default_capacity_is_in_whole_groups_and_within_the_pool() -> None:
    assert CeroConfig(num_prompts=100, rounds=10, budget=1000).round_capacity == 104  # 103.125 in groups of 8
    assert CeroConfig(num_prompts=12, rounds=10, budget=960).round_capacity == 96  # the pool holds no more


@pytest.mark.parametrize(("unit", "cap", "floor"), [(1, 8, 2), (2, 8, 2), (4, 8, 4), (1, 1, 1), (8, 8, 8)])
def test_the_default_floor_is_two_in_whole_units(unit: int, cap: int, floor: int) -> None:
    config = CeroConfig(num_prompts=10, rounds=10, budget=80, rollouts_per_unit=unit, max_rollouts_per_prompt=cap)
    assert config.floor == floor


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ({"budget": 0}, "budget: .* greater than 0"),
        ({"budget": 10**9}, "lower budget, or raise rounds"),
        ({"budget": 256_001}, "not a multiple of rollouts_per_unit"),
        ({"max_rollouts_per_prompt": 6}, "multiple of rollouts_per_unit"),
        ({"min_rollouts_per_prompt": 12, "max_rollouts_per_prompt": 8}, "lower the floor or raise the cap"),
        ({"capacity": 8 * 8958 + 8}, "lower capacity"),
        ({"capacity": 400}, "raise rounds, capacity"),
        ({"forgetting": 0.0}, "forgetting: .* greater than 0"),
        ({"prior": (0.0, 1.0)}, "prior.0"),
        ({"saturation": float("nan")}, "saturation"),
        ({"initial_price": 1.5}, "less than or equal to 1"),
        ({"pacing": "slow"}, "pacing"),
        ({"pacing": (512,) * 499}, "give one per round"),
        ({"pacing": (510,) * 500}, "in multiples of"),
        ({"pacing": (528,) * 500}, "raise budget"),
        ({"pacing": (532,) + (508,) * 499}, "raise capacity"),
        ({"saturaton": 2.0}, "saturaton: unknown; CeroConfig has num_prompts, rounds"),
        ({"seed": -1}, "seed"),
        ({"num_prompts": 2**31}, "num_prompts"),
    ],
)
def test_what_cannot_work_is_refused_with_what_to_change(change: dict[str, object], remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=remedy):
        CeroConfig(**PAPER | change)


def test_missing_and_infeasible_values_name_the_field() -> None:
    with pytest.raises(ConfigurationError, match="rounds: Field required; budget: Field required"):
        CeroConfig(num_prompts=3)  # type: ignore[call-arg]  # what the test is about
    with pytest.raises(ConfigurationError, match="lower budget"):
        UniformConfig(num_prompts=2, rounds=2, budget=33)


def test_configs_are_frozen_values_and_survive_json() -> None:
    config = CeroConfig(**PAPER, pacing=(512,) * 500)
    assert CeroConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(ValueError, match="frozen"):
        config.budget = 3
