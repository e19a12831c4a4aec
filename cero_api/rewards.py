"""How a reward becomes a success: the one rule, with its one tolerance, of the core, the commands and every adapter."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import model_validator

from cero_api._types import BoolArray, FloatArray
from cero_api.arrays import epsilon_of, real_numbers
from cero_api.errors import InvalidOutcomeError
from cero_api.frozen import FrozenConfig
from cero_api.mathematics.rounding import ROUNDING, as_stored


class Judged(NamedTuple):
    """Rewards as a rule sees them, `[N]` each."""

    successes: (
        FloatArray  # from 0 to 1; of the nearest end where a reward is outside of the range; NaN without a reward
    )
    outside: BoolArray  # out of the range by more than rounding


class SuccessRule(FrozenConfig):
    r"""How a reward becomes a success of a rollout, whole or in part.

    Rewards are sums of weights and pass through float32, so what differs by rounding alone is equal here: 0.7 + 0.2 +
    0.1 reaches 1.0, float32's 0.9 reaches 0.9, and 1.0000001 is inside of a range up to 1. The slack is a millionth of
    the threshold (of 1 where that is more, and never so much that 0 would reach a positive one) or of the range.

    Args:
        success_threshold: a reward $r$ that reaches it is a success; 1.0 unless a range is given.
        reward_range: lowest and highest reward $(l, h)$ instead: $(r - l)/(h - l)$ of a success, the rest a failure.

    >>> SuccessRule(reward_range=(-1, 1)).successes(np.array([0.5, -1.0]))
    array([0.75, 0.  ])
    >>> SuccessRule().successes(np.array([0.7 + 0.2 + 0.1, 0.999]))
    array([1., 0.])
    """

    success_threshold: float | None = None
    reward_range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if self.success_threshold is not None and math.isnan(self.success_threshold):
            raise ValueError("success_threshold is NaN; give the lowest reward that is a success")
        if self.reward_range is not None:
            if self.success_threshold is not None:
                raise ValueError("give success_threshold or reward_range, not both")
            low, high = self.reward_range
            if not (math.isfinite(low) and math.isfinite(high - low) and low < high):
                raise ValueError(
                    f"reward_range={self.reward_range} must be (lowest, highest), finite, lowest < highest"
                )
        return self

    def lowest_success(self, epsilon: float = 0.0) -> float:
        """The threshold less its slack: rewards from here on are successes.

        Args:
            epsilon: relative spacing of the rewards, if that is coarser than float32's; see
                `cero_api.arrays.epsilon_of`.

        >>> SuccessRule(success_threshold=0.9).lowest_success(2**-7) < 0.8984375 == as_stored(0.9, 2**-7)
        True
        """
        threshold = 1.0 if self.success_threshold is None else self.success_threshold
        if not math.isfinite(threshold):
            return threshold
        slack = ROUNDING * max(abs(threshold), 1.0)
        slack = min(slack, threshold / 2) if threshold > 0 else slack
        return (min(threshold, as_stored(threshold, epsilon)) if epsilon else threshold) - slack

    def successes(self, rewards: ArrayLike) -> FloatArray:
        """Successes, in [0, 1] each.

        Args:
            rewards: `[N]`, finite.

        Raises:
            InvalidOutcomeError: a reward is out of its range, or is none.
        """
        reward = real_numbers(rewards, "rewards")
        judged = self._judged(reward, epsilon_of(rewards))
        if not np.isfinite(reward).all():
            raise InvalidOutcomeError("rewards must be finite; leave failed rollouts out, or refund them")
        if judged.outside.any():
            raise InvalidOutcomeError(
                f"rewards from {reward.min():.9g} to {reward.max():.9g} leave reward_range={self.reward_range}; "
                "widen the range"
            )
        return judged.successes

    def judge(self, rewards: ArrayLike) -> Judged:
        """Successes where there are any to be had, and which rewards are out of range: for a caller that must go on.

        Args:
            rewards: `[N]`; NaN and infinity are no reward.

        >>> SuccessRule(reward_range=(0, 1)).judge([0.25, 7.0, np.nan, 1.0000001])
        Judged(successes=array([0.25, 1.  ,  nan, 1.  ]), outside=array([False,  True, False, False]))
        """
        return self._judged(real_numbers(rewards, "rewards"), epsilon_of(rewards))

    def _judged(self, reward: FloatArray, epsilon: float) -> Judged:
        there = np.isfinite(reward)
        share = np.full(reward.size, np.nan)
        outside = np.zeros(reward.size, dtype=np.bool_)
        if self.reward_range is None:
            share[there] = reward[there] >= self.lowest_success(epsilon)
            return Judged(share, outside)
        low, high = self.reward_range
        slack, stored_low, stored_high = ROUNDING * (high - low), as_stored(low, epsilon), as_stored(high, epsilon)
        given = reward[there]
        outside[there] = (given < min(low, stored_low) - slack) | (given > max(high, stored_high) + slack)
        part = (np.clip(given, low, high) - low) / (high - low)
        # Up to rounding the ends are whole, so that rewards of 0 and 1 stay binary whatever they passed through.
        at_low, at_high = given <= max(low, stored_low) + slack, given >= min(high, stored_high) - slack
        share[there] = np.where(at_low, 0.0, np.where(at_high, 1.0, part))
        return Judged(share, outside)
