"""The desk as a named Ray actor, and the client through which every process speaks to it."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Sequence
from typing import Any

from cero_api import RolloutAllocator, make_allocator
from cero_api.allocators import config_type
from cero_api.config import SuccessRule
from cero_api.errors import MissingDependencyError
from cero_ray.durable import DurableDesk, restored


class AllocatorActor:
    """What runs in the actor's process. Ray starts a new one where it left off, from the same arguments.

    Args:
        folder: of the `DurableDesk`.
        begin: name and configuration of the allocator, or the files of a checkpoint.
        rule: `SuccessRule` as plain values.
        trace: arguments of a `TraceWriter`, or None.
        modules: to import first, for allocators that register themselves.
    """

    def __init__(
        self,
        folder: str,
        begin: dict[str, Any],
        rule: dict[str, Any],
        trace: dict[str, Any] | None,
        modules: Sequence[str] = (),
    ) -> None:
        for module in modules:
            importlib.import_module(module)
        self._seconds = 0.0
        allocator: RolloutAllocator
        tickets: dict[str, Any] | None = None
        if "files" in begin:
            allocator, tickets = restored(begin["files"])
        else:
            allocator = make_allocator(begin["name"], config_type(begin["name"])(**begin["config"]))
        self._desk = DurableDesk(folder, allocator, SuccessRule(**rule), tickets, trace)

    def call(self, name: str, *arguments: Any) -> Any:
        """One request of `DurableDesk`, timed."""
        started = time.perf_counter()
        try:
            return getattr(self._desk, name)(*arguments)
        finally:
            self._seconds += time.perf_counter() - started

    def metrics(self) -> dict[str, float]:
        """The desk's, and the seconds spent here since the last time they were asked for."""
        numbers: dict[str, float] = self.call("metrics")
        numbers["actor_seconds"], self._seconds = self._seconds, 0.0
        return numbers

    def pid(self) -> int:
        """Of the actor's process."""
        return os.getpid()

    def exposure(self) -> Any:
        """Rollouts given to each prompt so far."""
        return self._desk.desk.allocator.exposure()

    def state_dict(self) -> dict[str, Any]:
        """The allocator's state."""
        return self._desk.desk.allocator.state_dict()


class AllocatorClient:
    """Calls the actor; picklable, so that it can be handed to workers.

    Args:
        handle: of the actor.
    """

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def deal(self, tickets: Sequence[str], rows: Sequence[int], *, mean: int, step: int, exact: bool) -> list[int]:
        """See `Desk.deal`; waits for the answer."""
        return self._get("deal", list(tickets), list(rows), mean, step, exact)

    def deal_pool(
        self, tickets: Sequence[str], rows: Sequence[int], *, mean: int, step: int, exact: bool
    ) -> tuple[list[int], list[int]]:
        """See `Desk.deal_pool`; waits for the answer."""
        return self._get("deal_pool", list(tickets), list(rows), mean, step, exact)

    def report(self, ticket: str, session: int, reward: float) -> Any:
        """See `Desk.report`; an object reference, to await or not."""
        return self.handle.call.remote("report", ticket, session, reward)

    def refund(self, ticket: str, session: int) -> Any:
        """See `Desk.refund`; an object reference, to await or not."""
        return self.handle.call.remote("refund", ticket, session)

    def close(self, ticket: str) -> Any:
        """See `Desk.close`; an object reference, to await or not."""
        return self.handle.call.remote("close", ticket)

    def checkpoint(self) -> dict[str, bytes]:
        """See `DurableDesk.checkpoint`; waits for the answer."""
        return self._get("checkpoint")

    def metrics(self) -> dict[str, float]:
        """See `Desk.metrics`, with the actor's own seconds; waits for the answer."""
        return _ray().get(self.handle.metrics.remote())

    def _get(self, name: str, *arguments: Any) -> Any:
        return _unwrapped(self.handle.call.remote(name, *arguments))


def start_allocator(
    actor_name: str,
    folder: str,
    begin: dict[str, Any],
    *,
    rule: SuccessRule | None = None,
    trace: dict[str, Any] | None = None,
    modules: Sequence[str] = (),
) -> AllocatorClient:
    """Start the actor on this machine and wait until it stands.

    It lives as long as its creator holds the client. If its process dies, Ray starts another, which reads the folder
    back; calls that were under way are sent again, and what they ask for has a name, so nothing happens twice.

    Args:
        actor_name: under which `ray.get_actor` finds it.
        folder: on this machine's disk, for the actor's journal.
        begin: `{"name": ..., "config": {...}}`, or `{"files": checkpoint}`.
        rule: how a reward becomes a success.
        trace: arguments of the `TraceWriter` that gets every round, once it is complete.
        modules: to import there first, for allocators that register themselves.

    Raises:
        MissingDependencyError: Ray is not installed.
        CheckpointError: the files of a checkpoint cannot be read.
    """
    ray = _ray()
    if "files" in begin:
        restored(begin["files"])  # over there it would be an actor that died for no reason that anybody can read
    affinity = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    node = ray.get_runtime_context().get_node_id()
    options = {
        "name": actor_name,
        "num_cpus": 0,
        "max_restarts": -1,
        "max_task_retries": -1,
        "scheduling_strategy": affinity(node_id=node, soft=False),  # where the folder is
    }
    actor = ray.remote(AllocatorActor).options(**options)
    plain = (rule or SuccessRule()).model_dump(mode="json")
    client = AllocatorClient(actor.remote(folder, begin, plain, trace, list(modules)))
    client.metrics()  # it stands
    return client


def _unwrapped(reference: Any) -> Any:
    """The answer, or the error that was raised over there as itself rather than as one of Ray's."""
    ray = _ray()
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from error


def _ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise MissingDependencyError('Ray is not installed; pip install "cero-api[ray]"') from error
    return ray
