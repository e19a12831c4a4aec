"""Rounds and budget follow TRL's own schedule, whatever its accumulation and reuse of generations."""

from pathlib import Path
from typing import Any

import pytest

from integration_tests.trl import tiny

# What is varied, and the rounds to expect: 12 prompts, 2 of them in every 8 rollouts.
SCHEDULES: list[tuple[dict[str, Any], int]] = [
    ({"max_steps": 4, "gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}, 4),
    ({"max_steps": 5, "steps_per_generation": 2, "per_device_train_batch_size": 4}, 3),
    ({"max_steps": 5, "num_iterations": 2, "gradient_accumulation_steps": 3, "steps_per_generation": 1}, 8),
    (
        {
            "max_steps": 7,
            "num_iterations": 2,
            "gradient_accumulation_steps": 2,
            "steps_per_generation": 4,
            "per_device_train_batch_size": 2,
        },
        2,
    ),
    ({"max_steps": -1, "num_train_epochs": 1.5}, 9),
    ({"max_steps": -1, "num_train_epochs": 2, "gradient_accumulation_steps": 4, "steps_per_generation": 1}, 12),
    ({"max_steps": 7}, 7),  # into the second epoch
]


@pytest.mark.parametrize(("options", "rounds"), SCHEDULES)
def test_the_budget_is_what_stock_trl_generates(tmp_path: Path, options: dict[str, Any], rounds: int) -> None:
    stock = tiny.trainer(tmp_path, stock=True, args=options)
    stock.train()
    assert len(stock.batches) == rounds
    ours = tiny.trainer(tmp_path, allocator="uniform", args=options)
    assert (ours.schedule.rounds, ours.schedule.budget) == (rounds, 8 * rounds)
    ours.train()
    assert ours.records[-1].rollouts_so_far == 8 * rounds
    assert ours.allocator.metrics()["budget_remaining"] == 0
    assert tiny.history(ours) == tiny.history(stock)


@pytest.mark.parametrize(("options", "rounds"), SCHEDULES[:4])
def test_uneven_counts_keep_the_shape_of_every_batch(tmp_path: Path, options: dict[str, Any], rounds: int) -> None:
    ours = tiny.trainer(tmp_path, allocator=tiny.Scripted([[6, 2], [8, 0]], rounds=rounds), args=options)
    ours.train()
    assert [int(record.counts.sum()) for record in ours.records] == [8] * rounds
    assert [len(batch["advantages"]) for batch in ours.batches] == [8] * rounds
    assert ours.state.global_step == options["max_steps"]
