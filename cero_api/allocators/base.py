"""What every built-in allocator shares: checks, the ledger, the evidence. A method fills in `_deal`."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.allocators.choice import Choice
from cero_api.allocators.parts import Parts
from cero_api.allocators.pilot import PilotState
from cero_api.allocators.piloting import Piloting
from cero_api.allocators.states import AllocatorState as AllocatorState
from cero_api.allocators.states import WalkState as WalkState
from cero_api.allocators.whole import atomic, changing
from cero_api.arrays import whole_number, whole_numbers
from cero_api.beliefs import Results
from cero_api.config import AllocatorConfig
from cero_api.errors import (
    BudgetError,
    CheckpointError,
    ConfigurationError,
    InvalidOutcomeError,
    PromptError,
)
from cero_api.knowledge import Knowledge
from cero_api.mathematics.contrast import graded_fits
from cero_api.mathematics.ledger import Report
from cero_api.mathematics.posterior import posterior_mean
from cero_api.migrations import entries_of, header
from cero_api.protocol import Allocation, RolloutOutcomes
from cero_api.state import state_entries, with_entries

_MOST = 2**53  # rounds, rollouts; float64 counts exactly up to here

ConfigT = TypeVar("ConfigT", bound=AllocatorConfig)
StateT = TypeVar("StateT", bound=AllocatorState)


class BaseAllocator(Piloting[ConfigT, StateT]):
    """The invariants, kept once: budget identity, caps of the round, evidence, strict and whole state.

    A subclass says how its state begins (`_initial_state`), what it cannot deal (`_check_request`) and what it
    deals (`_deal`); `_learn` is there to extend. None of them writes into the state: what is to change is added to
    `_changes`, which are made when the call is complete. Threads may call it at once: every call is done as a whole,
    also when an exception from a signal ends it.

    Args:
        config: the frozen hyper-parameters.
        knowledge: what is known of the prompts before they are tried; None is nothing.
    """

    config_type: ClassVar[type[AllocatorConfig]]
    # Whether the method goes by what a belief expects; others have their own use for outcomes.
    asks_belief: ClassVar[bool] = False
    # Whether it begins with offline pass rates all the same, as evidence of its own.
    starts_by_rates: ClassVar[bool] = False

    def __init__(self, config: ConfigT, knowledge: Knowledge | None = None) -> None:
        super().__init__()
        self.config = config
        self.knowledge = Knowledge() if knowledge is None else knowledge
        rates = self.knowledge.offline_rates is not None and not self.starts_by_rates
        if not self.asks_belief and (config.belief != "beta" or rates):
            raise ConfigurationError(
                f"{type(self).__name__} goes by outcomes alone, so belief={config.belief!r} or offline rates would do "
                "nothing; leave them out, or take cero, vip or gvm"
            )
        self._parts = Parts(config, self.knowledge, self.asks_belief)
        self._refuse_pilot()
        self._idle_said = False
        state = self._initial_state()
        state.parts = self._parts.start()
        self._parts_now = state.parts  # as of the call that is under way
        self._state = self._derived(state)

    @changing
    def allocate(self, row_ids: ArrayLike | None = None, total: int | None = None) -> Allocation:
        """Deal one round; see `RolloutAllocator.allocate`.

        Args:
            row_ids: int `[P]`, the candidates, no repeats; None is the whole pool.
            total: exactly this many rollouts; None leaves it to the method.

        Returns:
            The allocation. Its total is 0 in a zero round, and for good once the budget is spent. With a `pilot` it is
            the first wave, and `to_commit` what `commit` is to deal of the round.

        Raises:
            PromptError: a row is out of range or repeated.
            BudgetError: `total` cannot be dealt, or not in two waves, or there is a token budget; nothing has changed.
            PilotError: the latest round's pilot waits for its `commit`.
        """
        self._refuse_waiting()
        rows = None if row_ids is None else self._checked_rows(row_ids)
        if total is not None:
            total = whole_number(total)
            if total is None or total < 0:
                raise BudgetError("total must be a whole number of rollouts, 0 or more, or None")
            if total > self._state.ledger.remaining:
                raise BudgetError(
                    f"total={total} rollouts asked for, {self._state.ledger.remaining} of "
                    f"budget={self.config.budget} remain; ask for fewer, or configure a budget for all rounds"
                )
            if self._parts.pace is not None:
                raise BudgetError(
                    f"total={total} was asked for, and token_budget={self._parts.pace.budget} decides how much a round "
                    "deals; ask for no total, or leave token_budget out, which batches of a fixed size cannot keep"
                )
        self._check_request(rows, total)
        self._parts_now = self._parts.learned(self._state.parts)
        self._changes.set(self._state, "parts", self._parts.ticked(self._parts_now))
        waves = self._waves(rows, total)
        if waves is not None:
            return self._booked(*self._deal_pilot(waves, rows, total is not None), waves.need)
        prompt_ids, counts = self._deal(rows, total)
        if total is not None and counts.sum() != total:
            raise BudgetError(
                f"total={total} was asked for and {type(self).__name__} deals {counts.sum()}; ask for a total that its "
                "floors and caps allow"
            )
        dealt = int(counts.sum())
        ends = total is None and dealt == self._left()
        self._weigh(self._choice(rows, total, dealt), ends, dealt, self._state.round)
        return self._booked(prompt_ids, counts, dealt)

    def _booked(self, prompt_ids: IntArray, counts: IntArray, need: int) -> Allocation:
        """A round's first wave on the books; `need` is what all its waves are to deal."""
        state, changes = self._state, self._changes
        state.ledger.charge(state.round, prompt_ids, counts, changes)
        changes.put(state.exposure, prompt_ids, state.exposure[prompt_ids] + counts)
        changes.set(state, "round", state.round + 1)
        # Copies: whoever gets the allocation may change its arrays.
        return Allocation(state.round, prompt_ids.copy(), counts.copy(), need - int(counts.sum()))

    @changing
    def observe(self, outcomes: RolloutOutcomes) -> None:
        """Learn from outcomes, in any order, in parts, for any round dealt.

        Raises:
            PromptError: a prompt is out of range.
            InvalidOutcomeError: more rollouts than were dealt and are still out, or their tokens are missing where
                there is a budget of tokens; nothing has changed.
        """
        self._check_range(outcomes.prompt_ids)
        reported = outcomes.rollouts > 0
        if not reported.any():
            return
        round = self._round_of(outcomes.round)
        ids, won, lost = outcomes.prompt_ids[reported], outcomes.successes[reported], outcomes.failures[reported]
        squares = outcomes.squares[reported]
        report = self._state.ledger.settle(round, ids, won, lost, squares, self._changes)
        pilot = self._waiting()
        if pilot is not None and pilot.round == round:
            pilot.told(ids, won, lost, squares, self._changes)
        self._learn(round, ids, won, lost, won - squares, report)
        tokens = None if outcomes.tokens is None else outcomes.tokens[reported]
        if tokens is not None:
            self._changes.set(self._state, "tokens", self._state.tokens + float(tokens.sum()))
        elif self._parts.pace is not None:
            raise InvalidOutcomeError(
                f"token_budget={self._parts.pace.budget} needs to know what was generated; give "
                "RolloutOutcomes(tokens=...), or leave token_budget out"
            )
        results = Results(round, ids, won, lost, won - squares, report.first)
        self._parts.told(self._state.parts, results, tokens, self._changes)

    @changing
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
        self._state.ledger.refund(self._round_of(round), rows, given, self._changes)
        self._changes.put(self._state.exposure, rows, self._state.exposure[rows] - given)

    @atomic
    def metrics(self) -> dict[str, float]:
        """Numbers worth logging after each round, all in rollouts but for the rates.

        `effective_group_rate` is the share of completed groups whose rewards differ (both successes and failures, if
        they are binary), over the whole training; 0 while none is complete. `signal` is the variance of the rewards in
        a rollout's group, mean over the rollouts of these groups: what a gradient step has to learn from. `decidable`
        is the share of the latest round's rollouts that could have gone to another prompt (or round, where the method
        sets its size); 0 before there is one.
        """
        state, ledger = self._state, self._state.ledger
        return {
            "round": float(state.round),
            "budget": float(ledger.budget),
            "budget_spent": float(ledger.spent),
            "budget_refunded": float(ledger.refunded),
            "budget_remaining": float(ledger.remaining),
            "outstanding": float(ledger.outstanding),
            "tokens": state.tokens,
            **({} if self._parts.pace is None else {"tokens_remaining": self._parts.pace.budget - state.tokens}),
            "decidable": state.decidable,
            "effective_group_rate": ledger.effective_groups / max(ledger.groups, 1),
            "signal": ledger.signal,
            **self._parts.metrics(state.parts, state.round),
            **({} if self.config.pilot is None else {"to_commit": float(state.parts.pilot.left)}),
        }

    def idleness_is_known(self) -> None:
        """Whoever trains has been told that there is nothing to decide: no round says so again."""
        self._idle_said = True

    @atomic
    def exposure(self) -> IntArray:
        """Rollouts dealt to each prompt so far, net of refunds, int64 `[M]`."""
        return self._state.exposure.copy()

    @atomic
    def success_rate(self) -> FloatArray:
        """Posterior mean of each prompt's success rate, float64 `[M]`."""
        if self._parts.belief is not None:
            return self._parts.belief.ask(self._parts.learned(self._state.parts).belief).mean
        a, b = self.config.prior
        return posterior_mean(a + self._state.successes, b + self._state.failures)

    @atomic
    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as plain arrays and numbers, and whose it is; a copy."""
        return header(type(self)) | state_entries(self._state)

    @atomic
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict` of the same configuration; all or nothing.

        Raises:
            CheckpointError: it is of another allocator or pool, or its books do not balance.
        """
        loaded = self._checked(state)
        self._parts_now = loaded.parts
        self._state = self._derived(loaded)

    @atomic  # for it is held against the present state, whose shape changes while others deal
    def check_state(self, state: Mapping[str, Any]) -> None:
        """Whether `load_state_dict` would take this state.

        Raises:
            CheckpointError: it would not.
        """
        self._checked(state, copy=False)

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

    def _choice(self, rows: IntArray | None, total: int | None, dealt: int) -> Choice | None:
        """The rounds that were possible where so many rollouts are dealt; None where nothing is meant to be decided."""
        if rows is None and self.config.offer == "window":
            return Choice(self._window_size(dealt), 0, self.config.group, dealt, dealt)
        prompts = self.config.num_prompts if rows is None else rows.size
        floor, cap = self.config.limits(None if rows is None else prompts, total)
        if total is not None:
            return Choice(prompts, floor, cap, total, total)
        return Choice(prompts, floor, cap, prompts * floor, max(prompts * cap, dealt))

    def _round_size(self, rows: IntArray | None, total: int | None) -> int:
        if total is not None:
            return total
        return self._even_round() if rows is None else self.config.group * rows.size

    def _learn(
        self, round: int, ids: IntArray, won: FloatArray, lost: FloatArray, graded: FloatArray, report: Report
    ) -> None:
        """Add the evidence of these outcomes; `graded` is what their squares lack of the successes."""
        self._add(ids, won, lost, graded)

    def _add(
        self, ids: IntArray, won: FloatArray, lost: FloatArray, graded: FloatArray, kept: FloatArray | float = 1.0
    ) -> None:
        """Add to the evidence on these prompts, of which a share is kept."""
        state, known = self._state, self._graded(ids)
        if known is not None:
            graded = known * kept + graded
        any_graded = known is not None or bool(graded.any())
        successes, failures = state.successes[ids] * kept + won, state.failures[ids] * kept + lost
        self._believe(ids, successes, failures, graded if any_graded else None)

    def _believe(self, ids: IntArray, successes: FloatArray, failures: FloatArray, graded: FloatArray | None) -> None:
        """This is now the evidence on these prompts; None where no reward of any prompt was graded."""
        self._write("successes", ids, successes)
        self._write("failures", ids, failures)
        if graded is not None:
            self._write("graded", ids, graded)

    def _write(self, field: str, rows: IntArray, values: FloatArray, size: int | None = None) -> None:
        """These are now the entries of a column of the state, which begins when it is first needed; once a call."""
        column = getattr(self._state, field)
        if column.size:
            self._changes.put(column, rows, values)
            return
        begun = np.zeros(size or self.config.num_prompts)
        begun[rows] = values
        self._changes.set(self._state, field, begun)

    def _derived(self, state: StateT) -> StateT:
        """The same new state, with what follows from it filled in."""
        return state

    def _checked(self, entries: Mapping[str, Any], copy: bool = True) -> StateT:
        state = with_entries(self._state, entries_of(entries, type(self)), copy)
        fault = self._fault(state)
        if fault is not None:
            raise CheckpointError(f"this state is damaged or foreign: {fault}; load the one of this configuration")
        return state

    def _replanned(self, before: ConfigT) -> None:
        """Adapt a loaded state, whose plan is new already, from a training of another length; see `continued`."""

    def _fault(self, state: StateT) -> str | None:
        """What is wrong with a state of the right names and shapes, or None."""
        if state.ledger.budget != self.config.budget:
            return f"its budget is {state.ledger.budget}, this configuration's {self.config.budget}"
        still_open = state.ledger.open.columns()
        if state.round < 0 or not ((still_open["round"] >= 0) & (still_open["round"] < state.round)).all():
            return "it has rollouts out for a round that was not dealt"
        if not ((still_open["prompt"] >= 0) & (still_open["prompt"] < self.config.num_prompts)).all():
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
        if state.tokens < 0:
            return f"{state.tokens} tokens cannot be"
        pilot, remaining = state.parts.pilot, state.ledger.remaining
        return (
            state.plan.fault(state.round, self.config.budget)
            or state.ledger.check()
            or self._parts.fault(state.parts)
            or (pilot.fault(state.round, self.config.num_prompts, remaining) if isinstance(pilot, PilotState) else None)
        )

    def _round_of(self, round: int | None) -> int:
        latest = self._state.round - 1
        number = latest if round is None else whole_number(round)
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
