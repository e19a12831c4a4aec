"""verl's advantage estimators with groups of unequal size, against independent formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from cero_api import group_advantages
from cero_verl.refusals import ESTIMATORS

SIZES = (2, 3, 7, 4)
LENGTH = 5
RNG = np.random.default_rng(5)
REWARDS = RNG.normal(size=sum(SIZES))
GROUPS = np.repeat(np.arange(len(SIZES)), SIZES)
LENGTHS = RNG.integers(1, LENGTH + 1, size=sum(SIZES))


def by_group(function: Any) -> np.ndarray[Any, Any]:
    return np.concatenate([function(REWARDS[group == GROUPS]) for group in range(len(SIZES))])


def optimal(lengths: np.ndarray[Any, Any], rewards: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return rewards - (lengths * rewards).sum() / lengths.sum()


def passk(rewards: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    advantages = np.zeros_like(rewards)
    first, second = np.sort(rewards)[::-1][:2]
    advantages[rewards.argmax()] = (first - second) / (rewards.std(ddof=1) + 1e-6)
    return advantages


EXPECTED: dict[str, Any] = {
    "grpo": lambda: group_advantages(REWARDS, GROUPS, eps=1e-6),
    "grpo_vectorized": lambda: group_advantages(REWARDS, GROUPS, eps=1e-6),
    "rloo": lambda: group_advantages(REWARDS, GROUPS, estimator="rloo"),
    "rloo_vectorized": lambda: group_advantages(REWARDS, GROUPS, estimator="rloo"),
    # Every reward is nonzero, so its scale of rows over nonzero rows is 1.
    "gpg": lambda: group_advantages(REWARDS, GROUPS, estimator="dr_grpo"),
    "grpo_passk": lambda: by_group(passk),
    "opo": lambda: np.concatenate(
        [optimal(LENGTHS[group == GROUPS], REWARDS[group == GROUPS]) for group in range(len(SIZES))]
    ),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_advantages_of_unequal_groups(name: str) -> None:
    from verl.trainer.config import AlgoConfig
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn

    order = np.random.default_rng(1).permutation(len(REWARDS))  # verl's rows are not sorted by group
    mask = torch.arange(LENGTH) < torch.tensor(LENGTHS)[:, None]
    rewards = torch.zeros(len(REWARDS), LENGTH, dtype=torch.float64)
    rewards[torch.arange(len(REWARDS)), torch.tensor(LENGTHS) - 1] = torch.tensor(REWARDS)
    uids = np.array([f"uid-{group}" for group in GROUPS], dtype=object)
    advantages, _ = get_adv_estimator_fn(name)(
        token_level_rewards=rewards[order],
        response_mask=mask[order].double(),
        index=uids[order],
        config=AlgoConfig(adv_estimator=name),
    )
    np.testing.assert_allclose(advantages[:, 0].numpy(), EXPECTED[name]()[order], rtol=1e-5, atol=1e-6)


def test_the_others_that_are_allowed_do_not_group_or_only_centre() -> None:
    assert set(ESTIMATORS) - EXPECTED.keys() == {"gae", "reinforce_plus_plus", "reinforce_plus_plus_baseline"}
