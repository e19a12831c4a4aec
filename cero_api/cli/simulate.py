"""`cero simulate`: any allocators on synthetic prompts whose success rates stay or drift by themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cero_api.cli.contest import ContestProgress, exit_codes, progress_bar, show
from cero_api.cli.options import (
    Allocators,
    AsJson,
    Cap,
    FirstSeed,
    Settings,
    allocator_names,
    field_settings,
    seed_range,
)


class Scope(StrEnum):
    """What a round offers."""

    pool = "pool"
    batch = "batch"


def simulate(
    allocators: Allocators = "all",
    prompts: Annotated[int, typer.Option(min=1, help="Prompts in the pool.")] = 1000,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds.")] = 200,
    budget: Annotated[int | None, typer.Option(min=1, help="Rollouts in all; 32 per prompt unless given.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, counting from --seed; each is a pool.")] = 5,
    seed: FirstSeed = 0,
    scope: Annotated[
        Scope, typer.Option(help="pool: all prompts, and the method decides how much; batch: shuffled batches.")
    ] = Scope.pool,
    group_size: Annotated[int, typer.Option(min=1, help="Rollouts of a prompt if all get the same.")] = 8,
    cap: Cap = None,
    beta: Annotated[tuple[float, float], typer.Option(help="Of the success rates at the start.")] = (0.3, 0.6),
    drift: Annotated[float, typer.Option(help="Mean shift of the log-odds over the run.")] = 0.0,
    drift_spread: Annotated[float, typer.Option(min=0, help="Its standard deviation over prompts.")] = 0.0,
    set: Settings = None,
    json: AsJson = False,
) -> None:
    """Compare allocators, and their regret, on synthetic prompts whose success rates stay or drift by themselves.

    Rates move whatever is allocated, so this is about allocation, not about learning.
    """
    names, settings = allocator_names(allocators), field_settings(set)
    from cero_api.analysis.simulate import simulate as run

    with exit_codes(), progress_bar() as bar:
        report = run(
            names,
            num_prompts=prompts,
            rounds=rounds,
            budget=budget,
            seeds=seed_range(seeds, seed),
            scope=scope.value,
            group_size=group_size,
            cap=cap,
            beta=beta,
            drift=drift,
            drift_spread=drift_spread,
            settings=settings,
            progress=ContestProgress(bar, len(names) * seeds),
        )
    show(report, json)
