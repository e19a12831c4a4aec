"""What a method must show first: that it keeps the contract of all allocators, and that it does what it says."""

from __future__ import annotations

from cero_api import RolloutOutcomes, check_allocator, make_allocator


def test_it_keeps_the_contract() -> None:
    check_allocator(lambda **size: make_allocator("hardest_first", **size))


def test_the_hardest_get_the_cap() -> None:
    allocator = make_allocator("hardest_first", num_prompts=3, rounds=9, budget=216, max_rollouts_per_prompt=20)
    for _ in range(3):
        dealt = allocator.allocate([0, 1, 2], total=24)
        won = dealt.counts * (dealt.prompt_ids != 1)  # all are always solved but 1, which never is
        allocator.observe(RolloutOutcomes(dealt.prompt_ids, won, dealt.counts - won, round=dealt.round))
    assert allocator.allocate([0, 1, 2], total=24).counts.tolist() == [2, 20, 2]
