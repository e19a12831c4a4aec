"""A loader of one's own: seeded epochs over the pool, for methods that share out a batch they are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from cero_api._types import IntArray


@dataclass
class Walk:
    """Where the walk through the pool stands; every prompt comes once an epoch.

    >>> walk = Walk.start(5, seed=0)
    >>> first, walk = walk.take(3, seed=(0, 1))
    >>> second, walk = walk.take(3, seed=(0, 2))
    >>> first, second
    (array([2, 4, 3]), array([0, 1, 4]))
    """

    order: IntArray  # [M] the epoch's order
    cursor: int  # prompts of it that have been taken

    @classmethod
    def start(cls, num_prompts: int, seed: int) -> Self:
        """At the beginning of the first epoch."""
        return cls(np.random.default_rng((seed, 0)).permutation(num_prompts), 0)

    def take(self, count: int, seed: tuple[int, ...]) -> tuple[IntArray, Self]:
        """The next prompts, none twice even where an epoch ends among them, and the walk from there on.

        Args:
            count: how many, at most the pool's size.
            seed: of the next epoch's order, should this one end.

        Returns:
            int64 `[count]`, and a new walk.
        """
        rows = self.order[self.cursor : self.cursor + count].copy()
        if rows.size == count:
            return rows, type(self)(self.order, self.cursor + count)
        fresh = np.random.default_rng(seed).permutation(self.order.size)
        # The prompts that close the old epoch in this round come last in the new one.
        just_taken = np.isin(fresh, rows)
        order = np.concatenate([fresh[~just_taken], fresh[just_taken]])
        cursor = count - rows.size
        return np.concatenate([rows, order[:cursor]]), type(self)(order, cursor)

    def check(self) -> str | None:
        """What is wrong with this walk, or None: for states that come from outside."""
        if not 0 <= self.cursor <= self.order.size:
            return f"cursor={self.cursor} is outside of the epoch"
        if not np.array_equal(np.sort(self.order), np.arange(self.order.size)):
            return "its epoch is not a permutation of the pool"
        return None
