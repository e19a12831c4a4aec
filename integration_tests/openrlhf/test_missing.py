"""A rollout whose reward did not come, in OpenRLHF's own batches: it trains nothing, and all others as they would."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from openrlhf.trainer.ppo_trainer import compute_eval_metrics
from openrlhf.trainer.ppo_utils import experience_maker
from openrlhf.trainer.ppo_utils.experience import make_experience_batch, split_experience_batch
from openrlhf.trainer.ppo_utils.kl_controller import FixedKLController

from cero_api import group_advantages
from cero_openrlhf.advantages import BASELINES, GroupedExperienceMaker, reward_mean_per_prompt
from cero_openrlhf.config import OpenRLHFAllocatorConfig
from integration_tests.openrlhf.test_generator import Engine, Setup
from integration_tests.openrlhf.test_reward_model import Models

LABELS = [0, 2, 4, 8]


class Failing(Engine):
    """Of every prompt the first reward is not fetched, and the second is what a reward function should not return."""

    def response(self, prompt: Any, label: Any, i: int) -> dict[str, Any]:
        bad = {0: None, 1: {"0": math.nan, "2": math.inf, "4": "none", "8": None}[label]}
        given = super().response(prompt, label, i)
        if i not in bad:
            return given
        return {**given, "reward": bad[i], "scores": bad[i], "extra_logs": {"double": None} if i else {}}


class Down(Engine):
    """No reward comes."""

    def response(self, prompt: Any, label: Any, i: int) -> dict[str, Any]:
        return {**super().response(prompt, label, i), "reward": None, "scores": None, "extra_logs": {}}


def setup(monkeypatch: pytest.MonkeyPatch, engine: type[Engine], **changes: Any) -> Setup:
    more = {"algo__kl__use_loss": False, "train__colocate_all": False, "train__colocate_actor_ref": False}
    return Setup(monkeypatch, LABELS, engine=engine, rollout__n_samples_per_prompt=8, **more | changes)


def trained(batch: list[Any], made: Setup, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What reaches the actors, through everything in which OpenRLHF puts rollouts together."""
    monkeypatch.setattr(experience_maker, "ray", SimpleNamespace(get=lambda ref: ref, put=lambda value: value))
    models = Models(lambda part: torch.zeros(len(part), part.shape[1] - 1))
    strategy: Any = SimpleNamespace(args=made.generator.args)
    stock = experience_maker.RemoteExperienceMaker(
        models, None, None, None, FixedKLController(0.0), strategy, SimpleNamespace(pad_token_id=0)
    )
    experiences = GroupedExperienceMaker(stock, OpenRLHFAllocatorConfig(), made.books).make_experience_batch(batch)
    assert math.isfinite(reward_mean_per_prompt(experiences))
    items = [item for experience in experiences for item in split_experience_batch(experience)]
    make_experience_batch(items)
    return items


@pytest.mark.parametrize("estimator", ["rloo", "dr_grpo", "group_norm", "reinforce_baseline", "reinforce"])
def test_it_is_in_no_baseline_and_its_advantage_is_zero(monkeypatch: pytest.MonkeyPatch, estimator: str) -> None:
    made = setup(monkeypatch, Failing, algo__advantage__estimator=estimator)
    [batch] = made.epoch()
    lost = np.array([not bool(torch.isfinite(sample.rewards)) for sample in batch])
    assert lost.sum() == 8 == made.numbers["rewards_missing"]
    rewards = np.array([float(sample.rewards) for sample in batch])
    uids = np.array([sample.prompts[0].uid for sample in batch])
    items = trained(batch, made, monkeypatch)
    told = np.array([float(item.advantages[item.action_mask.bool()][0]) for item in items])
    assert np.isfinite(told).all()
    assert (told[lost] == 0).all()
    assert (told[~lost] != 0).any()
    if estimator in ("rloo", "dr_grpo", "group_norm"):
        expected = group_advantages(rewards[~lost], uids[~lost], estimator=BASELINES[estimator], eps=1e-9)
        np.testing.assert_allclose(told[~lost], expected, atol=1e-6)
    assert all(math.isfinite(item.info["reward"]) and math.isfinite(item.info["double"]) for item in items)


def test_a_service_that_is_down_trains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = setup(monkeypatch, Down)
    [batch] = made.epoch()
    items = trained(batch, made, monkeypatch)
    assert len(items) == 32 == made.numbers["budget_refunded"]
    assert not any(item.advantages.any() for item in items)


@pytest.mark.parametrize(("engine", "known"), [(Failing, True), (Down, False)])
def test_evaluation_goes_on_without_it(monkeypatch: pytest.MonkeyPatch, engine: type[Engine], known: bool) -> None:
    made = setup(monkeypatch, engine)
    samples = made.generator.generate_eval_samples(max_len=16, n_samples_per_prompt=4)
    metrics = compute_eval_metrics(made.generator.eval_dataloader, samples, 4)
    assert math.isfinite(metrics["eval_default_pass1"]) is known
