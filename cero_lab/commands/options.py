"""Options of the commands that train the learner."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Pool(StrEnum):
    """Mixtures of prompts that the learner trains on."""

    hard = "hard"
    mixed = "mixed"
    easy = "easy"


class Scope(StrEnum):
    """Who picks the prompts of a round."""

    window = "window"
    batch = "batch"
    pool = "pool"


TrainPool = Annotated[Pool, typer.Option(help="hard: over half of the prompts are out of reach at first.")]
TrainScope = Annotated[
    Scope | None, typer.Option(help="Who picks the prompts, for all but uniform; each method's usual one.")
]
Starts = Annotated[int, typer.Option(min=1, help="Warm-started models to train from; several give intervals.")]
TrainRounds = Annotated[int | None, typer.Option(min=1, help="Rounds of each training.")]
TrainBudget = Annotated[int | None, typer.Option(min=1, help="Rollouts of each training, in place of --rounds.")]
StartModel = Annotated[
    Path | None, typer.Option(exists=True, file_okay=False, help="Start from this checkpoint, not the embedded model.")
]
Folder = Annotated[Path, typer.Option(file_okay=False, help="Folder of runs and report.")]
Jobs = Annotated[int, typer.Option(min=1, help="Trainings at a time, one core each.")]
