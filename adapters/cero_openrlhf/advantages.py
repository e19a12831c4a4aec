"""OpenRLHF's advantages with the true groups in place of blocks of `n_samples_per_prompt`."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
from openrlhf.trainer.ppo_utils.length_penalty import apply_length_penalties

from cero_api import group_advantages
from cero_api.advantages import Estimator
from cero_api.errors import ConfigurationError
from cero_openrlhf.books import Books
from cero_openrlhf.config import OpenRLHFAllocatorConfig
from cero_openrlhf.feedback import generated
from cero_openrlhf.missing import filled
from cero_openrlhf.tickets import Ticket

# OpenRLHF's estimators with a group baseline; reinforce_baseline is whitened over the batch by OpenRLHF itself.
BASELINES: dict[str, Estimator] = {
    "rloo": "rloo",
    "reinforce_baseline": "dr_grpo",
    "dr_grpo": "dr_grpo",
    "group_norm": "grpo",
}
_EPS = 1e-9  # OpenRLHF's, a literal in experience_maker.py


class GroupedExperienceMaker(RemoteExperienceMaker):
    """Makes experiences as OpenRLHF does; what it takes over groups, it takes over the groups that were dealt.

    Args:
        stock: OpenRLHF's own maker, whose place this one takes.
        settings: the adapter's.
        books: of the allocator, to report a reward model's scores to; None where another process has them.
    """

    def __init__(
        self, stock: RemoteExperienceMaker, settings: OpenRLHFAllocatorConfig, books: Books | None = None
    ) -> None:
        self.strategy: Any
        super().__init__(
            stock.actor_model_group,
            stock.critic_model_group,
            stock.reward_model_group,
            stock.initial_model_group,
            stock.kl_ctl,
            stock.strategy,
            stock.tokenizer,
        )
        self._settings = settings
        self._books = books

    def make_experience(self, samples_list: list[Any]) -> list[Any]:
        """As OpenRLHF's; a reward model's scores go to the allocator."""
        scored_here = samples_list[0].rewards is None
        experiences: list[Any] = super().make_experience(samples_list)
        if scored_here and self._books is not None:
            for experience in experiences:
                told = zip(_tickets(experience), experience.rewards.tolist(), generated(experience), strict=True)
                for ticket, reward, tokens in told:
                    self._books.reward(ticket.uid, reward, ticket, tokens)
        return experiences

    def compute_advantages_and_returns(self, experiences: list[Any]) -> list[Any]:
        """As OpenRLHF's, by true groups.

        The length penalties and the group's baseline are applied here; OpenRLHF then sees groups of one and an
        estimator that subtracts nothing more, and does the rest: KL, clipping, returns, whitening. A rollout without a
        reward is in no baseline, and its own advantage is zero.
        """
        args = self.strategy.args
        for experience in experiences:
            dtype = torch.promote_types(experience.rewards.dtype, torch.float32)
            experience.rewards = experience.rewards.to(dtype).flatten()  # a service answers in lists, even of one
        uids = np.array([ticket.uid for experience in experiences for ticket in _tickets(experience)])
        sizes = [len(experience.rewards) for experience in experiences]
        there = torch.cat([experience.rewards for experience in experiences]).isfinite()
        if not there.all():
            _fill(experiences, uids, sizes)
        apply_length_penalties(experiences, args)
        rewards = torch.cat([experience.rewards for experience in experiences])
        logged = [experience.info.get("reward") for experience in experiences]

        estimator = args.algo.advantage.estimator
        if estimator in BASELINES:
            kept, centred = there.numpy(), np.zeros(len(uids))
            if kept.any():
                judged = rewards.double().numpy()[kept]
                centred[kept] = group_advantages(judged, uids[kept], estimator=BASELINES[estimator], eps=_EPS)
            for experience, part in zip(experiences, torch.from_numpy(centred).split(sizes), strict=True):
                experience.rewards = part.to(experience.rewards.dtype)

        experiences = self._ungrouped(experiences, estimator)

        weights = torch.from_numpy(prompt_weights(uids)).to(rewards.dtype).split(sizes)
        spreads = torch.from_numpy(group_stds(rewards.double().numpy(), uids)).to(rewards.dtype).split(sizes)
        for i, experience in enumerate(experiences):
            if logged[i] is not None:
                experience.info["reward"] = logged[i]
            if args.rollout.n_samples_per_prompt > 1:
                experience.info["group_reward_std"] = spreads[i]
            if self._settings.prompt_weight == "prompt":
                experience.advantages = experience.advantages * weights[i].unsqueeze(-1)
        if not there.all():
            for experience, known in zip(experiences, there.split(sizes), strict=True):
                experience.advantages[~known] = 0.0
        return experiences

    def _ungrouped(self, experiences: list[Any], estimator: str) -> list[Any]:
        """OpenRLHF's own computation, told that every rollout is a group and that the baseline is subtracted."""
        strategy, masked = self.strategy, copy.deepcopy(self.strategy.args)
        masked.rollout.n_samples_per_prompt = 1
        masked.reward.overlong_buffer_len = masked.reward.stop_properly_penalty_coef = None
        if estimator == "reinforce_baseline":
            masked.algo.advantage.estimator = "reinforce"  # whitens the batch, and has no baseline
        elif estimator in BASELINES:
            masked.algo.advantage.estimator = "none"
        self.strategy = SimpleNamespace(args=masked)
        try:
            result: list[Any] = super().compute_advantages_and_returns(experiences)
            return result
        finally:
            self.strategy = strategy


