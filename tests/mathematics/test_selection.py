"""Orders and fills against sorting and against an exhaustive search."""

import heapq
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api.mathematics.selection import TieOrder, fill_by_gain, fill_in_order, groups_in_order


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=60),
    st.integers(1, 70),
    st.sampled_from([-np.inf, 0.0, 2.0, 9.0]),
    st.integers(0, 3),
)
def test_leading_is_the_head_of_the_sorted_pool(levels: list[int], count: int, above: float, seed: int) -> None:
    values, ties = np.array(levels, dtype=float), TieOrder(len(levels), seed)
    everyone = sorted(np.flatnonzero(values > above), key=lambda row: (-values[row], ties.rank[row]))
    assert ties.leading(values, count, above).tolist() == everyone[:count]


@pytest.mark.parametrize("levels", [1, 2, 40, 10**9])
@pytest.mark.parametrize("count", [1, 3, 66, 900, 30_000])
def test_leading_is_the_head_of_a_large_pool(levels: int, count: int) -> None:
    rng = np.random.default_rng(levels)
    values, ties = rng.integers(0, levels, 20_000) / levels, TieOrder(20_000, 1)
    for above in (-np.inf, 0.5, 0.99):
        order = np.lexsort((ties.rank, -values))
        order = order[values[order] > above][:count]
        np.testing.assert_array_equal(ties.leading(values, count, above), order)


def test_ties_go_by_the_place_in_the_seeded_permutation() -> None:
    permutation = np.random.default_rng(5).permutation(1000)
    np.testing.assert_array_equal(TieOrder(1000, 5).leading(np.full(1000, 0.3), 10), permutation[:10])


@given(st.integers(0, 12), st.integers(0, 60), st.integers(1, 9), st.sampled_from([1, 2]))
def test_groups_in_order(prompts: int, need: int, cap: int, smallest: int) -> None:
    sizes = groups_in_order(prompts, need, cap, smallest)
    assert sizes.sum() == min(need, prompts * cap)
    assert sizes.size <= prompts
    assert ((sizes >= 1) & (sizes <= cap)).all()
    if min(need, prompts * cap) >= 2 * smallest - 1 and cap > smallest:
        assert (sizes >= smallest).all()
    if smallest == 1:
        assert (sizes[:-1] == cap).all()  # Algorithm 1: only the last one may be partial


def by_heap(
    rate: np.ndarray, exposure: np.ndarray, rank: np.ndarray, price: float, need: int, floor: int, cap: int
) -> np.ndarray:
    """Units one by one to the largest gain: the definition."""
    counts = np.full(rate.size, floor)

    def entry(row: int) -> tuple[float, int, int]:
        gain = np.exp(-rate[row] * (exposure[row] + counts[row])) * (1 - np.exp(-rate[row]))
        return -gain, rank[row], row

    heap = [entry(row) for row in range(rate.size) if floor < cap]
    heapq.heapify(heap)
    while heap and counts.sum() < need:
        gain, _, row = heapq.heappop(heap)
        if -gain <= price:
            break
        counts[row] += 1
        if counts[row] < cap:
            heapq.heappush(heap, entry(row))
    return counts


def value(rate: np.ndarray, exposure: np.ndarray, counts: np.ndarray) -> float:
    return float((1 - np.exp(-rate * (exposure + counts))).sum())


@given(st.data())
def test_filling_by_gain_is_the_greedy_rule(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    rate, exposure = rng.choice([0.001, 0.01, 0.1, 0.3, 0.31], size), rng.integers(0, 40, size).astype(float)
    floor, cap = data.draw(st.sampled_from([(0, 1), (2, 2), (2, 8), (3, 33)]))
    need = data.draw(st.integers(floor * size, cap * size))
    price = data.draw(st.sampled_from([0.0, 1e-4, 0.01]))
    rank = rng.permutation(size)
    counts = fill_by_gain(rate, exposure, rank, price, need, floor, cap, smallest=1)
    expected = by_heap(rate, exposure, rank, price, need, floor, cap)
    assert counts.sum() == expected.sum()
    assert (counts >= floor).all()
    assert (counts <= cap).all()
    assert value(rate, exposure, counts) == pytest.approx(value(rate, exposure, expected), abs=1e-12)


def test_filling_by_gain_is_optimal_among_all_splits() -> None:
    rate, exposure = np.array([0.2, 0.05, 0.4]), np.array([3.0, 0.0, 9.0])
    counts = fill_by_gain(rate, exposure, np.arange(3), 0.0, need=9, floor=2, cap=6, smallest=2)
    splits = (np.array(n) for n in itertools.product(range(2, 7), repeat=3) if sum(n) == 9)
    assert value(rate, exposure, counts) == pytest.approx(max(value(rate, exposure, n) for n in splits), abs=1e-12)


def test_filling_by_gain_survives_prompts_far_past_saturation() -> None:
    rate, exposure = np.array([0.5, 0.5, 1e-9]), np.array([1e4, 1e5, 0.0])
    assert fill_by_gain(rate, exposure, np.arange(3), 0.0, need=12, floor=2, cap=8, smallest=2).tolist() == [2, 2, 8]


@given(st.integers(1, 40), st.integers(2, 9), st.integers(0, 10**6), st.data())
def test_no_group_of_one_where_it_can_be_helped(size: int, cap: int, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    need = data.draw(st.integers(0, cap * size))
    rate, exposure = rng.uniform(0.01, 0.3, size), rng.integers(0, 30, size).astype(float)
    counts = fill_by_gain(rate, exposure, rng.permutation(size), 0.0, need, 0, cap, smallest=2)
    assert counts.sum() == need
    assert ((counts >= 0) & (counts <= cap)).all()
    if cap > 2 and need not in (1,):
        assert not (counts == 1).any()


def test_a_round_too_small_for_the_floor_serves_the_best() -> None:
    rate = np.array([0.01, 0.3, 0.1])
    assert fill_by_gain(rate, np.zeros(3), np.arange(3), 0.0, need=5, floor=2, cap=8, smallest=2).tolist() == [0, 3, 2]
    assert fill_in_order(np.array([1, 2, 0]), 3, 5, 2, 8, 2).tolist() == [0, 3, 2]
    assert fill_in_order(np.array([1, 2, 0]), 3, 1, 2, 8, 2).tolist() == [0, 0, 0]


def test_a_floor_equal_to_the_cap_leaves_nothing_to_choose() -> None:
    assert fill_in_order(np.array([1, 0]), eager=2, need=9, floor=4, cap=4, smallest=2).tolist() == [4, 4]
