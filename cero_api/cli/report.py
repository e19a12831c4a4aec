"""`cero report`: plots and one HTML page, from the traces of runs or from the records of trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers of the table as JSON.")] = False,
) -> None:
    """Draw plots and write one HTML page.

    Of traces: budget, exposure, success rates, effective groups. Of records of trainings: held-out accuracy over
    rollouts, and with how many of them each allocator comes to uniform's accuracy, with intervals over paired seeds.
    """
    folder = out or (runs[0] if runs[0].is_dir() else runs[0].parent) / "report"
    with exit_codes():
        if all(_is_training(run) for run in runs):
            _learning(runs, folder, as_json)
        else:
            _traces(runs, folder, as_json)


def _is_training(path: Path) -> bool:
    """A .json file, or a folder that has one and no trace."""
    from cero_api.analysis.history.files import has_trace

    if path.is_dir():
        return any(path.glob("*.json")) and not has_trace(path)
    return path.suffix == ".json"


def _learning(paths: list[Path], out: Path, as_json: bool) -> None:
    from cero_api.analysis.learning import compare_trainings, read_trainings
    from cero_api.analysis.report import learning_cells, write_learning_report
    from cero_api.analysis.report.learning import LEARNING_NOTES, learning_warnings

    records = read_trainings(paths)
    results = compare_trainings(records)
    page = write_learning_report(records, results, out)
    if as_json:
        numbers = {label: result.numbers() for label, result in results.items()}
        print(json.dumps({"page": str(page), "trainings": numbers}, indent=2))
        return
    console = table_console(200)
    rows = [learning_cells(label, result) for label, result in results.items()]
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*row.values())
    console.print(table)
    for note in LEARNING_NOTES:
        console.print(note, style="dim", highlight=False, markup=False)
    for warning in learning_warnings(results):
        console.print(f"• {warning}", highlight=False, markup=False)
    _say(page)


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
