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


def levelled(samples: Sequence[Any]) -> Sequence[Any]:
    """Rollouts of a batch, all with the same entries, for OpenRLHF puts no others together; they are changed.

    A reward that one lacks and others have is NaN, a score or an extra log the mean of the others', which is logged.

    Args:
        samples: OpenRLHF's `Experience`s, of one rollout each.
    """
    _fill([sample.__dict__ for sample in samples], "rewards", math.nan)
    _fill([sample.__dict__ for sample in samples], "scores")
    infos = [sample.info for sample in samples]
    for name in dict.fromkeys(name for info in infos for name in info):
        _fill(infos, name, math.nan if name == "reward" else None)
    if samples and samples[0].rewards is None:  # of all of them
        for sample in samples:
            sample.rewards, sample.info["reward"] = torch.tensor([math.nan]), torch.tensor([math.nan])
    return samples


def _fill(entries: Sequence[dict[str, Any]], name: str, value: float | None = None) -> None:
    there = [entry[name] for entry in entries if entry.get(name) is not None]
    if not there or len(there) == len(entries):
        return
    filling = float(torch.cat([one.double().flatten() for one in there]).mean()) if value is None else value
    for entry in entries:
        if entry.get(name) is None:
            entry[name] = torch.full(there[0].shape, filling)


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
