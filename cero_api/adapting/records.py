"""A round as it was dealt and what it earned: for the allocator, and for whoever listens to rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.protocol import Allocation, RolloutOutcomes


@dataclass(frozen=True, eq=False)
class RoundRecord:
    """What happened in one round. Arrays are aligned with `prompt_ids`; a trace is a list of these."""

    round: int
    prompt_ids: IntArray  # [P] rows of the pool
    counts: IntArray  # [P] rollouts given, 0 for a candidate that was passed over
    successes: FloatArray  # [P] fractional with `reward_range`
    failures: FloatArray  # [P] with the successes less than the counts where a reward was missing
    squares: FloatArray  # [P] of the rollouts' shares of a success; without `reward_range` the successes
    tokens: FloatArray  # [P] generated in the rollouts that have a reward; 0 where nobody counts them
    rollouts_so_far: int  # over the whole training, this round included
    allocator_seconds: float  # allocate and observe, in this process


def outcomes_of(allocation: Allocation, shares: FloatArray, tokens: FloatArray | None = None) -> RolloutOutcomes | None:
    """Successes and failures of a round; rollouts without a reward are left out, None if all are.

    Args:
        allocation: the round as dealt.
        shares: float64 `[N]`, success of each rollout, aligned with `allocation.prompt_ids_per_rollout`.
        tokens: float64 `[N]`, generated in each rollout; None where nobody counts them.

    >>> allocation = Allocation(0, np.array([8, 5]), np.array([2, 2]))
    >>> outcomes = outcomes_of(allocation, np.array([1.0, 0.0, 1.0, np.nan]), np.array([7.0, 2.0, 5.0, 6.0]))
    >>> outcomes.prompt_ids, outcomes.successes, outcomes.failures, outcomes.tokens
    (array([5, 8]), array([1., 1.]), array([0., 1.]), array([5., 9.]))
    """
    scored = ~np.isnan(shares)
    if not scored.any():
        return None
    rows = allocation.prompt_ids_per_rollout[scored]
    counted = None if tokens is None else tokens[scored]
    return RolloutOutcomes.from_rewards(
        rows, shares[scored], round=allocation.round, reward_range=(0.0, 1.0), tokens=counted
    )


def contrast_of(counts: IntArray, rewards: FloatArray) -> BoolArray:
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
    """Put a round's outcomes into the order of its allocation.

    >>> allocation = Allocation(0, np.array([8, 5]), np.array([2, 2]))
    >>> outcomes = outcomes_of(allocation, np.array([1.0, 0.0, 1.0, 1.0]))
    >>> record_of(allocation, outcomes, rollouts_so_far=4, allocator_seconds=0.0).successes
    array([1., 2.])
    """
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
