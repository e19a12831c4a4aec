"""Who gets a group, or nothing: MoPPS and GRESO, against what their papers say, by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from cero_api import (
    BudgetError,
    CobaRlConfig,
    ConfigurationError,
    GresoConfig,
    MoppsConfig,
    RolloutOutcomes,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_api.allocators import GresoAllocator, MoppsAllocator

pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")


def visit(allocator: MoppsAllocator | GresoAllocator, rows: list[int], won: list[float]) -> None:
    """A full group to each of these, of which so many were right."""
    allocation = allocator.allocate(rows, total=8 * len(rows))
    allocator.observe(RolloutOutcomes(rows, won, np.subtract(8, won), round=allocation.round))


def mopps(prompts: int, **fields: Any) -> MoppsAllocator:
    return MoppsAllocator(MoppsConfig(num_prompts=prompts, rounds=3000, budget=24_000 * prompts, **fields))


def greso(prompts: int, **fields: Any) -> GresoAllocator:
    return GresoAllocator(GresoConfig(num_prompts=prompts, rounds=1000, budget=1000 * prompts, **fields))


def test_what_mopps_knows_is_discounted_towards_the_prior_at_each_visit() -> None:
    allocator = mopps(2, forgetting=0.5, prior=(2.0, 3.0))
    alpha, beta = 2.0, 3.0
    for won in (1, 6, 0):
        visit(allocator, [1], [won])
        alpha, beta = 0.5 * alpha + 0.5 * 2 + won, 0.5 * beta + 0.5 * 3 + 8 - won
    state = allocator.state_dict()
    assert state["successes"].tolist() == [0, alpha - 2]
    assert state["failures"].tolist() == [0, beta - 3]


def test_a_visit_in_parts_is_discounted_once() -> None:
    whole, parts = mopps(1), mopps(1)
    visit(whole, [0], [4])
    visit(whole, [0], [6])
    visit(parts, [0], [4])
    allocation = parts.allocate([0], total=8)
    for won, lost in ((2, 1), (4, 1)):
        parts.observe(RolloutOutcomes([0], [won], [lost], round=allocation.round))
    assert whole.state_dict()["successes"] == parts.state_dict()["successes"]


def test_mopps_chooses_as_often_as_its_posteriors_say() -> None:
    """Of two prompts, the one whose draw is nearer to 1/2: the chance of that by quadrature."""
    allocator = mopps(2, forgetting=1.0)
    visit(allocator, [0, 1], [2, 8])
    chosen = np.mean([allocator.allocate([0, 1], total=8).counts[0] > 0 for _ in range(2000)])
    distance = (np.arange(4000) + 0.5) / 8000
    near, far = stats.beta(3, 7), stats.beta(9, 1)
    density = near.pdf(0.5 + distance) + near.pdf(0.5 - distance)
    beyond = 1 - (far.cdf(0.5 + distance) - far.cdf(0.5 - distance))
    expected = (density * beyond).sum() / 8000
    assert chosen == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 2000))


def test_mopps_offers_a_window_and_deals_full_groups_to_the_nearest() -> None:
    allocator = mopps(64, forgetting=1.0, window=8)
    rates = np.linspace(0, 1, 64)
    for _ in range(40):
        visit(allocator, list(range(64)), np.rint(8 * rates).tolist())
    for _ in range(20):
        allocation = allocator.allocate(total=16)
        assert allocation.counts.tolist() == [8, 8]
        assert (np.abs(rates[allocation.prompt_ids] - 0.5) < 0.35).all()  # the best two of sixteen that it was offered
    everybody = mopps(64, forgetting=1.0, offer="pool")
    for _ in range(40):
        visit(everybody, list(range(64)), np.rint(8 * rates).tolist())
    assert (np.abs(rates[everybody.allocate(total=16).prompt_ids] - 0.5) < 0.1).all()


def test_candidates_are_a_window() -> None:
    assert (mopps(40, window=4).allocate(range(18)).counts > 0).sum() == 5


def test_any_total_is_dealt_in_groups_and_more_than_that_evenly() -> None:
    for allocator in (mopps(4), greso(4)):
        assert sorted(allocator.allocate([0, 1, 2], total=17).counts) == [2, 7, 8]
        assert sorted(allocator.allocate([0, 1, 2], total=25).counts) == [8, 8, 9]
        assert allocator.metrics()["decidable"] == pytest.approx(1 / 25)
        with pytest.raises(BudgetError, match="more than a group of 8 for each prompt; ask for at most 32"):
            allocator.allocate(total=33)
        with pytest.raises(BudgetError, match="ask for 0, or at least 2"):
            allocator.allocate([0, 1, 2], total=1)
        with pytest.raises(BudgetError, match="pass candidates"):
            allocator.allocate([], total=8)


def test_runs_of_groups_without_contrast_are_counted_apart() -> None:
    allocator = greso(6)
    history: list[list[float]] = [[8, 8, 0, 0, 8, 4], [8, 0, 0, 4, 8, 8], [8, 0, 0, 0, 0, 8]]
    for won in history:
        visit(allocator, list(range(6)), won)
    assert allocator._runs(np.arange(6)).tolist() == [3, -2, -3, -1, -1, 2]
    chances = allocator._chances(np.arange(6))
    easy, hard = allocator.metrics()["easy_exploration"], allocator.metrics()["hard_exploration"]
    assert easy == hard == 0.49  # adapted once, when the third round was asked for
    assert chances == pytest.approx([0.48**3, 0.48**2, 0.48**3, 0.48, 0.48, 0.48**2])  # and the next time is due


def test_the_chance_of_a_long_run_stays() -> None:
    allocator = greso(2, step=0.0)
    for _ in range(12):
        visit(allocator, [0, 1], [8, 0])
    assert allocator._chances(np.arange(2)).tolist() == [0.01, 0.01]


def test_a_visit_in_parts_is_one_visit_and_late_rewards_of_an_earlier_one_are_none() -> None:
    allocator = greso(1)
    first, second = (allocator.allocate([0], total=8) for _ in range(2))
    allocator.observe(RolloutOutcomes([0], [4], [0], round=first.round))
    assert allocator._runs(np.arange(1)).tolist() == [1]
    allocator.observe(RolloutOutcomes([0], [4], [0], round=second.round))
    allocator.observe(RolloutOutcomes([0], [0], [4], round=first.round))
    assert allocator._runs(np.arange(1)).tolist() == [2]
    allocator.observe(RolloutOutcomes([0], [3], [1], round=second.round))
    assert allocator._runs(np.arange(1)).tolist() == [0]


@pytest.mark.parametrize(
    ("won", "easy", "hard"),
    [
        ([8] * 1 + [4] * 11, -1, 1),  # 1 in 12 is the target of the easy ones
        ([0] * 2 + [4] * 10, 1, -1),  # 2 in 12 that of the hard ones
        ([8] * 2 + [0] * 4 + [4] * 6, -1, -1),
        ([4] * 12, 1, 1),
    ],
)
def test_exploration_is_adapted_after_the_first_epoch(won: list[float], easy: int, hard: int) -> None:
    allocator, rows = greso(12), list(range(12))
    visit(allocator, rows, won)
    allocator.allocate(rows, total=0)
    assert allocator.metrics()["easy_exploration"] == allocator.metrics()["hard_exploration"] == 0.5
    for times in (1, 2):
        visit(allocator, rows, won)
        allocator.allocate(rows, total=0)
        allocator.allocate(rows, total=0)  # once for each round of rewards
        assert allocator.metrics()["easy_exploration"] == pytest.approx(0.5 + 0.01 * easy * times)
        assert allocator.metrics()["hard_exploration"] == pytest.approx(0.5 + 0.01 * hard * times)


def test_exploration_stays_in_its_range() -> None:
    allocator = greso(2, step=0.3)
    for _ in range(6):
        visit(allocator, [0, 1], [8, 4])
    allocator.allocate([0, 1], total=0)
    metrics = allocator.metrics()
    assert (metrics["easy_exploration"], metrics["hard_exploration"]) == (0.05, 0.95)


def test_the_walk_passes_prompts_over_and_keeps_those_it_has_not_looked_at() -> None:
    allocator = greso(40, step=0.0)
    visit(allocator, list(range(40)), [8.0, 4.0] * 20)
    for _ in range(8):  # the even ones get a run of 8, and with it a chance of 1 in 100
        visit(allocator, list(range(0, 40, 2)), [8.0] * 20)
    walk = allocator.state_dict()["walk.order"]
    odd = walk[walk % 2 == 1]
    dealt = np.concatenate([allocator.allocate(total=32).prompt_ids for _ in range(5)])
    chosen = [row for row in dealt if row % 2]
    assert chosen == odd.tolist()[: len(chosen)]  # in the walk's order, none of them left out
    assert len(chosen) >= 18


def test_the_walk_passes_over_as_often_as_it_should() -> None:
    allocator = greso(400, step=0.0, easy_exploration=0.3)
    visit(allocator, list(range(400)), [8.0] * 200 + [4.0] * 200)
    dealt: list[int] = []
    while allocator.state_dict()["walk.cursor"] < 390 and len(dealt) < 400:
        dealt += allocator.allocate(total=8).prompt_ids.tolist()
    share = np.mean(np.array(dealt) < 200)
    assert share == pytest.approx(0.3 / 1.3, abs=4 * np.sqrt(0.2 * 0.8 / len(dealt)))


def test_where_all_are_passed_over_the_total_is_met_all_the_same() -> None:
    allocator = greso(10, step=0.0)
    for _ in range(10):
        visit(allocator, list(range(10)), [0.0] * 10)
    assert allocator.allocate(total=76).counts.tolist() == [8] * 9 + [4]
    assert allocator.allocate(range(5), total=40).counts.tolist() == [8] * 5
    assert allocator.allocate(range(5)).total == 8  # left to it, one group


def test_the_papers_settings_are_the_defaults() -> None:
    size: dict[str, Any] = {"num_prompts": 900, "rounds": 5, "budget": 5 * 64 * 8}
    for config in (MoppsConfig, GresoConfig, CobaRlConfig):
        named, plain = config.preset("paper", **size), config(**size)
        assert named.model_dump(exclude={"rollouts_per_prompt"}) == plain.model_dump(exclude={"rollouts_per_prompt"})
    assert MoppsConfig.preset("paper_math", **size).window == 16
    with pytest.raises(ConfigurationError, match="swap them"):
        GresoConfig(**size, exploration_range=(0.9, 0.1))
    assert MoppsConfig(num_prompts=5, rounds=5, budget=200).window == 8  # more than there are: all of them


def test_mopps_starts_from_offline_rates_as_its_published_code_does() -> None:
    """Beta(1 + 3 won, 1 + 3 lost) for each sample, which each visit then discounts towards the prior."""
    rates, samples = [0.75, 0.0, 1.0, 0.5], [8, 4, 2, 0]
    size: dict[str, Any] = {"num_prompts": 4, "rounds": 40, "budget": 320}
    allocator = make_allocator("mopps", **size, offline_rates=rates, offline_samples=samples)
    state = allocator.state_dict()
    assert state["successes"] == pytest.approx([18, 0, 6, 0])
    assert state["failures"] == pytest.approx([6, 12, 0, 0])
    assert allocator.success_rate() == pytest.approx([19 / 26, 1 / 14, 7 / 8, 1 / 2])
    allocator.allocate([0], total=8)
    allocator.observe(RolloutOutcomes([0], [1], [7]))
    assert allocator.state_dict()["successes"][0] == pytest.approx(0.5 * 18 + 1)
    assert make_allocator("mopps", **size, offline_rates=rates).state_dict()["successes"][0] == 0.75 * 3 * 8
    strong = make_allocator("mopps", **size, offline_rates=rates, offline_strength=2.0)
    assert strong.state_dict()["successes"][0] == 1.5


def test_mopps_chooses_by_offline_rates_in_the_first_round(tmp_path: Path) -> None:
    rates = np.repeat([0.0, 0.5, 1.0], 20)
    allocator = make_allocator("mopps", num_prompts=60, rounds=20, budget=20 * 64, offline_rates=rates, seed=2)
    assert set(rates[allocator.allocate().prompt_ids]) == {0.5}
    loaded = load_allocator(save_allocator(allocator, tmp_path / "allocator.npz"))
    assert loaded.allocate().prompt_ids.tolist() == allocator.allocate().prompt_ids.tolist()
    with pytest.raises(ConfigurationError, match="goes by outcomes alone"):
        make_allocator("greso", num_prompts=60, rounds=20, budget=640, offline_rates=rates)
    with pytest.raises(ConfigurationError, match="must be shares"):
        make_allocator("mopps", num_prompts=60, rounds=20, budget=640, offline_rates=100 * rates)
