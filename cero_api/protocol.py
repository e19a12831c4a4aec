"""What an allocator is, what it answers, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.arrays import real_numbers, whole_numbers
from cero_api.config import AllocatorConfig
from cero_api.errors import InvalidOutcomeError
from cero_api.mathematics.contrast import has_contrast, squares_fit, whole_squares
from cero_api.mathematics.rounding import ROUNDING, not_negative
from cero_api.rewards import SuccessRule

_MOST = 2**53  # rollouts; float64 counts exactly up to here


@dataclass(frozen=True, eq=False)
class Allocation:
    """How many rollouts each prompt gets in one round.

    Args:
        round: 0-based number of the round; outcomes are reported under it.
        prompt_ids: int64 `[P]`, no repeats. Over the pool: the admitted prompts. Over candidates: as given.
        counts: int64 `[P]`, rollouts of each. Over the pool all positive; over candidates 0 is possible.
        to_commit: rollouts of the same round that `commit` deals once the rewards of these are in; 0 where a round has
            one wave.

    >>> allocation = Allocation(0, np.array([4, 7]), np.array([2, 3]))
    >>> allocation.total, allocation.prompt_ids_per_rollout
    (5, array([4, 4, 7, 7, 7]))
    """

    round: int
    prompt_ids: IntArray
    counts: IntArray
    to_commit: int = 0

    @property
    def total(self) -> int:
        """Rollouts of this wave, of most rounds the only one; 0 is a zero round, in which there is nothing to do."""
        return int(self.counts.sum())

    @property
    def prompt_ids_per_rollout(self) -> IntArray:
        """The prompt of every rollout, int64 `[total]`, those of one prompt side by side."""
        return np.repeat(self.prompt_ids, self.counts)


@dataclass(frozen=True, eq=False)
class RolloutOutcomes:
    r"""What the rollouts of some prompts earned: $S$ successes and $F$ failures each.

    They may be a part of what was allocated, come late, and be fractional. How far graded rewards differ, their sums do
    not say: give the sum of their squares too, or let `from_rewards` take all three.

    Args:
        prompt_ids: int64 `[P]`, no repeats.
        successes: float64 `[P]`, at least 0.
        failures: float64 `[P]`, at least 0; successes + failures is a whole number of rollouts.
        round: the allocation's; None is the latest one.
        squares: float64 `[P]`, of each rollout's share of a success, summed; None is that of whole successes and
            failures (or of a single rollout, whose share is known).
        tokens: float64 `[P]`, generated in all of a prompt's rollouts; None where nobody counts them.

    Raises:
        InvalidOutcomeError: shapes differ, a prompt repeats, or a number is negative, NaN or infinite.

    >>> RolloutOutcomes([3, 5], [2, 0], [1, 4], round=0).rollouts
    array([3, 4])
    >>> RolloutOutcomes([3, 5], [2, 2], [2, 2], squares=[2, 1]).mixed  # twice 1 and twice 0; four times 1/2
    array([ True, False])
    """

    prompt_ids: IntArray
    successes: FloatArray
    failures: FloatArray
    squares: FloatArray
    round: int | None = None
    tokens: FloatArray | None = None

    def __init__(
        self,
        prompt_ids: ArrayLike,
        successes: ArrayLike,
        failures: ArrayLike,
        round: int | None = None,
        squares: ArrayLike | None = None,
        tokens: ArrayLike | None = None,
    ) -> None:
        ids = whole_numbers(prompt_ids, "prompt_ids")
        won, lost = real_numbers(successes, "successes"), real_numbers(failures, "failures")
        if not ids.shape == won.shape == lost.shape:
            raise InvalidOutcomeError(
                f"prompt_ids {ids.shape}, successes {won.shape} and failures {lost.shape} must have the same "
                "length; give one number per prompt"
            )
        if np.unique(ids).size != ids.size:
            raise InvalidOutcomeError(
                "prompt_ids repeats a prompt; sum its outcomes first, or use RolloutOutcomes.from_rewards"
            )
        won, lost = not_negative(won), not_negative(lost)
        if not (np.isfinite(won).all() and np.isfinite(lost).all() and (won >= 0).all() and (lost >= 0).all()):
            raise InvalidOutcomeError("successes and failures must be finite and >= 0; leave lost rollouts out")
        if (won + lost >= _MOST).any():
            raise InvalidOutcomeError(f"{(won + lost).max():g} rollouts of one prompt cannot be; correct the outcomes")
        if (np.abs(won + lost - np.rint(won + lost)) > ROUNDING).any():
            raise InvalidOutcomeError(
                "successes + failures must be a whole number of rollouts; a rollout that is half a success is "
                "also half a failure"
            )
        whole = whole_squares(won, lost)
        squared = whole if squares is None else real_numbers(squares, "squares")
        if squared.shape != won.shape or not squares_fit(won, lost, squared).all():  # NaN fits nothing
            raise InvalidOutcomeError(
                "squares must have one number per prompt, from successes**2 / rollouts to successes: sum the squares "
                "of each rollout's share of a success, or use RolloutOutcomes.from_rewards"
            )
        object.__setattr__(self, "prompt_ids", ids)
        object.__setattr__(self, "successes", won)
        object.__setattr__(self, "failures", lost)
        object.__setattr__(self, "squares", np.minimum(squared, whole))
        object.__setattr__(self, "round", round)
        object.__setattr__(self, "tokens", None if tokens is None else _lengths(tokens, won.size))

    @classmethod
    def from_rewards(
        cls,
        prompt_ids_per_rollout: ArrayLike,
        rewards: ArrayLike,
        *,
        round: int | None = None,
        success_threshold: float | None = None,
        reward_range: tuple[float, float] | None = None,
        tokens: ArrayLike | None = None,
    ) -> Self:
        r"""Count successes and failures of each prompt from one reward per rollout.

        A rollout is a success if $r \ge$ `success_threshold`; with a `reward_range` $(l, h)$ it is
        $(r - l)/(h - l)$ of a success and the rest of a failure. What differs by rounding alone is equal: see
        `SuccessRule`.

        Args:
            prompt_ids_per_rollout: int `[N]`, any order.
            rewards: float `[N]`.
            round: the allocation's; None is the latest one.
            success_threshold: 1.0 unless a range is given.
            reward_range: lowest and highest possible reward.
            tokens: `[N]`, generated in each rollout; None where nobody counts them.

        Raises:
            InvalidOutcomeError: shapes differ, or a reward is NaN, infinite or out of its range.
            ConfigurationError: both rules are given, or the range is empty.

        >>> outcomes = RolloutOutcomes.from_rewards([5, 3, 3, 5], [1.0, 1.0, -1.0, 1.0])
        >>> outcomes.prompt_ids, outcomes.successes, outcomes.failures
        (array([3, 5]), array([1., 2.]), array([1., 0.]))
        >>> RolloutOutcomes.from_rewards([3, 3], [0.5, -1.0], reward_range=(-1, 1)).successes
        array([0.75])
        """
        ids = whole_numbers(prompt_ids_per_rollout, "prompt_ids_per_rollout")
        reward = real_numbers(rewards, "rewards")
        if ids.shape != reward.shape:
            raise InvalidOutcomeError(
                f"{ids.size} prompt ids for rewards of shape {reward.shape}; give one reward per rollout"
            )
        success = SuccessRule(success_threshold=success_threshold, reward_range=reward_range).successes(rewards)
        prompts, group = np.unique(ids, return_inverse=True)
        won = np.bincount(group, weights=success, minlength=prompts.size)
        # Not the bincount of 1 - success: this way successes + failures is whole to the last bit but one.
        lost = np.maximum(np.bincount(group, minlength=prompts.size) - won, 0.0)
        squares = np.bincount(group, weights=success**2, minlength=prompts.size)
        if tokens is not None:
            tokens = np.bincount(group, weights=_lengths(tokens, ids.size), minlength=prompts.size)
        return cls(prompts, won, lost, round, squares, tokens)

    @property
    def rollouts(self) -> IntArray:
        """Rollouts reported for each prompt, int64 `[P]`."""
        return np.rint(self.successes + self.failures).astype(np.int64)

    @property
    def mixed(self) -> BoolArray:
        """Whether rewards differ inside a group, bool `[P]`: an effective group, if all is in."""
        return has_contrast(self.successes, self.failures, self.squares)


@runtime_checkable
class RolloutAllocator(Protocol):
    """Decides before each generation step how many rollouts each prompt gets, and learns from the rewards.

    The one interface between this library, its adapters and anybody's own method.
    """

    @property
    def config(self) -> AllocatorConfig:
        """The frozen hyper-parameters."""
        ...

    def allocate(self, row_ids: ArrayLike | None = None, total: int | None = None) -> Allocation:
        """Deal one round, over the whole pool or over the given candidates; never waits for rewards.

        Args:
            row_ids: int `[P]`, the candidates, no repeats; None is the whole pool.
            total: exactly this many rollouts; None leaves it to the method.
        """
        ...

    def observe(self, outcomes: RolloutOutcomes) -> None:
        """Learn from outcomes: partial, late and missing ones are legal, unallocated ones an error."""
        ...

    def refund(self, prompt_ids: ArrayLike, counts: ArrayLike, round: int | None = None) -> None:
        """Give back allocated rollouts that were never generated."""
        ...

    def metrics(self) -> dict[str, float]:
        """Numbers worth logging after each round."""
        ...

    def exposure(self) -> IntArray:
        """Rollouts given to each prompt so far, int64 `[M]`."""
        ...

    def success_rate(self) -> FloatArray:
        """Posterior mean of each prompt's success rate, float64 `[M]`."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as plain arrays and numbers; a copy."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same configuration; strict, and all or nothing."""
        ...

    def citation(self) -> str:
        """BibTeX of the method in use."""
        ...


@runtime_checkable
class PilotAllocator(RolloutAllocator, Protocol):
    """An allocator that can deal a round in two waves: a pilot to many prompts, and after its rewards the rest.

    Every built-in one is; it does so where its configuration has a `pilot`.
    """

    def commit(self, round: int | None = None) -> Allocation:
        """Deal the rest of the round whose pilot has been rewarded.

        Args:
            round: the pilot's; None is the one that waits.
        """
        ...


def _lengths(tokens: ArrayLike, size: int) -> FloatArray:
    """Numbers of tokens, one for each of so many rows."""
    numbers = real_numbers(tokens, "tokens")
    if numbers.shape != (size,) or not (np.isfinite(numbers) & (numbers >= 0) & (numbers < _MOST)).all():
        raise InvalidOutcomeError(
            f"tokens must be {size} numbers, 0 or more: one for each entry of the others; count what was generated, or "
            "leave them out"
        )
    return numbers
