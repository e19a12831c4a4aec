"""Make a history: a uniform training of the embedded learner, whose exact rates are written down on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cero_api._types import FloatArray
from cero_lab.fast.driver import Answer, Ask, Driver, Ints
from cero_lab.grid.regimes import regime_of
from cero_lab.grid.starts import STARTS, start, start_name
from cero_lab.prediction.history import History, Visit

EVERY = 4  # rounds between looks at the truth


class _Witness:
    """A driver that looks at the truth before every fourth round."""

    def __init__(self, driver: Driver, rates: Callable[[], FloatArray]) -> None:
        self._driver, self._rates = driver, rates
        self.log_odds: list[FloatArray] = []
        self.visits: list[Visit] = []

    def play(self, ask: Ask) -> None:
        """The driver's own round."""
        if len(self.visits) % EVERY == 0:
            self.look()

        def heard(rows: Ints, counts: Ints) -> Answer:
            answer = ask(rows, counts)
            self.visits.append(Visit(rows.copy(), counts.copy(), answer.outcomes.successes.copy()))
            return answer

        self._driver.play(heard)

    def look(self) -> None:
        """Write down the rates as they are now."""
        rates = self._rates()
        self.log_odds.append(np.log(np.maximum(rates, 1e-12)) - np.log(np.maximum(1.0 - rates, 1e-12)))


def record(regime: str, index: int, seed: int, starts: Path) -> History:
    """Train one start uniformly on a regime.

    Args:
        regime: name that `regime_of` knows.
        index: of the start.
        seed: of the pool's draw, the batches and the samples.
        starts: folder of the checkpoints; one that is not there yet is made.
    """
    # Here, and not above: whoever only reads histories needs no torch.
    import torch

    from cero_lab.fast.chances import chances
    from cero_lab.fast.learner import Learner
    from cero_lab.fast.network import Network
    from cero_lab.fast.questions import Questions
    from cero_lab.fast.scene import OFFLINE_SAMPLES, Scene
    from cero_lab.fast.training import train
    from cero_lab.grid.variants import VARIANTS
    from cero_lab.tasks import heldout, pool

    torch.set_num_threads(1)
    place = regime_of(regime)
    network = Network.load(start(place.model, index, starts))
    prompts = Questions.of(pool(place.pool, place.train.prompts, seed))
    learner = Learner(network, prompts, place.train, (seed, 0))

    def other() -> Network:
        return Network.load(start(place.model, (index + 1) % STARTS, starts))

    scene = Scene(place.train, seed, prompts, network, other)
    features, offline = scene.features(), scene.passes(OFFLINE_SAMPLES)
    witness = _Witness(VARIANTS["uniform"].driver(scene), lambda: chances(network, prompts))
    held = Questions.of(heldout(place.pool, 8, 0))
    train(learner, witness, held, place.train, every=place.train.rounds)
    witness.look()
    rounds = len(witness.visits)
    return History(
        name=f"{regime}.{start_name(place.model, index)}.seed{seed}",
        log_odds=np.array(witness.log_odds),
        at=np.array([*range(0, rounds, EVERY), rounds]),
        visits=tuple(witness.visits),
        features=features,
        offline=offline,
    )
