"""Rewards back as outcomes: what a round taught, for the allocator and for whoever listens to rounds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from cero_api import Allocation, RolloutAllocator, RolloutOutcomes
from cero_api.adapting import run_identity
from cero_api.trace import TraceWriter


@dataclass(frozen=True, eq=False)
class RoundRecord:
    """What happened in one round. Arrays are aligned with `prompt_ids`; a trace is a list of these."""

    round: int
    prompt_ids: NDArray[np.int64]  # [P] rows of the train dataset
    counts: NDArray[np.int64]  # [P] rollouts given, 0 for a candidate that was passed over
    successes: NDArray[np.float64]  # [P] fractional with `reward_range`
    failures: NDArray[np.float64]  # [P] with the successes less than the counts where a reward was missing
    squares: NDArray[np.float64]  # [P] of the rollouts' shares of a success; without `reward_range` the successes
    tokens: NDArray[np.float64]  # [P] generated in the rollouts that have a reward
    rollouts_so_far: int  # over the whole training, this round included
    allocator_seconds: float  # allocate and observe, on this rank


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


def outcomes_of(
    allocation: Allocation, shares: NDArray[np.float64], tokens: NDArray[np.float64]
) -> RolloutOutcomes | None:
    """Successes and failures of a round; rollouts without a reward are left out, None if all are.

    Args:
        allocation: the round as dealt.
        shares: float64 `[N]`, success of each rollout, aligned with `allocation.prompt_ids_per_rollout`.
        tokens: float64 `[N]`, generated in each rollout.

    >>> allocation = Allocation(0, np.array([8, 5]), np.array([2, 2]))
    >>> outcomes = outcomes_of(allocation, np.array([1.0, 0.0, 1.0, np.nan]), np.array([7.0, 2.0, 5.0, 6.0]))
    >>> outcomes.prompt_ids, outcomes.successes, outcomes.failures, outcomes.tokens
    (array([5, 8]), array([1., 1.]), array([0., 1.]), array([5., 9.]))
    """
    scored = ~np.isnan(shares)
    if not scored.any():
        return None
    rows = allocation.prompt_ids_per_rollout[scored]
    return RolloutOutcomes.from_rewards(
        rows, shares[scored], round=allocation.round, reward_range=(0.0, 1.0), tokens=tokens[scored]
    )


def contrast_of(counts: NDArray[np.int64], rewards: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the rewards of each prompt's rollouts differ, `[P]`; those that are missing say nothing.

    Args:
        counts: int64 `[P]`, at least one of them above 0.
        rewards: float64 `[N]`, the rollouts of a prompt side by side, NaN where there was none.

    >>> contrast_of(np.array([2, 0, 3]), np.array([1.0, 1.0, 0.0, np.nan, 0.5]))
    array([False, False,  True])
    """
    given = counts[counts > 0]
    starts = np.cumsum(given) - given
    contrast = np.zeros(counts.size, dtype=np.bool_)
    contrast[counts > 0] = np.fmax.reduceat(rewards, starts) > np.fmin.reduceat(rewards, starts)
    return contrast


def record_of(
    allocation: Allocation,
    outcomes: RolloutOutcomes | None,
    *,
    rollouts_so_far: int,
    allocator_seconds: float,
) -> RoundRecord:
    """Put a round's outcomes into the order of its allocation."""
    successes, failures, squares, tokens = np.zeros((4, len(allocation.counts)))
    if outcomes is not None:
        order = np.argsort(allocation.prompt_ids)
        place = order[np.searchsorted(allocation.prompt_ids, outcomes.prompt_ids, sorter=order)]
        successes[place], failures[place], squares[place] = outcomes.successes, outcomes.failures, outcomes.squares
        tokens[place] = 0.0 if outcomes.tokens is None else outcomes.tokens
    return RoundRecord(
        round=allocation.round,
        prompt_ids=allocation.prompt_ids,
        counts=allocation.counts,
        successes=successes,
        failures=failures,
        squares=squares,
        tokens=tokens,
        rollouts_so_far=rollouts_so_far,
        allocator_seconds=allocator_seconds,
    )


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
