"""A window offers every prompt once an epoch, and never one twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cero_api._types import FloatArray
from cero_api.mathematics.walk import Walk
from cero_api.offers import width, window


@given(pool=st.integers(1, 200), factor=st.integers(1, 6), room=st.integers(1, 20), seed=st.integers(0, 5))
def test_every_prompt_comes_once_an_epoch(pool: int, factor: int, room: int, seed: int) -> None:
    walk, times = Walk.start(pool, seed), np.zeros(pool, dtype=int)
    size = min(factor * room, pool)
    for round in range(3 * pool // size + 1):
        before = walk.order.copy(), walk.cursor
        rows, after = window(walk, room, factor, (seed, round))
        assert rows.size == np.unique(rows).size == size
        assert walk.cursor == before[1]
        np.testing.assert_array_equal(walk.order, before[0])
        times[rows] += 1
        assert times.max() - times.min() <= 1
        walk = after
        assert walk.check() is None


def test_the_walk_is_the_seeds_and_no_other() -> None:
    rows = [window(Walk.start(100, seed), 4, 4, (seed, 0)).rows for seed in (0, 0, 1)]
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


WORTH = st.lists(st.one_of(st.just(0.0), st.floats(0.001, 1.0)), min_size=1, max_size=40).map(np.array)


@given(worth=WORTH, room=st.integers(1, 12), variety=st.floats(0.01, 0.99))
def test_the_width_is_the_best_of_all_shares_of_the_window(worth: FloatArray, room: int, variety: float) -> None:
    found, offered, best = width(worth, room, variety), worth.size, np.sort(worth)[::-1]
    if offered <= room:
        assert found == offered
        return
    # To serve the best j of all that are offered is a window of P / j.
    score = {j: best[:j].mean() * (j / offered) ** variety for j in range(room, offered + 1)}
    good = [j for j, value in score.items() if value >= max(score.values()) * (1 - 1e-8)]
    assert found in {max(room, -(-room * offered // j)) for j in good}


@given(worth=WORTH, room=st.integers(1, 12))
def test_without_variety_all_of_the_window_is_looked_at(worth: FloatArray, room: int) -> None:
    assert width(worth, room, 0.0) == worth.size


@given(worth=WORTH, room=st.integers(1, 12), variety=st.floats(0.01, 0.9), scale=st.floats(0.01, 100.0))
def test_neither_the_order_nor_the_unit_of_worth_matters(
    worth: FloatArray, room: int, variety: float, scale: float
) -> None:
    assert width(worth, room, variety) == width(np.sort(worth) * scale, room, variety)


@given(worth=WORTH, room=st.integers(1, 12))
def test_more_variety_is_never_wider(worth: FloatArray, room: int) -> None:
    widths = [width(worth, room, variety) for variety in (0.01, 0.2, 0.5, 0.9)]
    assert widths == sorted(widths, reverse=True)


@given(pool=st.integers(4, 200), worth=st.floats(0.0, 1.0), variety=st.floats(0.01, 0.9))
def test_prompts_of_equal_worth_are_all_served(pool: int, worth: float, variety: float) -> None:
    assert width(np.full(pool, worth), 4, variety) == 4
