"""`cero report`: plots and one HTML page, from the traces of runs or from the records of trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from cero_api.cli.contest import exit_codes, progress_bar, table_console

if TYPE_CHECKING:
    from cero_api.analysis.report import RunSummary


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Traces, or folders of runs with one; or records of trainings (.json), or folders of them. Several "
            "are drawn together.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of the page and the plots; beside the first run.")
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="Of trainings: the label that the others are compared with.")
    ] = "uniform",
    oracle: Annotated[
        list[str] | None,
        typer.Option(
            help="Of trainings: the label that knows all success rates, or LABEL=ITS_ORACLE for one that has the same "
            "choice of prompts; may be given several times.",
            show_default="oracle",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers of the tables as JSON.")] = False,
) -> None:
    """Draw plots and write one HTML page.

    Of traces: budget, exposure, success rates, effective groups. Of records of trainings: held-out accuracy over
    rollouts and tokens, and with how many of them each allocator comes to uniform's accuracy, with intervals over
    starts and seeds.
    """
    folder = out or (runs[0] if runs[0].is_dir() else runs[0].parent) / "report"
    with exit_codes():
        if all(_is_training(run) for run in runs):
            _learning(runs, folder, baseline, oracle or [], as_json)
        else:
            _traces(runs, folder, as_json)


def _is_training(path: Path) -> bool:
    """A .json file, or a folder that has one and no trace."""
    from cero_api.analysis.history.files import has_trace

    if path.is_dir():
        return any(path.glob("*.json")) and not has_trace(path)
    return path.suffix == ".json"


def _learning(paths: list[Path], out: Path, baseline: str, oracle: list[str], as_json: bool) -> None:
    from cero_api.analysis.learning import compare_regimes, read_trainings
    from cero_api.analysis.report import write_learning_report
    from cero_api.analysis.report.learning_table import (
        LEARNING_NOTES,
        learning_cells,
        learning_heading,
        learning_warnings,
        together_cells,
        together_warnings,
    )

    comparison = compare_regimes(read_trainings(paths), baseline, _oracles(oracle))
    page = write_learning_report(comparison, out)
    if as_json:
        print(json.dumps({"page": str(page), **comparison.numbers()}, indent=2))
        return
    console = table_console(80)
    if comparison.together:
        console.print("All regimes together", style="bold", highlight=False, markup=False)
        _print_tables(console, [together_cells(label, found) for label, found in comparison.together.items()])
        _print_warnings(console, together_warnings(comparison.together, baseline))
    for regime, results in comparison.results.items():
        console.print(learning_heading(regime, results), style="bold", highlight=False, markup=False)
        _print_tables(console, [learning_cells(label, result) for label, result in results.items()])
        _print_warnings(console, learning_warnings(results, baseline))
    for note in LEARNING_NOTES:
        console.print(note, style="dim", highlight=False, markup=False)
    _say(page)


def _oracles(given: list[str]) -> str | dict[str, str]:
    """One label for everybody, or each label's own."""
    from cero_api.errors import ConfigurationError

    if not given:
        return "oracle"
    if len(given) == 1 and "=" not in given[0]:
        return given[0]
    pairs = [text.partition("=") for text in given]
    if not all(label and name for label, _, name in pairs):
        raise ConfigurationError(f"--oracle {' --oracle '.join(given)}; give one label, or LABEL=ITS_ORACLE for each")
    return {label: name for label, _, name in pairs}


def _print_warnings(console: Console, warnings: list[str]) -> None:
    for warning in warnings:
        console.print(f"• {warning}", highlight=False, markup=False)
    console.print()


def _print_tables(console: Console, rows: list[dict[str, str]]) -> None:
    from cero_api.analysis.report import learning_tables

    for title, lines in learning_tables(rows).items():
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        first, *others = lines[0]
        table.add_column(first, overflow="fold")
        for name in others:
            table.add_column(name, justify="right", no_wrap=len(name) < 18)
        for line in lines:
            table.add_row(*line.values())
        console.print(table)
        console.print()


def _traces(paths: list[Path], out: Path, as_json: bool) -> None:
    from cero_api.analysis.history import trace_in
    from cero_api.analysis.report import RunSummary, write_report

    summaries: list[RunSummary] = []
    with progress_bar() as bar:
        for path in paths:
            trace = trace_in(path)
            task = bar.add_task(f"reading {path.name}", total=1.0)

            def moved(share: float, task: int = task) -> None:
                bar.update(task, completed=share)  # type: ignore[arg-type]

            summaries.append(RunSummary.of_trace(trace, progress=moved))
        page = write_report(summaries, out)
    if as_json:
        print(json.dumps({"page": str(page), "runs": [summary.numbers() for summary in summaries]}, indent=2))
    else:
        _say(page)


def _say(page: Path) -> None:
    Console().print(f"Report: {page}", highlight=False, markup=False, soft_wrap=True)
