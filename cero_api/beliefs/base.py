"""What a belief is: what is expected of each prompt's rewards, and how sure that is."""

from __future__ import annotations

import abc
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.changes import Changes
from cero_api.mathematics.blocks import SIZE, blocks

StateT = TypeVar("StateT")


class Expectation(NamedTuple):
    r"""What is expected of prompts, aligned with them.

    Args:
        mean: expected share of a success $E[P]$, float64 `[P]`, in (0, 1).
        variance: expected variance of the rewards in a group, $\hat q$, float64 `[P]`: $E[P(1-P)]$ for whole successes
            and failures.
    """

    mean: FloatArray
    variance: FloatArray


class Results(NamedTuple):
    r"""What rollouts of one round earned, as a belief is told of it; a prompt's may come in parts.

    Args:
        round: in which they were dealt, counted from 0.
        rows: int64 `[P]`, no repeats.
        successes: $S$, float64 `[P]`.
        failures: $F$, float64 `[P]`.
        graded: $\sum x(1-x)$ over the rewards $x$, float64 `[P]`: 0 for whole successes and failures.
        first: bool `[P]`, whether nothing of this prompt in this round had been told before.
    """

    round: int
    rows: IntArray
    successes: FloatArray
    failures: FloatArray
    graded: FloatArray
    first: BoolArray


class Belief(abc.ABC, Generic[StateT]):
    """What a prompt's rewards will be, as far as it can be known now. The object is its settings; a state is a value.

    A round is `learned` (everything told since goes into what is common to the pool), `ask` of the candidates, and,
    when it is dealt, `tick`; `told` comes whenever there are rewards. None of them changes anything: `learned` and
    `tick` give a new state, and `told` adds to `changes` what is to change.

    Args:
        num_prompts: M.
    """

    def __init__(self, num_prompts: int) -> None:
        self.num_prompts = num_prompts

    @abc.abstractmethod
    def start(self) -> StateT:
        """Nothing seen."""

    @abc.abstractmethod
    def expectation(self, state: StateT, rows: IntArray | slice) -> Expectation:
        """See `ask`; a slice may be a block of the pool."""

    def ask(self, state: StateT, rows: IntArray | None = None) -> Expectation:
        """What is expected of prompts, each the same whoever is asked for beside it.

        Args:
            state: of this belief.
            rows: int64 `[P]`; None is the whole pool, in pieces that fit the cache.
        """
        if rows is not None:
            return self.expectation(state, rows)
        answer = Expectation(np.empty(self.num_prompts), np.empty(self.num_prompts))
        # Longer pieces than elsewhere: of features, each is read from as many places as there are columns.
        for block in blocks(self.num_prompts, 2 * SIZE):
            for whole, part in zip(answer, self.expectation(state, block), strict=True):
                whole[block] = part
        return answer

    def learned(self, state: StateT) -> StateT:
        """The state before a round, in which what was told has changed what is common to the pool."""
        return state

    @abc.abstractmethod
    def told(self, state: StateT, results: Results, changes: Changes) -> None:
        """Results came in: in any order, late, in parts."""

    def tick(self, state: StateT) -> StateT:
        """The state after a round has been dealt."""
        return state

    def fault(self, state: StateT) -> str | None:
        """What is wrong with a state of the right names and shapes, or None: for states that come from outside."""
        return None

    def metrics(self, state: StateT) -> dict[str, float]:
        """Numbers worth logging."""
        return {}
