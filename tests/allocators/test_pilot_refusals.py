"""A pilot that cannot work, and waves in the wrong order: refused with a remedy, and nothing has changed."""

import re
from typing import Any

import numpy as np
import pytest

from cero_api import (
    BudgetError,
    CheckpointError,
    ConfigurationError,
    PilotAllocator,
    PilotError,
    RolloutOutcomes,
    continued,
    make_allocator,
)

SIZE: dict[str, Any] = {"num_prompts": 24, "rounds": 40, "budget": 40 * 32, "seed": 3}
WINDOW: dict[str, Any] = {"pilot": 2, "offer": "window", "window": 2}


def cero(**fields: Any) -> PilotAllocator:
    allocator = make_allocator("cero", **SIZE, **(fields or WINDOW))
    assert isinstance(allocator, PilotAllocator)
    return allocator


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def outcomes(ids: np.ndarray, counts: np.ndarray) -> RolloutOutcomes:
    won = np.minimum(ids % 4, counts)
    return RolloutOutcomes(ids, won, counts - won)


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("cero", {"pilot": 8}, "leaves nothing to commit of a full group of 8; lower it, or raise the group"),
        ("hora", {"pilot": 9}, "leaves nothing to commit of a full group of 8"),
        ("cero", {"pilot": 1}, "below min_rollouts_per_prompt=2, and is all that most prompts get; raise it"),
        ("vip", {"pilot": 2}, "below min_rollouts_per_prompt=3"),
        (
            "cero",
            WINDOW | {"pilot_share": 0.25},
            "nothing would be left to choose; raise it above 0.25",
        ),
        ("cero", WINDOW | {"window": 1}, "window=1 offers fewer; raise it to 2, or lower pilot_share"),
        ("cero", WINDOW | {"pilot_share": 1.0}, "pilot_share"),
        (
            "cero",
            WINDOW | {"rollouts_per_unit": 4, "pilot": 6, "pilot_share": 0.9},
            "pilot=6 is not a multiple of roll",
        ),
        ("cero", WINDOW | {"selection": "dual", "offer": "pool"}, "a pilot leave it out: there the gain decides"),
        ("uniform", {"pilot": 2}, "a pilot would decide nothing; leave `pilot` out, or take cero, vip"),
        ("greso", {"pilot": 2}, "a pilot would decide nothing; leave `pilot` out"),
        ("pilot_commit", {"band": (0.5, 0.1)}, "must be (least, most); swap them"),
        ("pilot_commit", {"pilot": 8}, "leaves nothing to commit"),
    ],
)
def test_what_cannot_work_is_refused_with_a_remedy(name: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        make_allocator(name, **SIZE, **fields)


def test_calls_in_the_wrong_order_are_refused_with_a_remedy() -> None:
    allocator = cero()
    with pytest.raises(PilotError, match="no pilot waits for its rest"):
        allocator.commit()
    first = allocator.allocate(total=32)
    with pytest.raises(PilotError, match="16 rollouts of the pilot of round 0 have no rewards yet, by which"):
        allocator.commit()
    with pytest.raises(PilotError, match="16 rollouts of it wait: observe the pilot's rewards and call `commit`"):
        allocator.allocate(total=32)
    allocator.observe(outcomes(first.prompt_ids, first.counts))
    with pytest.raises(PilotError, match="in round 1: the pilot of round 0 waits"):
        allocator.commit(round=1)
    allocator.commit(round=0)
    with pytest.raises(PilotError, match="committed once, after `allocate` has dealt its pilot"):
        allocator.commit()
    one: Any = make_allocator("cero", **SIZE)
    with pytest.raises(PilotError, match="every round is dealt in one wave; set `pilot` for two"):
        one.commit()


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            {"row_ids": range(16), "total": 32},
            "a pilot for 16 candidates, 2 rollouts each, leaves nothing to commit",
        ),
        ({"total": 2}, "the smallest pilot, 2 rollouts each, leaves nothing to commit of a round of 2; ask for more"),
    ],
)
def test_a_pilot_that_leaves_nothing_to_commit_is_refused(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(BudgetError, match=said):
        cero().allocate(**request_)


def test_the_whole_pool_is_no_choice_for_a_pilot() -> None:
    with pytest.raises(BudgetError, match="set offer='window', or pass row_ids"):
        cero(pilot=2).allocate()


def test_a_floor_is_the_candidates() -> None:
    allocator = make_allocator("cero", **SIZE, pilot=1, offer="window")
    with pytest.raises(
        BudgetError, match="min_rollouts_per_prompt=2 at least, and pilot=1 is all that most of them get"
    ):
        allocator.allocate(range(4), total=24)
    assert allocator.allocate(total=24).counts.tolist() == [1] * 12


def test_damaged_pilots_are_refused() -> None:
    allocator = cero()
    first = allocator.allocate(total=32)
    allocator.observe(outcomes(first.prompt_ids, first.counts))
    good = allocator.state_dict()
    ids = good["parts.pilot.prompts"]
    for change in (
        {"parts.pilot.round": 3},
        {"parts.pilot.round": -1},
        {"parts.pilot.exact": 2},
        {"parts.pilot.left": -1},
        {"parts.pilot.left": 10**6},
        {"parts.pilot.cap": 1},
        {"parts.pilot.prompts": ids[:-1]},
        {"parts.pilot.prompts": np.where(ids == ids[0], ids[1], ids)},
        {"parts.pilot.prompts": ids + 24},
        {"parts.pilot.successes": good["parts.pilot.successes"] - 1},
        {"parts.pilot.squares": good["parts.pilot.squares"] + 1},
    ):
        with pytest.raises(CheckpointError):
            allocator.load_state_dict(good | change)
        assert same(allocator.state_dict(), good)
    with pytest.raises(CheckpointError, match=r"parts\.pilot"):
        make_allocator("cero", **SIZE, offer="window", window=2).load_state_dict(good)


def test_a_training_goes_on_between_the_waves_with_another_length() -> None:
    allocator = cero()
    first = allocator.allocate(total=32)
    allocator.observe(outcomes(first.prompt_ids, first.counts))
    config = allocator.config
    longer = continued(allocator, config.model_copy(update={"rounds": 80, "budget": 80 * 32}))
    assert isinstance(longer, PilotAllocator)
    assert longer.commit().total == 16
    with pytest.raises(CheckpointError, match="the rest of round 0 is 16 rollouts, and 4 remain"):
        continued(allocator, config.model_copy(update={"rounds": 1, "budget": 20}))
