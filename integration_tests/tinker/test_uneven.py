"""Counts as they were dealt reach the server, with the cookbook's advantages over the groups as they are."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinker_cookbook.rl import train

import cero_tinker
from cero_api import group_advantages
from integration_tests.tinker.conftest import Server
from integration_tests.tinker.tiny import TOTAL, Watched, config, prompt, scripted

SCRIPT = [[2, 6, 3, 5], [8, 2, 4, 2], [0, 5, 9, 2]]


def test_counts_rewards_and_advantages(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched, allocator = Watched(monkeypatch), scripted(SCRIPT)
    rounds: list[Any] = []
    setup = config(tmp_path, *server)
    asyncio.run(cero_tinker.main(setup, allocator=allocator, on_round=rounds.append))

    assert allocator.asked == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert len(watched.batches) == len(rounds) == 3
    for step, (batch, counts, record) in enumerate(zip(watched.batches, SCRIPT, rounds, strict=True)):
        rows = range(4 * step, 4 * step + 4)
        sent = Counter(question for question, _, _ in batch)
        assert [sent[tuple(prompt(row))] for row in rows] == counts
        # Groups are adjacent, and in the order of the allocation.
        groups = np.repeat(rows, counts)
        assert [question for question, _, _ in batch] == [tuple(prompt(row)) for row in groups]
        rewards = np.array([float(2 <= answer[0] < 12) for _, answer, _ in batch])
        expected = group_advantages(rewards, groups, estimator="dr_grpo")
        np.testing.assert_allclose([advantage for _, _, advantage in batch], expected, atol=1e-6)
        assert record.counts.tolist() == counts
        won = np.bincount(groups, rewards, minlength=12)[list(rows)]
        np.testing.assert_array_equal(record.successes, won)
        np.testing.assert_array_equal(record.successes + record.failures, counts)

    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    logged = [line for line in lines if "env/all/cero/count_mean" in line]
    assert [line["step"] for line in logged] == [0, 1, 2]
    assert [line["env/all/cero/count_max"] for line in logged] == [6, 8, 9]
    assert [line["env/all/cero/count_zero"] for line in logged] == [0, 0, 1]
    assert [line["env/all/cero/rollouts_so_far"] for line in logged] == [TOTAL, 2 * TOTAL, 3 * TOTAL]
    for line in logged:
        rate = line["env/all/cero/round_effective_group_rate"]
        assert rate == pytest.approx(line["env/all/by_group/frac_mixed"])
        assert line["env/all/cero/round_success_rate"] == pytest.approx(line["env/all/reward/total"])


def test_a_streamed_step(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched, allocator = Watched(monkeypatch), scripted(SCRIPT)
    stream = train.StreamMinibatchConfig(groups_per_batch=4, num_minibatches=2)
    asyncio.run(
        cero_tinker.main(config(tmp_path, *server, stream_minibatch_config=stream, max_steps=1), allocator=allocator)
    )
    assert len(watched.batches) == 2  # minibatches, each compiled by the server for its size: one step is enough
    sent = Counter(question for batch in watched.batches for question, _, _ in batch)
    assert [sent[tuple(prompt(row))] for row in range(4)] == SCRIPT[0]
    assert len(allocator.observed) == 1


def test_groups_that_the_cookbook_drops_teach_the_allocator(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, allocator = Watched(monkeypatch), scripted(SCRIPT)
    setup = config(tmp_path, *server, remove_constant_reward_groups=True)
    asyncio.run(cero_tinker.main(setup, allocator=allocator))
    trained = [len(batch) for batch in watched.batches]
    assert min(trained) < TOTAL  # some were dropped, or the test shows nothing
    for batch, outcomes in zip(watched.batches, allocator.observed, strict=True):
        assert (outcomes.successes + outcomes.failures).sum() == TOTAL
        mixed = (outcomes.successes > 0) & (outcomes.failures > 0)
        kept = {question for question, _, _ in batch}
        assert kept == {tuple(prompt(int(row))) for row in outcomes.prompt_ids[mixed]}
