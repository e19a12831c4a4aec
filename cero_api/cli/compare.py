"""`cero compare`: the demo's learner with several allocators and seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cero_api.allocators import available_allocators
from cero_api.cli.demo import Pool, demo


def compare(
    allocators: Annotated[str, typer.Option(help="Comma-separated names; all of them unless given.")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, counting from --seed.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 0,
    pool: Annotated[Pool, typer.Option(help="hard: over half of the prompts are out of reach at first.")] = Pool.hard,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each training.")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Rollouts of each training, in place of --rounds.")] = None,
    model: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Start from this checkpoint, not the embedded model."),
    ] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of runs and report.")] = Path("runs/compare"),
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time, one core each.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers of every run as JSON.")] = False,
) -> None:
    """Train the demo's model with several allocators and seeds, at equal rollouts: means with their intervals.

    A training takes minutes, and there is one per allocator and seed. Stop it with Ctrl-C and run it again: it goes on
    where it stopped.
    """
    # The baseline first: everything else is measured against it.
    names = allocators or ",".join(sorted(available_allocators(), key=lambda name: (name != "uniform", name)))
    demo(pool, seeds, seed, names, rounds, budget, model, out, jobs, as_json)
