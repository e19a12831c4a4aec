"""What allocation and reporting cost a step, with pools of 20 thousand and of a million prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import ray

from cero_ray import start_allocator
from integration_tests.verl.tiny import cluster

PROMPTS, GROUP, STEPS = 512, 8, 5
STEP_SECONDS = 10.0  # a fast step; most take minutes


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    with cluster():
        yield


@pytest.mark.parametrize("pool", [20_000, 1_000_000])
def test_less_than_a_hundredth_of_a_ten_second_step(
    pool: int, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    config = {
        "num_prompts": pool,
        "rounds": 500,
        "budget": 500 * PROMPTS * GROUP,
        "max_rollouts_per_prompt": 2 * GROUP,
        "capacity": PROMPTS * GROUP,
    }
    client = start_allocator(f"speed-{pool}", str(tmp_path), {"name": "cero", "config": config})
    rng = np.random.default_rng(0)
    waiting, reporting = [], []
    for step in range(STEPS):
        rows = rng.choice(pool, PROMPTS, replace=False).tolist()
        tickets = [f"{step}-{row}" for row in rows]
        started = time.perf_counter()
        counts = client.deal(tickets, rows, mean=GROUP, step=step, exact=True)
        waiting.append(time.perf_counter() - started)
        client.metrics()  # whose time of the actor's is now the step's
        sent = [
            client.report(t, s, float(rng.random() < 0.5))
            for t, n in zip(tickets, counts, strict=True)
            for s in range(n)
        ]
        ray.get(sent)
        started = time.perf_counter()
        numbers = client.metrics()
        waiting[-1] += time.perf_counter() - started
        reporting.append(numbers["actor_seconds"])
    blocked, busy = float(np.median(waiting)), float(np.median(reporting))
    record_property(
        "measured",
        f"{pool} prompts, {PROMPTS} x {GROUP} rollouts a step: the trainer waits {blocked * 1e3:.0f} ms, that is "
        f"{blocked / STEP_SECONDS:.2%} of a {STEP_SECONDS:.0f} s step; the actor is busy {busy * 1e3:.0f} ms beside it",
    )
    assert blocked < 0.01 * STEP_SECONDS
