"""What allocators compete in: prompts with success rates, offered round by round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.errors import ConfigurationError


class Turn(NamedTuple):
    """One round that an allocator is asked to deal."""

    time: float  # in the units of the arena's rates
    rows: IntArray | None  # candidates; None is the whole pool
    total: int | None  # exactly so many rollouts; None leaves it to the method


class Arena(Protocol):
    """Prompts with success rates that move by themselves, offered round by round."""

    @property
    def num_prompts(self) -> int:
        """M."""
        ...

    @property
    def rounds(self) -> int:
        """K."""
        ...

    @property
    def budget(self) -> int:
        """Rollouts for all rounds together."""
        ...

    def turns(self, seed: int) -> Iterator[Turn]:
        """The rounds, the same for every allocator."""
        ...

    def rates(self, time: float, rows: IntArray, seed: int) -> FloatArray:
        """Success rate of these prompts at a time, float64 `[P]`."""
        ...

    def varying(self, time: float, rows: IntArray, seed: int) -> FloatArray | None:
        r"""How far graded rewards of these prompts differ, float64 `[P]` in [0, 1]; None for successes and failures.

        A reward is then $p + \sqrt v\,(b - p)$ of a success for a draw $b$ of 0 or 1: of the same mean, and of $v$
        times the variance.
        """
        ...

    def extra(self, exposure: IntArray, seed: int) -> dict[str, float]:
        """Further numbers about a finished run."""
        ...


def even_totals(budget: int, rounds: int) -> IntArray:
    """Whole rollouts per round that sum to the budget, int64 `[K]`.

    >>> even_totals(10, 4)
    array([2, 3, 2, 3])
    """
    edges = np.arange(rounds + 1, dtype=np.int64) * budget // rounds
    return np.diff(edges)


def suffices(budget: int, rounds: int) -> None:
    """Refuse a budget that buys no group with contrast.

    Args:
        budget: rollouts in all.
        rounds: that they are to last for.

    Raises:
        ConfigurationError: it is less than two rollouts a round.
    """
    if budget < 2 * rounds:
        raise ConfigurationError(
            f"budget={budget} is less than {2 * rounds} rollouts, one group of two for each of {rounds} rounds; raise "
            "the budget or lower the rounds"
        )


def epochs(num_prompts: int, batch: int, rounds: int, seed: int) -> Iterator[IntArray]:
    """Batches as a shuffling data loader draws them: every prompt once an epoch, an incomplete last batch dropped.

    >>> [batch.tolist() for batch in epochs(num_prompts=5, batch=2, rounds=3, seed=0)]
    [[4, 2], [1, 0], [1, 3]]
    """
    rng = np.random.default_rng((seed, 2))
    dealt = 0
    while dealt < rounds:
        order = rng.permutation(num_prompts)
        for start in range(0, num_prompts - batch + 1, batch):
            if dealt == rounds:
                return
            dealt += 1
            yield order[start : start + batch]
