"""One training's numbers as a JSON file that `cero report` reads, taken only for the training it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from cero_api.analysis.learning import TrainingRecord
from cero_api.errors import TraceError
from cero_lab.evidence.record import signal_per_rollout
from cero_lab.grid.jobs import Job
from cero_lab.grid.regimes import Regime
from cero_lab.settings import WarmstartSettings

if TYPE_CHECKING:  # reading records needs no torch
    from cero_lab.fast.training import Training


class GridRecord(TrainingRecord):
    """A finished training.

    Attributes:
        settings: the regime's.
        model: how the start was made.
        variant: what the label stood for.
        prompts: pool rows that got rollouts, round by round.
        counts: rollouts of each.
        successes: of each.
        lengths: tokens of each, all of its rollouts together.
        processor_seconds: evaluations included.
    """

    start: str
    regime: str
    tokens: list[int]
    settings: Regime
    model: WarmstartSettings
    variant: str
    prompts: list[list[int]]
    counts: list[list[int]]
    successes: list[list[int]]
    lengths: list[list[int]]
    processor_seconds: float

    @classmethod
    def of(cls, job: Job, training: Training) -> Self:
        """From what a training leaves behind."""
        played = [r for r in training.rounds if r.counts]
        sizes, won = (np.concatenate([getattr(r, name) for r in played]) for name in ("counts", "successes"))
        return cls(
            label=job.variant,
            seed=job.seed,
            start=job.start_name,
            regime=job.regime,
            settings=job.settings,
            model=job.model,
            variant=job.meaning,
            rollouts=training.rollouts,
            tokens=training.tokens,
            accuracy=[round(share, 6) for share in training.accuracy],
            effective_group_rate=float(((won > 0) & (won < sizes)).mean()),
            signal_per_rollout=signal_per_rollout([r.counts for r in played], [r.successes for r in played]),
            optimizer_steps=len(played),
            allocator_seconds=round(training.driver_seconds, 4),
            seconds=round(training.seconds, 3),
            processor_seconds=round(training.processor_seconds, 3),
            prompts=[r.prompts for r in training.rounds],
            counts=[r.counts for r in training.rounds],
            successes=[r.successes for r in training.rounds],
            lengths=[r.tokens for r in training.rounds],
        )

    def answers(self, job: Job) -> bool:
        """Whether it is of this very training: what the names stand for may have changed since."""
        mine = self.label, self.seed, self.start, self.regime, self.settings, self.model, self.variant
        return mine == (
            job.variant, job.seed, job.start_name, job.regime, job.settings, job.model, job.meaning,
        )  # fmt: skip


def read(job: Job, folder: Path) -> GridRecord | None:
    """The record of a training; None if it has not been made, or what its names stand for has changed since."""
    try:
        record = GridRecord.load(job.path(folder))
    except TraceError:
        return None
    return record if record.answers(job) else None
