"""Trainings in worker processes: stopped at any time, and a rerun makes what is missing."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cero_lab.evidence.record import load, path_of
from cero_lab.evidence.variants import run_settings

Starts = Mapping[str, Path]  # checkpoint of each regime


@dataclass(frozen=True)
class Job:
    """One training to make."""

    regime: str
    variant: str
    seed: int


def missing(jobs: Iterable[Job], starts: Starts, folder: Path) -> list[Job]:
    """Those without a result of the very settings."""

    def made(job: Job) -> bool:
        settings = run_settings(job.regime, job.variant, job.seed, starts[job.regime])
        return load(path_of(folder, job.regime, job.variant, job.seed), settings) is not None

    return [job for job in jobs if not made(job)]


def run_grid(jobs: Sequence[Job], starts: Starts, folder: Path, workers: int, console: Console) -> None:
    """Make what is missing, in order.

    Args:
        jobs: the most telling first.
        starts: checkpoint that every training of a regime starts from.
        folder: of the results.
        workers: processes, one core each.
        console: for the progress.

    Raises:
        RuntimeError: a training failed; its log says why.
    """
    todo = missing(jobs, starts, folder)
    console.print(f"{len(jobs) - len(todo)} of {len(jobs)} runs are there, {len(todo)} to make")
    if not todo:
        return
    folder.mkdir(parents=True, exist_ok=True)
    # A fresh interpreter for each: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    taken = context.Value(ctypes.c_int, 0)
    crew = [
        context.Process(target=_work, args=(todo, starts, folder, taken, folder / f"log-{i}.txt"), daemon=True)
        for i in range(min(workers, len(todo)))
    ]
    # Daemons end with this process, but only if it ends by itself.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    for worker in crew:
        worker.start()
    with Progress(
        TextColumn("trainings"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn(),
        console=console,
    ) as progress:  # fmt: skip
        bar = progress.add_task("", total=len(todo))
        while any(worker.is_alive() for worker in crew):
            time.sleep(1.0)
            made = [job for job in todo[: taken.value] if path_of(folder, job.regime, job.variant, job.seed).exists()]
            progress.update(bar, completed=len(made))
    failed = [str(folder / f"log-{i}.txt") for i, worker in enumerate(crew) if worker.exitcode]
    if failed:
        raise RuntimeError(f"a training failed; see the end of {', '.join(failed)}")


def _work(todo: Sequence[Job], starts: Starts, folder: Path, taken: Any, log: Path) -> None:
    """Take the next job until none is left."""
    parent = os.getppid()
    os.environ["OMP_NUM_THREADS"] = "1"
    with log.open("a") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    while True:
        with taken.get_lock():
            mine = taken.value
            taken.value += 1
        if mine >= len(todo):
            return
        make(todo[mine], starts, folder, parent)


def make(job: Job, starts: Starts, folder: Path, parent: int | None = None) -> None:
    """Train, evaluate, and write the result.

    Args:
        job: which.
        starts: checkpoints by regime.
        folder: of the results.
        parent: process without which this one stops after its round and writes nothing.
    """
    # Here, and not above: the process that only watches needs no torch.
    from cero_lab import history
    from cero_lab.evidence.record import Record
    from cero_lab.run import train

    settings = run_settings(job.regime, job.variant, job.seed, starts[job.regime])
    scratch = Path(tempfile.mkdtemp(prefix="sample-efficiency-"))
    try:
        if train(settings, scratch, lambda: parent is not None and os.getppid() != parent):
            record = Record.of(job.variant, settings, history.read(scratch))
            record.save(path_of(folder, job.regime, job.variant, job.seed))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
