"""A training that is extended, finished, started again or begun in the middle: what is known goes on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api import CeroAllocator, CeroConfig
from cero_api.errors import CheckpointError
from cero_api.trace import TraceReader
from integration_tests.trl import tiny

SAVING = {"save_strategy": "steps", "save_steps": 1}
HALVED = {"steps_per_generation": 2, "per_device_train_batch_size": 4}


def trainer(folder: Path, steps: int, args: dict[str, Any] | None = None, **kwargs: Any) -> Any:
    return tiny.trainer(folder, tiny.first_is_digit, args={**SAVING, "max_steps": steps, **(args or {})}, **kwargs)


@pytest.mark.parametrize("scope", ["batch", "pool"])
def test_more_steps_carry_what_is_known_and_plan_the_rest(tmp_path: Path, scope: str) -> None:
    trace = tmp_path / "trace.jsonl"
    short = trainer(tmp_path, 5, scope=scope, trace=trace)
    short.train()
    known, exposure = short.allocator.success_rate(), short.allocator.exposure()
    long = trainer(tmp_path, 8, scope=scope, trace=trace)
    long.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert [record.round for record in long.records] == [5, 6, 7]
    assert long.records[-1].rollouts_so_far == 64
    assert (long.allocator.config.rounds, long.allocator.config.budget) == (8, 64)
    assert long.allocator.metrics()["budget_remaining"] == 0
    assert (long.allocator.exposure() >= exposure).all()
    untouched = long.allocator.exposure() == exposure
    assert (long.allocator.success_rate()[untouched] == known[untouched]).all()
    assert [part.round for part in TraceReader(trace)] == list(range(8))


def test_more_epochs(tmp_path: Path) -> None:
    epochs = {"max_steps": -1, "save_strategy": "epoch"}
    trainer(tmp_path, -1, {**epochs, "num_train_epochs": 1}).train()
    long = trainer(tmp_path, -1, {**epochs, "num_train_epochs": 2})
    long.train(resume_from_checkpoint=True)
    assert [record.round for record in long.records] == list(range(6, 12))
    assert len(np.unique([record.counts for record in long.records])) > 1  # it knew the prompts
    assert long.allocator.metrics()["budget_remaining"] == 0


def test_another_batch_size_for_what_is_left(tmp_path: Path) -> None:
    trainer(tmp_path, 3).train()
    wide = trainer(tmp_path, 6, {"per_device_train_batch_size": 16})
    wide.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert [int(record.counts.sum()) for record in wide.records] == [16, 16, 16]
    slow = trainer(tmp_path / "slow", 9, HALVED)
    slow.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert len(slow.records) == 3  # two steps to a round
    assert slow.state.global_step == 9


@pytest.mark.parametrize("args", [{}, HALVED])
def test_a_finished_training_that_is_started_again_ends_quietly(tmp_path: Path, args: dict[str, Any]) -> None:
    first = trainer(tmp_path, 4, args)
    first.train()
    again = trainer(tmp_path, 4, args)
    output = again.train(resume_from_checkpoint=True)
    assert again.records == []
    assert output.global_step == 4
    assert (tiny.weights(again) == tiny.weights(first)).all()
    assert again.allocator.metrics() == first.allocator.metrics()
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == [f"checkpoint-{i}" for i in range(1, 5)]


def test_a_second_training_goes_on_with_what_is_known(tmp_path: Path) -> None:
    twice = trainer(tmp_path, 3, {**HALVED, "max_steps": 3}, trace=tmp_path / "trace.jsonl")
    twice.train()
    assert [record.round for record in twice.records] == [0, 1]
    exposure = twice.allocator.exposure()
    twice.train()
    assert [record.round for record in twice.records] == [0, 1, 2, 3]
    assert twice.allocator.exposure().sum() == 32
    assert (twice.allocator.exposure() >= exposure).all()
    assert twice.allocator.metrics()["budget_remaining"] == 0
    assert [part.round for part in TraceReader(tmp_path / "trace.jsonl")] == [0, 1, 2, 3]
    # What it saved can be resumed, though its steps are those of the second training and its rounds are of both.
    rest = trainer(tmp_path, 3, {**HALVED, "max_steps": 3})
    rest.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert [record.round for record in rest.records] == [3]


@pytest.mark.parametrize("before", [True, False])
def test_steps_that_are_set_after_the_trainer_is_made(tmp_path: Path, before: bool) -> None:
    longer = trainer(tmp_path, 3, HALVED)
    if before:
        longer.train()
    done = len(longer.records)
    longer.args.max_steps = 7
    longer.train()
    assert len(longer.records) == done + 4
    assert longer.allocator.metrics()["budget_remaining"] == 0


def test_an_allocator_of_ones_own_lasts_for_a_second_training(tmp_path: Path) -> None:
    schedule = (8, 8, 8)
    own = CeroAllocator(CeroConfig(num_prompts=12, rounds=3, budget=24, capacity=8, pacing=schedule))
    twice = trainer(tmp_path, 3, allocator=own)
    assert twice.allocator is own
    twice.train()
    assert twice.allocator is own
    twice.train()
    assert [record.round for record in twice.records] == list(range(6))
    assert twice.allocator.config.pacing == schedule * 2


def test_only_what_differs_is_named(tmp_path: Path) -> None:
    trainer(tmp_path, 2).train()
    other = trainer(tmp_path, 9, allocator_config={"saturation": 2.0, "forgetting": 0.9})
    with pytest.raises(CheckpointError) as refused:
        other.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert "has saturation=1.0 (now 2.0), forgetting=1.0 (now 0.9); resume with the settings" in str(refused.value)
    shorter = trainer(tmp_path, 2)
    shorter.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert [record.round for record in shorter.records] == [1]


@pytest.mark.parametrize("before", ["stock", "settings", "dataset"])
def test_a_new_allocator_begins_in_the_middle_where_that_is_asked_for(
    tmp_path: Path, before: str, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = tiny.dataset().select(range(11, -1, -1)) if before == "dataset" else None
    kind: dict[str, Any] = {"stock": True} if before == "stock" else {"allocator_config": {"saturation": 2.0}}
    if before == "dataset":
        kind = {"train_dataset": dataset}
    first = trainer(tmp_path, 6, **kind)
    first.train()
    refused = trainer(tmp_path, 6)
    with pytest.raises(CheckpointError):
        refused.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    fresh = trainer(tmp_path, 6, fresh_start=True)
    fresh.train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert [record.round for record in fresh.records] == [0, 1]
    assert (fresh.allocator.config.rounds, fresh.allocator.config.budget) == (2, 16)
    assert fresh.state.global_step == 6
    assert any("a new allocator begins after step 4" in record.getMessage() for record in caplog.records)
    # And its own checkpoints are resumed as ever.
    last = trainer(tmp_path, 6, fresh_start=True)
    last.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    assert [record.round for record in last.records] == [1]
    assert last.allocator.metrics() == fresh.allocator.metrics()
