"""`cero demo`: train a small language model with CERO and with uniform allocation, and compare."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import typer
from rich.console import Console

from cero_api.cli.options import Allocators, AsJson, FirstSeed, Seeds, allocator_names, seed_range
from cero_api.extras import install_hint
from cero_lab.commands.options import (
    Folder,
    Jobs,
    Pool,
    StartModel,
    Starts,
    TrainBudget,
    TrainPool,
    TrainRounds,
    TrainScope,
)

# What the demo imports beyond the command line's own needs, and no sooner than it runs.
_NEEDS = ("torch", "trl", "transformers", "datasets", "reasoning_gym", "matplotlib")
_INTERRUPTED = 130
# Sizes, learning rate and evaluation: a pool that is passed twice, as real runs pass theirs once to three times.
REGIME = "hard-two-visits-demo"


def demo(
    pool: TrainPool = Pool.hard,
    starts: Starts = 1,
    seeds: Seeds = 1,
    seed: FirstSeed = 0,
    allocators: Allocators = "uniform,cero",
    scope: TrainScope = None,
    rounds: TrainRounds = None,
    budget: TrainBudget = None,
    model: StartModel = None,
    out: Folder = Path("runs/demo"),
    jobs: Jobs = 2,
    as_json: AsJson = False,
) -> None:
    """Train a small language model by TRL's GRPO, with CERO and with uniform allocation at the same budget.

    CERO chooses each round's prompts in a window of more than fit, by their length and their task. One start shows how
    it goes, and claims nothing; --starts 5 makes intervals. Stop it with Ctrl-C and run it again: it goes on where it
    stopped, and a finished training is never repeated.
    """
    console = Console(stderr=as_json)  # the JSON alone goes to standard output
    names = allocator_names(allocators)
    _check_installed(console)
    from cero_lab.compare import TrainingFailedError, compare
    from cero_lab.grid.regimes import regime_of
    from cero_lab.settings import DemoSettings

    if model is not None and starts > 1:
        raise typer.BadParameter("a checkpoint of your own is one start; leave --starts out", param_hint="--starts")
    if rounds is not None and budget is not None:
        raise typer.BadParameter("give --rounds or --budget, not both", param_hint="--budget")
    place = regime_of(REGIME)
    train = place.train
    per_round = train.budget // train.rounds
    if budget is not None:
        rounds, rest = divmod(budget, per_round)
        if rest:
            raise typer.BadParameter(f"must be a multiple of the {per_round} rollouts of a round")
    if rounds is not None:
        train = train.model_copy(update={"rounds": rounds})
    settings = DemoSettings(
        allocators=tuple(names),
        starts=tuple(range(starts)),
        seeds=tuple(seed_range(seeds, seed)),
        pool=pool.value,
        scope=None if scope is None else scope.value,
        model=model,
        train=train,
        evaluation=place.evaluation,
        out=out,
        jobs=jobs,
    )
    try:
        found = compare(settings, console)
    except KeyboardInterrupt:
        console.print("\nStopped. Everything so far is kept; this goes on from here:")
        console.print(f"  {shlex.join(['cero', *sys.argv[1:]])}", highlight=False, soft_wrap=True)
        raise typer.Exit(_INTERRUPTED) from None
    except TrainingFailedError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None
    if as_json:
        numbers = {"page": str(found.page), "verdicts": found.verdicts, **found.comparison.numbers()}
        print(json.dumps(numbers, indent=2))


def _check_installed(console: Console) -> None:
    from importlib.util import find_spec

    missing = [name for name in _NEEDS if find_spec(name) is None]
    if missing:
        console.print(
            f"The demo needs {', '.join(missing)}, not installed here; {install_hint('demo')}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(1)
