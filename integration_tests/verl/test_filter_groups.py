"""DAPO's filter: evicted groups report too, refills are dealt, and decisions stay one per prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from cero_api.trace import TraceReader
from integration_tests.verl.tiny import Tiny, train


@pytest.mark.filterwarnings("ignore:batches of different dispatches mix here:UserWarning")
def test_evicted_groups_teach_and_refills_are_dealt(tmp_path: Path) -> None:
    flags = [
        "+rollout_allocator=cero",
        "rollout_allocator.saturation=0.5",
        f"rollout_allocator.trace={tmp_path}/trace.jsonl",
        "algorithm.filter_groups.enable=true",
        "rollout_allocator.reserve=10",
        # Room for any four groups in one optimiser step.
        "actor_rollout_ref.rollout.n=8",
        "rollout_allocator.mean_rollouts_per_prompt=4",
    ]
    run = train(Tiny(tmp_path, steps=3, prompts=16, extra=flags))
    assert all(len({row.uid for row in rows}) == 4 for rows in run.steps)
    for rows in run.steps:
        for uid in {row.uid for row in rows}:
            assert len({row.reward for row in rows if row.uid == uid}) == 2, "a group without contrast was trained on"
    # One optimiser step each: rows and padding together are one mini-batch.
    assert [len(rows) + padding for rows, padding in zip(run.steps, run.padding, strict=True)] == [4 * 8] * 3

    rounds = list(TraceReader(tmp_path / "trace.jsonl"))
    assert len(rounds) > 3, "no refills happened; the test shows nothing"
    successes = [s for record in rounds for s in record.successes]
    counts = [int(n) for record in rounds for n in record.counts]
    # Groups that verl has evicted are in the evidence: never solved, and always solved.
    assert 0 in successes
    assert any(s == n for s, n in zip(successes, counts, strict=True))
    last = run.log[-1]["data"]
    assert last["rollout_allocator/budget_spent"] == sum(counts)
    assert last["rollout_allocator/unbudgeted"] == 0
