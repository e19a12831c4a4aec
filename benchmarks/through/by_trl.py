"""Through TRL's GRPOTrainer, as the learner of `cero demo` trains."""

from __future__ import annotations

from pathlib import Path

from benchmarks.through.jobs import Through
from cero_lab.fast.training import Training
from cero_lab.grid.judge import judged
from cero_lab.settings import RunSettings


def train(job: Through, start: Path, folder: Path) -> Training:
    """Train, and tell it as the fast training does.

    Args:
        job: which training.
        start: folder of the checkpoint.
        folder: for what TRL writes.
    """
    place = job.settings
    return judged(
        RunSettings(
            allocator=job.allocator,
            seed=job.seed,
            pool=place.pool,
            start=start,
            train=place.train,
            evaluation=place.evaluation,
        ),
        folder,
    )
