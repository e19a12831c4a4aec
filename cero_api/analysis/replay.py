r"""Counterfactual allocation on recorded success histories: who would have got how much, had rates gone as recorded.

The rate of a prompt at time t is read from its own visits: constant before the first and after the last, linear
between two. A visit's rate is that of its rollouts pooled with those of `smooth` visits to either side. Rewards are
drawn from it, so an allocator that gives a prompt more rollouts than were recorded still gets plausible outcomes.

Replay tells about allocation, never about learning: other counts would have changed the rates themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.adapting.defaults import window_fields
from cero_api.analysis.contest import (
    ContestReport,
    Progress,
    Turn,
    contest,
    epochs,
    equal_terms,
    even_totals,
    suffices,
)
from cero_api.analysis.history import SuccessHistory
from cero_api.errors import ConfigurationError

Scope = Literal["recorded", "batch", "window", "pool"]

NOTES = (
    "Replay compares how rollouts are shared out while success rates go as they were recorded. It cannot tell what a "
    "model would have learned: other counts would have changed the rates. Only training tells.",
    "A higher effective-group rate or signal is not by itself a better model.",
)


def replay(
    history: SuccessHistory,
    allocators: Sequence[str],
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    scope: Scope | None = None,
    rounds: int | None = None,
    budget: int | None = None,
    group_size: int | None = None,
    cap: int | None = None,
    batch_size: int | None = None,
    window: int | None = None,
    smooth: int = 1,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    progress: Progress | None = None,
) -> ContestReport:
    r"""Let allocators share out the rollouts of a recorded run again, all at the same budget.

    | scope | candidates of a round | its total | time |
    | --- | --- | --- | --- |
    | `recorded` | those that were recorded | the recorded one, times budget / recorded budget | the recorded round |
    | `batch` | the next batch of shuffled epochs | `budget / rounds` | the record's span, stretched over the rounds |
    | `window` | more than fit, but for `uniform`; each once an epoch | `budget / rounds` | the same |
    | `pool` | all prompts that have a rate | up to the method, within the budget | the same |

    Args:
        history: the record.
        allocators: registered names.
        seeds: of the draws, of the allocators' ties and of the epochs; at least two for an interval.
        scope: None is `recorded` where rounds were recorded, else `batch`.
        rounds: K; None is what was recorded, or one epoch per visit. `recorded` plays the first K.
        budget: rollouts in all; None is what was recorded, or `rounds * batch_size * group_size`.
        group_size: rollouts of a prompt where all get the same; None is the recorded mean, or 8, or the cap if it is
            smaller.
        cap: rollouts of a prompt in a round; None is twice the group size, or what the largest round takes.
        batch_size: prompts of a batch; None is the recorded mean, or 64.
        window: prompts that a window offers for each that fits; None is the adapters' default, or what the pool allows.
        smooth: visits to either side whose rollouts are pooled into a visit's rate.
        settings: fields of an allocator's configuration by its name, which overrule the common ones.
        progress: called with the allocator, the seed and the share of its rounds that is done.

    Raises:
        ConfigurationError: an unknown allocator, or sizes that do not fit each other.
        CeroError: what every allocator refuses, or one that `settings` are for; others are left out with a note.

    Returns:
        The report.

    >>> history = SuccessHistory.from_rates({f"q{i}": [i / 31] for i in range(32)})
    >>> report = replay(history, ["uniform", "cero"], seeds=[0, 1], rounds=8, batch_size=16, group_size=4)
    >>> {result.allocator: result.metrics["rollouts"].mean for result in report.results}
    {'uniform': 512.0, 'cero': 512.0}
    """
    arena = RecordedArena(
        history,
        scope=scope,
        rounds=rounds,
        budget=budget,
        group_size=group_size,
        batch_size=batch_size,
        smooth=smooth,
        cap=cap,
    )
    cap = max(2 * arena.group_size, arena.largest_mean_count) if cap is None else cap
    terms = equal_terms(
        arena,
        allocators,
        group_size=arena.group_size,
        cap=cap,
        floor=arena.smallest_mean_count,
        capacity=arena.largest_total,
        whole_pool=arena.scope in ("window", "pool"),
        window=None if arena.scope != "window" else partial(arena.window, factor=window),
        settings=settings,
    )
    results, adapted = contest(arena, terms, seeds=seeds, progress=progress)
    return ContestReport(
        kind="replay",
        settings={
            "scope": arena.scope,
            "prompts": arena.num_prompts,
            "rounds": arena.rounds,
            "budget": arena.budget,
            "group_size": arena.group_size,
            "cap": cap,
            **({} if arena.scope != "window" or window is None else {"window": window}),
            "smooth": smooth,
            "visits": history.visits,
        },
        seeds=tuple(seeds),
        results=results,
        notes=(*adapted, *NOTES, *arena.notes, *history.notes),
    )


class RecordedArena:
    """The prompts of a history that have a rate, offered round by round; see `replay` for the arguments."""

    def __init__(
        self,
        history: SuccessHistory,
        *,
        scope: Scope | None,
        rounds: int | None,
        budget: int | None,
        group_size: int | None,
        batch_size: int | None,
        smooth: int,
        cap: int | None = None,
    ) -> None:
        if smooth < 0:
            raise ConfigurationError(f"smooth={smooth} must be a number of visits, 0 or more")
        rated = history.rated
        if not rated.any():
            raise ConfigurationError("no prompt of this record has a scored rollout; there is nothing to replay")
        self._history = history
        self.num_prompts = int(np.count_nonzero(rated))
        # From the history's rows to those of the prompts that have a rate, and back.
        self._compact = np.where(rated, np.cumsum(rated) - 1, -1)
        self._first, self._stop = history.offsets[:-1][rated], history.offsets[1:][rated]
        self._rates, self._varying = history.rates(smooth), history.varying(smooth)
        self.scope: Scope = scope or ("recorded" if history.rounds else "batch")
        if self.scope not in get_args(Scope):
            raise ConfigurationError(f"scope={scope!r}; choose from {', '.join(get_args(Scope))}")
        if self.scope == "recorded" and not history.rounds:
            raise ConfigurationError(
                "this record has visits but no rounds, so scope must be 'batch', 'window' or 'pool'"
            )
        offers = np.diff(history.candidate_offsets)
        if group_size is None:
            mean = int(history.rollouts.sum()) / history.visits if history.rollouts.size else 8
            group_size = max(round(mean), 2)
            group_size = group_size if cap is None else min(group_size, cap)
        self.group_size = group_size
        if batch_size is None:
            batch_size = round(float(offers.mean())) if history.rounds else 64
        self._batch = max(min(batch_size, self.num_prompts), 1)
        self._set_rounds(rounds)
        self._set_totals(budget, offers[: self.rounds])
        self._check_cap(cap)
        self.notes = self._notes()

    @property
    def budget(self) -> int:
        """Rollouts for all rounds together."""
        return int(self._totals.sum())

    def window(self, name: str, factor: int | None = None) -> dict[str, Any]:
        """Fields of an allocator's window: the width that was given, or what it has in a trainer."""
        groups = -(-int(self._totals.max()) // self.group_size)
        given = {} if factor is None else {"window": factor}
        return given | window_fields(name, self.num_prompts, groups, given)

    @property
    def largest_total(self) -> int | None:
        """Largest round's rollouts; None where a round's size is the method's own business."""
        return None if self.scope == "pool" else int(self._totals.max())

    @property
    def largest_mean_count(self) -> int:
        """Rollouts per candidate of the round that has most of them, over the pool of a mean one, rounded up."""
        if self.scope == "pool":
            return -(-self.budget // (self.rounds * self.num_prompts))
        return int((-(-self._totals // self._offers)).max())

    @property
    def smallest_mean_count(self) -> int | None:
        """Rollouts per candidate of the round that has fewest, rounded down."""
        return None if self.scope == "pool" else int((self._totals // self._offers).min())

    def turns(self, seed: int) -> Iterator[Turn]:
        """The rounds, the same for every allocator."""
        if self.scope == "recorded":
            for k in range(self.rounds):
                if self._totals[k]:
                    rows = self._compact[self._history.offered(k)]
                    yield Turn(float(self._history.round_numbers[k]), rows[rows >= 0], int(self._totals[k]))
            return
        span = self._history.visit_round
        times = np.linspace(float(span.min()), float(span.max()), self.rounds)
        if self.scope == "pool":
            for moment in times.tolist():
                yield Turn(moment, None, None)
            return
        if self.scope == "window":
            for moment, total in zip(times.tolist(), self._totals.tolist(), strict=True):
                yield Turn(moment, None, total)
            return
        batches = epochs(self.num_prompts, self._batch, self.rounds, seed)
        for moment, rows, total in zip(times.tolist(), batches, self._totals.tolist(), strict=True):
            yield Turn(moment, rows, total)

    def rates(self, time: float, rows: IntArray, seed: int = 0) -> FloatArray:
        """Success rate of these prompts at a time, float64 `[P]`: linear between visits, constant outside."""
        return self._between(self._rates, time, rows)

    def varying(self, time: float, rows: IntArray, seed: int = 0) -> FloatArray | None:
        """How far graded rewards differ, float64 `[P]`, likewise; None where no reward was graded."""
        return None if self._varying is None else self._between(self._varying, time, rows)

    def _between(self, of_visits: NDArray[np.float32], time: float, rows: IntArray) -> FloatArray:
        visit_round = self._history.visit_round
        before, last = self._first[rows], self._stop[rows] - 1
        # The last visit that is not later, by bisection for all prompts at once; the first if all are later.
        high = last.copy()
        while (before < high).any():
            middle = (before + high + 1) // 2
            past = visit_round[middle] <= time
            before = np.where(past, middle, before)
            high = np.where(past, high, middle - 1)
        after = np.minimum(before + 1, last)
        gap = visit_round[after] - visit_round[before]
        share = np.clip((time - visit_round[before]) / np.maximum(gap, 1), 0.0, 1.0)
        low = of_visits[before].astype(np.float64)
        return np.asarray(low + share * (of_visits[after] - low))

    def extra(self, exposure: IntArray, seed: int) -> dict[str, float]:
        """Nothing: the optimum needs rates that did not react."""
        return {}

    def _set_rounds(self, rounds: int | None) -> None:
        history = self._history
        if rounds is not None and rounds < 1:
            raise ConfigurationError(f"rounds={rounds} must be at least 1")
        if self.scope == "recorded":
            self.rounds = min(rounds or history.rounds, history.rounds)
        elif rounds is not None or history.rounds:
            self.rounds = rounds or history.rounds
        else:
            self.rounds = int(np.diff(history.offsets).max()) * max(self.num_prompts // self._batch, 1)

    def _set_totals(self, budget: int | None, offers: IntArray) -> None:
        recorded = self._history.rollouts[: self.rounds]
        if budget is not None and not (recorded.size and budget >= recorded.sum()):
            suffices(budget, self.rounds)
        if self.scope == "recorded":
            if self.num_prompts < self._history.num_prompts:
                edges = self._history.candidate_offsets
                rated = (self._compact >= 0)[self._history.candidates[: edges[self.rounds]]]
                offers = np.add.reduceat(rated, edges[: self.rounds], dtype=np.int64)
            if recorded.size == 0:
                recorded = offers * self.group_size
            # Whole rollouts, whose running sum is the recorded one's, scaled.
            spent = np.concatenate([[0], np.cumsum(recorded)])
            scale = 1.0 if budget is None else budget / spent[-1]
            self._totals = np.diff(np.rint(spent * scale).astype(np.int64))
            self._totals[offers == 0] = 0
            self._offers = np.maximum(offers, 1)
            return
        if budget is None and recorded.size and self.rounds == self._history.rounds:
            budget = int(recorded.sum())
        elif budget is None:
            budget = self.rounds * self._batch * self.group_size
        self._totals = even_totals(budget, self.rounds)
        self._offers = np.full(self.rounds, self._batch, dtype=np.int64)

    def _check_cap(self, cap: int | None) -> None:
        """Refuse a cap that some round, or a group, does not fit."""
        if cap is None:
            return
        if cap < self.group_size:
            raise ConfigurationError(
                f"cap={cap} is less than a group of {self.group_size}; raise the cap or lower group_size"
            )
        if cap < self.largest_mean_count:
            raise ConfigurationError(
                f"cap={cap} is less than the {self.largest_mean_count} rollouts a prompt that a round takes of "
                f"budget={self.budget}; raise the cap, or lower the budget"
            )

    def _notes(self) -> tuple[str, ...]:
        history, notes = self._history, []
        counts = history.visit_count
        if history.rollouts.size:
            mean = float(counts.mean())
            notes.append(
                f"A recorded rate comes from {mean:.1f} rollouts per visit on average: a 0 or a 1 may be chance, and "
                "small differences between prompts are."
            )
        elif self.scope != "recorded" and not (counts > 1).any():
            notes.append("The record holds rates without rollout counts; they are taken as exact.")
        if history.rollouts.size and self.scope == "recorded":
            mixed = (history.visit_successes > 0) & (history.visit_successes < counts)
            varying = history.varying()
            if varying is not None:
                mixed &= varying > 0.0
            notes.append(
                f"Of the recorded groups {mixed.mean():.1%} were mixed. A replay of the recorded method should come "
                "close; if it does not, change the smoothing."
            )
        missing = history.num_prompts - self.num_prompts
        if missing:
            notes.append(f"{missing} prompts never had a scored rollout and are left out.")
        if self.scope != "recorded":
            notes.append("Time of the record is stretched over the rounds; rates follow time, not rollouts.")
        return tuple(notes)
