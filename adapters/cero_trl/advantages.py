"""TRL's advantages, with the true groups in place of blocks of `num_generations`."""

from __future__ import annotations

import torch
from trl.trainer.utils import nanstd

from cero_api.errors import ConfigurationError

# TRL adds this to every standard deviation (a literal in grpo_trainer.py).
_EPS = 1e-4


def grouped_advantages(
    rewards_per_func: torch.Tensor,
    reward_weights: torch.Tensor,
    sizes: torch.Tensor,
    *,
    scale_rewards: str,
    aggregation: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Advantages as `GRPOTrainer` computes them, for groups of unequal size.

    Same formulas, functions and order of operations as TRL 1.16, so that at equal sizes the result is equal
    bit for bit. Groups become rows of a matrix padded with NaN, which TRL's statistics skip already (for it,
    NaN is a rollout that no reward function scored). A group of one has standard deviation 0.

    Args:
        rewards_per_func: float `[N, F]`, rollouts of a group adjacent, NaN where a function did not apply.
        reward_weights: float `[F]`.
        sizes: int64 `[P]`, at least 1 each, summing to N.
        scale_rewards: TRL's option: `"group"`, `"batch"` or `"none"`.
        aggregation: TRL's `multi_objective_aggregation`.

    Returns:
        advantages `[N]`, and `[N]` bool: whether the standard deviation behind each is zero (TRL logs it).

    Raises:
        ConfigurationError: an option value that TRL 1.16 does not have.

    >>> rewards = torch.tensor([[1.0], [0.0], [1.0], [0.0], [0.0], [1.0]])
    >>> advantages, _ = grouped_advantages(
    ...     rewards,
    ...     torch.ones(1),
    ...     torch.tensor([2, 3, 1]),
    ...     scale_rewards="none",
    ...     aggregation="sum_then_normalize",
    ... )
    >>> [round(a, 3) for a in advantages.tolist()]
    [0.5, -0.5, 0.667, -0.333, -0.333, 0.0]
    """
    unscorable = torch.isnan(rewards_per_func).all(dim=1)
    weights = reward_weights.to(rewards_per_func.device).unsqueeze(0)

    if aggregation == "sum_then_normalize":
        rewards = (rewards_per_func * weights).nansum(dim=1)
        rewards[unscorable] = torch.nan
        padded, _ = _by_group(rewards, sizes)
        mean = torch.nanmean(padded, dim=1).repeat_interleave(sizes, dim=0)
        if scale_rewards in ("group", "none"):
            std = nanstd(padded, dim=1).masked_fill(sizes == 1, 0.0).repeat_interleave(sizes, dim=0)
        elif scale_rewards == "batch":
            std = nanstd(rewards).expand_as(rewards)
        else:
            raise ConfigurationError(f"scale_rewards={scale_rewards!r} is not one of 'group', 'batch', 'none'")
        advantages = rewards - mean
        if scale_rewards != "none":
            advantages = advantages / (std + _EPS)

    elif aggregation == "normalize_then_sum":
        padded, filled = _by_group(rewards_per_func, sizes)
        mean = torch.nanmean(padded, dim=1, keepdim=True)
        std = nanstd(padded, dim=1, keepdim=True)  # NaN for a group of one, which nansum turns into 0
        normalised = ((padded - mean) / (std + _EPS))[filled]
        rewards = (normalised * weights).nansum(dim=1)
        rewards[unscorable] = torch.nan
        std = nanstd(rewards).expand_as(rewards)
        advantages = (rewards - torch.nanmean(rewards)) / (std + _EPS)

    else:
        raise ConfigurationError(
            f"multi_objective_aggregation={aggregation!r} is not 'sum_then_normalize' or 'normalize_then_sum'"
        )
    return torch.nan_to_num(advantages, nan=0.0), torch.isclose(std, torch.zeros_like(std))


def refuse_changed_below(advantages: torch.Tensor, expected: torch.Tensor) -> None:
    """Refuse other advantages than TRL computes by itself, by more than rounding: they would be replaced.

    Raises:
        ConfigurationError: they differ.

    >>> ours = torch.tensor([0.5, -0.5])
    >>> refuse_changed_below(ours + 1e-9, ours)
    """
    same = advantages.shape == expected.shape and torch.allclose(
        advantages.float(), expected.float(), rtol=1e-3, atol=1e-5
    )
    if not same:
        raise ConfigurationError(
            "a class below CeroGRPOTrainer changes advantages, which are those of TRL's groups there and must be "
            "replaced; change them above it: class Yours(Theirs, CeroGRPOTrainer), or class Yours(CeroGRPOTrainer)"
        )


def prompt_weights(sizes: torch.Tensor) -> torch.Tensor:
    """Factor `total / (prompts * n)` of every rollout, float32 `[N]`: each prompt then weighs the same.

    >>> prompt_weights(torch.tensor([1, 3]))
    tensor([2.0000, 0.6667, 0.6667, 0.6667])
    """
    return (sizes.sum() / (len(sizes) * sizes)).repeat_interleave(sizes)


def _by_group(values: torch.Tensor, sizes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows `[N, ...]` as `[P, largest group, ...]` padded with NaN, and where it is filled."""
    filled = torch.arange(int(sizes.max()), device=sizes.device) < sizes[:, None]
    padded = values.new_full((*filled.shape, *values.shape[1:]), torch.nan)
    padded[filled] = values
    return padded, filled
