"""One training through a real trainer: uniform, or the adapter's default, of which nothing is configured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cero_api.adapting.defaults import RoundShape, allocator_fields, scope_of
from cero_api.analysis.learning import TrainingRecord
from cero_lab.grid.jobs import Job, Trainer
from cero_lab.grid.record import GridRecord, read

TRAINERS: tuple[Trainer, ...] = tuple(name for name in get_args(Trainer) if name != "fast")

# What is compared, and the allocator's name: all that the adapters are told.
ALLOCATORS: Mapping[str, str] = {"uniform": "uniform", "default": "cero"}


@dataclass(frozen=True)
class Through(Job):
    """A training of the grid's, whose variant is a key of `ALLOCATORS` and whose trainer is not the fast one."""

    @property
    def allocator(self) -> str:
        """The name that the adapter is given."""
        return ALLOCATORS[self.variant]

    @property
    def meaning(self) -> str:
        """What the variant's name stands for today: what follows where nothing is configured."""
        return f"{self.allocator} {scope_of(self.allocator)} {self.fields}"

    @property
    def fields(self) -> dict[str, Any]:
        """Settings of the allocator, as all adapters make them of the training's sizes."""
        sizes = self.settings.train
        shape = RoundShape(
            num_prompts=sizes.prompts,
            rounds=sizes.rounds,
            budget=sizes.budget,
            group_size=sizes.group_size,
            largest=self.settings.rollouts,
            scope=scope_of(self.allocator),
        )
        return allocator_fields(self.allocator, shape, {})


def jobs_of(
    trainers: Iterable[Trainer], regimes: Iterable[str], starts: Iterable[int], seeds: Iterable[int]
) -> list[Through]:
    """All trainings; whatever is there when they stop is paired, and of several starts."""
    trainers, regimes, starts = list(trainers), list(regimes), list(starts)
    return [
        Through(regime, variant, start, seed, trainer)
        for trainer in trainers
        for seed in seeds
        for regime in regimes
        for start in starts
        for variant in ALLOCATORS
    ]


def named(job: Through, record: GridRecord) -> TrainingRecord:
    """What is published of a record: trainings of different trainers are of different regimes."""
    told = record.model_dump(include=set(TrainingRecord.model_fields))
    return TrainingRecord(**told | {"regime": f"{job.trainer}-{job.regime}"})


def read_all(folder: Path) -> list[TrainingRecord]:
    """All records that are there, as they are published, but those of what the names stood for before.

    Args:
        folder: of the records.
    """
    jobs = [_job(trainer, path) for trainer in TRAINERS for path in sorted((folder / trainer).glob("*/*.json"))]
    return [named(job, record) for job in jobs if (record := read(job, folder)) is not None]


def _job(trainer: Trainer, path: Path) -> Through:
    variant, start, seed = path.stem.split(".")
    return Through(path.parent.name, variant, int(start.rpartition("-")[2]), int(seed.removeprefix("seed")), trainer)
