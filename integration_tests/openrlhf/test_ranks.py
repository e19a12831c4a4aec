"""Two training processes, two engines, filtering: learns from synchronised weights, and never waits for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from integration_tests.openrlhf import tiny

LIMIT = 600  # seconds; stock OpenRLHF hangs where the end of an episode cannot be shared evenly


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Prompts enough for refills, and so many that the end of an episode is uneven.
    return tiny.prepare(tmp_path_factory.mktemp("ranks"), labels=[i * 7 % 19 for i in range(27)])


@pytest.fixture(scope="module")
def run(folder: Path) -> tiny.Run:
    settings = {
        "actor.num_gpus_per_node": 2,
        "vllm.num_engines": 2,
        "algo.dynamic_filtering_enable": True,
        "algo.advantage.estimator": "reinforce_baseline",
        **tiny.corrected(),
        "rollout.micro_batch_size": 2,
        "train.micro_batch_size": 2,
        "train.num_episodes": 2,
        "actor.lr_warmup_ratio": 0,
    }
    return tiny.train(folder, tiny.arguments(folder, **settings), limit=LIMIT)


def test_it_ends(run: tiny.Run) -> None:
    assert run.returncode == 0, run.output[-4000:]
    assert run.steps


def test_processes_get_equal_shares(run: tiny.Run) -> None:
    sizes = [step["rollout/num_samples"] for step in run.steps]
    assert all(size % 4 == 0 for size in sizes)
    assert sizes.count(16) >= len(sizes) - 2  # only the last batch of an episode may be smaller


def test_filtered_groups_are_paid_for_and_seen(run: tiny.Run, folder: Path) -> None:
    trained = sum(step["rollout/num_samples"] for step in run.steps)
    dealt = sum(count for _, groups in tiny.rounds(folder) for count, _ in groups.values())
    uniform = [groups for _, groups in tiny.rounds(folder) if all(won in (0, count) for count, won in groups.values())]
    assert dealt > trained
    assert uniform


def test_engines_generate_from_the_weights_that_were_trained(run: tiny.Run, folder: Path) -> None:
    assert all(abs(step["vllm_kl"]) < 0.02 for step in run.steps)
    before, after = (
        torch.cat([p.float().flatten() for p in AutoModelForCausalLM.from_pretrained(folder / name).parameters()])
        for name in ("model", "final")
    )
    assert (before - after).abs().max() > 1e-3
