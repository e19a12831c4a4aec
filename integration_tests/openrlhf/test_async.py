"""Asynchronous trainings with an agent over the pool, resumed; a reward model's scores in a synchronous one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from integration_tests.openrlhf import tiny

PREFIX = "rollout_allocator/"
POOL: dict[str, Any] = {
    "train.async_enable": True,
    "train.num_episodes": 2,
    "ckpt.save_steps": 2,
    "actor.adam.lr": 0,
    "reward.remote_url": None,
    "cero.scope": "pool",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.prepare(tmp_path_factory.mktemp("async"))


@pytest.fixture(scope="module")
def run(folder: Path) -> tiny.Run:
    return tiny.train(folder, tiny.arguments(folder, **POOL, **{"train.agent_func_path": folder / "agent.py"}))


def test_the_pool_is_trained_on(run: tiny.Run, folder: Path) -> None:
    assert run.returncode == 0, run.output[-4000:]
    assert [step["rollout/num_samples"] for step in run.steps] == [16] * 6
    given: dict[int, int] = {}
    for _, groups in tiny.rounds(folder):
        for row, (count, _) in groups.items():
            given[row] = given.get(row, 0) + count
    assert sum(given.values()) == 96
    assert run.steps[-1][f"{PREFIX}budget_spent"] == 96


def test_an_agents_own_tokens_are_counted_and_none_that_it_is_told(run: tiny.Run, folder: Path) -> None:
    """Two turns, a token of the environment between them, inside of the response; long answers leave no second."""
    responses = [round(16 * step["rollout/response_length_mean"]) for step in run.steps]
    generated = [sum(tokens.values()) for tokens in tiny.tokens(folder)]
    assert all(length - 16 <= own < length for own, length in zip(generated, responses, strict=True))
    assert run.steps[-1][f"{PREFIX}tokens"] <= sum(generated)


def test_async_resumed(run: tiny.Run, folder: Path, tmp_path: Path) -> None:
    target = tiny.checkpoint_of(folder, tmp_path / "resumed", step=2)
    settings = {**POOL, "train.agent_func_path": target / "agent.py", "ckpt.load_enable": True}
    resumed = tiny.train(target, tiny.arguments(target, **settings))
    assert resumed.returncode == 0, resumed.output[-4000:]
    assert tiny.rounds(target) == tiny.rounds(folder)[2:]


def test_a_reward_models_scores_reach_the_allocator(tmp_path: Path) -> None:
    tiny.prepare(tmp_path)
    settings = {
        "reward.remote_url": None,
        "reward.model_name_or_path": tmp_path / "model",
        "reward.num_gpus_per_node": 1,
        "algo.kl.init_coef": 0.01,
        "cero.success_threshold": 0,
    }
    run = tiny.train(tmp_path, tiny.arguments(tmp_path, **settings))
    assert run.returncode == 0, run.output[-4000:]
    assert [step[f"{PREFIX}budget_spent"] for step in run.steps] == [16, 32, 48]
    assert all(step[f"{PREFIX}outstanding"] == 0 for step in run.steps)
    assert all(0 <= step[f"{PREFIX}round_success_rate"] <= 1 for step in run.steps)
