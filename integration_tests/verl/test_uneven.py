"""A real training with uneven counts: verl's own data, advantages, optimiser steps and log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cero_api import group_advantages
from cero_api.trace import TraceReader
from integration_tests.verl.tiny import UNDISTURBED_STEPS, Run

STEPS, BATCH, N = UNDISTURBED_STEPS, 4, 4


@pytest.fixture(scope="module")
def run(undisturbed: Run) -> Run:
    return undisturbed


def test_counts_in_the_trainers_data_are_uneven_and_sum_to_what_uniform_verl_generates(run: Run) -> None:
    counts = run.counts()
    assert len(counts) == STEPS
    assert all(sum(step.values()) == BATCH * N for step in counts)
    assert all(len(step) == BATCH and min(step.values()) >= 2 for step in counts)
    assert any(len(set(step.values())) > 1 for step in counts)


def test_the_trace_says_what_the_trainer_saw(run: Run) -> None:
    reader = TraceReader(run.config.rollout_allocator.trace)
    rounds = list(reader)
    assert len(rounds) == STEPS
    for record, rows in zip(rounds, run.steps, strict=True):
        indices = [int(str(reader.keys[row]).split("/")[1]) for row in record.prompt_ids]
        dealt = dict(zip(indices, record.counts, strict=True))
        assert dealt == {index: sum(row.index == index for row in rows) for index in dealt}
        won = dict(zip(indices, record.successes, strict=True))
        assert won == {index: sum(row.reward for row in rows if row.index == index) for index in won}
        assert record.tokens is not None
        tokens = dict(zip(indices, record.tokens, strict=True))
        assert tokens == {index: sum(row.tokens for row in rows if row.index == index) for index in tokens}


def test_prompts_that_are_sometimes_solved_get_more(run: Run) -> None:
    """Of the second epoch, when each prompt has been seen once."""
    later = [(index, n) for step in run.counts()[2:] for index, n in step.items()]
    mixed = [n for index, n in later if index % 4 in (1, 3)]
    settled = [n for index, n in later if index % 4 in (0, 2)]
    assert np.mean(mixed) > np.mean(settled)


def test_advantages_are_those_of_the_true_groups(run: Run) -> None:
    for rows in run.steps:
        groups = {uid: i for i, uid in enumerate(dict.fromkeys(row.uid for row in rows))}
        expected = group_advantages([row.reward for row in rows], [groups[row.uid] for row in rows], eps=1e-6)
        np.testing.assert_allclose([row.advantage for row in rows], expected, atol=1e-5)


def test_a_constant_total_needs_no_padding(run: Run) -> None:
    assert run.padding == [0] * STEPS


def test_verls_log_has_the_allocators_numbers(run: Run) -> None:
    steps = [record["data"] for record in run.log if "training/global_step" in record["data"]]
    assert [data["rollout_allocator/round"] for data in steps] == list(range(1, STEPS + 1))
    assert [data["rollout_allocator/budget_spent"] for data in steps] == [BATCH * N * k for k in range(1, STEPS + 1)]
    assert steps[-1]["rollout_allocator/budget_remaining"] == 0
    for data, counts in zip(steps, run.counts(), strict=True):
        assert data["rollout_allocator/count_max"] == max(counts.values())
        assert data["rollout_allocator/count_min"] == min(counts.values())
        shares = [value for name, value in data.items() if name.startswith("rollout_allocator/count_share_")]
        assert sum(shares) == pytest.approx(1)
    generated = [sum(row.tokens for row in rows) for rows in run.steps]
    assert [data["rollout_allocator/tokens"] for data in steps] == np.cumsum(generated).tolist()
    per_rollout = [data["rollout_allocator/round_tokens_per_rollout"] for data in steps]
    assert per_rollout == [tokens / (BATCH * N) for tokens in generated]
    names = ("budget_price", "effective_group_rate", "signal", "tokens", "decidable", "count_zero", "seconds")
    assert all(f"rollout_allocator/{name}" in steps[-1] for name in names)


def test_numbers_reach_tensorboard(run: Run) -> None:
    board = EventAccumulator(str(Path(run.config.rollout_allocator.trace).parent / "board"))
    board.Reload()
    spent = [scalar.value for scalar in board.Scalars("rollout_allocator/budget_spent")]
    assert spent == [BATCH * N * k for k in range(1, STEPS + 1)]


def test_the_log_says_what_allocation_costs_a_step(run: Run, record_property: Callable[[str, object], None]) -> None:
    steps = [record["data"] for record in run.log if "training/global_step" in record["data"]]
    seconds = [data["rollout_allocator/seconds"] for data in steps]
    mean, most = 1e3 * np.mean(seconds), 1e3 * max(seconds)
    record_property("measured", f"a tiny training: {mean:.1f} ms a step in the trainer, at most {most:.1f} ms")
    assert min(seconds) > 0
