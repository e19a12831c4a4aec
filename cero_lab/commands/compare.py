"""`cero compare`: the demo's learner with several allocators and seeds."""

from __future__ import annotations

from pathlib import Path

from cero_api.cli.options import Allocators, AsJson, FirstSeed, Seeds
from cero_lab.commands.demo import demo
from cero_lab.commands.options import Folder, Jobs, Pool, StartModel, TrainBudget, TrainPool, TrainRounds


def compare(
    allocators: Allocators = "all",
    seeds: Seeds = 3,
    seed: FirstSeed = 0,
    pool: TrainPool = Pool.hard,
    rounds: TrainRounds = None,
    budget: TrainBudget = None,
    model: StartModel = None,
    out: Folder = Path("runs/compare"),
    jobs: Jobs = 2,
    as_json: AsJson = False,
) -> None:
    """Train the demo's model with several allocators and seeds, at equal rollouts: means with their intervals.

    A training takes minutes, and there is one per allocator and seed. Stop it with Ctrl-C and run it again: it goes on
    where it stopped.
    """
    demo(pool, seeds, seed, allocators, rounds, budget, model, out, jobs, as_json)
