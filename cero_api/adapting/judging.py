"""Rewards as successes, in a training that no reward may end: what cannot be used is counted and named, not each."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import BoolArray, FloatArray
from cero_api.arrays import real_numbers
from cero_api.errors import CheckpointError, InvalidOutcomeError
from cero_api.rewards import SuccessRule

logger = logging.getLogger(__name__)

_DRY = 100  # rollouts in a row without a reward, of which the log is told; and of ten times as many, and so on


def said_rule(rule: SuccessRule, **more: Any) -> dict[str, Any]:
    """What a checkpoint remembers of a success rule: what was learned speaks of these successes.

    Args:
        rule: how a reward becomes a success.
        **more: JSON values: by which of several rewards.

    >>> said_rule(SuccessRule(), success_key=None) == said_rule(SuccessRule(success_threshold=1.0), success_key=None)
    True
    """
    threshold = 1.0 if rule.success_threshold is None and rule.reward_range is None else rule.success_threshold
    reward_range = None if rule.reward_range is None else list(rule.reward_range)
    return {"success_threshold": threshold, "reward_range": reward_range, **more}


def refuse_other_rule(saved: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to go on where a checkpoint left off, if other rewards are successes now.

    Args:
        saved: `said_rule` of the checkpoint; what those of earlier versions do not say may be anything.
        now: of this training.

    Raises:
        CheckpointError: they differ; the message names what.
    """
    differing = [name for name in now if name in saved and saved[name] != now[name]]
    if differing:
        told = ", ".join(f"{name}={saved.get(name)} (now {now[name]})" for name in differing)
        raise CheckpointError(
            f"the checkpoint was written where successes were judged by {told}, and what its allocator learned speaks "
            "of those; resume with the same, or begin a new allocator with fresh_start"
        )


class Judge:
    """Applies a success rule to whatever a reward function returns.

    A reward outside of `reward_range` counts as its nearest end; NaN and infinity are no reward, and such a rollout is
    left out. Either is counted, and the first of its kind is logged with its prompt. Where no reward comes any more (a
    service that is down), the log is told after 100 rollouts, 1,000 and so on: nothing is learned of them.

    Args:
        rule: how a reward becomes a success.
        option: what the trainer's users write to set the range, for the remedy.
        quiet: log nothing: for all processes but one, where each judges the same rewards.

    >>> judge = Judge(SuccessRule(reward_range=(0, 1)))
    >>> judge.shares([0.5, 7.0, float("nan")])
    array([0.5, 1. , nan])
    >>> judge.numbers()
    {'rewards_missing': 1.0, 'rewards_clipped': 1.0}
    """

    def __init__(self, rule: SuccessRule, option: str = "reward_range", quiet: bool = False) -> None:
        self.rule = rule
        self._option = option
        self._quiet = quiet
        self.missing = 0  # rollouts without a usable reward so far
        self.clipped = 0  # rewards outside of the range so far
        self._dry = 0  # latest rollouts in a row without a usable reward
        self._say = _DRY  # of how many of them the log is told next

    def shares(self, rewards: ArrayLike, prompts: Sequence[object] | None = None) -> FloatArray:
        """Success of each rollout, from 0 to 1; NaN for one without a reward.

        Args:
            rewards: `[N]`, one per rollout, NaN where there was none; a tensor of any type, with a gradient or without.
            prompts: `[N]`, whose rollout each is, for the log.

        Returns:
            float64 `[N]`.
        """
        try:
            reward = real_numbers(rewards, "rewards")
            share, outside = self.rule.judge(rewards)  # as they came: coarse floats have a wider tolerance
        except InvalidOutcomeError:  # None and the like among them
            reward = np.array([number_of(value) for value in rewards], dtype=np.float64)  # type: ignore[union-attr]  # many
            share, outside = self.rule.judge(reward)
        lost = ~np.isfinite(reward)
        if outside.any() and not self.clipped and not self._quiet:
            assert self.rule.reward_range is not None  # nothing is outside of a threshold
            first = int(np.flatnonzero(outside)[0])
            logger.warning(
                "reward %g%s is outside of %s=(%g, %g) and counts as its nearest end; widen the range, or mend "
                "the reward function (further ones are counted in rewards_clipped)",
                *(reward[first], _of(prompts, first), self._option, *self.rule.reward_range),
            )
        self.clipped += int(outside.sum())
        if lost.any() and not self.missing and not self._quiet:
            first = int(np.flatnonzero(lost)[0])
            logger.warning(
                "a rollout%s came back without a reward (%s) and is left out; its cause is in the reward function "
                "(further ones are counted in rewards_missing)",
                *(_of(prompts, first), reward[first]),
            )
        self.missing += int(lost.sum())
        self._look(lost)
        return share

    def _look(self, lost: BoolArray) -> None:
        """Say where rewards stay away altogether."""
        came = np.flatnonzero(~lost)
        if came.size:
            self._dry, self._say = lost.size - 1 - int(came[-1]), _DRY
        else:
            self._dry += lost.size
        if self._dry >= self._say:
            self._say = 10 * self._dry
            if not self._quiet:
                logger.warning(
                    "the latest %d rollouts came back without a single usable reward, and nothing is learned of them; "
                    "mend the reward function, or what it asks (they are counted in rewards_missing)",
                    self._dry,
                )

    def numbers(self) -> dict[str, float]:
        """For the trainer's log: how many rewards could not be used as they were."""
        return {"rewards_missing": float(self.missing), "rewards_clipped": float(self.clipped)}


def number_of(value: object) -> float:
    """A reward as a number; NaN for what is none.

    >>> number_of("0.5"), number_of(None)
    (0.5, nan)
    """
    try:
        return float(value)  # type: ignore[arg-type]  # it says if it cannot
    except (TypeError, ValueError):
        return math.nan


def _of(prompts: Sequence[object] | None, index: int) -> str:
    return "" if prompts is None else f" of prompt {prompts[index]!s:.80}"
