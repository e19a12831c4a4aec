"""Trainings in worker processes: stopped at any time, and a rerun makes what is missing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from cero_lab.crew import run_tasks
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
        TaskFailedError: a training failed; its log says why.
    """
    todo = missing(jobs, starts, folder)
    console.print(f"{len(jobs) - len(todo)} of {len(jobs)} runs are there, {len(todo)} to make")
    tasks = [partial(make, job, starts, folder, os.getpid()) for job in todo]
    run_tasks(tasks, workers, folder, "trainings", console)


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
