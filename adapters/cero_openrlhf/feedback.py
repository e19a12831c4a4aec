"""Rewards back: from a response, or from a reward model's scores, to a success."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from cero_api.errors import ConfigurationError
from cero_api.rewards import SuccessRule


def judged(response: Mapping[str, Any], key: str) -> float:
    """The reward that tells success from failure, NaN if the response has none (yet).

    Args:
        response: of a rollout engine.
        key: "reward", "score", or a key of its extra logs.

    Raises:
        ConfigurationError: the extra logs have no such key.

    >>> judged({"reward": 0.5, "scores": 1.0, "extra_logs": {"format": 1.0}}, "score")
    1.0
    """
    if response.get("reward") is None:
        return math.nan
    if key == "reward":
        value = response["reward"]
    elif key == "score":
        value = response.get("scores")
    else:
        logs = response.get("extra_logs") or {}
        if key not in logs:
            raise ConfigurationError(
                f"--cero.success_key {key} is neither reward nor score nor in the reward's extra_logs, which has "
                f"{sorted(logs)}; return it from the reward function"
            )
        value = logs[key]
    return math.nan if value is None else float(np.asarray(value, dtype=np.float64).reshape(-1)[0])


def success(reward: float, rule: SuccessRule) -> float:
    """Share of a success, from 0 to 1; NaN for a rollout without a reward.

    Raises:
        InvalidOutcomeError: the reward is out of the rule's range.

    >>> success(0.899999976, SuccessRule(success_threshold=0.9)), success(0.5, SuccessRule(reward_range=(-1, 1)))
    (1.0, 0.75)
    """
    return float(rule.successes([reward])[0]) if math.isfinite(reward) else math.nan
