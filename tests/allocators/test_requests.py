"""Any request of any allocator: exactly what was asked for, within floor and cap, or a refusal that changes nothing."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import (
    BatchConfig,
    CeroConfig,
    ConfigurationError,
    GroupConfig,
    RolloutAllocator,
    RolloutOutcomes,
    make_allocator,
)
from cero_api.allocators import available_allocators, config_type
from cero_api.testing import check_request

ONE_WAVE = available_allocators(waves=1)


# Small rounds leave nothing to decide now and then, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")


def drawn(name: str, data: st.DataObject) -> RolloutAllocator | None:
    """An allocator of a small pool, with floors, caps and units as they come; None where they do not fit."""
    fields: dict[str, Any] = {
        "num_prompts": data.draw(st.integers(1, 12), "num_prompts"),
        "rounds": data.draw(st.integers(1, 12), "rounds"),
        "budget": data.draw(st.integers(1, 300), "budget"),
        "seed": data.draw(st.integers(0, 3), "seed"),
    }
    known = config_type(name).model_fields
    if "rollouts_per_unit" in known:
        fields["rollouts_per_unit"] = unit = data.draw(st.sampled_from([1, 1, 2, 4]), "unit")
        fields["budget"] *= unit
        fields["selection"] = data.draw(st.sampled_from([None, "dual", "marginal"]), "selection")
        fields["pacing"] = data.draw(st.sampled_from(["adaptive", "fixed"]), "pacing")
        floors, caps = st.sampled_from([None, 0, unit, 2 * unit, 3 * unit]), st.sampled_from([None, *range(4, 17, 4)])
    else:
        floors, caps = st.integers(0, 7), st.integers(1, 16)
    for field, sizes in (("min_rollouts_per_prompt", floors), ("max_rollouts_per_prompt", caps)):
        if field in known:
            fields[field] = data.draw(sizes, field)
    if "rollouts_per_prompt" in known:
        fields["rollouts_per_prompt"] = data.draw(st.integers(1, 9), "rollouts_per_prompt")
    if data.draw(st.booleans(), "from a window"):
        fields |= {"offer": "window", "window": data.draw(st.integers(1, 3), "window")}
    try:
        return make_allocator(name, **fields)
    except ConfigurationError:
        return None


def feasible(allocator: RolloutAllocator, rows: np.ndarray | None, total: int) -> bool:
    """Whether an exact total can be dealt, by the words of the configuration alone."""
    config = allocator.config
    floor, cap = config.limits(None if rows is None else rows.size, total)
    if total > allocator.metrics()["budget_remaining"]:
        return False
    if isinstance(config, CeroConfig) and (total % config.rollouts_per_unit or total > config.round_capacity):
        return False
    if isinstance(config, GroupConfig) and total == 1 < config.group:
        return False  # these choose groups, and one of one has no contrast
    if rows is not None:
        return rows.size * floor <= total <= rows.size * cap and (rows.size > 0 or not total)
    if isinstance(config, BatchConfig) and config.offer == "window":  # in groups, of which the last may be smaller
        least = min(max(2, floor), config.group)
        groups, last = divmod(total, config.group)
        whole = not last or least <= last or (groups > 0 and config.group - (least - last) >= least)
        return whole and total <= config.num_prompts * config.group
    if isinstance(config, BatchConfig):
        return any(p * floor <= total <= p * cap for p in range(config.num_prompts + 1))
    return total <= config.num_prompts * getattr(config, "rollouts_per_prompt", cap)


@pytest.mark.parametrize("name", ONE_WAVE)
@given(data=st.data())
def test_a_request_is_dealt_as_asked_or_refused(name: str, data: st.DataObject) -> None:
    allocator = drawn(name, data)
    if allocator is None:
        return
    pool = allocator.config.num_prompts
    for _ in range(data.draw(st.integers(1, 5), "rounds dealt")):
        rows = None
        if data.draw(st.booleans(), "candidates"):
            rows = np.array(data.draw(st.lists(st.integers(0, pool - 1), unique=True, max_size=5), "rows"), dtype=int)
        total = data.draw(st.one_of(st.none(), st.integers(0, 40)), "total")
        possible = total is None or feasible(allocator, rows, total)
        allocation = check_request(allocator, rows, total)
        if total is not None:
            assert (allocation is not None) == possible
        if allocation is not None:
            won = np.minimum(allocation.prompt_ids % 4, allocation.counts)
            allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))


@pytest.mark.parametrize("name", ["cero", "random_matched"])
def test_a_floor_of_one_is_a_floor(name: str) -> None:
    allocator = make_allocator(name, num_prompts=8, rounds=20, budget=400, min_rollouts_per_prompt=1)
    assert allocator.allocate([2, 0, 5], total=3).counts.tolist() == [1, 1, 1]
    for total in range(4, 20):
        assert allocator.allocate([2, 0, 5], total=total).counts.min() >= 1


@pytest.mark.parametrize(
    ("name", "options", "total", "nearest"),
    [
        ("vip", {}, 2, "ask for 3"),
        ("knapsack", {"min_rollouts_per_prompt": 7, "max_rollouts_per_prompt": 8}, 17, "ask for 16"),
        ("hora", {"min_rollouts_per_prompt": 5, "max_rollouts_per_prompt": 8}, 9, "ask for 8"),
        ("gvm", {"max_rollouts_per_prompt": 8}, 1000, "ask for 96"),
    ],
)
def test_a_total_that_no_batch_can_share_is_refused_with_one_that_can(
    name: str, options: dict[str, Any], total: int, nearest: str
) -> None:
    allocator = make_allocator(name, num_prompts=12, rounds=20, budget=1600, **options)
    with pytest.raises(ValueError, match=nearest):
        allocator.allocate(total=total)
    assert check_request(allocator, total=total) is None
    assert allocator.allocate(total=int(nearest.split()[-1])).total == int(nearest.split()[-1])


@pytest.mark.parametrize("name", ONE_WAVE)
def test_the_whole_budget_is_dealt_whatever_the_floor(name: str) -> None:
    bare = "min_rollouts_per_prompt" not in config_type(name).model_fields
    floor = None if bare else {"cero": 2, "random_matched": 2}.get(name, 7)
    options = {} if floor is None else {"min_rollouts_per_prompt": floor, "max_rollouts_per_prompt": 8}
    allocator = make_allocator(name, num_prompts=9, rounds=10, budget=173, **options)
    for _ in range(200):
        check_request(allocator)
    assert allocator.metrics()["budget_remaining"] == 0
