"""Idle is what deals equal counts to the end of the training: said if it is so, and only then."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import CeroWarning, RolloutAllocator, RolloutOutcomes, make_allocator
from cero_api.adapting import RoundShape, allocator_fields, idle_reasons, informed, warn_of_idleness

# It is what this is about; the allocator says it as well, where a round has but one way to be dealt.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")


def training(**changes: Any) -> tuple[RolloutAllocator, RoundShape]:
    """Of 64 prompts, 8 a batch with 8 rollouts each, for 3 epochs; and of what is otherwise said of it."""
    case: dict[str, Any] = {"scope": "batch", "mean": 8, "batch": 8, "num_prompts": 64, "epochs": 3.0, **changes}
    mean, total = case["mean"], case["mean"] * case["batch"]
    visits = round(case["epochs"] * case["num_prompts"])
    shape = RoundShape(case["num_prompts"], -(-visits // case["batch"]), visits * mean, mean, total, case["scope"])
    names = {"floor": "min_rollouts_per_prompt", "cap": "max_rollouts_per_prompt"}
    fields = {name: case[short] for short, name in names.items() if short in case}
    return make_allocator("cero", **allocator_fields("cero", shape, fields)), shape


def reasons(option: Callable[[str], str] = str, known: bool = False, **changes: Any) -> list[str]:
    allocator, shape = training(**changes)
    return idle_reasons(allocator.config, shape, informed=known, option=option)


def test_a_training_in_which_something_can_be_decided() -> None:
    assert reasons() == []
    assert reasons(epochs=1, known=True) == []
    assert reasons(scope="window", epochs=1) == []
    assert reasons(scope="pool", epochs=0.25, mean=8, cap=8) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mean": 2}, "at least 2, so all counts are equal; raise the group size"),
        ({"mean": 4, "floor": 4}, "at least 4"),
        ({"cap": 8}, "at most 8, so all counts are equal; raise max_rollouts_per_prompt"),
        ({"batch": 1}, "a batch has one prompt"),
        ({"epochs": 1}, "every prompt is visited once"),
        ({"epochs": 0.2}, "every prompt is visited once"),
        ({"scope": "pool", "num_prompts": 8}, "nobody to choose among; lower the batch, or give more prompts"),
    ],
)
def test_one_reason_with_its_remedy(changes: dict[str, Any], said: str) -> None:
    (reason,) = reasons(**changes)
    assert said in reason


def test_remedies_are_written_as_a_trainers_users_write_them() -> None:
    (reason,) = reasons(mean=2, option=lambda setting: f"++rollout_allocator.{setting}")
    assert "++rollout_allocator.scope=window (or ++rollout_allocator.min_rollouts_per_prompt=0" in reason


def test_each_reason_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="the allocator can decide nothing: a batch has one prompt"):
        assert warn_of_idleness(*training(batch=1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_of_idleness(*training())


def test_one_cause_is_said_once() -> None:
    """By the adapter at the start, or by the allocator's first round where there was none to say it."""
    for told in (False, True):
        allocator, shape = training(mean=2)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if told:
                warn_of_idleness(allocator, shape)
            for _ in range(3):
                allocator.allocate(range(8), total=16)
        assert ["nothing" in str(warning.message) for warning in said] == [True]
        assert issubclass(said[0].category, CeroWarning) is not told


@pytest.mark.parametrize("name", ["cero", "gvm", "knapsack"])
@given(
    mean=st.integers(2, 6),
    floor=st.integers(0, 3),
    cap=st.integers(2, 8),
    batch=st.integers(1, 3),
    epochs=st.integers(1, 2),
)
def test_it_is_said_where_all_counts_are_equal(
    name: str, mean: int, floor: int, cap: int, batch: int, epochs: int
) -> None:
    """By playing the training, with prompts that are always solved, never, and half of the time."""
    if not floor <= mean <= cap:
        return
    pool, total = 6, batch * mean
    rounds = epochs * pool // batch
    size = RoundShape(pool, rounds, rounds * total, mean, total)
    fields = {"min_rollouts_per_prompt": floor, "max_rollouts_per_prompt": cap}
    allocator = make_allocator(name, **allocator_fields(name, size, fields))
    said = idle_reasons(allocator.config, size, informed=informed(allocator))
    equal = True
    for k in range(rounds):
        rows = (np.arange(batch) + k * batch) % pool
        allocation = allocator.allocate(rows, total=total)
        equal &= len(set(allocation.counts.tolist())) == 1
        won = np.where(rows % 3 == 0, allocation.counts // 2, np.where(rows % 3 == 1, allocation.counts, 0))
        allocator.observe(RolloutOutcomes(rows, won, allocation.counts - won, round=allocation.round))
    assert equal or not said
