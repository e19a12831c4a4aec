"""Asynchronous trainings with an agent over the pool, resumed; a reward model's scores in a synchronous one."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


class Service(BaseHTTPRequestHandler):
    """The test's reward over HTTP, answered as OpenRLHF's own `serve_rm` does: a list for each of its names."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rewards = []
        for query, prompt, label in zip(asked["query"], asked["prompts"], asked["labels"], strict=True):
            place = tiny.ALPHABET.find(query[len(prompt) :][:1])
            rewards.append(float(0 <= place < int(label)))
        answer = json.dumps({"rewards": rewards, "scores": rewards, "extra_logs": {"dummy_scores": rewards}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Of a request a rollout: quiet."""


def test_a_reward_service_while_weights_are_sent_in_the_midst_of_a_batch(tmp_path: Path) -> None:
    tiny.prepare(tmp_path)
    service = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    try:
        settings = {
            "train.async_enable": True,
            "train.partial_rollout_enable": True,
            "train.num_episodes": 2,
            "reward.remote_url": f"http://127.0.0.1:{service.server_port}/reward",
            "cero.scope": "window",
        }
        run = tiny.train(tmp_path, tiny.arguments(tmp_path, **settings))
    finally:
        service.shutdown()
        service.server_close()
    assert run.returncode == 0, run.output[-4000:]
    assert [step["rollout/num_samples"] for step in run.steps] == [16] * 6
    trace = tiny.rounds(tmp_path)
    assert [sum(count for count, _ in groups.values()) for _, groups in trace] == [16] * 6
    for (_, groups), step in zip(trace, run.steps, strict=True):
        assert sum(won for _, won in groups.values()) == pytest.approx(16 * step["rollout/reward_mean"])
    assert run.steps[-1][f"{PREFIX}budget_spent"] == 96
    assert all(0 < step["rollout/reward_mean"] < 1 for step in run.steps)
