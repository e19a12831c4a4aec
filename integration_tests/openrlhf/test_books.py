"""The books: totals kept, evidence in whatever order, refills, budgets that end, state."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest

from cero_api import Allocation, UniformAllocator, UniformConfig, make_allocator
from cero_api.errors import BudgetError, CheckpointError
from cero_openrlhf.books import Books


class Stingy(UniformAllocator):
    def allocate(self, row_ids: Any = None, total: int | None = None) -> Allocation:
        return super().allocate(row_ids, 8)


def books(**fields: object) -> Books:
    settings = {"num_prompts": 8, "rounds": 12, "budget": 192, "capacity": 16, **fields}
    return Books(make_allocator("cero", **settings))


def play(of: Books, rows: list[int], order: random.Random) -> list[int]:
    """A generation in which row r succeeds r times in 8, its rollouts finishing in a random order."""
    of.begin()
    dealt = of.deal(rows, 4)
    reports = [
        (uid, float(i * 8 < row * count)) for row, (uid, count) in zip(rows, dealt, strict=True) for i in range(count)
    ]
    order.shuffle(reports)
    for uid, share in reports:
        of.report(uid, share)
    return [count for _, count in dealt]


def test_totals_are_kept_and_counts_differ() -> None:
    mine = books()
    rounds = [play(mine, [0, 1, 4, 7], random.Random(0)) for _ in range(8)]
    assert all(sum(counts) == 16 for counts in rounds)
    assert len(set(rounds[-1])) > 1
    assert mine.metrics()["budget_spent"] == 8 * 16
    assert mine.metrics()["outstanding"] == 0


def test_order_of_finishing_does_not_matter() -> None:
    one, other = books(), books()
    for k in range(8):
        rows = [k % 8, (k + 3) % 8, (k + 5) % 8, (k + 6) % 8]
        assert play(one, rows, random.Random(k)) == play(other, rows, random.Random(100 + k))
    for name, value in one.allocator.state_dict().items():
        np.testing.assert_array_equal(value, other.allocator.state_dict()[name])


def test_a_prompt_twice_in_a_batch_is_two_groups_and_the_total_is_kept() -> None:
    mine = books()
    mine.begin()
    dealt = mine.deal([2, 5, 2, 2], 4)
    assert len({uid for uid, _ in dealt}) == 4
    assert sum(count for _, count in dealt) == 16
    assert mine.allocator.exposure()[2] == sum(dealt[i][1] for i in (0, 2, 3))


def test_rollouts_without_reward_are_given_back() -> None:
    mine = books()
    mine.begin()
    dealt = mine.deal([0, 1], 4)
    for uid, count in dealt:
        mine.report(uid, math.nan)
        for _ in range(count - 2):
            mine.report(uid, 1.0)
    mine.begin()  # one rollout of each was never reported
    assert mine.allocator.metrics()["budget_refunded"] == 4
    assert mine.allocator.metrics()["outstanding"] == 0
    assert mine.allocator.exposure().sum() == 4


def test_groups_left_over_for_a_later_batch_are_judged_there() -> None:
    mine = books()
    mine.begin()
    [(late, count), (lost, _)] = mine.deal([0, 1], 4)
    mine.begin(waiting={late})
    for _ in range(count):
        mine.report(late, 1.0)
    mine.report(lost, 1.0)  # given up before, so it says nothing
    assert mine.metrics()["outstanding"] == 0
    assert mine.allocator.exposure()[:2].tolist() == [count, 0]


def test_refills_are_booked_when_the_generation_ends() -> None:
    mine = books()
    mine.begin()
    [(uid, count)] = mine.deal([3], 4)
    for _ in range(count):
        mine.report(uid, 1.0)
    refill = mine.refill(6, count)
    for _ in range(count):
        mine.report(refill, 0.0)
    numbers = mine.metrics()
    assert numbers["budget_spent"] == 2 * count
    assert numbers["round"] == 2
    assert mine.allocator.exposure()[6] == count
    assert mine.allocator.success_rate()[3] > 0.5 > mine.allocator.success_rate()[6]
    assert numbers["round_success_rate"] == 0.5
    assert numbers["round_effective_group_rate"] == 0


def test_a_spent_budget_leaves_uniform_counts() -> None:
    mine = books(rounds=2, budget=32)
    for _ in range(2):
        play(mine, [0, 1, 2, 3], random.Random(0))
    assert play(mine, [0, 1, 2, 3], random.Random(0)) == [4] * 4
    assert mine.metrics()["unbudgeted"] == 16
    assert mine.metrics()["budget_remaining"] == 0
    assert mine.deal_pool(16) is None


def test_the_pool_is_dealt_whole_groups() -> None:
    mine = books(max_rollouts_per_prompt=4)
    mine.begin()
    dealt = mine.deal_pool(16)
    assert dealt is not None
    assert sum(count for _, _, count in dealt) == 16
    assert len({row for _, row, _ in dealt}) == len(dealt)


def test_an_allocator_that_deals_less_is_refused() -> None:
    mine = Books(Stingy(UniformConfig(num_prompts=8, rounds=2, budget=64)))
    mine.begin()
    with pytest.raises(BudgetError, match="the trainer's batch takes 16"):
        mine.deal([0, 1, 2, 3], 4)


def test_state_continues_as_if_it_had_never_stopped() -> None:
    one, other = books(), books()
    for k in range(4):
        play(one, [k, k + 1, k + 2, k + 3], random.Random(k))
    other.load_state_dict(one.state_dict())
    for k in range(4):
        assert play(one, [0, 2, 4, 6], random.Random(k)) == play(other, [0, 2, 4, 6], random.Random(k))


@pytest.mark.parametrize("fields", [{"saturation": 2.0}, {"num_prompts": 9}])
def test_another_configuration_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(CheckpointError, match="resume with the settings of that training"):
        books(**fields).load_state_dict(books().state_dict())
