"""Sessions that fail are refunded, and success can be judged by another number than the reward."""

from __future__ import annotations

from pathlib import Path

from cero_api.trace import TraceReader
from integration_tests.verl.tiny import Tiny, train

STEPS, BATCH, N = 3, 4, 4


def test_failed_sessions_are_refunded_and_the_key_judges(tmp_path: Path) -> None:
    flags = [
        "+rollout_allocator=cero",
        "rollout_allocator.success_key=acc",
        f"rollout_allocator.trace={tmp_path}/trace.jsonl",
        "reward.custom_reward_function.name=graded",
    ]
    run = train(Tiny(tmp_path, steps=STEPS, batch=BATCH, n=N, prompts=8, extra=flags))
    survived = sum(len(rows) for rows in run.steps)
    assert 0 < survived < STEPS * BATCH * N, "no session failed; the test shows nothing"
    last = run.log[-1]["data"]
    assert last["rollout_allocator/budget_spent"] == survived
    assert last["rollout_allocator/budget_refunded"] == STEPS * BATCH * N - survived
    assert last["rollout_allocator/outstanding"] == 0
    rounds = list(TraceReader(tmp_path / "trace.jsonl"))
    assert len(rounds) == STEPS
    for rows, record in zip(run.steps, rounds, strict=True):
        assert record.counts.sum() == BATCH * N
        assert record.successes.sum() + record.failures.sum() == len(rows)
        # No reward reaches 1, and `acc` is what counts.
        assert record.successes.sum() == 2 * sum(row.reward for row in rows)
