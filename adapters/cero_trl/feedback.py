"""Rewards back as outcomes: what a round taught, for the allocator and for whoever listens to rounds."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from cero_api import RolloutAllocator
from cero_api.adapting import round_numbers, run_identity
from cero_api.adapting.records import RoundRecord, contrast_of, outcomes_of, record_of
from cero_api.trace import TraceWriter

__all__ = [
    "RoundRecord",
    "contrast_of",
    "generated",
    "judged_rewards",
    "outcomes_of",
    "record_of",
    "round_metrics",
    "trace_of",
]


def judged_rewards(
    rewards_per_func: torch.Tensor,
    weights: torch.Tensor,
    names: list[str],
    success_reward: str | None,
    dtypes: list[torch.dtype],
) -> torch.Tensor:
    """The reward that tells success from failure, `[N]`: one named function's, else TRL's weighted sum.

    Args:
        rewards_per_func: `[N, F]`, NaN where a function did not apply.
        weights: float32 `[F]`.
        names: of the reward functions, `[F]`.
        success_reward: one of the names, or None.
        dtypes: in which each function gave its rewards, `[F]`.

    Returns:
        without a gradient; NaN for a rollout that no function scored, or not the named one. In the type of the one
        function that judges, whose rounding belongs to its rewards: 0.9 is 0.8984 in bfloat16, and reaches 0.9.
    """
    rewards = rewards_per_func.detach()
    alone = 0 if len(names) == 1 and weights[0] == 1 else None
    judge = alone if success_reward is None else names.index(success_reward)
    if judge is not None:
        return rewards[:, judge].cpu().to(dtypes[judge])
    total = (rewards * weights.to(rewards.device, rewards.dtype)).nansum(dim=1)
    total[rewards.isnan().all(dim=1)] = torch.nan
    return total.cpu()


def generated(output: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Tokens that the model generated in each completion of a process, `[N]`: none of a tool's.

    Where TRL has cleared the mask of a completion that was cut short (`mask_truncated_completions`), it is as long as
    the longest of its batch: all that are cut are.

    Args:
        output: TRL's, of a generation.

    >>> ones = torch.tensor([[1, 1, 1, 0], [0, 0, 0, 0]])
    >>> generated({"completion_ids": ones, "completion_mask": ones, "tool_mask": torch.tensor([[1, 0, 1, 1]] * 2)})
    tensor([2, 4])
    """
    mask = output["completion_mask"]
    own = (mask * output["tool_mask"] if "tool_mask" in output else mask).sum(dim=1)
    return torch.where(mask.any(dim=1), own, output["completion_ids"].shape[1])


def round_metrics(
    record: RoundRecord, rewards: NDArray[np.float64], own: Mapping[str, float], allocator: RolloutAllocator
) -> dict[str, float]:
    """What a round says of itself in TRL's log, and its allocator after it.

    Args:
        record: of the round.
        rewards: float64 `[N]`, those of a prompt side by side, NaN where there was none.
        own: more of the trainer's.
        allocator: that dealt the round.
    """
    contrast = contrast_of(record.counts, rewards)
    return {
        **round_numbers(record.counts, record.successes, record.failures, contrast, record.squares, record.tokens),
        **own,
        "rollouts_so_far": record.rollouts_so_far,
        "allocator_seconds": record.allocator_seconds,
        **allocator.metrics(),
    }


def trace_of(path: str | os.PathLike[str], allocator: RolloutAllocator, pool: str, seed: int) -> TraceWriter:
    """A trace that knows its run by allocator, configuration, dataset and seed; prompts are dataset rows.

    Args:
        path: of the file.
        allocator: of the run.
        pool: fingerprint of the dataset.
        seed: of the training.

    Raises:
        TraceError: the file is another run's, or cannot be written.
    """
    metadata = run_identity(allocator, trainer="trl", pool=pool, seed=seed)
    return TraceWriter(path, num_prompts=allocator.config.num_prompts, metadata=metadata)
