"""`cero demo`: train a small language model with CERO and with uniform allocation, and compare."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

# What the demo imports beyond the command line's own needs, and no sooner than it runs.
_NEEDS = ("torch", "trl", "transformers", "datasets", "reasoning_gym", "matplotlib")
_INTERRUPTED = 130


class Pool(StrEnum):
    """Mixtures of prompts."""

    hard = "hard"
    mixed = "mixed"
    easy = "easy"


def demo(
    pool: Annotated[Pool, typer.Option(help="hard: over half of the prompts are out of reach at first.")] = Pool.hard,
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, counting from --seed.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="First seed.")] = 0,
    allocators: Annotated[str, typer.Option(help="Comma-separated names.")] = "uniform,cero",
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of each training.")] = None,
    budget: Annotated[int | None, typer.Option(min=1, help="Rollouts of each training, in place of --rounds.")] = None,
    model: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Start from this checkpoint, not the embedded model."),
    ] = None,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder of runs and report.")] = Path("runs/demo"),
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time, one core each.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the numbers of every run as JSON.")] = False,
) -> None:
    """Train a small language model by GRPO, with CERO and with uniform allocation at the same budget.

    Stop it with Ctrl-C and run it again: it goes on where it stopped. A finished training is never repeated.
    """
    console = Console(stderr=as_json)  # the JSON alone goes to standard output
    _check_installed(console)
    from cero_api import available_allocators
    from cero_trl.demo.compare import TrainingFailedError, compare
    from cero_trl.demo.settings import DemoSettings, TrainSettings

    names = tuple(dict.fromkeys(name.strip() for name in allocators.split(",") if name.strip()))
    known = available_allocators()
    if not names or not set(names) <= set(known):
        raise typer.BadParameter(f"{allocators!r}: choose from {', '.join(known)}", param_hint="--allocators")
    if rounds is not None and budget is not None:
        raise typer.BadParameter("give --rounds or --budget, not both", param_hint="--budget")
    train = TrainSettings()
    per_round = train.budget // train.rounds
    if budget is not None:
        rounds, rest = divmod(budget, per_round)
        if rest:
            raise typer.BadParameter(f"must be a multiple of the {per_round} rollouts of a round")
    if rounds is not None:
        train = train.model_copy(update={"rounds": rounds})
    settings = DemoSettings(
        allocators=names,
        seeds=tuple(range(seed, seed + seeds)),
        pool=pool.value,
        model=model,
        train=train,
        out=out,
        jobs=jobs,
    )
    try:
        summaries = compare(settings, console)
    except KeyboardInterrupt:
        console.print("\nStopped. Everything so far is kept; this goes on from here:")
        console.print(f"  {shlex.join(['cero', *sys.argv[1:]])}", highlight=False, soft_wrap=True)
        raise typer.Exit(_INTERRUPTED) from None
    except TrainingFailedError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    if as_json:
        print(json.dumps([dataclasses.asdict(summary) for summary in summaries], indent=2))


def _check_installed(console: Console) -> None:
    from importlib.util import find_spec

    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        console.print(
            f"The demo needs {', '.join(missing)}, not installed here. Install it with: pip install 'cero-api[demo]'",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(1)
