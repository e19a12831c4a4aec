"""The desk as a named Ray actor, and the client through which every process speaks to it."""

from __future__ import annotations

import asyncio
import importlib
import os
import time
import warnings
from collections.abc import Sequence
from typing import Any

from cero_api import BaseAllocator, RolloutAllocator, make_allocator
from cero_api.allocators import config_type
from cero_api.errors import CheckpointError, ConfigurationError, MissingDependencyError
from cero_api.extras import install_hint
from cero_api.rewards import SuccessRule
from cero_ray.durable import DurableDesk, restored

# Seconds that generation waits for an answer.
PATIENCE = 60.0

_ASKED_BY_THE_TRAINER = ("deal", "deal_pool", "metrics", "checkpoint")


class AllocatorActor:
    """What runs in the actor's process. Ray starts a new one where it left off, from the same arguments.

    Args:
        folder: of the `DurableDesk`.
        begin: name and configuration of the allocator, or the files of a checkpoint; see `start_allocator`.
        rule: `SuccessRule` as plain values.
        trace: arguments of a `TraceWriter`, or None.
        modules: to import first, for allocators that register themselves.
        option: see `Desk`.
    """

    def __init__(
        self,
        folder: str,
        begin: dict[str, Any],
        rule: dict[str, Any],
        trace: dict[str, Any] | None,
        modules: Sequence[str] = (),
        option: str = "",
    ) -> None:
        for module in modules:
            importlib.import_module(module)
        self._seconds = 0.0
        self._stopped: str | None = None
        allocator: RolloutAllocator
        tickets: dict[str, Any] | None = None
        if "files" in begin:
            allocator, tickets = restored(begin["files"])
        else:
            config = config_type(begin["name"])(**begin["config"])
            allocator = make_allocator(begin["name"], config, **begin.get("known", {}))
        if begin.get("idleness_known") and isinstance(allocator, BaseAllocator):
            allocator.idleness_is_known()
        self._desk = DurableDesk(folder, allocator, SuccessRule(**rule), tickets, trace, option)

    def call(self, name: str, *arguments: Any) -> Any:
        """One request of `DurableDesk`, timed.

        Raises:
            ConfigurationError: the training was stopped, and this is its trainer asking.
        """
        if self._stopped is not None and name in _ASKED_BY_THE_TRAINER:
            raise ConfigurationError(self._stopped)
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

    def stop(self, reason: str) -> None:
        """Answer the trainer's next request with this error: going on would be a training of something else."""
        self._stopped = self._stopped or reason

    def forgo(self, tickets: Sequence[str]) -> None:
        """Close tickets whose deal came too late: it is refunded whole, and what they report is ignored."""
        for ticket in tickets:
            self.call("close", ticket)

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

    Generation waits for a request at most `patience` seconds. A deal that takes longer, or whose actor is gone, is
    forgone: its tickets get the uniform count, with a warning, and stand outside of the books. The actor closes them
    right after it has dealt them, before their first reward can arrive (calls of one process are done in their order),
    so that whatever it dealt is refunded, and what they report is ignored. Asked again, they get the same count.

    A report is waited for no longer, and not at all while an earlier one is unanswered; it stays on its way, and is
    booked whenever the actor comes to it.

    Args:
        handle: of the actor.
        patience: seconds.
    """

    def __init__(self, handle: Any, patience: float = PATIENCE) -> None:
        self.handle = handle
        self.patience = patience
        self._forgone: dict[str, int] = {}  # ticket -> count
        self._unanswered: Any = None  # the last report that was waited for in vain
        self._last: dict[str, float] = {}

    def deal(self, tickets: Sequence[str], rows: Sequence[int], *, mean: int, step: int, exact: bool) -> list[int]:
        """See `Desk.deal`; waits for the answer, or falls back to `mean` for each."""
        return self._dealt("deal", tickets, rows, mean, step, exact)[1]

    def deal_pool(
        self, tickets: Sequence[str], rows: Sequence[int], *, mean: int, step: int, exact: bool
    ) -> tuple[list[int], list[int]]:
        """See `Desk.deal_pool`; waits for the answer, or falls back to the rows given and `mean` for each."""
        return self._dealt("deal_pool", tickets, rows, mean, step, exact)

    def report(self, ticket: str, session: int, reward: float, tokens: float | None = None) -> Any:
        """See `Desk.report`; an object reference, to await or not."""
        return self.handle.call.remote("report", ticket, session, reward, tokens)

    def refund(self, ticket: str, session: int) -> Any:
        """See `Desk.refund`; an object reference, to await or not."""
        return self.handle.call.remote("refund", ticket, session)

    def close(self, ticket: str) -> Any:
        """See `Desk.close`; an object reference, to await or not."""
        return self.handle.call.remote("close", ticket)

    def stop(self, reason: str) -> Any:
        """Let the trainer's next request fail with this `ConfigurationError`; an object reference."""
        return self.handle.stop.remote(reason)

    async def answered(self, report: Any) -> bool:
        """Wait for the answer to a report, but not for an actor that gives none.

        Args:
            report: the object reference of `report`, `refund` or `close`.

        Returns:
            Whether it is there.

        Raises:
            Exception: what was raised over there.
        """
        if self._unanswered is not None:
            if not _ray().wait([self._unanswered], timeout=0)[0]:
                return False
            self._unanswered = None
        answer = asyncio.wrap_future(report.future())
        # Not wait_for, which would cancel what may yet be answered.
        await asyncio.wait([answer], timeout=self.patience)
        if answer.done():
            answer.result()
            return True
        answer.add_done_callback(lambda late: late.cancelled() or late.exception())  # nobody waits for it any more
        self._unanswered = report
        warnings.warn(
            f"the allocator's actor did not take a reward within {self.patience:g} s; generation goes on without "
            "waiting for it, and its evidence comes late; see to the actor's node",
            stacklevel=2,
        )
        return False

    def checkpoint(self) -> dict[str, bytes]:
        """See `DurableDesk.checkpoint`; waits for the answer.

        Raises:
            CheckpointError: there is none in time. A checkpoint without the allocator would be no checkpoint.
        """
        try:
            return _unwrapped(self.handle.call.remote("checkpoint"), self.patience)
        except _silence() as error:
            raise CheckpointError(
                f"the allocator's actor gives no checkpoint within {self.patience:g} s ({error}); see to its node, or "
                "raise the patience, and resume an earlier checkpoint"
            ) from error

    def metrics(self) -> dict[str, float]:
        """See `Desk.metrics`, with the actor's own seconds; waits for the answer, or gives the last one.

        `forgone` is there once a deal was: rollouts that were generated without the allocator.
        """
        try:
            self._last = _unwrapped(self.handle.metrics.remote(), self.patience)
        except _silence() as error:
            warnings.warn(f"{self._silent(error)}; these metrics are the last known", stacklevel=2)
        forgone = float(sum(self._forgone.values()))
        return dict(self._last) | ({"forgone": forgone} if forgone else {})

    def _dealt(
        self, name: str, tickets: Sequence[str], rows: Sequence[int], mean: int, step: int, exact: bool
    ) -> tuple[list[int], list[int]]:
        row_of = dict(zip(tickets, rows, strict=True))
        asked = [ticket for ticket in row_of if ticket not in self._forgone]
        dealt: dict[str, tuple[int, int]] = {}
        if asked:
            given = [row_of[ticket] for ticket in asked]
            try:
                answer = _unwrapped(self.handle.call.remote(name, asked, given, mean, step, exact), self.patience)
            except _silence() as error:
                self._forgone |= dict.fromkeys(asked, mean)
                self.handle.forgo.remote(asked)
                warnings.warn(
                    f"{self._silent(error)}; {len(asked)} prompts of step {step} get the uniform {mean} rollouts each, "
                    "outside of the budget, and teach the allocator nothing",
                    stacklevel=3,
                )
            else:
                chosen, counts = answer if name == "deal_pool" else (given, answer)
                dealt = dict(zip(asked, zip(chosen, counts, strict=True), strict=True))
        pairs = [dealt[ticket] if ticket in dealt else (row_of[ticket], self._forgone[ticket]) for ticket in tickets]
        return [row for row, _ in pairs], [count for _, count in pairs]

    def _silent(self, error: Exception) -> str:
        return f"the allocator's actor gave no answer within {self.patience:g} s ({type(error).__name__})"


