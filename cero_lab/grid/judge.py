"""The same training through TRL and its adapter: slower by several times, and nobody's but TRL's."""

from __future__ import annotations

import tempfile
import time
from itertools import accumulate
from pathlib import Path

from cero_api.errors import ConfigurationError
from cero_lab import history
from cero_lab.fast.scene import Scene
from cero_lab.fast.training import Round, Training
from cero_lab.grid.regimes import Regime
from cero_lab.grid.variants import Allocated, Variant
from cero_lab.run import train
from cero_lab.settings import RunSettings


def train_by_trl(variant: Variant, scene: Scene, place: Regime, start: Path) -> Training:
    """Train, and tell it as the fast training does.

    Args:
        variant: an allocator's; of equal scope, TRL's own loader draws the batches.
        scene: for what its allocator must know.
        place: the regime.
        start: folder of the checkpoint.

    Raises:
        ConfigurationError: the variant has a driver of its own, which TRL cannot run.
    """
    if not isinstance(variant, Allocated):
        raise ConfigurationError(f"{variant!r} is no allocator by its name, and only the fast training can run it")
    settings = RunSettings(
        allocator=variant.allocator,
        seed=scene.seed,
        stream=variant.stream,
        pool=place.pool,
        start=start,
        scope=variant.scope,
        allocator_config=variant.fields(scene),
        train=place.train,
        evaluation=place.evaluation,
    )
    with tempfile.TemporaryDirectory(prefix="cero-judge-") as folder:
        return judged(settings, Path(folder))


def judged(settings: RunSettings, folder: Path) -> Training:
    """Train through TRL, and tell it as the fast training does.

    Args:
        settings: of the training.
        folder: for what TRL writes, empty.
    """
    processor = time.process_time()
    train(settings, folder)
    past = history.read(folder)
    rounds = [Round(r.prompts, r.counts, [round(s) for s in r.successes], r.tokens or []) for r in past.rounds]
    spent = [0, *accumulate(sum(r.tokens) for r in rounds)]
    return Training(
        rollouts=[e.rollouts for e in past.evaluations],
        tokens=[spent[e.step] for e in past.evaluations],
        accuracy=[e.sampled for e in past.evaluations],
        rounds=rounds,
        seconds=past.rounds[-1].seconds,
        driver_seconds=sum(r.allocator_seconds for r in past.rounds),
        processor_seconds=time.process_time() - processor,
    )
