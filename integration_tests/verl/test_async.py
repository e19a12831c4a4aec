"""The asynchronous modes: warm-up, partial rollouts, what was in flight when a checkpoint was saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest

from cero_api.trace import TraceReader, TraceRound
from cero_verl.prompts import said_key
from integration_tests.verl.tiny import Run, Tiny, mode_flags, save_prompts, train

N, BATCH = 4, 4
FLAGS = ("+rollout_allocator=cero", "rollout_allocator.saturation=0.5")


def books(log: list[dict[str, Any]]) -> dict[str, float]:
    data = log[-1]["data"]
    names = ("budget", "budget_spent", "budget_remaining", "unbudgeted", "outstanding")
    return {name: data[f"rollout_allocator/{name}"] for name in names}


@pytest.mark.filterwarnings("ignore:batches of different dispatches mix here:UserWarning")
@pytest.mark.parametrize(("mode", "scope"), [("colocate_async", "pool"), ("separate_async", "batch")])
def test_what_was_dealt_and_a_resumed_run(mode: str, scope: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    tiny = Tiny(tmp_path, steps=5, batch=BATCH, n=N, prompts=8, mode=mode)
    own = [f"rollout_allocator.scope={scope}", f"rollout_allocator.trace={trace}", "trainer.save_freq=3"]
    tiny.extra = [*mode_flags(mode, tmp_path, BATCH), *FLAGS, *own]
    first = train(tiny)
    _every_group_is_what_was_dealt(first)
    updates = 2 if mode == "separate_async" else 1
    assert len(first.steps) == 5 * updates
    assert len({row.uid for rows in first.steps for row in rows}) == 5 * BATCH
    sizes = {size for step in first.counts() for size in step.values()}
    assert len(sizes) > 1 if scope == "batch" else sizes == {N}
    assert books(first.log)["budget_spent"] + books(first.log)["budget_remaining"] == books(first.log)["budget"]
    # Warm-up and five batches; the last ones may still be generated when the training ends.
    assert books(first.log)["budget_spent"] == 6 * BATCH * N

    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("3")
    tickets = json.loads((tmp_path / "checkpoints" / "global_step_3" / "cero_tickets.json").read_text())
    resumed = train(tiny)
    _every_group_is_what_was_dealt(resumed)
    assert len(resumed.steps) == 2 * updates
    # What was dealt before is not dealt, or paid for, again.
    assert books(resumed.log)["budget_spent"] == 6 * BATCH * N
    trained = {row.uid for rows in resumed.steps for row in rows}
    known = tickets["open"].keys() | tickets["done"].keys()
    assert trained & known, "nothing was in flight; the test shows nothing"
    for uid in trained & known:
        (count,) = {row[2] for row in (tickets["open"].get(uid), tickets["done"].get(uid)) if row is not None}
        assert sum(row.uid == uid for rows in resumed.steps for row in rows) == count


@pytest.mark.filterwarnings("ignore:batches of different dispatches mix here:UserWarning")
@pytest.mark.parametrize(("mode", "scope"), [("colocate_async", "batch"), ("separate_async", "window")])
def test_filtered_groups_are_replaced_from_a_dataset_that_repeats_its_prompts(
    mode: str, scope: str, tmp_path: Path
) -> None:
    """Half of the prompts never have contrast, and all that is in flight may have to be replaced at once."""
    prompts = 16
    save_prompts(tmp_path / "train.parquet", prompts, copies=3)
    flags = [
        *mode_flags(mode, tmp_path, BATCH),
        *FLAGS,
        "algorithm.filter_groups.enable=true",
        "rollout_allocator.identity=content",
        f"rollout_allocator.scope={scope}",
        f"rollout_allocator.trace={tmp_path}/trace.jsonl",
        "rollout_allocator.reserve=10",
        "data.shuffle=false",  # so that the copies of a prompt are far apart, and then side by side in a refill
    ]
    run = train(Tiny(tmp_path, steps=3, batch=BATCH, n=N, mode=mode, extra=flags))
    _every_group_is_what_was_dealt(run, by_index=False)
    assert len(run.steps) == 3 * (2 if mode == "separate_async" else 1)
    for rows in run.steps:
        for uid in {row.uid for row in rows}:
            assert len({row.reward for row in rows if row.uid == uid}) == 2, "a group without contrast was trained on"
    rounds = list(TraceReader(tmp_path / "trace.jsonl"))
    assert len(rounds) > 4, "nothing was replaced; the test shows nothing"
    assert max(int(row) for record in rounds for row in record.prompt_ids) < prompts, "a copy is a prompt of its own"
    sizes = {size for step in run.counts() for size in step.values()}
    assert len(sizes) > 1 if scope == "batch" else sizes == {N}
    assert run.log[-1]["data"]["rollout_allocator/unbudgeted"] == 0


def _every_group_is_what_was_dealt(run: Run, by_index: bool = True) -> None:
    """In the trainer's data every group has the size and tokens that the trace says, whichever update it went into."""
    reader = TraceReader(run.config.rollout_allocator.trace)
    if by_index:
        index = {f"tiny/{number}": number for number in range(16)}
    else:
        rows = datasets.Dataset.from_parquet(run.config.data.train_files)
        index = {
            said_key(row["data_source"], row["prompt"], row["reward_model"]): row["extra_info"]["index"] for row in rows
        }
    dealt = [
        (index[str(reader.keys[row])], int(count), int(tokens))
        for record in reader
        for row, count, tokens in zip(record.prompt_ids, record.counts, _counted(record), strict=True)
    ]
    for rows in run.steps:
        for uid in {row.uid for row in rows}:
            group = [row for row in rows if row.uid == uid]
            assert (group[0].index, len(group), sum(row.tokens for row in group)) in dealt


def _counted(record: TraceRound) -> list[float]:
    assert record.tokens is not None
    return list(record.tokens.tolist())
