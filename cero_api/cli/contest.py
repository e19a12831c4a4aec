"""What `cero replay` and `cero simulate` share: progress, table and exit codes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from cero_api.analysis.contest import ContestReport, Estimate

USAGE = 2
INTERRUPTED = 130

# Scale, digits and unit of the numbers that are not whole.
_FORMATS = {
    "effective_group_rate": (100.0, 1, "%"),
    "certain_share": (100.0, 1, "%"),
    "signal_per_rollout": (1.0, 4, ""),
    "regret": (1.0, 4, ""),
    "allocator_ms": (1.0, 2, ""),
}
_COMPARED = {"effective_group_rate", "expected_effective_groups", "signal_per_rollout", "certain_share", "regret"}

errors = Console(stderr=True)


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """A refusal ends the program with its message and exit code 2, Ctrl-C with 130."""
    from cero_api import CeroError

    try:
        yield
    except CeroError as error:
        errors.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(USAGE) from None
    except KeyboardInterrupt:
        errors.print("Stopped.")
        raise typer.Exit(INTERRUPTED) from None


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Bars on a terminal's standard error, nothing elsewhere."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
    with bar:
        yield bar


class ContestProgress:
    """Moves one bar over all allocators and seeds."""

    def __init__(self, bar: Progress, runs: int) -> None:
        self._bar, self._runs, self._done = bar, runs, 0
        self._task = bar.add_task("", total=runs)

    def __call__(self, allocator: str, seed: int, share: float) -> None:
        """A run has come so far."""
        self._bar.update(self._task, description=f"{allocator}, seed {seed}", completed=self._done + share)
        if share >= 1.0:
            self._done += 1


def table_console(width: int) -> Console:
    """Standard output; so wide where it is a file, which has no width to fit."""
    console = Console()
    return console if console.is_terminal else Console(width=width)


def show(report: ContestReport, as_json: bool) -> None:
    """Print a report: a table and its notes, or JSON."""
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
        return
    from cero_api.analysis.contest import METRICS

    console = table_console(160)
    shown = [name for name in METRICS if name in report.results[0].metrics and name != "rounds_dealt"]
    sizes = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in report.settings.items())
    console.print(f"{report.kind}: {sizes}", highlight=False, markup=False)
    console.print(_table(shown, {result.allocator: result.metrics for result in report.results}))
    if len(report.seeds) > 1 and len(report.results) > 1:
        compared = [name for name in shown if name in _COMPARED]
        console.print(f"Less {report.baseline}, seed by seed:", highlight=False, markup=False)
        console.print(_table(compared, report.differences(), signed=True))
    for name in shown:
        console.print(f"{METRICS[name][0]}: {METRICS[name][1]}", style="dim", highlight=False, markup=False)
    seeds = len(report.seeds)
    spread = f"mean ± half of the 95% interval over {seeds} seeds (Student's t)" if seeds > 1 else "one seed"
    console.print(f"Numbers: {spread}.", style="dim", highlight=False)
    for note in report.notes:
        console.print(f"• {note}", highlight=False, markup=False)


def _table(names: Sequence[str], rows: Mapping[str, Mapping[str, Estimate]], signed: bool = False) -> Table:
    from cero_api.analysis.contest import METRICS

    table = Table("allocator")
    for name in names:
        table.add_column(METRICS[name][0], justify="right")
    for allocator, metrics in rows.items():
        table.add_row(allocator, *(_cell(name, metrics[name], signed) for name in names))
    return table


def _cell(name: str, estimate: Estimate, signed: bool) -> str:
    scale, digits, unit = _FORMATS.get(name, (1.0, 0, ""))
    plus, unit = ("+", unit and " pp") if signed else ("", unit)  # percentage points
    mean = f"{scale * estimate.mean:{plus},.{digits}f}"
    half = 0.0 if estimate.high is None else scale * (estimate.high - estimate.mean)
    if half < 1e-9 * max(abs(scale * estimate.mean), 1.0):  # one seed, or what no seed changes
        return mean + unit
    return f"{mean} ± {half:,.{digits}f}{unit}"


def _plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
