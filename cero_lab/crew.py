"""Tasks in worker processes, one core each: stopped at any time, and nothing is left behind."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cero_api.errors import CeroError


class TaskFailedError(CeroError, RuntimeError):
    """A worker ended with an error; its log says why."""


def run_tasks(tasks: Sequence[Callable[[], object]], workers: int, logs: Path, title: str, console: Console) -> None:
    """Run all tasks, in order as workers come free.

    Args:
        tasks: picklable, such as `functools.partial` of a function of a module.
        workers: processes.
        logs: folder for what the workers print.
        title: of the progress bar.
        console: for the progress.

    Raises:
        TaskFailedError: a task failed; those of the other workers were done.
    """
    if not tasks:
        return
    logs.mkdir(parents=True, exist_ok=True)
    # A fresh interpreter for each: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    taken, done = context.Value(ctypes.c_int, 0), context.Value(ctypes.c_int, 0)
    files = [logs / f"log-{number}.txt" for number in range(min(workers, len(tasks)))]
    crew = [context.Process(target=_work, args=(tasks, taken, done, file), daemon=True) for file in files]
    # Daemons end with this process, but only if it ends by itself.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        for worker in crew:
            worker.start()
        with Progress(
            TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
            console=console,
        ) as progress:  # fmt: skip
            bar = progress.add_task("", total=len(tasks))
            while any(worker.is_alive() for worker in crew):
                time.sleep(0.5)
                progress.update(bar, completed=done.value)
            progress.update(bar, completed=done.value)
    finally:
        signal.signal(signal.SIGTERM, before)
    failed = [str(file) for file, worker in zip(files, crew, strict=True) if worker.exitcode]
    if failed:
        raise TaskFailedError(f"{title}: a task failed; see the end of {', '.join(failed)}")


def _work(tasks: Sequence[Callable[[], object]], taken: Any, done: Any, log: Path) -> None:
    """Take the next task until none is left."""
    parent = os.getppid()
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches everybody; the parent ends its daemons
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    while os.getppid() == parent:  # an orphan would go on for hours
        with taken.get_lock():
            mine = taken.value
            taken.value += 1
        if mine >= len(tasks):
            return
        tasks[mine]()
        with done.get_lock():
            done.value += 1
