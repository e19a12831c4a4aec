"""The allocator's Ray actor: killed in mid-round it comes back with everything, and nothing counts twice."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from cero_api import CeroAllocator, CeroConfig
from cero_api.errors import CheckpointError, InvalidOutcomeError
from cero_api.trace import TraceReader
from cero_ray import AllocatorClient, Desk, start_allocator
from integration_tests.verl.tiny import cluster

CONFIG: dict[str, Any] = {"num_prompts": 8, "rounds": 8, "budget": 128, "saturation": 0.5}
ROUNDS = [(f"step-{k}", [(4 * k + i) % 8 for i in range(4)]) for k in range(6)]


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    with cluster():
        yield


def start(name: str, folder: Path, **more: Any) -> AllocatorClient:
    return start_allocator(name, str(folder), {"name": "cero", "config": CONFIG}, **more)


def kill(client: AllocatorClient) -> None:
    """As a machine would: the process is gone between two instructions."""
    pid = ray.get(client.handle.pid.remote())
    os.kill(pid, 9)
    for _ in range(600):
        try:
            if ray.get(client.handle.pid.remote(), timeout=30) != pid:
                return
        except ray.exceptions.RayError:
            time.sleep(0.05)
    raise AssertionError("the actor did not come back")


def played(client: AllocatorClient, *, deaths: bool) -> list[list[int]]:
    dealt = []
    for step, (name, rows) in enumerate(ROUNDS):
        tickets = [f"{name}-{row}" for row in rows]
        counts = client.deal(tickets, rows, mean=4, step=step, exact=True)
        for ticket, count, row in zip(tickets, counts, rows, strict=True):
            ray.get([client.report(ticket, session, float(row % 2 and session % 2)) for session in range(count)])
            if deaths and row == 3:
                kill(client)
                assert client.deal(tickets, rows, mean=4, step=step, exact=True) == counts
                ray.get([client.report(ticket, session, 1.0) for session in range(count)])  # sent twice
        dealt.append(counts)
    return dealt


def test_killed_in_mid_round_it_deals_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    trace = {"path": str(tmp_path / "trace.jsonl")}
    killed = start("killed", tmp_path / "killed", trace=trace)
    expected = Desk(CeroAllocator(CeroConfig(**CONFIG)))
    spared = start("spared", tmp_path / "spared")
    assert played(killed, deaths=True) == played(spared, deaths=False)
    ours, theirs = (ray.get(client.handle.state_dict.remote()) for client in (killed, spared))
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    assert len(list(TraceReader(trace["path"]))) == len(ROUNDS)
    assert expected.allocator.config.budget == killed.metrics()["budget"]


def test_several_processes_share_one_allocator(tmp_path: Path) -> None:
    client = start("shared", tmp_path)

    @ray.remote
    def report(client: AllocatorClient, ticket: str, sessions: list[int]) -> None:
        ray.get([client.report(ticket, session, 1.0) for session in sessions])

    counts = client.deal(["a", "b"], [0, 1], mean=4, step=0, exact=True)
    ray.get([report.remote(client, "a", list(range(counts[0]))), report.remote(client, "b", list(range(counts[1])))])
    again = AllocatorClient(ray.get_actor("shared"))
    assert again.metrics()["outstanding"] == 0
    assert again.metrics()["prompts_in_flight"] == 0


def test_errors_come_back_as_themselves(tmp_path: Path) -> None:
    client = start("errors", tmp_path)
    ray.get(client.report("nobody", 0, 1.0))
    with pytest.raises(InvalidOutcomeError, match="never dealt"):
        client.deal(["a"], [0], mean=4, step=0, exact=True)
    with pytest.raises(CheckpointError, match="missing"):
        start_allocator("torn", str(tmp_path / "torn"), {"files": {}})
