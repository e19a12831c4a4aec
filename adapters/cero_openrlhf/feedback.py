"""Rewards back: from a response, or from a reward model's scores, to what tells success from failure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from cero_api.arrays import real_numbers
from cero_api.errors import CeroError, ConfigurationError


class Verdicts:
    """Reads the reward that judges success out of responses.

    Args:
        key: "reward", "score", or a key of a response's extra logs.

    >>> verdicts = Verdicts("score")
    >>> verdicts.of({"reward": 0.5, "scores": 1.0, "extra_logs": {"format": 1.0}}), verdicts.of({"reward": None})
    (1.0, nan)
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._seen = key in ("reward", "score")

    def of(self, response: Mapping[str, Any]) -> float:
        """The reward, NaN if the response has none (yet), or one that is no number.

        Raises:
            ConfigurationError: the extra logs have no such key, and never had.
        """
        if response.get("reward") is None:
            return math.nan
        if self._key in ("reward", "score"):
            return number(response["reward"] if self._key == "reward" else response.get("scores"))
        logs = response.get("extra_logs") or {}
        if self._key in logs:
            self._seen = True
            return number(logs[self._key])
        if self._seen:
            return math.nan  # one response without it ends no training
        raise ConfigurationError(
            f"--cero.success_key {self._key} is neither reward nor score nor in the reward's extra_logs, which has "
            f"{sorted(logs)}; return it from the reward function"
        )


def generated(experience: Any) -> list[float]:
    """Tokens that the model generated in each rollout of an experience: its own turns, and nothing that it was told.

    Args:
        experience: OpenRLHF's, with its `action_mask`, `[N, T]`.
    """
    tokens: list[float] = experience.action_mask.sum(dim=-1).double().tolist()
    return tokens


def number(value: Any) -> float:
    """A reward as a float, from whatever holds one: a tensor in bfloat16 or with a gradient, an array, a number.

    NaN for what is none.

    >>> number([0.5]), number(None), number("high")
    (0.5, nan, nan)
    """
    if value is None:
        return math.nan
    flat = value.reshape(-1) if hasattr(value, "reshape") else value if isinstance(value, list | tuple) else [value]
    try:
        numbers = real_numbers(flat, "the reward")
    except CeroError:
        return math.nan
    return float(numbers[0]) if numbers.size else math.nan
