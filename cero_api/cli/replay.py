"""`cero replay`: let any allocators share out the rollouts of a recorded run again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cero_api.analysis.text import plain_text
from cero_api.cli.contest import ContestProgress, exit_codes, progress_bar, show
from cero_api.cli.options import (
    Allocators,
    AsJson,
    Cap,
    CountColumn,
    FirstSeed,
    Format,
    PromptColumn,
    RateColumn,
    RecordFormat,
    RoundColumn,
    Seeds,
    Settings,
    SuccessColumn,
    Threshold,
    allocator_names,
    field_settings,
    seed_range,
)


class Scope(StrEnum):
    """What a round offers."""

    recorded = "recorded"
    batch = "batch"
    window = "window"
    pool = "pool"


def replay(
    record: Annotated[
        Path,
        typer.Argument(
            help="A trace or the folder of a run with one; a folder of verl's rollout dumps or of TRL's completions; "
            "pass rates in CSV, JSON or Parquet.",
            show_default=False,
        ),
    ],
    allocators: Allocators = "all",
    seeds: Seeds = 5,
    seed: FirstSeed = 0,
    scope: Annotated[
        Scope | None,
        typer.Option(
            help="Candidates of a round: the recorded ones, shuffled batches, more than fit, or the whole pool."
        ),
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds; as recorded unless given.")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Rollouts in all; as recorded unless given.")] = None,
    group_size: Annotated[int | None, typer.Option(min=1, help="Rollouts of a prompt if all get the same.")] = None,
    cap: Cap = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Prompts of a batch, for --scope batch.")] = None,
    smooth: Annotated[int, typer.Option(min=0, help="Visits to either side pooled into a recorded rate.")] = 1,
    format: Format = RecordFormat.auto,
    success_threshold: Threshold = 1.0,
    prompt_column: PromptColumn = None,
    rate_column: RateColumn = None,
    success_column: SuccessColumn = None,
    count_column: CountColumn = None,
    round_column: RoundColumn = None,
    set: Settings = None,
    json: AsJson = False,
) -> None:
    """Let any allocators share out the rollouts of a recorded run again, all at the same budget.

    Tells how each would have allocated, had success rates gone as recorded; not what would have been learned.
    """
    names, settings = allocator_names(allocators), field_settings(set)
    from cero_api.analysis.history import read_history
    from cero_api.analysis.replay import replay as run

    with exit_codes(), progress_bar() as bar:
        reading = bar.add_task(f"reading {plain_text(record.name)}", total=1.0)
        history = read_history(
            record,
            format=format.value,
            success_threshold=success_threshold,
            prompt_column=prompt_column,
            rate_column=rate_column,
            success_column=success_column,
            count_column=count_column,
            round_column=round_column,
            progress=lambda share: bar.update(reading, completed=share),
        )
        bar.remove_task(reading)
        report = run(
            history,
            names,
            seeds=seed_range(seeds, seed),
            scope=None if scope is None else scope.value,
            rounds=rounds,
            budget=budget,
            group_size=group_size,
            cap=cap,
            batch_size=batch_size,
            smooth=smooth,
            settings=settings,
            progress=ContestProgress(bar, len(names) * seeds),
        )
    show(report, json)
