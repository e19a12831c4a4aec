"""The comparison: warm start, trainings side by side, table and report."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cero_api.analysis.learning import Comparison, compare_regimes
from cero_api.analysis.report import learning_cells, learning_tables, learning_warnings
from cero_api.cli.tables import print_table
from cero_api.errors import CeroError
from cero_api.files import write_whole
from cero_lab import history
from cero_lab.grid.starts import start_name
from cero_lab.report import write_report
from cero_lab.settings import SETTINGS_FILE, DemoSettings, RunSettings
from cero_lab.summary import HOW, LOSS, record_of, training_cells, verdict

GRACE_SECONDS = 60.0
# Of the tables of a comparison, those that say who needed what; the page has all.
SHOWN = ("Rollouts to match", "Tokens", "Accuracy")


class TrainingFailedError(CeroError, RuntimeError):
    """A training process ended with an error; the message holds the end of its log."""


@dataclass
class Run:
    """A training and where it lives."""

    settings: RunSettings
    folder: Path
    start: str
    process: subprocess.Popen[bytes] | None = None
    told: int = 0  # quarters that a line has said are done

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.settings.allocator} · {self.start} · seed {self.settings.seed}"

    @property
    def key(self) -> tuple[str, str, int]:
        """Allocator, start and seed."""
        return self.settings.allocator, self.start, self.settings.seed

    @property
    def complete(self) -> bool:
        """Whether the last round is on record, evaluated."""
        last = [e.step for e in history.read(self.folder).evaluations][-1:]
        return last == [self.settings.train.rounds] and self.process is None

    def begin(self) -> None:
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


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    Args:
        comparison: Of the trainings' records.
        verdicts: A sentence for each allocator but uniform.
        page: The report.
    """

    comparison: Comparison
    verdicts: list[str]
    page: Path


def compare(settings: DemoSettings, console: Console) -> Compared:
    """Run what has not run yet, then print the tables and write the report.

    Args:
        settings: What to compare.
        console: Where progress and tables go.

    Returns:
        What was found.

    Raises:
        KeyboardInterrupt: After every training has left a checkpoint to resume from.
        TrainingFailedError: A training ended with an error.
    """
    began = time.monotonic()
    starts = {settings.model.name: settings.model} if settings.model else _warm_starts(settings, console)
    runs = [
        _run(settings, name, folder, allocator, seed)
        for name, folder in starts.items()
        for seed in settings.seeds
        for allocator in settings.allocators
    ]
    _train(runs, settings.jobs, console)

    histories = {run.key: history.read(run.folder) for run in runs}
    records = {run.name: record_of(*run.key, settings.pool, histories[run.key]) for run in runs}
    comparison = compare_regimes(records.values())
    (results,) = comparison.results.values()
    verdicts = [verdict(label, result) for label, result in results.items() if label != comparison.baseline]
    rows = [training_cells(name, record) for name, record in records.items()]
    _print(settings, comparison, rows, console)
    for sentence in verdicts:
        style = "bold red" if LOSS in sentence else "bold"
        console.print(sentence, style=style, markup=False, highlight=False)
    page = write_report(settings, histories, comparison, rows, verdicts)
    console.print(f"Report: {page}   ({time.monotonic() - began:.0f} s in all)", highlight=False, soft_wrap=True)
    return Compared(comparison, verdicts, page)


def _print(settings: DemoSettings, comparison: Comparison, rows: Sequence[Mapping[str, str]], console: Console) -> None:
    (results,) = comparison.results.values()
    console.print(
        f"Pool {settings.pool}: {settings.train.budget:,} rollouts a training, {settings.train.prompts} prompts, "
        f"{settings.visits:.1f} visits each\n",
        highlight=False,
    )
    print_table(console, rows)
    for title, lines in learning_tables([learning_cells(label, found) for label, found in results.items()]).items():
        if title in SHOWN:
            console.print(f"\n{title}", style="italic")
            print_table(console, lines)
    console.print()
    for note in (*learning_warnings(results, comparison.baseline), *HOW):
        console.print(f"• {note}", style="dim", markup=False, highlight=False)
    console.print()


def _warm_starts(settings: DemoSettings, console: Console) -> dict[str, Path]:
    return {start_name("demo", index): _warm_start(settings, index, console) for index in settings.starts}


def _warm_start(settings: DemoSettings, index: int, console: Console) -> Path:
    # Here, and not above: with --model nobody waits for torch twice.
    from cero_lab.warmstart import cached_checkpoint

    goal = settings.warmstart.mastery
    with Progress(
        TextColumn(f"warm start {index}     "), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
        console=console, transient=True,
    ) as progress:  # fmt: skip
        task = progress.add_task("loading", total=goal)

        def show(step: int, mastery: float) -> None:
            text = f"step {step}: {mastery:.0%} of characters right, until {goal:.0%}"
            progress.update(task, completed=min(mastery, goal), description=text)

        return cached_checkpoint(settings.warmstart.model_copy(update={"seed": index}), settings.out / "models", show)


def _run(settings: DemoSettings, name: str, start: Path, allocator: str, seed: int) -> Run:
    run = RunSettings(
        allocator=allocator,
        seed=seed,
        pool=settings.pool,
        start=start.resolve(),
        scope=None if allocator == "uniform" else settings.scope,
        train=settings.train,
        evaluation=settings.evaluation,
    )
    # Other settings are another run; the same ones are the same run, found again and resumed.
    digest = hashlib.blake2b(run.model_dump_json().encode(), digest_size=4).hexdigest()
    return Run(run, settings.out / "runs" / f"{settings.pool}-{allocator}-{name}-seed{seed}-{digest}", name)


def _train(runs: Sequence[Run], jobs: int, console: Console) -> None:
    waiting = [run for run in runs if not run.complete]
    active: list[Run] = []
    with _bars(runs, console) as (progress, tasks), _stopping(active, console):
        while waiting or active:
            while waiting and len(active) < jobs:
                run = waiting.pop(0)
                run.begin()
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
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("rounds"),
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
    if not past.evaluations:
        return
    accuracy = f"held-out accuracy {past.evaluations[-1].sampled:.3f}"
    progress.start_task(task)
    progress.update(task, completed=past.step, accuracy=accuracy)
    # Bars move on terminals alone; elsewhere a line says now and then that it goes on.
    quarters = 4 * past.step // run.settings.train.rounds
    if not progress.console.is_terminal and run.process is not None and quarters > run.told:
        run.told = quarters
        rounds = f"{past.step} of {run.settings.train.rounds} rounds"
        progress.console.print(f"{run.name}: {rounds}, {accuracy}", highlight=False)
