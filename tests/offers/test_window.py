"""A window offers every prompt once an epoch, and never one twice."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cero_api.mathematics.walk import Walk
from cero_api.offers import window


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
