"""A desk whose every step is on disk before it is answered, so that a successor can take over in mid-round."""

from __future__ import annotations

import contextlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from cero_api import RolloutAllocator, load_allocator
from cero_api.adapting.judging import number_of
from cero_api.checkpoint import allocator_from_bytes, allocator_to_bytes
from cero_api.errors import CeroError, CheckpointError
from cero_api.files import write_whole
from cero_api.interrupts import interrupt_in, interruptible
from cero_api.rewards import SuccessRule
from cero_api.trace import TraceWriter
from cero_ray.desk import Desk

ALLOCATOR_FILE = "cero_allocator.npz"
TICKETS_FILE = "cero_tickets.json"

# Lines of journal after which a snapshot is cheaper to read back.
_SNAPSHOT_EVERY = 200_000

_REQUESTS = ("deal", "deal_pool", "report", "refund", "close", "metrics")


class DurableDesk:
    """A `Desk` in a folder: a snapshot, and a journal of what was asked since.

    The allocator is deterministic, so replaying the journal on the snapshot gives the very state that was lost. A
    line that was only half written belongs to a request that was never answered; the caller asks again.

    Args:
        folder: on a disk that survives the process. What it holds wins over `allocator`.
        allocator: where to begin in an empty folder.
        rule: how a reward becomes a success.
        tickets: `Desk.state_dict` to begin from, with `allocator`.
        trace: arguments of the `TraceWriter` that gets every round, once it is complete.
        option: see `Desk`.

    Raises:
        CheckpointError: the folder cannot be written, or what it holds is torn or foreign; also by every request that
            could not be written down, which then was not done.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        allocator: RolloutAllocator,
        rule: SuccessRule | None = None,
        tickets: dict[str, Any] | None = None,
        trace: dict[str, Any] | None = None,
        option: str = "",
    ) -> None:
        self._folder = Path(folder)
        self._rule, self._option = rule or SuccessRule(), option
        self._trace = trace
        self._journal: BinaryIO | None = None
        self._lines = 0
        with self._writing():
            self._folder.mkdir(parents=True, exist_ok=True)
        stems = (path.stem.removeprefix("desk-") for path in self._folder.glob("desk-*.npz"))
        self._generation = max((int(stem) for stem in stems if stem.isdecimal()), default=0)
        if self._generation:
            self._read_back()
        elif any(path.stat().st_size for path in self._folder.glob("desk-*.jsonl")):
            raise CheckpointError(
                f"{self._folder} has a journal and not the snapshot that it goes on from, which somebody has deleted; "
                "resume the training's checkpoint"
            )
        else:
            self._desk = self._new_desk(allocator, tickets)
            self._snapshot()

    def __del__(self) -> None:
        journal = getattr(self, "_journal", None)  # __init__ may have raised
        if journal is not None:
            journal.close()

    @property
    def desk(self) -> Desk:
        """The desk itself, for reading."""
        return self._desk

    def deal(self, tickets: Sequence[str], rows: Sequence[int], mean: int, step: int, exact: bool) -> list[int]:
        """See `Desk.deal`."""
        return self._dealt("deal", tickets, rows, mean, step, exact)

    def deal_pool(
        self, tickets: Sequence[str], rows: Sequence[int], mean: int, step: int, exact: bool
    ) -> tuple[list[int], list[int]]:
        """See `Desk.deal_pool`."""
        return self._dealt("deal_pool", tickets, rows, mean, step, exact)

    def report(self, ticket: str, session: int, reward: float, tokens: float | None = None) -> None:
        """See `Desk.report`."""
        counted = [] if tokens is None else [float(tokens)]
        self._noted("report", ticket, int(session), number_of(reward), *counted)

    def refund(self, ticket: str, session: int) -> None:
        """See `Desk.refund`."""
        self._noted("refund", ticket, int(session))

    def close(self, ticket: str) -> None:
        """See `Desk.close`."""
        deal = self._desk.find(ticket)
        if deal is not None and not deal.done:
            self._noted("close", ticket)

    def metrics(self) -> dict[str, float]:
        """See `Desk.metrics`."""
        # Noted, for it books the evidence: a successor must book at the same moments.
        return self._noted("metrics")

    def checkpoint(self) -> dict[str, bytes]:
        """Name and content of the files from which `restored` goes on."""
        self._noted("metrics")
        return _files_of(self._desk)

    def _dealt(self, name: str, tickets: Sequence[str], rows: Sequence[int], mean: int, step: int, exact: bool) -> Any:
        return self._noted(name, list(tickets), [int(row) for row in rows], int(mean), int(step), bool(exact))

    def _noted(self, name: str, *arguments: Any) -> Any:
        """Write the request down, then do it."""
        self._append(json.dumps([name, *arguments]).encode() + b"\n")
        answer = _do(self._desk, name, arguments)
        self._lines += 1
        if self._lines >= _SNAPSHOT_EVERY:
            try:
                self._snapshot()
            except CheckpointError as error:
                # Nothing is lost, for the journal has it all; but it grows.
                self._lines = 0
                warnings.warn(f"the journal goes on without a new snapshot: {error}", stacklevel=3)
        return answer

    def _append(self, line: bytes) -> None:
        """Add a line to the journal, the whole of it or nothing."""
        assert self._journal is not None
        end = os.fstat(self._journal.fileno()).st_size
        with self._writing():
            try:
                written = 0
                while written < len(line):  # a full disk takes a part first, and refuses then
                    written += self._journal.write(line[written:])
            except OSError:
                self._journal.truncate(end)
                raise
            # In the hands of the system: that survives this process; a dead machine ends the training anyway.

    def _snapshot(self) -> None:
        files = _files_of(self._desk)
        new = self._folder / f"desk-{self._generation + 1}"
        with self._writing():
            write_whole(new.with_suffix(".json"), files[TICKETS_FILE])
            new.with_suffix(".jsonl").unlink(missing_ok=True)
            journal = new.with_suffix(".jsonl").open("ab", buffering=0)
            try:
                # The last file is what makes the snapshot count, and it takes its name in one go.
                write_whole(new.with_suffix(".npz"), files[ALLOCATOR_FILE])
            except OSError:
                journal.close()
                raise
        if self._journal is not None:
            self._journal.close()
        self._journal, self._lines, self._generation = journal, 0, self._generation + 1
        for path in self._folder.glob("desk-*"):
            if path.stem != new.stem:
                with contextlib.suppress(OSError):  # it is in nobody's way
                    path.unlink()

    @interruptible
    def _read_back(self) -> None:
        stem = self._folder / f"desk-{self._generation}"
        allocator = load_allocator(stem.with_suffix(".npz"))
        if not stem.with_suffix(".jsonl").is_file():  # which was there before the snapshot
            raise CheckpointError(
                f"{stem}.jsonl, the journal of what was dealt, is gone; resume the training's checkpoint, and keep "
                f"{self._folder} from being cleaned up"
            )
        with self._writing():
            # Never rewritten: a successor that is killed in here, too, leaves what was answered where it is.
            journal = stem.with_suffix(".jsonl").open("a+b", buffering=0)
            journal.seek(0)
            text = journal.read()
            whole = text[: text.rfind(b"\n") + 1]
            journal.truncate(len(whole))  # without the half line, if there is one
        self._journal = journal
        try:
            self._desk = self._new_desk(allocator, json.loads(stem.with_suffix(".json").read_bytes()))
            requests = [_request(line) for line in whole.splitlines()]
        except CeroError:
            raise
        except Exception as error:  # a damaged file can hold anything
            raise CheckpointError(f"{stem}.* cannot be read ({error}); resume the training's checkpoint") from error
        for name, *arguments in requests:
            try:
                _do(self._desk, name, arguments)
            except Exception as error:  # the request failed then, too, and its caller was told
                if interrupt_in(error) is not None:
                    raise
        self._lines = len(requests)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"cannot write to {self._folder}: {error}; what was there before is unharmed. Free the disk, or choose "
                "a folder that can be written"
            ) from error

    def _new_desk(self, allocator: RolloutAllocator, tickets: dict[str, Any] | None) -> Desk:
        desk = Desk(allocator, self._rule, option=self._option)
        if tickets is not None:
            desk.load_state_dict(tickets)
        if self._trace is not None:
            # What a later run, or a process that died, wrote from here on is cut off; replaying writes it again.
            Path(self._trace["path"]).parent.mkdir(parents=True, exist_ok=True)
            desk.on_round = TraceWriter(**self._trace, from_round=desk.next_round)
        return desk


@interruptible
def restored(files: dict[str, bytes]) -> tuple[RolloutAllocator, dict[str, Any]]:
    """Allocator and tickets of a `checkpoint`.

    Raises:
        CheckpointError: a file is missing, torn or foreign.
    """
    missing = [name for name in (ALLOCATOR_FILE, TICKETS_FILE) if name not in files]
    if missing:
        raise CheckpointError(f"{', '.join(missing)} is missing; copy the whole checkpoint, or load an earlier one")
    allocator = allocator_from_bytes(files[ALLOCATOR_FILE])
    try:
        tickets: dict[str, Any] = json.loads(files[TICKETS_FILE])
        Desk(allocator).load_state_dict(tickets)
    except CeroError:
        raise
    except Exception as error:  # a damaged file can hold anything
        raise CheckpointError(f"{TICKETS_FILE} cannot be read ({error}); load an earlier checkpoint") from error
    return allocator, tickets


def _files_of(desk: Desk) -> dict[str, bytes]:
    tickets = json.dumps(desk.state_dict()).encode()
    return {ALLOCATOR_FILE: allocator_to_bytes(desk.allocator), TICKETS_FILE: tickets}


def _request(line: bytes) -> list[Any]:
    """A line of the journal.

    Raises:
        ValueError: it is no request.
    """
    request: Any = json.loads(line)
    if not (isinstance(request, list) and request and request[0] in _REQUESTS):
        raise ValueError(f"{line[:40]!r} is no request")
    return request


def _do(desk: Desk, name: str, arguments: Sequence[Any]) -> Any:
    if name in ("deal", "deal_pool"):
        tickets, rows, mean, step, exact = arguments
        return getattr(desk, name)(tickets, rows, mean=mean, step=step, exact=exact)
    return getattr(desk, name)(*arguments)
