"""The other methods: each solves its own problem exactly, by brute force on small cases."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from cero_api import BatchAllocator, CobaRlAllocator, CobaRlConfig, ConfigurationError, RolloutOutcomes, make_allocator
from cero_api.config import GvmConfig, VipConfig

# Brute force is for small rounds, and some of them leave one solution.
pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")

# Of successes, failures and what graded rewards lack (sum of x(1 - x)) in the one visit, and counts.
Value = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], float]


def knapsack_value(won: np.ndarray, lost: np.ndarray, graded: np.ndarray, n: np.ndarray) -> float:
    p = won / (won + lost)
    variance = p * (1 - p) - graded / (won + lost)
    return float(((1 - p**n - (1 - p) ** n) * variance * (1 - p)).sum())


def varying(won: np.ndarray, lost: np.ndarray, graded: np.ndarray) -> np.ndarray:
    """Variance of the rewards, beside that of successes and failures of the same mean."""
    p = won / (won + lost)
    return np.asarray((p * (1 - p) - graded / (won + lost)) / (p * (1 - p)))


def hora_value(won: np.ndarray, lost: np.ndarray, graded: np.ndarray, n: np.ndarray) -> float:
    hit = 1 - np.exp(special.betaln(1 + won, 1 + lost + n) - special.betaln(1 + won, 1 + lost))
    return float((hit * varying(1 + won, 1 + lost, graded)).sum())


def vip_variance(won: np.ndarray, lost: np.ndarray, graded: np.ndarray) -> np.ndarray:
    p = (1 + won) / (2 + won + lost)
    return np.asarray(p * (1 - p) - graded / (2 + won + lost))


def vip_value(won: np.ndarray, lost: np.ndarray, graded: np.ndarray, n: np.ndarray) -> float:
    return -float((4 * vip_variance(won, lost, graded) * (n - 1) / n**2).sum())


def vip_rloo_value(won: np.ndarray, lost: np.ndarray, graded: np.ndarray, n: np.ndarray) -> float:
    return -float((4 * vip_variance(won, lost, graded) / (n - 1)).sum())


def coba_value(won: np.ndarray, lost: np.ndarray, graded: np.ndarray, n: np.ndarray) -> float:
    p = np.clip(won / (won + lost), 0.01, 0.99)
    failure = 1 - np.mean(won / (won + lost))
    failure = failure if failure > 0.5 else special.expit(10 * (failure - 0.5))
    tau = 3 + 9 * min(np.var(p) / 0.1667, 1)
    density = p ** (5 * failure) * (1 - p) ** (5 - 5 * failure) / special.beta(1 + 5 * failure, 6 - 5 * failure)
    return float(((1 - np.exp(-n * p * (1 - p) / tau)) * density * varying(won, lost, graded)).sum())


EXACT: dict[str, tuple[str, dict[str, object], Value, int]] = {
    "knapsack": ("knapsack", {}, knapsack_value, 2),
    "hora": ("hora", {}, hora_value, 2),
    "coba_rl": ("coba_rl", {}, coba_value, 2),
    "vip, dr_grpo": ("vip", {"estimator": "dr_grpo"}, vip_value, 3),
    "vip, rloo": ("vip", {"estimator": "rloo", "min_rollouts_per_prompt": 2}, vip_rloo_value, 2),
}


def visited(
    name: str, won: list[int], options: dict[str, object], visit: int = 10, spread: Sequence[float] = (1.0,)
) -> BatchAllocator[Any, Any]:
    """An allocator that has seen one visit of every prompt of its pool.

    Rewards were successes and failures, or with a smaller spread (of each, or of all) lay so much nearer to their mean.
    """
    size = {"num_prompts": len(won), "rounds": 10, "budget": 10 * len(won) * visit}
    allocator = make_allocator(name, **size, rollouts_per_prompt=visit, max_rollouts_per_prompt=14, **options)
    rows = np.arange(len(won))
    allocator.allocate(rows, total=visit * len(won))
    dealt = np.array(allocator.exposure())
    share = np.minimum(won, dealt)
    squares = share - (1 - np.square(spread)) * share * (dealt - share) / dealt
    allocator.observe(RolloutOutcomes(rows, share, dealt - share, squares=squares))
    assert isinstance(allocator, BatchAllocator)
    return allocator


@pytest.mark.parametrize(("name", "options", "value", "floor"), EXACT.values(), ids=EXACT.keys())
@given(won=st.lists(st.integers(1, 9), min_size=1, max_size=3), data=st.data())
def test_the_counts_are_optimal_among_all(
    name: str, options: dict[str, object], value: Value, floor: int, won: list[int], data: st.DataObject
) -> None:
    spread = data.draw(
        st.just([1.0]) | st.lists(st.sampled_from([1.0, 0.5, 0.1]), min_size=len(won), max_size=len(won))
    )
    allocator = visited(name, won, options, spread=spread)
    need = data.draw(st.integers(floor * len(won), 14 * len(won)))
    state = allocator.state_dict()
    s, f = state["successes"], state["failures"]
    graded = state["graded"] if state["graded"].size else np.zeros(len(won))
    if name == "knapsack" and ((s == 0) | (f == 0)).any():
        return  # those have no value; the next test is about them
    counts = allocator.allocate(range(len(won)), total=need).counts
    assert counts.sum() == need
    every = (np.array(n) for n in itertools.product(range(floor, 15), repeat=len(won)) if sum(n) == need)
    assert value(s, f, graded, counts) == pytest.approx(max(value(s, f, graded, n) for n in every), abs=1e-12)


def test_knapsack_leaves_the_decided_at_the_mean_and_gives_leftovers_to_the_unsolved() -> None:
    allocator = visited("knapsack", [0, 10, 5, 5], {})
    assert allocator.allocate([0, 1, 2, 3], total=32).counts.tolist() == [8, 8, 8, 8]
    # Beyond what the two with contrast can take, the unsolved prompt comes first, then whoever has room.
    assert allocator.allocate([0, 1, 2, 3], total=50).counts.tolist() == [12, 12, 13, 13]
    assert allocator.allocate([0, 1, 2, 3], total=56).counts.tolist() == [14, 14, 14, 14]
    assert allocator.allocate([0, 2], total=28).counts.tolist() == [14, 14]


def test_rewards_that_never_differ_have_no_value_to_who_wants_contrast() -> None:
    """Ten times 1/2 beside five successes of ten: an equal mean, and nothing to learn from."""
    expected = {"vip": [6, 14], "knapsack": [10, 10], "hora": [8, 12], "gvm": [6, 14], "coba_rl": [6, 14]}
    for name, shared in expected.items():
        allocator = make_allocator(name, num_prompts=2, rounds=10, budget=200, max_rollouts_per_prompt=14)
        allocator.allocate([0, 1], total=20)
        allocator.observe(RolloutOutcomes([0, 1], [5, 5], [5, 5], squares=[2.5, 5]))
        assert allocator.allocate([0, 1], total=20).counts.tolist() == shared, name
    # Knapsack leaves it at the batch's mean, as one that is always solved, while others share by value.
    allocator = make_allocator("knapsack", num_prompts=3, rounds=10, budget=300, max_rollouts_per_prompt=14)
    allocator.allocate([0, 1, 2], total=30)
    allocator.observe(RolloutOutcomes([0, 1, 2], [5, 2, 8], [5, 8, 2], squares=[2.5, 2, 8]))
    assert allocator.allocate([0, 1, 2], total=30).counts.tolist() == [10, 13, 7]


def test_knapsack_forgets_all_but_the_last_visit() -> None:
    allocator = visited("knapsack", [1, 9], {})
    second = allocator.allocate([0, 1], total=20)
    allocator.observe(RolloutOutcomes([0], [second.counts[0] - 1], [1], round=second.round))
    state = allocator.state_dict()
    assert state["last_successes"].tolist() == [second.counts[0] - 1, 9]
    third = allocator.allocate([0, 1], total=20)
    allocator.observe(RolloutOutcomes([0], [0], [third.counts[0]], round=third.round))
    allocator.observe(RolloutOutcomes([1], [second.counts[1]], [0], round=second.round))  # late, yet prompt 1's last
    state = allocator.state_dict()
    assert state["last_successes"].tolist() == [0, second.counts[1]]


@given(st.lists(st.integers(0, 10), min_size=1, max_size=8), st.data())
def test_gvm_is_proportional_within_its_limits(won: list[int], data: st.DataObject) -> None:
    allocator = visited("gvm", won, {})
    need = data.draw(st.integers(2 * len(won), 14 * len(won)))
    p = allocator.success_rate()
    weight = 1 / np.sqrt(p + 1e-3 / p)
    counts = allocator.allocate(range(len(won)), total=need).counts
    assert counts.sum() == need
    assert ((counts >= 2) & (counts <= 14)).all()
    free = (counts > 2) & (counts < 14)
    if free.any():  # one scale explains all counts that are at no limit, but for rounding
        low, high = ((counts[free] - 1) / weight[free]).max(), ((counts[free] + 1) / weight[free]).min()
        assert low <= high + 1e-9


def test_gvm_prefers_hard_prompts_but_not_the_hopeless() -> None:
    config = GvmConfig(num_prompts=3, rounds=100, budget=3000, prior=(1e-6, 1e-6), max_rollouts_per_prompt=40)
    allocator = make_allocator("gvm", config)
    allocation = allocator.allocate([0, 1, 2], total=90)
    allocator.observe(RolloutOutcomes([0, 1, 2], [0, 3, 27], allocation.counts - np.array([0, 3, 27])))
    counts = allocator.allocate([0, 1, 2], total=60).counts
    assert counts[1] > counts[2] > counts[0] == 2


def test_vip_refuses_a_floor_where_its_variance_is_not_convex() -> None:
    size: dict[str, Any] = {"num_prompts": 4, "rounds": 2, "budget": 64}
    with pytest.raises(ConfigurationError, match="at least 3 with estimator='dr_grpo'"):
        VipConfig(**size, min_rollouts_per_prompt=2)
    assert VipConfig(**size, min_rollouts_per_prompt=2, estimator="rloo").min_rollouts_per_prompt == 2


def test_coba_rl_turns_from_easy_to_hard_as_the_pool_improves() -> None:
    easy, hard = (10,) * 6, (0,) * 6  # what the rest of the pool brought
    shares = {won: visited("coba_rl", [2, 8, *won], {}).allocate([0, 1], total=20).counts for won in (easy, hard)}
    assert shares[hard].tolist() == [6, 14]  # up to the cap
    assert shares[easy].tolist() == [14, 6]


def test_coba_rl_keeps_a_part_for_those_that_nearly_always_fail() -> None:
    """By hand: of 12 above the floors 4/5 (9) go to the three in between, the rest to whom never succeeds."""
    won = [0, 3, 5, 7, 10]
    allocator = visited("coba_rl", won, {"by_value": 0.8})
    counts = allocator.allocate(range(5), total=2 * 5 + 12).counts
    assert counts[[0, 4]].tolist() == [2 + 3, 2]
    between = visited("coba_rl", won, {})  # the same value, among the three alone
    assert counts[1:4].tolist() == between.allocate([1, 2, 3], total=2 * 3 + 9).counts.tolist()
    # Where one of five is in between, 0.6 + 0.2 * 2/5 of it goes by the value; two that never succeed share the rest.
    allocator = visited("coba_rl", [0, 0, 10, 5, 10], {"by_value": 0.8})
    assert allocator.allocate(range(5), total=10 + 16).counts.tolist() == [2 + 3, 2 + 3, 2, 2 + 10, 2]
    # What the caps leave goes on to those in between, then to the others; nothing is lost.
    assert allocator.allocate(range(5), total=10 + 40).counts.tolist() == [14, 14, 4, 14, 4]
    assert allocator.allocate(range(5), total=70).counts.tolist() == [14] * 5
    nothing_known = make_allocator("coba_rl", num_prompts=4, rounds=4, budget=128, by_value=0.8)
    assert nothing_known.allocate(range(4), total=32).counts.tolist() == [8] * 4


def test_coba_rl_knows_the_latest_visits_of_each_prompt_and_the_latest_rounds() -> None:
    config = CobaRlConfig(num_prompts=2, rounds=9, budget=180, rollouts_per_prompt=10)
    allocator = CobaRlAllocator(config)
    rounds = [allocator.allocate([0, 1], total=20) for _ in range(5)]
    both = np.arange(2)
    assert allocator._rates(both).tolist() == [0.5, 0.5]
    for k, won in ((0, 0), (3, 10), (2, 5), (4, 3), (1, 10)):  # late, and the first two are soon forgotten
        n = rounds[k].counts
        allocator.observe(RolloutOutcomes([0], [won / 2], [n[0] / 2 - won / 2], round=k))
        allocator.observe(RolloutOutcomes([0], [won / 2], [n[0] / 2 - won / 2], round=k))  # in two parts
    assert allocator._rates(both) == pytest.approx([(10 + 5 + 3) / 30, 0.5])
    allocator.observe(RolloutOutcomes([1], [0], [10], round=2))
    assert allocator._failure_rate() == pytest.approx((0 + (0.5 + 1) / 2 + 0.7) / 3)


@pytest.mark.parametrize("name", ["knapsack", "hora", "vip", "gvm", "coba_rl"])
def test_over_the_pool_they_share_out_the_batches_of_a_walk(name: str) -> None:
    allocator = make_allocator(name, num_prompts=40, rounds=20, budget=1600)
    for _ in range(20):
        allocation = allocator.allocate()
        assert allocation.total == 80
        assert allocation.prompt_ids.size == 10
        won = np.minimum(allocation.prompt_ids % 9, allocation.counts)
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
    assert (allocator.exposure() > 0).all()
    assert allocator.metrics()["budget_remaining"] == 0


def test_the_control_takes_ceros_sizes_and_not_its_choice() -> None:
    size = {"num_prompts": 200, "rounds": 50, "budget": 4000, "seed": 1}
    control, chosen = make_allocator("random_matched", **size), make_allocator("cero", **size)
    first, same = control.allocate(), chosen.allocate()
    assert first.counts.tolist() == same.counts.tolist()
    assert set(first.prompt_ids.tolist()) != set(same.prompt_ids.tolist())
    batch = control.allocate(range(20), total=80)
    assert sorted(batch.counts) == sorted(chosen.allocate(range(20), total=80).counts)
    rates = np.repeat([0.0, 0.5], 100)
    for allocator in (control, chosen):
        for _ in range(48):
            allocation = allocator.allocate()
            won = np.rint(rates[allocation.prompt_ids] * allocation.counts)
            allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
    share = [a.exposure()[100:].sum() / a.exposure().sum() for a in (control, chosen)]
    assert abs(share[0] - 0.5) < 0.05 < share[1] - share[0]
