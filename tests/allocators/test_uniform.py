"""The baseline: equal groups, whole epochs."""

import pytest

from cero_api import BudgetError, UniformAllocator, UniformConfig


def test_candidates_get_equal_groups_or_equal_shares() -> None:
    allocator = UniformAllocator(UniformConfig(num_prompts=10, rounds=10, budget=320, rollouts_per_prompt=4))
    assert allocator.allocate([3, 1]).counts.tolist() == [4, 4]
    assert allocator.allocate([3, 1, 7], total=11).counts.tolist() == [4, 4, 3]
    assert allocator.allocate([], total=0).total == 0
    with pytest.raises(BudgetError, match="no candidates"):
        allocator.allocate([], total=4)


def test_the_last_candidates_go_short_when_the_budget_ends() -> None:
    allocator = UniformAllocator(UniformConfig(num_prompts=4, rounds=1, budget=9, rollouts_per_prompt=4))
    assert allocator.allocate([0, 1, 2, 3]).counts.tolist() == [4, 3, 2, 0]


@pytest.mark.parametrize(("pool", "per_round"), [(10, 3), (7, 7), (5, 2), (9, 4)])
def test_over_the_pool_it_visits_everybody_once_an_epoch(pool: int, per_round: int) -> None:
    rounds = 60
    config = UniformConfig(num_prompts=pool, rounds=rounds, budget=rounds * per_round * 8, seed=pool)
    allocator, visits = UniformAllocator(config), []
    for _ in range(rounds):
        allocation = allocator.allocate()
        assert len(set(allocation.prompt_ids.tolist())) == per_round
        assert (allocation.counts == 8).all()
        visits.extend(allocation.prompt_ids.tolist())
    for epoch in range(len(visits) // pool):
        assert sorted(visits[epoch * pool : (epoch + 1) * pool]) == list(range(pool))
    assert allocator.metrics()["budget_remaining"] == 0
    orders = [tuple(visits[e * pool : (e + 1) * pool]) for e in range(len(visits) // pool)]
    assert len(set(orders)) > 1


def test_a_budget_that_does_not_divide_is_spent_to_the_last_rollout() -> None:
    allocator = UniformAllocator(UniformConfig(num_prompts=50, rounds=7, budget=341))
    totals = [allocator.allocate().total for _ in range(8)]
    assert sum(totals) == 341
    assert set(totals[:7]) == {48, 49}
    assert totals[7] == 0


def test_more_than_the_pool_holds_is_refused() -> None:
    allocator = UniformAllocator(UniformConfig(num_prompts=4, rounds=2, budget=64))
    with pytest.raises(BudgetError, match="raise rollouts_per_prompt"):
        allocator.allocate(total=33)


def test_the_order_of_an_epoch_is_seeded() -> None:
    def first(seed: int) -> list[int]:
        config = UniformConfig(num_prompts=100, rounds=10, budget=8000, seed=seed)
        return [int(row) for row in UniformAllocator(config).allocate().prompt_ids]

    assert first(1) == first(1) != first(2)
