"""How a training of a grid is made."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cero_lab.grid.jobs import Job
from cero_lab.grid.record import GridRecord
from cero_lab.grid.starts import STARTS, start
from cero_lab.grid.variants import VARIANTS
from cero_lab.settings import EvalSettings, PoolName

if TYPE_CHECKING:
    from cero_lab.fast.questions import Questions


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
        held = exam(place.pool, place.evaluation)
        training = train(learner, variant.driver(scene), held, place.train, place.evaluation.every)
    GridRecord.of(job, training).save(job.path(folder))


@cache
def exam(name: PoolName, evaluation: EvalSettings) -> Questions:
    """The prompts that no training sees, and all are judged by."""
    from cero_lab.fast.questions import Questions
    from cero_lab.tasks import heldout

    return Questions.of(heldout(name, evaluation.prompts, evaluation.seed))
