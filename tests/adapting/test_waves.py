"""A pilot is refused before anything is loaded where a round is generated in one wave."""

from typing import Any

import pytest

from cero_api import ConfigurationError, PilotAllocator, available_allocators, make_allocator
from cero_api.adapting import RoundShape, allocator_fields
from cero_api.adapting.waves import refuse_waves_of
from cero_ray import Desk

SHAPE = RoundShape(num_prompts=64, rounds=10, budget=640, group_size=8, largest=64, scope="window")
TWO = RoundShape(num_prompts=64, rounds=10, budget=640, group_size=8, largest=64, scope="window", waves=2)


@pytest.mark.parametrize(
    ("name", "fields", "remedy"),
    [
        ("cero", {"pilot": 2}, "leave pilot out"),
        ("cero", {"pilot": "2"}, "leave pilot out"),  # as a flag has it
        ("pilot_commit", {}, "take another allocator"),
    ],
)
def test_by_name(name: str, fields: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=f"in two waves, and this trainer generates it in one; {remedy}"):
        allocator_fields(name, SHAPE, fields)
    allocator_fields(name, TWO, fields)


@pytest.mark.parametrize("name", [*available_allocators(waves=2), "cero", "vip"])
def test_who_plays_two_waves_gets_rounds_of_uniforms_size(name: str) -> None:
    fields = {} if name in available_allocators(waves=2) else {"pilot": 3}
    allocator = make_allocator(name, **allocator_fields(name, TWO, fields))
    assert isinstance(allocator, PilotAllocator)
    first = allocator.allocate(total=64)
    assert first.total + first.to_commit == 64
    assert first.counts.size > 8


def test_an_allocator_that_is_made_already() -> None:
    allocator = make_allocator("cero", **allocator_fields("cero", TWO, {"pilot": 2}))
    for take in (Desk, lambda allocator: refuse_waves_of(allocator.config)):
        with pytest.raises(ConfigurationError, match=r"pilot=2 deals a round in two waves.*make it without"):
            take(allocator)
    refuse_waves_of(allocator.config, waves=2)
    Desk(make_allocator("cero", **allocator_fields("cero", SHAPE, {})))
