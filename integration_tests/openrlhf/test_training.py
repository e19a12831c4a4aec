"""Real synchronous trainings by OpenRLHF's command line, their checkpoints, and both trainers resumed from them.

The learning rate is 0 here, so that a resumed run generates what the other one did; test_ranks.py has one that learns.
"""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from integration_tests.openrlhf import tiny

TWO_EPISODES = {"train.num_episodes": 2, "ckpt.save_steps": 2, "actor.adam.lr": 0}
PREFIX = "rollout_allocator/"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.prepare(tmp_path_factory.mktemp("sync"))


@pytest.fixture(scope="module")
def run(folder: Path) -> tiny.Run:
    """6 batches of 4 prompts, with evaluation and TensorBoard."""
    settings = {
        "eval.dataset": folder / "prompts.jsonl",
        "eval.steps": 3,
        "eval.n_samples_per_prompt": 2,
        "ckpt.best_metric_key": "none",
        "logger.tensorboard_dir": folder / "board",
    }
    return tiny.train(folder, tiny.arguments(folder, **TWO_EPISODES, **settings))


def test_every_step_keeps_its_total(run: tiny.Run) -> None:
    assert run.returncode == 0, run.output[-4000:]
    assert [step["step"] for step in run.steps] == [1, 2, 3, 4, 5, 6]
    assert {step["rollout/num_samples"] for step in run.steps} == {16}
    assert [step[f"{PREFIX}budget_spent"] for step in run.steps] == [16, 32, 48, 64, 80, 96]
    assert run.steps[-1][f"{PREFIX}budget_remaining"] == 0
    assert all(step[f"{PREFIX}outstanding"] == 0 for step in run.steps)


def test_counts_become_uneven_once_something_is_known(run: tiny.Run) -> None:
    spread = [(step[f"{PREFIX}count_min"], step[f"{PREFIX}count_max"]) for step in run.steps]
    assert spread[:3] == [(4, 4)] * 3
    assert any(low < high for low, high in spread[3:])


def test_the_allocator_saw_the_rewards_that_were_trained_on(run: tiny.Run, folder: Path) -> None:
    trace = tiny.rounds(folder)
    assert [number for number, _ in trace] == [0, 1, 2, 3, 4, 5]
    for (_, groups), step in zip(trace, run.steps, strict=True):
        assert sum(count for count, _ in groups.values()) == 16
        assert sum(won for _, won in groups.values()) == pytest.approx(16 * step["rollout/reward_mean"])
        by_prompt = sum(won / count for count, won in groups.values()) / len(groups)
        assert by_prompt == pytest.approx(step["rollout/reward_mean_per_prompt"])


def test_the_allocator_counted_the_tokens_that_were_generated(run: tiny.Run, folder: Path) -> None:
    generated = [round(16 * step["rollout/response_length_mean"]) for step in run.steps]
    assert [sum(tokens.values()) for tokens in tiny.tokens(folder)] == generated
    assert [step[f"{PREFIX}tokens"] for step in run.steps] == np.cumsum(generated).tolist()
    per_rollout = [step[f"{PREFIX}round_tokens_per_rollout"] for step in run.steps]
    assert per_rollout == pytest.approx([tokens / 16 for tokens in generated])


def test_numbers_reach_tensorboard(run: tiny.Run, folder: Path) -> None:
    [events] = (folder / "board").rglob("events.*")
    board = EventAccumulator(str(events))
    board.Reload()
    spent = [scalar.value for scalar in board.Scalars(f"train/{PREFIX}budget_spent")]
    assert spent == [step[f"{PREFIX}budget_spent"] for step in run.steps]
    assert len(board.Scalars("train/rollout/reward_mean_per_prompt")) == 6


def test_evaluation_is_stock(run: tiny.Run) -> None:
    assert run.output.count("'eval_num_samples': 24.0") == 2  # 12 prompts, 2 each, and nothing of it in the books


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_resumed_runs_deal_as_if_they_had_never_stopped(
    run: tiny.Run, folder: Path, tmp_path: Path, asynchronous: bool
) -> None:
    target = tiny.checkpoint_of(folder, tmp_path / "resumed", step=2)
    settings = {**TWO_EPISODES, "ckpt.load_enable": True, "train.async_enable": asynchronous}
    resumed = tiny.train(target, tiny.arguments(target, **settings))
    assert resumed.returncode == 0, resumed.output[-4000:]
    assert [step["step"] for step in resumed.steps] == [3, 4, 5, 6]
    assert tiny.rounds(target) == tiny.rounds(folder)[2:]
    assert resumed.steps[-1][f"{PREFIX}budget_spent"] == 96


def test_a_killed_run_deals_again_what_it_had_dealt_since_its_checkpoint(tmp_path: Path) -> None:
    tiny.prepare(tmp_path)
    words = tiny.arguments(tmp_path, **TWO_EPISODES, **{"ckpt.load_enable": True})
    trace = tmp_path / "trace.jsonl"
    # A header, and 4 rounds of 4 prompts: the checkpoint is of step 2.
    killed = tiny.train(tmp_path, words, kill_when=lambda: trace.exists() and trace.read_bytes().count(b"\n") >= 17)
    assert killed.returncode == -signal.SIGKILL, killed.output[-4000:]
    before = tiny.rounds(tmp_path)
    resumed = tiny.train(tmp_path, words)
    assert resumed.returncode == 0, resumed.output[-4000:]
    assert [step["step"] for step in resumed.steps] == [3, 4, 5, 6]
    after = tiny.rounds(tmp_path)
    assert len(before) >= 4
    assert after[: len(before)] == before
    assert [number for number, _ in after] == [0, 1, 2, 3, 4, 5]
    assert resumed.steps[-1][f"{PREFIX}budget_spent"] == 96


def test_a_window_serves_whole_groups_of_those_it_is_offered(tmp_path: Path) -> None:
    """Asynchronously, with groups that are filtered out and replaced, ranked by their worth for a token."""
    folder = tiny.prepare(tmp_path)
    settings = {
        "cero.scope": "window",
        "cero.cost": "tokens",
        "train.num_episodes": 2,
        "train.async_enable": True,
        "algo.dynamic_filtering_enable": True,
    }
    run = tiny.train(folder, tiny.arguments(folder, **settings))
    assert run.returncode == 0, run.output[-4000:]
    assert {(step[f"{PREFIX}count_min"], step[f"{PREFIX}count_max"]) for step in run.steps} == {(4, 4)}
    assert "known of a prompt before its first visit: features" in run.output
    assert "for the best of up to 3 times as many prompts as fit" in run.output  # of twelve for four
    trace = tiny.rounds(folder)
    assert {count for _, groups in trace for count, _ in groups.values()} == {4}
    assert any(len(groups) == 1 for _, groups in trace), "nothing was replaced; the test shows nothing"
    assert 0 < run.steps[-1][f"{PREFIX}tokens"] <= sum(sum(tokens.values()) for tokens in tiny.tokens(folder))
    assert {f"{PREFIX}signal", f"{PREFIX}tokens"} <= run.steps[-1].keys()
