"""Trainings that go on, last longer, or begin in the middle: what is left is planned, what was is kept."""

import numpy as np
import pytest

from cero_api import RolloutAllocator, RolloutOutcomes, make_allocator
from cero_api.adapting.lengths import begun, lasting, length_of, of_the_length_of
from cero_api.errors import CheckpointError

SIZE = {"num_prompts": 8, "rounds": 4, "budget": 64}


def played(allocator: RolloutAllocator, rounds: int, total: int = 16) -> RolloutAllocator:
    for _ in range(rounds):
        dealt = allocator.allocate(np.arange(4), total=total)
        won = dealt.counts // 2
        allocator.observe(RolloutOutcomes(dealt.prompt_ids, won, dealt.counts - won, round=dealt.round))
    return allocator


@pytest.mark.parametrize("name", ["uniform", "cero"])
def test_a_training_of_the_same_length_goes_on_as_it_is(name: str) -> None:
    saved = played(make_allocator(name, **SIZE), 2)
    assert lasting(saved, saved.config, rounds=2, spend=32) is saved


@pytest.mark.parametrize("name", ["uniform", "cero"])
@pytest.mark.parametrize(("rounds", "spend"), [(5, 80), (3, 40)])
def test_a_longer_one_has_what_it_takes(name: str, rounds: int, spend: int) -> None:
    saved = played(make_allocator(name, **SIZE), 2)
    longer = lasting(saved, saved.config, rounds=rounds, spend=spend)
    assert longer.config.rounds == max(4, 2 + rounds)
    assert longer.config.budget == max(64, 32 + spend)
    np.testing.assert_array_equal(longer.exposure(), saved.exposure())
    for _ in range(rounds):
        assert longer.allocate(np.arange(4), total=spend // rounds).total == spend // rounds


def test_a_plan_is_drawn_out() -> None:
    saved = make_allocator("cero", **SIZE, pacing=(16, 16, 16, 16))
    longer = lasting(saved, saved.config, rounds=6, spend=94)
    assert longer.config.rounds == 6
    assert getattr(longer.config, "pacing") == (16, 16, 16, 16, 15, 15)  # noqa: B009  # of CERO's configuration alone


def test_another_setting_is_refused() -> None:
    saved = make_allocator("cero", **SIZE)
    with pytest.raises(CheckpointError, match="saturation"):
        lasting(saved, make_allocator("cero", **SIZE, saturation=2.0).config, rounds=9, spend=144)


def test_what_is_left_is_all_that_a_new_one_plans() -> None:
    late = begun(make_allocator("cero", **SIZE), rounds=2, spend=32)
    assert (late.config.rounds, late.config.budget) == (2, 32)
    planned = make_allocator("cero", **SIZE, pacing=(16, 16, 16, 16))
    assert begun(planned, rounds=2, spend=32) is planned
    assert begun(planned, rounds=0, spend=0) is planned


def test_lengths_are_taken_over_within_a_method() -> None:
    short, long = make_allocator("cero", **SIZE).config, make_allocator("cero", **{**SIZE, "rounds": 9}).config
    assert of_the_length_of(long, short) == long
    assert of_the_length_of(make_allocator("uniform", **SIZE).config, short) is short
    assert length_of(short)["rounds"] == 4
    assert length_of(short) != length_of(long)
