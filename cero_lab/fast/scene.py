"""What a training lets its driver see: sizes, features of the prompts, pass rates of another model, or the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cero_lab.fast.chances import chances
from cero_lab.fast.network import Network
from cero_lab.fast.questions import Questions
from cero_lab.settings import TrainSettings

OFFLINE_SAMPLES = 4


@dataclass(frozen=True, eq=False)
class Scene:
    """A training before its first round.

    Args:
        train: its sizes.
        seed: of the training; a driver's own chance is to follow from it.
        pool: the prompts.
        network: the model in training.
        other: loads another model that could have been asked about the prompts beforehand.
    """

    train: TrainSettings
    seed: int
    pool: Questions
    network: Network
    other: Callable[[], Network]

    @property
    def rollouts(self) -> int:
        """Of one round."""
        return self.train.prompts_per_round * self.train.group_size

    def pilot(self) -> int:
        """Rollouts of each prompt in a first wave: a quarter of a group."""
        return max(self.train.group_size // 4, 1)

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each prompt, int64 `[M]`."""
        return np.asarray(self.pool.prompt_lengths.numpy().copy())

    def sources(self) -> list[str]:
        """Of each prompt its first character, which names the task, as a data set names its source."""
        return [puzzle.prompt[0] for puzzle in self.pool.puzzles]

    def features(self) -> NDArray[np.float64]:
        """What is seen of each prompt before its first visit, float64 `[M, d]`: tokens, and one column a source."""
        sources = self.sources()
        columns = [[source == name for source in sources] for name in sorted(set(sources))]
        return np.column_stack([self.lengths(), *columns]).astype(np.float64)

    def offline_rates(self) -> NDArray[np.float64]:
        """Pass rates of the other model from four samples of each prompt, as data sets publish them, float64 `[M]`."""
        return self.passes(OFFLINE_SAMPLES) / OFFLINE_SAMPLES

    def offline_samples(self) -> NDArray[np.int64]:
        """From how many samples each of these is, int64 `[M]`."""
        return np.full(self.train.prompts, OFFLINE_SAMPLES)

    def passes(self, samples: int) -> NDArray[np.int64]:
        """How often the other model was right, int64 `[M]`: pass rates as data sets publish them.

        Args:
            samples: of each prompt.
        """
        rng = np.random.default_rng((self.seed, samples))
        return rng.binomial(samples, chances(self.other(), self.pool))

    def rates(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The truth: each prompt's success rate under the model as it is now.

        Args:
            rows: int64 `[P]`, of the pool.
        """
        return chances(self.network, self.pool, rows)
