"""What every built-in allocator shares: checks, the ledger, the evidence. A method fills in `_deal`."""

from __future__ import annotations

import abc
import functools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.allocators.plan import Plan
from cero_api.arrays import whole_numbers
from cero_api.config import AllocatorConfig
from cero_api.errors import BudgetError, CheckpointError, InvalidOutcomeError, PromptError
from cero_api.mathematics.contrast import graded_fits
from cero_api.mathematics.ledger import Ledger, Report
from cero_api.mathematics.posterior import posterior_mean
from cero_api.mathematics.walk import Walk
from cero_api.protocol import Allocation, RolloutOutcomes
from cero_api.state import RAGGED, no_floats, state_entries, with_entries


@dataclass
class AllocatorState:
    """What changes during training, for any allocator over a pool of M prompts."""

    round: int  # rounds dealt so far
    ledger: Ledger
    successes: FloatArray  # [M] evidence beyond the prior, in rollouts
    failures: FloatArray  # [M]
    exposure: IntArray  # [M] rollouts dealt, net of refunds
    plan: Plan
    graded: FloatArray = field(metadata=RAGGED)  # [M] sum of x(1 - x) over rewards x; [0] while all were 0 or 1

    @classmethod
    def initial(cls, config: AllocatorConfig, **fields: Any) -> Self:
        """Nothing dealt, nothing seen."""
        pool = config.num_prompts
        return cls(
            round=0,
            ledger=Ledger(config.budget),
            successes=np.zeros(pool),
            failures=np.zeros(pool),
            exposure=np.zeros(pool, dtype=np.int64),
            plan=Plan(),
            graded=no_floats(),
            **fields,
        )


@dataclass
class WalkState(AllocatorState):
    """State of a method that walks through the pool, or shares out the batches that a loader draws."""

    walk: Walk


def with_graded(state: dict[str, Any]) -> None:
    """Bring a state up to date that knows of no graded rewards: those that it has count as successes and failures."""
    for known, new in (("successes", "graded"), ("last_successes", "last_graded")):
        if known in state:
            state.setdefault(new, no_floats())
    if "ledger.open_successes" in state:
        state.setdefault("ledger.open_squares", np.array(state["ledger.open_successes"]))


def added(column: FloatArray, rows: IntArray, values: FloatArray, size: int) -> FloatArray:
    """A column with values added to it, which begins when it is first needed."""
    column = column if column.size else np.zeros(size)
    column[rows] += values
    return column


_MOST = 2**53  # rounds, rollouts; float64 counts exactly up to here

ConfigT = TypeVar("ConfigT", bound=AllocatorConfig)
StateT = TypeVar("StateT", bound=AllocatorState)


ParametersT = ParamSpec("ParametersT")
AnswerT = TypeVar("AnswerT")
SelfT = TypeVar("SelfT", bound="BaseAllocator[Any, Any]")


def atomic(
    method: Callable[Concatenate[SelfT, ParametersT], AnswerT],
) -> Callable[Concatenate[SelfT, ParametersT], AnswerT]:
    """A method of an allocator that runs as a whole, whatever other threads call meanwhile."""

    @functools.wraps(method)
    def locked(self: SelfT, /, *args: ParametersT.args, **kwargs: ParametersT.kwargs) -> AnswerT:
        with self._lock:
            return method(self, *args, **kwargs)

    return locked


