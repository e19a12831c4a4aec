"""Processes that live until they are killed: this file is run as a script, and forks one life per line of stdin.

A line names the life, its folder, and where it is to end by its own hand ("" for nowhere). The answer is its process
id; when the process is gone, another line says so.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cero_api import (
    CeroAllocator,
    CeroConfig,
    RolloutAllocator,
    RolloutOutcomes,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_ray import Desk, DurableDesk, durable

# Large enough that a killer at random moments often finds the writing of a checkpoint under way.
POOL, ROUNDS = 20_000, 60
SIZE: dict[str, Any] = {"num_prompts": POOL, "rounds": ROUNDS, "budget": 64 * ROUNDS}
DESK = CeroConfig(num_prompts=40, rounds=80, budget=80 * 32, saturation=0.5)
STEPS = 60


def round_of(allocator: RolloutAllocator) -> list[Any]:
    """One round of a training whose rewards depend on nothing but prompt and round."""
    allocation = allocator.allocate()
    won = np.minimum((allocation.prompt_ids + allocation.round) % 9, allocation.counts)
    allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round))
    return [allocation.round, allocation.prompt_ids.tolist(), allocation.counts.tolist()]


def train(folder: Path) -> None:
    """Allocate, observe, save; from the checkpoint on, if there is one."""
    path = folder / "allocator.npz"
    allocator = load_allocator(path) if path.exists() else make_allocator("cero", **SIZE)
    while allocator.metrics()["round"] < ROUNDS:
        note(folder, round_of(allocator))
        save_allocator(allocator, path)
    (folder / "finished").touch()


def note(folder: Path, line: list[Any]) -> None:
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def serve(folder: Path) -> None:
    """A driver and a desk that die together; the driver begins anew each time and repeats everything."""
    durable._SNAPSHOT_EVERY = 50
    desk = DurableDesk(folder / "desk", CeroAllocator(DESK), trace={"path": folder / "trace.jsonl"})
    play(desk, folder)
    (folder / "finished").touch()


def play(desk: Desk | DurableDesk, folder: Path) -> None:
    for step in range(STEPS):
        rows = [(7 * step + i) % 40 for i in range(8)]
        tickets = [f"{step}-{row}" for row in rows]
        if isinstance(desk, Desk):
            counts = desk.deal(tickets, rows, mean=4, step=step, exact=True)
        else:
            counts = desk.deal(tickets, rows, 4, step, True)
        note(folder, [step, rows, counts])
        for ticket, row, count in zip(tickets, rows, counts, strict=True):
            for session in range(count):
                desk.report(ticket, session, float((row + session) % 3 == 0))


LIVES: dict[str, Callable[[Path], None]] = {"train": train, "serve": serve}


def die_at(place: str) -> None:
    """Arrange for a SIGKILL at the n-th call of a function: `module.function n`."""
    name, number = place.split()
    module, function = name.rsplit(".", 1)
    owner: Any = {"os": os, "numpy.lib.format": np.lib.format, "durable": durable, "Path": Path}[module]
    real, left = getattr(owner, function), [int(number)]

    def doomed(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments, **options)

    setattr(owner, function, doomed)


def main() -> None:
    for line in sys.stdin:
        life, folder, place = json.loads(line)
        pid = os.fork()
        if pid == 0:
            if place:
                die_at(place)
            LIVES[life](Path(folder))
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
