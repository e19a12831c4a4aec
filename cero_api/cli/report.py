"""`cero report`: a table, plots and one HTML page, from the traces of runs or from the records of trainings."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cero_api.analysis.text import plain_text
from cero_api.cli.contest import exit_codes, progress_bar, say
from cero_api.cli.runs import found, places_of
from cero_api.cli.tables import print_table

if TYPE_CHECKING:
    from cero_api.analysis.report import RunSummary


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Traces, or records of trainings (.json); or folders of runs or of records, searched to the bottom. "
            "Several are drawn together.",
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
    """Print a table, draw plots and write one HTML page.

    Of traces: budget, exposure, success rates, effective groups, signal. Of records of trainings: held-out accuracy
    over rollouts and tokens, and with how many of them each allocator comes to uniform's accuracy, with intervals
    over starts and seeds.
    """
    folder = out or (runs[0] if runs[0].is_dir() else runs[0].parent) / "report"
    with exit_codes():
        traces, trainings = found(runs)
        if trainings:
            _learning(trainings, folder, baseline, oracle or [], as_json)
        else:
            _traces(traces, folder, as_json)


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
    if as_json:
        page = write_learning_report(comparison, out)
        print(json.dumps({"page": str(page), **comparison.numbers()}, indent=2))
        return
    console = Console()
    if comparison.together:
        say(console, "All regimes together", style="bold")
        _print_tables(console, [together_cells(label, found) for label, found in comparison.together.items()])
        _print_warnings(console, together_warnings(comparison.together, baseline))
    for regime, results in comparison.results.items():
        say(console, learning_heading(regime, results), style="bold")
        _print_tables(console, [learning_cells(label, result) for label, result in results.items()])
        _print_warnings(console, learning_warnings(results, baseline))
    for note in LEARNING_NOTES:
        say(console, note, style="dim")
    _say_page(write_learning_report(comparison, out))


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
        say(console, f"• {warning}")
    console.print()


def _print_tables(console: Console, rows: list[dict[str, str]]) -> None:
    from cero_api.analysis.report import learning_tables

    for title, lines in learning_tables(rows).items():
        say(console, title, style="italic")
        print_table(console, lines)
        console.print()


def _traces(paths: list[Path], out: Path, as_json: bool) -> None:
    from cero_api.analysis.history.files import readable
    from cero_api.analysis.report import RunSummary, run_cells, run_notes, write_report
    from cero_api.analysis.report.learning_table import filled

    summaries: list[RunSummary] = []
    with progress_bar() as bar:
        for path in paths:
            task = bar.add_task(f"reading {plain_text(path.name)}", total=1.0)

            def moved(share: float, task: int = task) -> None:
                bar.update(task, completed=share)  # type: ignore[arg-type]

            with readable(path) as trace:
                summaries.append(RunSummary.of_trace(trace, progress=moved))
    alike: dict[str, list[int]] = {}
    for at, summary in enumerate(summaries):
        alike.setdefault(summary.label, []).append(at)
    for places in alike.values():
        if len(places) > 1:  # runs of one method are told apart by where they are
            for at, place in zip(places, places_of([paths[at] for at in places]), strict=True):
                summaries[at] = dataclasses.replace(summaries[at], place=place)
    if as_json:
        page = write_report(summaries, out)
        print(json.dumps({"page": str(page), "runs": [summary.numbers() for summary in summaries]}, indent=2))
        return
    console = Console()
    print_table(console, filled(map(run_cells, summaries)))
    for note in run_notes(summaries):
        say(console, f"• {note}")
    _say_page(write_report(summaries, out))


def _say_page(page: Path) -> None:
    Console().print(f"Report: {plain_text(page)}", highlight=False, markup=False, soft_wrap=True)
