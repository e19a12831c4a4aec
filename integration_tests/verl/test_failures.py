"""Sessions that fail, rewards out of range, keys that are not there: what a training outlives, and what ends it."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cero_api import CeroAllocator, CeroConfig
from cero_api.errors import ConfigurationError
from cero_api.trace import TraceReader
from cero_ray import Desk
from integration_tests.verl.tiny import Tiny, train

STEPS, BATCH, N = 3, 4, 4


def test_failed_sessions_are_refunded_and_those_they_leave_alone_push_nothing(tmp_path: Path) -> None:
    """Half of them fail. `grpo_passk` would stop at a group of one; others take its raw reward for an advantage."""
    flags = [
        "+rollout_allocator=cero",
        "rollout_allocator.success_key=acc",
        "rollout_allocator.reward_range=[0,1]",
        f"rollout_allocator.trace={tmp_path}/trace.jsonl",
        "algorithm.adv_estimator=grpo_passk",
        "reward.custom_reward_function.name=fragile",
    ]
    run = train(Tiny(tmp_path, steps=STEPS, batch=BATCH, n=N, prompts=8, extra=flags))
    rows = [row for step in run.steps for row in step]
    assert 0 < len(rows) < STEPS * BATCH * N, "no session failed; the test shows nothing"
    last = run.log[-1]["data"]
    assert last["rollout_allocator/budget_spent"] == len(rows)
    assert last["rollout_allocator/budget_refunded"] == STEPS * BATCH * N - len(rows)
    assert last["rollout_allocator/outstanding"] == 0
    rounds = list(TraceReader(tmp_path / "trace.jsonl"))
    assert len(rounds) == STEPS
    for step, record in zip(run.steps, rounds, strict=True):
        assert record.counts.sum() == BATCH * N
        assert record.successes.sum() + record.failures.sum() == len(step)
        # Rewards are all outside of the range: `acc` is what counts.
        assert record.successes.sum() == sum(row.reward >= 4 for row in step)
    # It is 3 for a success, which counts as the nearest end of the range, and the log says how many did.
    assert last["rollout_allocator/rewards_clipped"] == sum(row.reward >= 4 for row in rows) > 0

    sizes = Counter(row.uid for row in rows)
    lone = [row for row in rows if sizes[row.uid] == 1]
    assert lone, "no group was left with one rollout; the test shows nothing"
    assert {row.advantage for row in lone} == {0.0}
    assert any(row.advantage > 0 for row in rows)


def test_a_key_that_no_reward_has_ends_the_training_at_once(tmp_path: Path) -> None:
    flags = [
        "+rollout_allocator=cero",
        "rollout_allocator.success_key=accuracy",
        "reward.custom_reward_function.name=fragile",
    ]
    steps: list[Any] = []
    with pytest.raises(ConfigurationError, match=r"success_key=accuracy .* which is acc, score; name one of them"):
        train(Tiny(tmp_path, steps=5, batch=BATCH, n=N, prompts=8, extra=flags), hook=steps.append)
    assert len(steps) == 1


def test_rewards_that_stay_away_are_told_of_again(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk(CeroAllocator(CeroConfig(num_prompts=40, rounds=30, budget=4800)))
    for step in range(3):
        tickets = [f"{step}-{row}" for row in range(40)]
        for ticket, count in zip(tickets, desk.deal(tickets, range(40), mean=4), strict=True):
            for session in range(count):
                desk.report(ticket, session, math.nan)
    assert desk.metrics()["prompts_failing"] == 40
    assert caplog.text.count("was dealt 3 times and came back without a single reward") == 5
    assert caplog.text.count("the latest 100 rollouts came back without a single usable reward") == 1