class BaseAllocator(abc.ABC, Generic[ConfigT, StateT]):
    """The invariants, kept once: budget identity, caps of the round, evidence, strict and whole state.

    A subclass says how its state begins (`_initial_state`), what it cannot deal (`_check_request`) and what it
    deals (`_deal`); `_learn` is there to extend. Threads may call it at once: every call is done as a whole.

    Args:
        config: the frozen hyper-parameters.
    """

    config_type: ClassVar[type[AllocatorConfig]]

    def __init__(self, config: ConfigT) -> None:
        self.config = config
        self._lock = threading.RLock()
        self._state = self._initial_state()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lock"}  # copies have their own

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.RLock()

    @atomic
    def allocate(self, row_ids: ArrayLike | None = None, total: int | None = None) -> Allocation:
        """Deal one round; see `RolloutAllocator.allocate`.

        Args:
            row_ids: int `[P]`, the candidates, no repeats; None is the whole pool.
            total: exactly this many rollouts; None leaves it to the method.

        Returns:
            The allocation. Its total is 0 in a zero round, and for good once the budget is spent.

        Raises:
            PromptError: a row is out of range or repeated.
            BudgetError: `total` cannot be dealt; nothing has changed.
        """
        rows = None if row_ids is None else self._checked_rows(row_ids)
        if total is not None:
            total = _whole(total)
            if total is None or total < 0:
                raise BudgetError("total must be a whole number of rollouts, 0 or more, or None")
            if total > self._state.ledger.remaining:
                raise BudgetError(
                    f"total={total} rollouts asked for, {self._state.ledger.remaining} of "
                    f"budget={self.config.budget} remain; ask for fewer, or configure a budget for all rounds"
                )
        self._check_request(rows, total)
        prompt_ids, counts = self._deal(rows, total)
        state = self._state
        # Copies: whoever gets the allocation may change its arrays.
        allocation = Allocation(state.round, prompt_ids.copy(), counts.copy())
        state.ledger.charge(state.round, prompt_ids, counts)
        state.exposure[prompt_ids] += counts
        state.round += 1
        return allocation

    @atomic
    def observe(self, outcomes: RolloutOutcomes) -> None:
        """Learn from outcomes, in any order, in parts, for any round dealt.

        Raises:
            PromptError: a prompt is out of range.
            InvalidOutcomeError: more rollouts than were dealt and are still out; nothing has changed.
        """
        self._check_range(outcomes.prompt_ids)
        reported = outcomes.rollouts > 0
        if not reported.any():
            return
        round = self._round_of(outcomes.round)
        ids, won, lost = outcomes.prompt_ids[reported], outcomes.successes[reported], outcomes.failures[reported]
        squares = outcomes.squares[reported]
        report = self._state.ledger.settle(round, ids, won, lost, squares)
        self._learn(round, ids, won, lost, won - squares, report)

    @atomic
    def refund(self, prompt_ids: ArrayLike, counts: ArrayLike, round: int | None = None) -> None:
        """Give back dealt rollouts that were never generated: the budget and the exposure forget them.

        Args:
            prompt_ids: int `[P]`, no repeats.
            counts: int `[P]`, rollouts of each, at least 0.
            round: the allocation's; None is the latest one.

        Raises:
            PromptError: a prompt is out of range or repeated.
            InvalidOutcomeError: more rollouts than are still out; nothing has changed.
        """
        rows, given = self._checked_rows(prompt_ids), whole_numbers(counts, "counts")
        if rows.shape != given.shape or (given < 0).any():
            raise InvalidOutcomeError("counts do not fit the prompts; give one count of 0 or more per prompt")
        if not (given > 0).any():
            return
        rows, given = rows[given > 0], given[given > 0]
        self._state.ledger.refund(self._round_of(round), rows, given)
        self._state.exposure[rows] -= given

    @atomic
    def metrics(self) -> dict[str, float]:
        """Numbers worth logging after each round, all in rollouts but for the rates.

        `effective_group_rate` is the share of completed groups whose rewards differ (both successes and failures, if
        they are binary), over the whole training; 0 while none is complete.
        """
        state, ledger = self._state, self._state.ledger
        return {
            "round": float(state.round),
            "budget": float(ledger.budget),
            "budget_spent": float(ledger.spent),
            "budget_refunded": float(ledger.refunded),
            "budget_remaining": float(ledger.remaining),
            "outstanding": float(ledger.outstanding),
            "effective_group_rate": ledger.effective_groups / max(ledger.groups, 1),
        }

    @atomic
    def exposure(self) -> IntArray:
        """Rollouts dealt to each prompt so far, net of refunds, int64 `[M]`."""
        return self._state.exposure.copy()

    @atomic
    def success_rate(self) -> FloatArray:
        """Posterior mean of each prompt's success rate, float64 `[M]`."""
        a, b = self.config.prior
        return posterior_mean(a + self._state.successes, b + self._state.failures)

    @atomic
    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as plain arrays and numbers; a copy."""
        return state_entries(self._state)

    @atomic
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same configuration; all or nothing.

        Raises:
            CheckpointError: it is of another allocator or pool, or its books do not balance.
        """
        entries = dict(state)
        with_graded(entries)  # what states of earlier versions lack
        loaded = with_entries(self._state, entries)
        fault = self._fault(loaded)
        if fault is not None:
            raise CheckpointError(f"this state is damaged or foreign: {fault}; load the one of this configuration")
        self._state = loaded
        self._state_loaded()

    @abc.abstractmethod
    def citation(self) -> str:
        """BibTeX of the method in use."""

    @abc.abstractmethod
    def _initial_state(self) -> StateT:
        """State before the first round."""

    @abc.abstractmethod
    def _check_request(self, rows: IntArray | None, total: int | None) -> None:
        """Raise BudgetError for what cannot be dealt; change nothing."""

    @abc.abstractmethod
    def _deal(self, rows: IntArray | None, total: int | None) -> tuple[IntArray, IntArray]:
        """Prompts and their rollouts, at most what remains, and exactly `total` if it is given."""

    def _learn(
        self, round: int, ids: IntArray, won: FloatArray, lost: FloatArray, graded: FloatArray, report: Report
    ) -> None:
        """Add the evidence of these outcomes; `graded` is what their squares lack of the successes."""
        state = self._state
        state.successes[ids] += won
        state.failures[ids] += lost
        if graded.any():
            state.graded = added(state.graded, ids, graded, self.config.num_prompts)

    def _graded(self, rows: IntArray | slice) -> FloatArray | None:
        """What graded rewards of these prompts lack of the contrast of successes and failures; None if none had."""
        return self._state.graded[rows] if self._state.graded.size else None

    def _state_loaded(self) -> None:
        """Recompute whatever follows from the state and is kept beside it."""

    def _even_round(self, unit: int = 1) -> int:
        """Whole units for the next round if what the plan had left is spread evenly over its rounds."""
        return self._state.plan.even_round(self._state.round, self.config, unit)

    def _replanned(self, before: ConfigT) -> None:
        """Adapt a loaded state, whose plan is new already, from a training of another length; see `continued`."""

    def _fault(self, state: StateT) -> str | None:
        """What is wrong with a state of the right names and shapes, or None."""
        if state.ledger.budget != self.config.budget:
            return f"its budget is {state.ledger.budget}, this configuration's {self.config.budget}"
        if state.round < 0 or (state.ledger.open_round >= state.round).any():
            return "it has rollouts out for a round that was not dealt"
        if ((state.ledger.open_prompt < 0) | (state.ledger.open_prompt >= self.config.num_prompts)).any():
            return "it has rollouts out for a prompt that is not in the pool"
        if (state.exposure < 0).any() or state.exposure.sum() != state.ledger.spent:
            return f"exposures sum to {state.exposure.sum()}, the ledger has spent {state.ledger.spent}"
        if (
            min(state.successes.min(), state.failures.min()) < 0
            or max(state.successes.max(), state.failures.max()) > _MOST
        ):
            return "it has evidence of a negative number of rollouts, or of more than can be counted"
        if not graded_fits(state.graded, state.successes, state.failures):
            return "it has evidence whose squares do not fit"
        if state.round > _MOST:
            return f"{state.round} rounds cannot be"
        return state.plan.fault(state.round, self.config.budget) or state.ledger.check()

    def _round_of(self, round: int | None) -> int:
        latest = self._state.round - 1
        number = latest if round is None else _whole(round)
        if number is None or not 0 <= number <= latest:
            raise InvalidOutcomeError(
                f"round {round} was not dealt; {latest + 1} rounds were, counted from 0: give the allocation's round"
            )
        return number

    def _checked_rows(self, row_ids: ArrayLike) -> IntArray:
        rows = whole_numbers(row_ids, "row ids", PromptError)
        self._check_range(rows)
        ordered = np.sort(rows)
        repeated: BoolArray = ordered[1:] == ordered[:-1]
        if repeated.any():
            raise PromptError(
                f"row {ordered[1:][repeated][0]} is given twice; give every candidate once, it can get any count"
            )
        return rows

    def _check_range(self, rows: IntArray) -> None:
        if rows.size and (rows.min() < 0 or rows.max() >= self.config.num_prompts):
            raise PromptError(
                f"row ids must be in [0, num_prompts={self.config.num_prompts}), not {rows.min()} to {rows.max()}"
            )


def _whole(value: object) -> int | None:
    """A number that is an integer by type, of Python's or numpy's; None for anything else."""
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None
