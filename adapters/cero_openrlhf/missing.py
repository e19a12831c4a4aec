"""Rollouts without a reward: OpenRLHF cannot put them beside others, so they go along as NaN and train nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cero_openrlhf.feedback import number


def usable(response: Mapping[str, Any]) -> dict[str, Any]:
    """A response as OpenRLHF can read it: a reward that is no finite number is none, like one that was not fetched.

    >>> usable({"reward": math.nan, "scores": 0.0, "extra_logs": {"length": 3.0, "format": None}})
    {'reward': None, 'scores': None, 'extra_logs': {'length': 3.0}}
    """
    logs = {name: value for name, value in (response.get("extra_logs") or {}).items() if value is not None}
    there = math.isfinite(number(response.get("reward")))
    given = {name: response.get(name) if there else None for name in ("reward", "scores")}
    return {**response, **given, "extra_logs": logs}


def levelled(samples: Sequence[Any]) -> None:
    """Give all rollouts of a batch the same entries, for OpenRLHF puts no others together.

    A reward that one lacks is NaN, a score or an extra log the mean of the others', which is logged.

    Args:
        samples: OpenRLHF's `Experience`s, of one rollout each.
    """
    infos = [sample.info for sample in samples]
    if any(sample.rewards is None for sample in samples):
        _fill([vars(sample) for sample in samples], "rewards", math.nan)
        _fill(infos, "reward", math.nan)
    _fill([vars(sample) for sample in samples], "scores")
    for name in dict.fromkeys(name for info in infos for name in info):
        _fill(infos, name)


def left_out(samples: Sequence[Any]) -> None:
    """Give rollouts of an evaluation that have no reward the mean of the others, which leaves its means as they are."""
    _fill([vars(sample) for sample in samples], "rewards")
    if samples and samples[0].rewards is None:
        _fill([vars(sample) for sample in samples], "rewards", math.nan)


def _fill(entries: Sequence[dict[str, Any]], name: str, value: float | None = None) -> None:
    """Put a value where an entry is missing; without one, the mean of those that are there, if any are."""
    there = [entry[name] for entry in entries if entry.get(name) is not None]
    if len(there) == len(entries) or not (there or value is not None):
        return
    filling = float(torch.cat([one.double().flatten() for one in there]).mean()) if value is None else value
    for entry in entries:
        if entry.get(name) is None:
            entry[name] = torch.full(there[0].shape if there else (1,), filling)


def filled(rewards: NDArray[np.float64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """Rewards with the mean of their group in place of those that are missing; of the batch where a group has none.

    Args:
        rewards: `[N]`, NaN or infinite where there is none.
        groups: `[N]`, of each rollout.

    >>> filled(np.array([1.0, np.nan, 0.0, np.nan]), np.array([7, 7, 7, 8]))
    array([1. , 0.5, 0. , 0.5])
    """
    there = np.isfinite(rewards)
    _, group = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(group, np.where(there, rewards, 0.0)), np.bincount(group, there)
    overall = rewards[there].mean() if there.any() else 0.0
    means = np.where(sizes > 0, sums / np.maximum(sizes, 1), overall)
    return np.where(there, rewards, means[group])
