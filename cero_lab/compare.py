"""The comparison: warm start, trainings side by side, table and report."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from cero_api.errors import CeroError
from cero_api.files import write_whole
from cero_lab import history
from cero_lab.report import write_report
from cero_lab.settings import SETTINGS_FILE, DemoSettings, RunSettings
from cero_lab.spread import SPREAD_HEADINGS, SPREAD_HOW, spread_rows
from cero_lab.summary import HEADINGS, HOW, Summary, final_accuracy, summarize, table_rows, verdict

GRACE_SECONDS = 60.0


class TrainingFailedError(CeroError, RuntimeError):
    """A training process ended with an error; the message holds the end of its log."""


@dataclass
class Run:
    """A training and where it lives."""

    settings: RunSettings
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.settings.allocator} · seed {self.settings.seed}"

    @property
    def complete(self) -> bool:
        """Whether the last round is on record, evaluated."""
        last = [e.step for e in history.read(self.folder).evaluations][-1:]
        return last == [self.settings.train.rounds] and self.process is None

    def start(self) -> None:
        """Begin or resume in a process of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / SETTINGS_FILE, self.settings.model_dump_json(indent=2))
        with (self.folder / "log.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cero_lab.run", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
                # Its own session: Ctrl-C reaches this program alone, which then asks the trainings to stop.
                start_new_session=True,
            )

    def ended(self) -> bool:
        """Whether its process is gone.

        Raises:
            TrainingFailedError: It ended with an error.
        """
        if self.process is None or self.process.poll() is None:
            return False
        status, self.process = self.process.returncode, None
        if status:
            tail = (self.folder / "log.txt").read_text(errors="replace")[-2000:]
            raise TrainingFailedError(f"{self.name} ended with status {status}:\n{tail}")
        return True


def compare(settings: DemoSettings, console: Console) -> list[Summary]:
    """Run what has not run yet, then print the table and write the report.

    Args:
        settings: What to compare.
        console: Where progress and table go.

    Returns:
        A summary for each run.

    Raises:
        KeyboardInterrupt: After every training has left a checkpoint to resume from.
        TrainingFailedError: A training ended with an error.
    """
    began = time.monotonic()
    start = settings.model or _warm_start(settings, console)
    runs = [_run(settings, start, allocator, seed) for seed in settings.seeds for allocator in settings.allocators]
    _train(runs, settings.jobs, console)

    histories = {(r.settings.allocator, r.settings.seed): history.read(r.folder) for r in runs}
    summaries = []
    for (allocator, seed), past in histories.items():
        uniform = histories.get(("uniform", seed))
        target = final_accuracy(uniform) if uniform else None
        summaries.append(summarize(allocator, seed, past, target))
    verdicts = _verdicts(summaries)
    sizes = f"{settings.train.budget:,} rollouts each, {settings.train.prompts} prompts"
    console.print(_table(f"pool {settings.pool}: {sizes}", HEADINGS, table_rows(summaries), HOW, texts=2))
    if len(settings.seeds) > 1:
        console.print(_table("all seeds", SPREAD_HEADINGS, spread_rows(summaries), SPREAD_HOW, texts=1))
    for sentence in verdicts:
        console.print(f"[{'bold red' if 'LOSES' in sentence else 'bold'}]{sentence}[/]", highlight=False)
    page = write_report(settings, histories, summaries, verdicts)
    console.print(f"Report: {page}   ({time.monotonic() - began:.0f} s in all)", highlight=False, soft_wrap=True)
    return summaries


def _warm_start(settings: DemoSettings, console: Console) -> Path:
    # Here, and not above: with --model nobody waits for torch twice.
    from cero_lab.warmstart import cached_checkpoint

    goal = settings.warmstart.mastery
    with Progress(
        TextColumn("warm start       "), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=console, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("loading", total=goal)

        def show(step: int, mastery: float) -> None:
            text = f"step {step}: {mastery:.0%} of characters right, until {goal:.0%}"
            progress.update(task, completed=min(mastery, goal), description=text)

        return cached_checkpoint(settings.warmstart, settings.out / "models", show)


def _run(settings: DemoSettings, start: Path, allocator: str, seed: int) -> Run:
    run = RunSettings(
        allocator=allocator,
        seed=seed,
        pool=settings.pool,
        start=start.resolve(),
        train=settings.train,
        evaluation=settings.evaluation,
    )
    # Other settings are another run; the same ones are the same run, found again and resumed.
    digest = hashlib.blake2b(run.model_dump_json().encode(), digest_size=4).hexdigest()
    return Run(run, settings.out / "runs" / f"{settings.pool}-{allocator}-seed{seed}-{digest}")


def _train(runs: Sequence[Run], jobs: int, console: Console) -> None:
    waiting = [run for run in runs if not run.complete]
    active: list[Run] = []
    with _bars(runs, console) as (progress, tasks), _stopping(active, console):
        while waiting or active:
            while waiting and len(active) < jobs:
                run = waiting.pop(0)
                run.start()
                active.append(run)
            time.sleep(0.5)
            for run in active:
                _show(progress, tasks[run.name], run)
            active[:] = [run for run in active if not run.ended()]


@contextlib.contextmanager
def _stopping(active: list[Run], console: Console) -> Iterator[None]:
    """However the block is left, no training outlives it."""
    try:
        yield
    finally:
        processes = [run.process for run in active if run.process is not None]
        for process in processes:
            process.send_signal(signal.SIGINT)
        if processes:
            console.print("Stopping: each training finishes its round and leaves a checkpoint ...")
        deadline = time.monotonic() + GRACE_SECONDS
        for process in processes:
            try:
                process.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def _bars(runs: Sequence[Run], console: Console) -> Iterator[tuple[Progress, dict[str, TaskID]]]:
    with Progress(
        TextColumn("{task.description:<17}"), BarColumn(), MofNCompleteColumn(), TextColumn("rounds"),
        TextColumn("{task.fields[accuracy]}"), TimeElapsedColumn(), console=console,
    ) as progress:  # fmt: skip
        tasks = {
            run.name: progress.add_task(run.name, total=run.settings.train.rounds, accuracy="", start=False)
            for run in runs
        }
        for run in runs:
            _show(progress, tasks[run.name], run)
        yield progress, tasks


def _show(progress: Progress, task: TaskID, run: Run) -> None:
    past = history.read(run.folder)
    if past.evaluations:
        progress.start_task(task)
        accuracy = f"held-out accuracy {past.evaluations[-1].sampled:.3f}"
        progress.update(task, completed=past.step, accuracy=accuracy)


def _verdicts(summaries: Sequence[Summary]) -> list[str]:
    uniform = {s.seed: s for s in summaries if s.allocator == "uniform"}
    return [verdict(s, uniform[s.seed]) for s in summaries if s.allocator != "uniform" and s.seed in uniform]


def _table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], how: str, *, texts: int) -> Table:
    """A table whose first columns are `texts` and whose others are numbers."""
    table = Table(title=title, caption=how, caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index, name in enumerate(headings):
        table.add_column(name, justify="left" if index < texts else "right", no_wrap=index < texts)
    for row in rows:
        table.add_row(*row)
    return table
