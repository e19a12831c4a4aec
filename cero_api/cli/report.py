"""`cero report`: plots and one HTML page from the traces of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cero_api.cli.contest import exit_codes, progress_bar


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Traces, or folders of runs with one; several are drawn together.", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(file_okay=False, help="Folder of the page and the plots; beside the first trace.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers of the table as JSON.")] = False,
) -> None:
    """Draw plots and write one HTML page from the traces of runs: budget, exposure, success rates, effective groups."""
    from cero_api.history import trace_in
    from cero_api.report import RunSummary, write_report

    summaries = []
    with exit_codes(), progress_bar() as bar:
        for run in runs:
            trace = trace_in(run)
            task = bar.add_task(f"reading {run.name}", total=1.0)

            def moved(share: float, task: int = task) -> None:
                bar.update(task, completed=share)  # type: ignore[arg-type]

            summaries.append(RunSummary.of_trace(trace, progress=moved))
        page = write_report(summaries, out or trace_in(runs[0]).parent / "report")
    if json:
        import json as writer

        print(writer.dumps({"page": str(page), "runs": [summary.numbers() for summary in summaries]}, indent=2))
    else:
        Console().print(f"Report: {page}", highlight=False, markup=False, soft_wrap=True)
