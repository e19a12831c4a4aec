"""What a driver of a training is, what it may ask, and what it hears; no torch is needed to write one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cero_api import RolloutOutcomes

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Answer:
    """What a driver hears of the rollouts that it asked for.

    Args:
        outcomes: successes and failures of each prompt, in the order that was asked.
        tokens: int64 `[P]`, generated for each prompt.
    """

    outcomes: RolloutOutcomes
    tokens: Ints


class Ask(Protocol):
    """Generates rollouts, as often as a round wants them."""

    def __call__(self, rows: Ints, counts: Ints) -> Answer:
        """Ask prompts of the pool.

        Args:
            rows: int64 `[P]`, no repeats.
            counts: int64 `[P]`, rollouts of each; 0 is passed over.
        """
        ...


class Driver(Protocol):
    """Decides what each round generates."""

    def play(self, ask: Ask) -> Ints | None:
        """One round: choose prompts and counts, ask in one wave or several, learn from the answers.

        All waves of a round train together, in one step with one baseline for each prompt.

        Returns:
            The prompts that are trained on, of those that were asked; None for all of them.
        """
        ...
