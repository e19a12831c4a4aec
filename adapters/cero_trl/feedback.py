"""Rewards back as outcomes: what a round taught, for the allocator and for whoever listens to rounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cero_api import RolloutOutcomes
from cero_api.errors import ConfigurationError
from cero_trl.config import CeroTRLConfig
from cero_trl.counts import Deal


@dataclass(frozen=True)
class RoundRecord:
    """What happened in one round. Arrays are aligned with `prompt_ids`; a trace is a list of these."""

    round: int
    prompt_ids: NDArray[np.int64]  # [P] rows of the train dataset
    counts: NDArray[np.int64]  # [P] rollouts given, 0 for a candidate that was passed over
    successes: NDArray[np.float64]  # [P] fractional with `reward_range`
    failures: NDArray[
        np.float64
    ]  # [P] successes + failures < counts where no reward function scored a rollout
    rollouts_so_far: int  # over the whole training, this round included
    allocator_seconds: float  # allocate and observe, on this rank


def judged_rewards(
    rewards_per_func: NDArray[np.float64],
    weights: NDArray[np.float64],
    names: list[str],
    config: CeroTRLConfig,
) -> NDArray[np.float64]:
    """The reward that tells success from failure, `[N]`: one named function's, else TRL's weighted sum.

    A rollout that no function scored (or not the named one) is NaN, as in TRL.
    """
    if config.success_reward is None:
        total: NDArray[np.float64] = np.nansum(rewards_per_func * weights, axis=1)
        return np.where(np.isnan(rewards_per_func).all(axis=1), np.nan, total)
    if names.count(config.success_reward) != 1:
        raise ConfigurationError(
            f"success_reward={config.success_reward!r} must name one of the reward functions {names}"
        )
    return rewards_per_func[:, names.index(config.success_reward)]


def round_outcomes(deal: Deal, rewards: NDArray[np.float64], config: CeroTRLConfig) -> RolloutOutcomes | None:
    """Successes and failures of a dealt round; rollouts without a reward are left out, `None` if all are.

    Args:
        deal: the round as dealt.
        rewards: float `[N]`, aligned with `deal.rows`.
        config: how a reward becomes a success.
    """
    scored = ~np.isnan(rewards)
    if not scored.any():
        return None
    rows, rewards = deal.rows[scored], rewards[scored]
    if config.reward_range is not None:
        return RolloutOutcomes.from_rewards(rows, rewards, round=deal.round, reward_range=config.reward_range)
    return RolloutOutcomes.from_rewards(
        rows, rewards, round=deal.round, success_threshold=config.success_threshold
    )


def round_record(
    deal: Deal, outcomes: RolloutOutcomes | None, *, rollouts_so_far: int, allocator_seconds: float
) -> RoundRecord:
    """Put a round's outcomes into the order of its deal."""
    successes, failures = np.zeros(len(deal.counts)), np.zeros(len(deal.counts))
    if outcomes is not None:
        order = np.argsort(deal.prompt_ids)
        place = order[np.searchsorted(deal.prompt_ids, outcomes.prompt_ids, sorter=order)]
        successes[place], failures[place] = outcomes.successes, outcomes.failures
    return RoundRecord(
        round=deal.round,
        prompt_ids=deal.prompt_ids,
        counts=deal.counts,
        successes=successes,
        failures=failures,
        rollouts_so_far=rollouts_so_far,
        allocator_seconds=allocator_seconds,
    )
