"""Pilot-Commit: its band by hand, who is evicted and who comes again, and the published settings."""

from typing import Any

import numpy as np
import pytest

from cero_api import PilotAllocator, PilotCommitConfig, RolloutOutcomes, make_allocator

# Some of these bands are as small as what a round has for them.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")


def committed(won: list[int], total: int | None = None, **fields: Any) -> np.ndarray:
    """What follows a pilot of 8 each, of a group of 32, with so many successes."""
    options: dict[str, Any] = {"rollouts_per_prompt": 32, "pilot": 8} | fields
    allocator = make_allocator("pilot_commit", num_prompts=40, rounds=9, budget=9 * 256, **options)
    assert isinstance(allocator, PilotAllocator)
    rows = np.arange(len(won))
    allocator.allocate(rows, total=total)
    allocator.observe(RolloutOutcomes(rows, won, 8 - np.array(won)))
    return allocator.commit().counts


def test_the_band_is_committed_to_by_its_variance() -> None:
    # 0/8 is too hard, 7/8 and 8/8 are too easy; 1/8 and 6/8 are the band's ends.
    won = [0, 1, 4, 6, 7, 8]
    assert committed(won, total=48 + 24).tolist() == [0, 0, 24, 0, 0, 0]
    assert committed(won, total=48 + 48).tolist() == [0, 0, 24, 24, 0, 0]
    assert committed(won, total=48 + 72).tolist() == [0, 24, 24, 24, 0, 0]
    # Beyond the band whoever is nearest to it: 7/8 and 0/8 are as near, 8/8 is not.
    assert committed(won, total=48 + 120).tolist() == [24, 24, 24, 24, 24, 0]
    # Where no total is given, the pilot is half of the round: two groups more for six prompts.
    assert committed([0, 2, 4, 8, 8, 8]).tolist() == [0, 24, 24, 0, 0, 0]


def test_the_solved_are_evicted_and_the_hopeless_come_again() -> None:
    allocator = make_allocator("pilot_commit", num_prompts=40, rounds=60, budget=60 * 32)
    assert isinstance(allocator, PilotAllocator)
    offered = np.zeros(40, dtype=int)
    for k in range(30):
        first = allocator.allocate(total=32)
        np.add.at(offered, first.prompt_ids, k >= 10)
        won = np.where(first.prompt_ids < 20, 2, 0)
        allocator.observe(RolloutOutcomes(first.prompt_ids, won, 2 - won))
        rest = allocator.commit()
        won = np.where(rest.prompt_ids < 20, rest.counts, 0)
        allocator.observe(RolloutOutcomes(rest.prompt_ids, won, rest.counts - won))
    assert allocator.metrics()["evicted_prompts"] == 20
    assert offered[:20].sum() == 0
    assert offered[20:].min() == 8  # twenty rounds of eight, among twenty


def test_once_all_are_evicted_all_come_again() -> None:
    allocator = make_allocator("pilot_commit", num_prompts=12, rounds=60, budget=60 * 16)
    assert isinstance(allocator, PilotAllocator)
    for _ in range(12):
        first = allocator.allocate(total=16)
        assert (first.total, first.to_commit) == (8, 8)
        allocator.observe(RolloutOutcomes(first.prompt_ids, first.counts, 0 * first.counts))
        rest = allocator.commit()
        allocator.observe(RolloutOutcomes(rest.prompt_ids, rest.counts, 0 * rest.counts))
    assert allocator.metrics()["evicted_prompts"] == 12
    assert (allocator.exposure() > 0).all()


@pytest.mark.parametrize(("preset", "group"), [("paper", 128), ("paper_64", 64)])
def test_the_published_settings(preset: str, group: int) -> None:
    config = PilotCommitConfig.preset(preset, num_prompts=4000, rounds=10, budget=10 * 192 * group)
    allocator = make_allocator("pilot_commit", config)
    first = allocator.allocate(total=192 * group)
    assert first.counts.tolist() == [group // 4] * 384  # for 128 prompts that are committed to
    assert first.to_commit == 128 * group * 3 // 4