def _fill(experiences: list[Any], uids: NDArray[np.int64], sizes: list[int]) -> None:
    rewards = torch.cat([experience.rewards for experience in experiences])
    whole = torch.from_numpy(filled(rewards.double().numpy(), uids)).to(rewards.dtype)
    for experience, part in zip(experiences, whole.split(sizes), strict=True):
        experience.rewards = part.clone()


def prompt_weights(uids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Factor `total / (prompts * n)` of every rollout: each prompt then weighs the same in a mean over rollouts.

    >>> prompt_weights(np.array([7, 7, 7, 4]))
    array([0.667, 0.667, 0.667, 2.   ])
    """
    _, group, size = np.unique(uids, return_inverse=True, return_counts=True)
    weights: NDArray[np.float64] = uids.size / (size.size * size[group])
    return weights


def group_stds(rewards: NDArray[np.float64], uids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bessel-corrected standard deviation of every rollout's group, 0 for a group of one.

    >>> group_stds(np.array([1.0, 0.0, 1.0]), np.array([3, 3, 5]))
    array([0.707, 0.707, 0.   ])
    """
    _, group, size = np.unique(uids, return_inverse=True, return_counts=True)
    deviation = rewards - (np.bincount(group, rewards) / size)[group]
    stds: NDArray[np.float64] = np.sqrt(np.bincount(group, deviation**2) / np.maximum(size - 1, 1))[group]
    return stds


def reward_mean_per_prompt(experiences: Iterable[Any]) -> float:
    """Mean over prompts of the mean reward of each, in which a prompt's count does not matter."""
    uids, rewards = [], []
    for experience in experiences:
        if "reward" in experience.info:
            uids += [ticket.uid for ticket in _tickets(experience)]
            rewards += experience.info["reward"].double().flatten().tolist()
    _, group, size = np.unique(np.array(uids), return_inverse=True, return_counts=True)
    return float((np.bincount(group, rewards) / size).mean())


def _tickets(experience: Any) -> list[Ticket]:
    if not all(isinstance(prompt, Ticket) for prompt in experience.prompts):
        raise ConfigurationError(
            "a rollout came into training that was not generated by the allocator's prompts; generate with "
            "cero_openrlhf's own generator"
        )
    tickets: list[Ticket] = experience.prompts
    return tickets
