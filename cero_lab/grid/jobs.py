"""One training of a grid: its names, what they stand for, and how it is made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cero_lab.grid.regimes import Regime, regime_of
from cero_lab.grid.starts import MODELS, STARTS, start, start_name
from cero_lab.grid.variants import VARIANTS
from cero_lab.settings import EvalSettings, PoolName, WarmstartSettings

if TYPE_CHECKING:
    from cero_lab.fast.questions import Questions

Trainer = Literal["fast", "trl"]


@dataclass(frozen=True)
class Job:
    """A training.

    Args:
        regime: name that `regime_of` knows.
        variant: name in `VARIANTS`.
        start: index of the start.
        seed: of the pool's draw, the batches, the samples and the driver's ties.
        trainer: "fast", or "trl": the judge of a chosen few.
    """

    regime: str
    variant: str
    start: int
    seed: int
    trainer: Trainer = "fast"

    @property
    def settings(self) -> Regime:
        """What is equal for every variant."""
        return regime_of(self.regime)

    @property
    def model(self) -> WarmstartSettings:
        """How the start is made."""
        return MODELS[self.settings.model].model_copy(update={"seed": self.start})

    @property
    def start_name(self) -> str:
        """What the record calls the start."""
        return start_name(self.settings.model, self.start)

    @property
    def meaning(self) -> str:
        """What the variant's name stands for today."""
        return repr(VARIANTS[self.variant])

    def path(self, folder: Path) -> Path:
        """Of its record; a regime's are in one folder, which `cero report` takes."""
        place = folder / self.regime if self.trainer == "fast" else folder / self.trainer / self.regime
        return place / f"{self.variant}.{self.start_name}.seed{self.seed}.json"


def make(job: Job, folder: Path, starts: Path) -> None:
    """Train, and write the record.

    Args:
        job: which training.
        folder: of the records.
        starts: folder of the checkpoints; one that is not there yet is made.
    """
    # Here, and not above: whoever only plans or reads a grid needs no torch.
    import torch

    from cero_lab.fast.learner import Learner
    from cero_lab.fast.network import Network
    from cero_lab.fast.questions import Questions
    from cero_lab.fast.scene import Scene
    from cero_lab.fast.training import train
    from cero_lab.grid.record import GridRecord
    from cero_lab.tasks import pool

    torch.set_num_threads(1)  # the model is too small to share out
    place, variant = job.settings, VARIANTS[job.variant]
    checkpoint = start(place.model, job.start, starts)
    network = Network.load(checkpoint)
    prompts = Questions.of(pool(place.pool, place.train.prompts, job.seed))

    def other() -> Network:
        return Network.load(start(place.model, (job.start + 1) % STARTS, starts))

    scene = Scene(place.train, job.seed, prompts, network, other)
    if job.trainer == "trl":
        from cero_lab.grid.judge import train_by_trl

        training = train_by_trl(variant, scene, place, checkpoint)
    else:
        learner = Learner(network, prompts, place.train, (job.seed, variant.stream))
        held = _heldout(place.pool, place.evaluation)
        training = train(learner, variant.driver(scene), held, place.train, place.evaluation.every)
    GridRecord.of(job, training).save(job.path(folder))


@cache
def _heldout(name: PoolName, evaluation: EvalSettings) -> Questions:
    from cero_lab.fast.questions import Questions
    from cero_lab.tasks import heldout

    return Questions.of(heldout(name, evaluation.prompts, evaluation.seed))
