"""The first rounds of a training, watched for a success rule that does not fit its rewards."""

from __future__ import annotations

import math

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.rewards import SuccessRule


class RewardWatch:
    """Looks whether any reward succeeds, and any fails, while groups have contrast.

    Graded or negative rewards at the default threshold of 1.0 are all failures: the allocator learns that every prompt
    is hopeless, and nobody is told.

    Args:
        rule: how a reward becomes a success.
        option: how users write the rule's options, such as "success_threshold".
        rounds: after how many rounds with contrast it speaks.

    >>> watch = RewardWatch(SuccessRule(), rounds=1)
    >>> watch.look(np.array([7, 7, 8, 8]), np.array([-0.5, 0.25, 0.0, 0.0]), np.zeros(4))
    'in 1 rounds no reward reached success_threshold=1, though groups differ inside: rewards go from -0.5 to 0.25; ...'
    """

    def __init__(self, rule: SuccessRule, option: str = "", rounds: int = 3) -> None:
        self._rule, self._option, self._wait = rule, option, rounds
        self._seen = 0
        self._low, self._high = math.inf, -math.inf
        self._succeeded = self._failed = False

    @property
    def waiting(self) -> bool:
        """Whether it may still have something to say; if not, nobody need keep rewards for it."""
        return self._wait > 0 and self._rule.reward_range is None

    def look(self, groups: IntArray, rewards: FloatArray, shares: FloatArray) -> str | None:
        """A sentence to warn with, once; None otherwise.

        Args:
            groups: int `[N]`, of each rollout.
            rewards: float64 `[N]`, as they came, NaN where there was none.
            shares: float64 `[N]`, the success of each.
        """
        if not self.waiting:
            return None
        there = np.isfinite(rewards)
        rewards, shares, groups = rewards[there], shares[there], groups[there]
        if not rewards.size:
            return None
        self._low, self._high = min(self._low, rewards.min()), max(self._high, rewards.max())
        self._succeeded |= bool((shares > 0).any())
        self._failed |= bool((shares < 1).any())
        if self._succeeded and self._failed:
            self._wait = 0
            return None
        _, place = np.unique(groups, return_inverse=True)
        top, bottom = np.full(place.max() + 1, -np.inf), np.full(place.max() + 1, np.inf)
        np.maximum.at(top, place, rewards)
        np.minimum.at(bottom, place, rewards)
        self._seen += bool((top > bottom).any())
        if self._seen < self._wait:
            return None
        self._wait = 0
        threshold = 1.0 if self._rule.success_threshold is None else self._rule.success_threshold
        what = "no reward reached" if self._failed else "every reward reached"
        return (
            f"in {self._seen} rounds {what} {self._option}success_threshold={threshold:g}, though groups differ "
            f"inside: rewards go from {self._low:g} to {self._high:g}; set {self._option}success_threshold between "
            f"them, or {self._option}reward_range to (lowest, highest), or nothing will be learned of any prompt"
        )
