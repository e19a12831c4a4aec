"""`cero compare`: the demo's learner with several allocators and starts."""

from __future__ import annotations

from pathlib import Path

from cero_api.cli.options import Allocators, AsJson, FirstSeed, Seeds
from cero_lab.commands.demo import demo
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


def compare(
    allocators: Allocators = "all",
    starts: Starts = 3,
    seeds: Seeds = 1,
    seed: FirstSeed = 0,
    pool: TrainPool = Pool.hard,
    scope: TrainScope = None,
    rounds: TrainRounds = None,
    budget: TrainBudget = None,
    model: StartModel = None,
    out: Folder = Path("runs/compare"),
    jobs: Jobs = 2,
    as_json: AsJson = False,
) -> None:
    """Train the demo's model with several allocators and starts, at equal rollouts: means with their intervals.

    There is one training per allocator, start and seed. Stop it with Ctrl-C and run it again: it goes on
    where it stopped.
    """
    demo(pool, starts, seeds, seed, allocators, scope, rounds, budget, model, out, jobs, as_json)
