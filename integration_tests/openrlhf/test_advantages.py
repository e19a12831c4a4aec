"""Advantages: stock OpenRLHF's at equal counts, an independent reference's at unequal ones."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
from openrlhf.trainer.ppo_utils.kl_controller import FixedKLController

from cero_api.errors import ConfigurationError
from cero_openrlhf.advantages import GroupedExperienceMaker, reward_mean_per_prompt
from cero_openrlhf.config import OpenRLHFAllocatorConfig
from integration_tests.openrlhf import made, tiny

ESTIMATORS = ["rloo", "reinforce_baseline", "dr_grpo", "group_norm", "gae", "reinforce"]
if tiny.LATEST:
    ESTIMATORS.append("flash_reinforce")
GROUPED = ESTIMATORS[:4]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"algo__advantage__no_std_norm": True},
    {"reward__overlong_buffer_len": 2.0},
    {"reward__stop_properly_penalty_coef": -0.5},
    {"reward__stop_properly_penalty_coef": 0.3, "reward__clip_range": (-0.4, 0.4)},
]


def stock(args: Any, kl: float = 0.0) -> RemoteExperienceMaker:
    return RemoteExperienceMaker(None, None, None, None, FixedKLController(kl), SimpleNamespace(args=args), None)


def grouped(args: Any, kl: float = 0.0, **settings: Any) -> GroupedExperienceMaker:
    return GroupedExperienceMaker(stock(args, kl), OpenRLHFAllocatorConfig(**settings))


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: ",".join(options) or "plain")
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_equal_counts_are_stock(estimator: str, options: dict[str, Any]) -> None:
    args = made.args(algo__advantage__estimator=estimator, **options)
    theirs = stock(args, kl=0.1).compute_advantages_and_returns(made.experiences([4] * 5))
    ours = grouped(args, kl=0.1).compute_advantages_and_returns(made.experiences([4] * 5))
    for mine, upstream in zip(ours, theirs, strict=True):
        for field in ("advantages", "returns"):
            torch.testing.assert_close(getattr(mine, field), getattr(upstream, field), atol=1e-6, rtol=0)
        assert set(mine.info) == set(upstream.info)
        for name in mine.info:
            torch.testing.assert_close(mine.info[name], upstream.info[name], atol=1e-6, rtol=0)
    assert args.algo.advantage.estimator == estimator  # nothing is left masked
    assert args.rollout.n_samples_per_prompt == 4


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("estimator", GROUPED)
def test_unequal_counts_are_the_reference(estimator: str, seed: int) -> None:
    counts = [2, 7, 1, 3, 6]
    args = made.args(algo__advantage__estimator=estimator)
    ours = grouped(args).compute_advantages_and_returns(made.experiences(counts, seed=seed))
    for experience, expected in zip(ours, reference(estimator, counts, seed), strict=True):
        got = experience.advantages.where(experience.action_mask, torch.zeros(()))
        torch.testing.assert_close(got, expected, atol=1e-6, rtol=0)


def reference(estimator: str, counts: list[int], seed: int) -> list[torch.Tensor]:
    """Written from the definitions, one rollout at a time."""
    raw = made.experiences(counts, seed=seed)
    rows = [
        (ticket.uid, float(reward), int(mask.sum()))
        for experience in raw
        for ticket, reward, mask in zip(experience.prompts, experience.rewards, experience.action_mask, strict=True)
    ]
    values = []
    for uid, reward, _ in rows:
        group = [other for other_uid, other, _ in rows if other_uid == uid]
        mean = math.fsum(group) / len(group)
        if len(group) == 1:
            values.append(0.0)
        elif estimator == "rloo":
            values.append(reward - (math.fsum(group) - reward) / (len(group) - 1))
        elif estimator == "group_norm":
            spread = math.sqrt(math.fsum((other - mean) ** 2 for other in group) / (len(group) - 1))
            values.append((reward - mean) / (spread + 1e-9) if max(group) > min(group) else 0.0)
        else:
            values.append(reward - mean)
    if estimator == "reinforce_baseline":
        tokens = sum(length for _, _, length in rows)
        mean = math.fsum(value * length for value, (_, _, length) in zip(values, rows, strict=True)) / tokens
        squares = (((value - mean) ** 2 * length) for value, (_, _, length) in zip(values, rows, strict=True))
        spread = math.sqrt(max(math.fsum(squares) / tokens, 1e-8))
        values = [(value - mean) / spread for value in values]
    spread_out = iter(values)
    return [
        torch.tensor([next(spread_out) for _ in experience.prompts])[:, None] * experience.action_mask
        for experience in raw
    ]


def test_no_groups_are_mixed_where_stock_mixes_them() -> None:
    """Stock reshapes by four; groups of 2 and 6 then share a baseline."""
    args = made.args(algo__advantage__estimator="dr_grpo")
    both = [
        maker(args).compute_advantages_and_returns(made.experiences([2, 6], shuffled=False, micro=8))[0].advantages
        for maker in (stock, grouped)
    ]
    assert (both[0] - both[1]).abs().max() > 0.01


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_prompt_weight(estimator: str) -> None:
    """By prompt, every prompt's rollouts together weigh the same; by rollout, each rollout does."""
    counts = [2, 7, 3, 4]
    args = made.args(algo__advantage__estimator=estimator)
    plain = grouped(args).compute_advantages_and_returns(made.experiences(counts))
    weighted = grouped(args, prompt_weight="prompt").compute_advantages_and_returns(made.experiences(counts))
    for one, other in zip(plain, weighted, strict=True):
        factor = torch.tensor([16 / (4 * counts[ticket.uid]) for ticket in one.prompts])
        torch.testing.assert_close(other.advantages, one.advantages * factor[:, None], atol=1e-6, rtol=0)


def test_reward_mean_per_prompt() -> None:
    first, second = made.ticket(0, 3), made.ticket(1, 1)
    rollouts = [made.sample(first, 1.0), made.sample(first, 1.0), made.sample(first, 1.0), made.sample(second, 0.0)]
    assert reward_mean_per_prompt(rollouts) == 0.5  # 0.75 by rollout


def test_foreign_rollouts_are_refused() -> None:
    made_by_hand = made.experiences([4, 4])
    made_by_hand[0].prompts = [str(prompt) for prompt in made_by_hand[0].prompts]
    with pytest.raises(ConfigurationError, match="not generated by the allocator's prompts"):
        grouped(made.args()).compute_advantages_and_returns(made_by_hand)
