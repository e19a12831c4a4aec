"""Group-relative advantages for groups of unequal size, by explicit group id."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.arrays import real_numbers, whole_numbers
from cero_api.errors import ConfigurationError, InvalidOutcomeError

Estimator = Literal["grpo", "dr_grpo", "rloo", "reinforce_baseline"]
PromptWeight = Literal["rollout", "prompt"]

# OpenRLHF's floor under the batch variance is 1e-8: `var.clamp(min=1e-8).rsqrt()`.
_MIN_BATCH_DEVIATION = 1e-4


def group_advantages(
    rewards: ArrayLike,
    group_ids: ArrayLike,
    *,
    estimator: Estimator = "grpo",
    prompt_weight: PromptWeight = "rollout",
    eps: float = 1e-4,
) -> NDArray[np.float64]:
    r"""Advantage of every rollout relative to the other rollouts of its group.

    With $n$, $\bar r$ and $s$ the size, mean and Bessel-corrected standard deviation of a rollout's group:

    - `grpo`: $(r - \bar r) / (s + \epsilon)$
    - `dr_grpo`: $r - \bar r$
    - `rloo`: $r - \frac{1}{n-1}\sum_{\text{others}} r = \frac{n}{n-1}(r - \bar r)$
    - `reinforce_baseline`: $(r - \bar r) / \sqrt{\max(v, 10^{-8})}$, with $v$ the population variance of
      $r - \bar r$ over the whole batch. OpenRLHF takes mean and variance over response *tokens*; this is
      that definition when all responses are equally long and no KL penalty is folded into the reward.
      The batch mean it subtracts is zero here, because the deviations of every group sum to zero.

    A group whose rewards are all equal, or that has a single rollout, gets exactly zero whatever the
    estimator. `prompt_weight="prompt"` multiplies by `total / (prompts * n)`, last of all: in a mean over
    rollouts each prompt then weighs the same, however many rollouts it was given.

    Args:
        rewards: float `[N]`, one per rollout, any row order.
        group_ids: int `[N]`, equal for the rollouts of one group, any values.
        estimator: which of the formulas above.
        prompt_weight: `"rollout"` leaves each rollout the same weight, `"prompt"` each prompt.
        eps: added to the standard deviation (`grpo` only). TRL uses 1e-4, verl 1e-6, OpenRLHF 1e-9.

    Returns:
        float64 `[N]`, in the order of `rewards`.

    Raises:
        InvalidOutcomeError: the arrays are empty, not one-dimensional, of different length, or hold NaN or
            infinity; or the group ids are not integers.
        ConfigurationError: an unknown estimator or weight, or a negative or non-finite `eps`.

    >>> import numpy as np
    >>> group_advantages([1.0, 0.0, 1.0, 0.0, 0.0], [7, 7, 3, 3, 3], estimator="rloo")
    array([ 1. , -1. ,  1. , -0.5, -0.5])

    Sources: GRPO, arXiv 2402.03300; Dr. GRPO, arXiv 2503.20783; RLOO, arXiv 2402.14740;
    `reinforce_baseline`: OpenRLHF 0.11.2, `compute_advantages_and_returns` in experience_maker.py.
    """
    r_N, ids_N = _checked(rewards, group_ids)
    if estimator not in get_args(Estimator):
        raise ConfigurationError(f"unknown estimator {estimator!r}; choose from {', '.join(get_args(Estimator))}")
    if prompt_weight not in get_args(PromptWeight):
        raise ConfigurationError(f"unknown prompt_weight {prompt_weight!r}; choose 'rollout' or 'prompt'")
    if not (np.isfinite(eps) and eps >= 0):
        raise ConfigurationError(f"eps is {eps}; give a finite number of at least 0")

    # Near the end of what float64 holds, differences and sums of rewards overflow: so far out they are taken smaller.
    shrunk = 2.0 ** -max(int(np.frexp(np.abs(r_N).max())[1]) - 960, 0)
    r_N = r_N * shrunk
    unique, group_N = np.unique(ids_N, return_inverse=True)
    size_P = np.bincount(group_N)
    # Shifting by a member makes a group of equal rewards exactly zero, and removes a large common offset
    # before the sum can lose digits to it. Reversed assignment keeps the first occurrence.
    first_P = np.empty(len(unique), dtype=np.int64)
    first_P[group_N[::-1]] = np.arange(len(r_N) - 1, -1, -1)
    shifted_N = r_N - r_N[first_P][group_N]
    deviation_N = shifted_N - (np.bincount(group_N, shifted_N) / size_P)[group_N]

    if estimator == "grpo":
        largest_P = np.zeros(len(unique))
        np.maximum.at(largest_P, group_N, np.abs(deviation_N))
        unit_P = _unit(largest_P)
        variance_P = np.bincount(group_N, (deviation_N / unit_P[group_N]) ** 2) / np.maximum(size_P - 1, 1)
        scale_N = (np.sqrt(variance_P) * unit_P + eps * shrunk)[group_N]
        # eps=0 is allowed; a group without contrast is then 0/0, which is zero by definition.
        advantage_N = np.divide(deviation_N, scale_N, out=np.zeros_like(deviation_N), where=scale_N > 0)
    elif estimator == "reinforce_baseline":
        unit = _unit(np.abs(deviation_N).max())
        batch = np.sqrt(np.mean((deviation_N / unit) ** 2)) * unit
        advantage_N = deviation_N / np.maximum(batch, _MIN_BATCH_DEVIATION * shrunk)
    else:
        factor_P = size_P / np.maximum(size_P - 1, 1) if estimator == "rloo" else np.ones(len(unique))
        with np.errstate(over="ignore"):
            advantage_N = deviation_N * factor_P[group_N] / shrunk

    if prompt_weight == "prompt":
        with np.errstate(over="ignore"):
            advantage_N = advantage_N * (len(r_N) / (len(unique) * size_P))[group_N]
    if not np.isfinite(advantage_N).all():
        raise InvalidOutcomeError(f"rewards up to {np.abs(r_N).max() / shrunk:g} overflow {estimator}; scale them down")
    return advantage_N


def _unit(largest: ArrayLike) -> FloatArray:
    """A power of two near the largest deviation: squares of what is divided by it neither over- nor underflow.

    Dividing by it, and multiplying by it again, changes no digit.
    """
    return np.ldexp(1.0, np.maximum(np.frexp(largest)[1], -1000))


def _checked(rewards: ArrayLike, group_ids: ArrayLike) -> tuple[FloatArray, IntArray]:
    r_N, ids_N = real_numbers(rewards, "rewards"), whole_numbers(group_ids, "group_ids")
    if r_N.shape != ids_N.shape:
        raise InvalidOutcomeError(
            f"{r_N.size} rewards and {ids_N.size} group_ids are not of equal length; give one of each per rollout"
        )
    if r_N.size == 0:
        raise InvalidOutcomeError("no rewards; give at least one rollout, or skip the step")
    bad = np.flatnonzero(~np.isfinite(r_N))
    if bad.size:
        raise InvalidOutcomeError(
            f"{bad.size} of {r_N.size} rewards are NaN or infinite (first at row {bad[0]}); drop them"
        )
    return r_N, ids_N