def start_allocator(
    actor_name: str,
    folder: str,
    begin: dict[str, Any],
    *,
    rule: SuccessRule | None = None,
    trace: dict[str, Any] | None = None,
    modules: Sequence[str] = (),
    patience: float = PATIENCE,
    option: str = "",
) -> AllocatorClient:
    """Start the actor on this machine and wait until it stands.

    It lives as long as its creator holds the client. If its process dies, Ray starts another, which reads the folder
    back; calls that were under way are sent again, and what they ask for has a name, so nothing happens twice.

    Args:
        actor_name: under which `ray.get_actor` finds it.
        folder: on this machine's disk, for the actor's journal.
        begin: `{"name": ..., "config": {...}}`, with `"known"`, what is known of the prompts, as `make_allocator` takes
            it; or `{"files": checkpoint}`. With `"idleness_known": True` no round says that there is nothing to decide.
        rule: how a reward becomes a success.
        trace: arguments of the `TraceWriter` that gets every round, once it is complete.
        modules: to import there first, for allocators that register themselves.
        patience: seconds that generation waits for an answer; see `AllocatorClient`.
        option: see `Desk`.

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
    client = AllocatorClient(actor.remote(folder, begin, plain, trace, list(modules), option), patience)
    _unwrapped(client.handle.metrics.remote())  # it stands, however long that takes
    return client


def _unwrapped(reference: Any, patience: float | None = None) -> Any:
    """The answer, or the error that was raised over there as itself rather than as one of Ray's."""
    ray = _ray()
    try:
        return ray.get(reference, timeout=patience)
    except ray.exceptions.RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from error


def _silence() -> tuple[type[Exception], ...]:
    """What Ray raises where there is no answer: too late, or nobody left to give it."""
    exceptions = _ray().exceptions
    return (exceptions.GetTimeoutError, exceptions.RayActorError)


def _ray() -> Any:
    try:
        import ray
        import ray.util.scheduling_strategies
    except ImportError as error:
        raise MissingDependencyError(f"Ray is not installed; {install_hint('ray')}") from error
    return ray
