"""What `cero replay` and `cero simulate` share: progress, table and exit codes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cero_api.analysis.text import plain_text
from cero_api.cli.tables import Row, print_table

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
        said = plain_text(error, lines=True)
        errors.print(said, style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(USAGE) from None
    except KeyboardInterrupt:
        errors.print("Stopped.")
        raise typer.Exit(INTERRUPTED) from None


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """Bars on a terminal's standard error, nothing elsewhere."""
    bar = Progress(
        TextColumn("{task.description}", markup=False),
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


def show(report: ContestReport, as_json: bool) -> None:
    """Print a report: a table and its notes, or JSON."""
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
        return
    from cero_api.analysis.contest import METRICS

    console = Console()
    shown = [name for name in METRICS if name in report.results[0].metrics and name != "rounds_dealt"]
    sizes = ", ".join(f"{name.replace('_', ' ')} {_plain(value)}" for name, value in report.settings.items())
    say(console, f"{report.kind}: {sizes}")
    print_table(console, _rows(shown, {result.allocator: result.metrics for result in report.results}))
    if len(report.seeds) > 1 and len(report.results) > 1:
        compared = [name for name in shown if name in _COMPARED]
        say(console, f"\nLess {report.baseline}, seed by seed:")
        print_table(console, _rows(compared, report.differences(), signed=True))
    say(console, "")
    for name in shown:
        say(console, f"{METRICS[name][0]}: {METRICS[name][1]}", style="dim")
    seeds = len(report.seeds)
    spread = f"mean ± half of the 95% interval over {seeds} seeds (Student's t)" if seeds > 1 else "one seed"
    say(console, f"Numbers: {spread}.", style="dim")
    for note in report.notes:
        say(console, f"• {note}")


def say(console: Console, text: str, style: str = "") -> None:
    """Print text as it is: its brackets are no markup, its numbers no highlights, its escapes none."""
    console.print(plain_text(text, lines=True), style=style, highlight=False, markup=False)


def _rows(names: Sequence[str], rows: Mapping[str, Mapping[str, Estimate]], signed: bool = False) -> list[Row]:
    from cero_api.analysis.contest import METRICS

    return [
        {"allocator": allocator, **{METRICS[name][0]: _cell(name, metrics[name], signed) for name in names}}
        for allocator, metrics in rows.items()
    ]


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
