"""The allocator's Ray actor: killed in mid-round it comes back with everything, and nothing counts twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray

from cero_api import CeroAllocator, CeroConfig
from cero_api.errors import CheckpointError, ConfigurationError, PromptError
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
    client.deal(["a"], [0], mean=4, step=0, exact=True)
    with pytest.raises(PromptError, match="dealt for row 0, not 1"):
        client.deal(["a"], [1], mean=4, step=0, exact=True)
    ray.get(client.report("nobody", 0, 1.0))
    assert client.metrics()["reports_unknown"] == 1
    with pytest.raises(CheckpointError, match="missing"):
        start_allocator("torn", str(tmp_path / "torn"), {"files": {}})


def test_a_training_that_cannot_go_on_ends_with_the_reason(tmp_path: Path) -> None:
    client = start("ended", tmp_path)
    [count] = client.deal(["a"], [0], mean=4, step=0, exact=True)
    ray.get(client.stop("there is no such reward; name another"))
    ray.get([client.report("a", session, 1.0) for session in range(count)])  # whoever reports is not disturbed
    for request in (client.metrics, client.checkpoint, lambda: client.deal(["b"], [1], mean=4, step=1, exact=True)):
        with pytest.raises(ConfigurationError, match="no such reward"):
            request()


@contextlib.contextmanager
def stopped(client: AllocatorClient) -> Iterator[None]:
    """The actor's node has something else to do: the process is there and does nothing."""
    pid = ray.get(client.handle.pid.remote())
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_actor_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    client = start("slow", tmp_path, patience=2.0)
    counts = client.deal(["a", "b"], [0, 1], mean=4, step=0, exact=True)
    ray.get(
        [client.report(ticket, session, 1.0) for ticket, n in zip("ab", counts, strict=True) for session in range(n)]
    )
    before = client.metrics()
    with stopped(client):
        started = time.monotonic()
        with pytest.warns(UserWarning, match=r"no answer within 2 s .* 2 prompts of step 1 get the uniform 4"):
            assert client.deal(["c", "d"], [2, 3], mean=4, step=1, exact=True) == [4, 4]
        with pytest.warns(UserWarning, match=r"no answer within 2 s .* 1 prompts of step 1 get the uniform 3"):
            assert client.deal_pool(["d", "e"], [3, 4], mean=3, step=1, exact=True) == ([3, 4], [4, 3])
        with pytest.warns(UserWarning, match="the last known"):
            assert client.metrics() == before | {"forgone": 11.0}
        with pytest.raises(CheckpointError, match="no checkpoint within 2 s"):
            client.checkpoint()
        assert time.monotonic() - started < 4 * 2.0 + 4.0
        late = [client.report(ticket, session, 1.0) for ticket in "cde" for session in range(4)]
    ray.get(late)
    # What was dealt too late is refunded whole, and what it earned is nobody's.
    numbers = client.metrics()
    assert numbers["budget_spent"] == before["budget_spent"] == sum(counts)
    assert numbers["budget_refunded"] > 0
    assert numbers["outstanding"] == numbers["prompts_in_flight"] == 0
    state = ray.get(client.handle.state_dict.remote())
    assert state["successes"].tolist() == [counts[0], counts[1], *[0.0] * 6]
    # The same tickets get the same again; new ones are dealt.
    assert client.deal(["d", "c", "f"], [3, 2, 5], mean=4, step=2, exact=True) == [4, 4, 4]
    assert client.metrics()["budget_spent"] == sum(counts) + 4


def test_reports_to_an_actor_that_does_not_answer_are_not_waited_for(tmp_path: Path) -> None:
    client = start("mute", tmp_path, patience=2.0)
    counts = client.deal(["a", "b"], [0, 1], mean=4, step=0, exact=True)
    assert asyncio.run(client.answered(client.report("a", 0, 1.0)))

    async def report_all() -> list[bool]:
        first = await client.answered(client.report("a", 1, 1.0))
        return [first, *[await client.answered(client.report("b", session, 1.0)) for session in range(counts[1])]]

    with stopped(client):
        started = time.monotonic()
        with pytest.warns(UserWarning, match="did not take a reward within 2 s") as said:
            assert not any(asyncio.run(report_all()))
        assert len(said) == 1
        assert time.monotonic() - started < 2 * 2.0, "each was waited for"
    assert client.metrics()["budget_spent"] == sum(counts)
    state = ray.get(client.handle.state_dict.remote())
    assert state["successes"].tolist()[:2] == [2, counts[1]], "evidence comes late, and is not lost"
    assert asyncio.run(client.answered(client.close("a")))


def test_generation_outlives_an_actor_that_is_gone_for_good(tmp_path: Path) -> None:
    client = start("gone", tmp_path, patience=5.0)
    last = client.metrics()
    ray.kill(client.handle, no_restart=True)
    with pytest.warns(UserWarning, match="get the uniform 4 rollouts each"):
        assert client.deal(["a", "b"], [0, 1], mean=4, step=0, exact=True) == [4, 4]
    with pytest.warns(UserWarning, match="the last known"):
        assert client.metrics() == last | {"forgone": 8.0}
    with pytest.raises(CheckpointError, match="see to its node"):
        client.checkpoint()
