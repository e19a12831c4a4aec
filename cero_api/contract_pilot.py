"""The contract of rounds in two waves: one round, one group a prompt, whatever comes between the waves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from cero_api._types import IntArray
from cero_api.contract import (
    BATCH,
    BUDGET,
    PROMPTS,
    ROUNDS,
    AllocatorFactory,
    check_books,
    check_refused,
    made,
    outcomes_of,
    part_of,
    require,
    same_state,
)
from cero_api.errors import BudgetError, CheckpointError, InvalidOutcomeError, PilotError, PromptError
from cero_api.protocol import Allocation, PilotAllocator, RolloutOutcomes


def _allocator(factory: AllocatorFactory, seed: int = 0) -> PilotAllocator:
    allocator = made(factory, seed)
    require("pilot", isinstance(allocator, PilotAllocator), f"{type(allocator).__name__} has no commit")
    assert isinstance(allocator, PilotAllocator)
    return allocator


def _requests(allocator: PilotAllocator) -> Iterator[dict[str, Any]]:
    """The pool where a window is offered, and candidates, with an exact total and without, in turn."""
    rng = np.random.default_rng(0)
    for k in range(ROUNDS - 6):
        rows, total = rng.choice(PROMPTS, size=BATCH, replace=False), _total(allocator)
        if allocator.config.offer == "window" and k % 4 < 2:
            yield {} if k % 4 else {"total": total}
        else:
            yield {"row_ids": rows} if k % 4 == 3 else {"row_ids": rows, "total": total}


def _total(allocator: PilotAllocator) -> int:
    """A round that leaves something to commit to so many candidates."""
    pilot, unit = allocator.config.pilot or 0, getattr(allocator.config, "rollouts_per_unit", 1)
    _, cap = allocator.config.limits(BATCH, 2 * BATCH * pilot)
    return min(2 * BATCH * pilot, BATCH * cap) // unit * unit


def _played(allocator: PilotAllocator, **request: Any) -> tuple[Allocation, Allocation]:
    """Both waves of a round, with their rewards."""
    first = allocator.allocate(**request)
    allocator.observe(outcomes_of(first))
    rest = allocator.commit() if first.to_commit else Allocation(first.round, first.prompt_ids, 0 * first.counts)
    allocator.observe(outcomes_of(rest))
    return first, rest


def _equal(one: Allocation, other: Allocation) -> bool:
    return np.array_equal(one.prompt_ids, other.prompt_ids) and np.array_equal(one.counts, other.counts)


def _check_waves(factory: AllocatorFactory) -> None:
    allocator, dealt = _allocator(factory), np.zeros(PROMPTS, dtype=np.int64)
    pilot = allocator.config.pilot or 0
    for request in _requests(allocator):
        round, total = allocator.metrics()["round"], request.get("total")
        first = allocator.allocate(**request)
        rows = request.get("row_ids")
        _, cap = allocator.config.limits(None if rows is None else rows.size, total)
        cap = max(cap, allocator.config.group) if rows is None else cap
        what = f"in round {round:.0f}, asked for {request}"
        require("waves", bool(first.to_commit), f"nothing is left to commit {what}")
        require("waves", (first.counts == pilot).all(), f"{first.counts} instead of {pilot} each {what}")
        require("waves", np.unique(first.prompt_ids).size == first.counts.size, f"a prompt twice {what}")
        require("candidates", rows is None or np.array_equal(first.prompt_ids, rows), f"{first.prompt_ids} {what}")
        require("exact totals", total in (None, first.total + first.to_commit), f"{first} {what}")
        dealt[first.prompt_ids] += first.counts
        check_books(allocator, dealt, f"after the pilot {what}")
        allocator.observe(outcomes_of(first))
        rest = allocator.commit(first.round)
        require("waves", first.round == rest.round == round, f"rounds {first.round} and {rest.round} {what}")
        require("waves", allocator.metrics()["round"] == round + 1, f"they count as more than one {what}")
        require("waves", np.array_equal(rest.prompt_ids, first.prompt_ids), f"other prompts {what}")
        require("exact totals", rest.to_commit == 0 and rest.total <= first.to_commit, f"{rest} {what}")
        require("exact totals", total is None or rest.total == first.to_commit, f"{rest} {what}")
        require("floors and caps", (first.counts + rest.counts <= cap).all(), f"{rest.counts} exceeds {cap} {what}")
        dealt[rest.prompt_ids] += rest.counts
        check_books(allocator, dealt, f"after the rest {what}")
        allocator.observe(outcomes_of(rest))
        require("one group", allocator.metrics()["outstanding"] == 0, f"rollouts are out {what}")
    for _ in range(10 * ROUNDS):
        _played(allocator, **({} if allocator.config.offer == "window" else {"row_ids": range(BATCH)}))
    left = allocator.metrics()["budget_remaining"]
    _played(allocator, **({} if allocator.config.offer == "window" else {"row_ids": range(BATCH)}))
    spends = allocator.metrics()["budget_remaining"] < left
    require("budget", left == 0 or spends, f"{left} remain and are not dealt")


def _check_one_group(factory: AllocatorFactory) -> None:
    """A group whose pilot has no contrast, and whose rest gives it some, is one group, and effective."""
    allocator = _allocator(factory)
    first = allocator.allocate(range(BATCH), total=_total(allocator))
    allocator.observe(RolloutOutcomes(first.prompt_ids, 0 * first.counts, first.counts))
    rest = allocator.commit()
    require("one group", allocator.metrics()["effective_group_rate"] == 0.0, "a group without contrast is effective")
    allocator.observe(RolloutOutcomes(rest.prompt_ids, rest.counts, 0 * rest.counts))
    rate, expected = allocator.metrics()["effective_group_rate"], float(np.mean(rest.counts > 0))
    require("one group", rate == expected, f"{rate} of the groups are effective, {expected} are")


def _check_determinism(factory: AllocatorFactory) -> None:
    one, other = _allocator(factory, seed=3), _allocator(factory, seed=3)
    for request in _requests(one):
        same = all(map(_equal, _played(one, **request), _played(other, **request)))
        require("determinism", same, "equal allocators differ; draw from the seed alone")


def _check_equivariance(factory: AllocatorFactory) -> None:
    one, other = _allocator(factory), _allocator(factory)
    for allocator in (one, other):
        for start in range(0, PROMPTS, BATCH):
            _played(allocator, row_ids=range(start, start + BATCH), total=_total(allocator))
    rows = np.arange(0, PROMPTS, PROMPTS // BATCH)
    shuffled = np.random.default_rng(0).permutation(rows)
    counts: list[IntArray] = []
    for allocator, candidates in ((one, rows), (other, shuffled)):
        first = allocator.allocate(candidates, total=_total(allocator))
        won = candidates % 3 % (first.counts + 1)
        allocator.observe(RolloutOutcomes(candidates, won, first.counts - won))
        counts.append((first.counts + allocator.commit().counts)[np.argsort(candidates)])
    straight, back = counts
    require("equivariance", np.array_equal(straight, back), f"{straight} in one order, {back} in another")


def _check_round_trip(factory: AllocatorFactory) -> None:
    """Saved and loaded before the pilot, after it, among its rewards, before the rest and after it."""
    straight, stopped = _allocator(factory), _allocator(factory)

    def reloaded(allocator: PilotAllocator) -> PilotAllocator:
        state, fresh = allocator.state_dict(), _allocator(factory)
        for name, value in state.items():
            plain = isinstance(value, (int, float)) or (isinstance(value, np.ndarray) and value.dtype.kind in "iufb")
            require("round trip", plain, f"state entry {name!r} is a {type(value).__name__}, not a plain array")
        fresh.load_state_dict(state)
        return fresh

    for request in _requests(straight):
        first, same = straight.allocate(**request), stopped.allocate(**request)
        require("round trip", _equal(first, same), f"a reloaded allocator deals the pilot of {first.round} differently")
        for part in (slice(2), slice(2, None)):
            stopped = reloaded(stopped)
            for allocator in (straight, stopped):
                allocator.observe(part_of(outcomes_of(first), part))
        stopped = reloaded(stopped)
        rest, same = straight.commit(), stopped.commit()
        require("round trip", _equal(rest, same), f"a reloaded allocator deals the rest of {rest.round} differently")
        stopped = reloaded(stopped)
        for allocator in (straight, stopped):
            allocator.observe(outcomes_of(rest))
    require("round trip", same_state(straight.state_dict(), stopped.state_dict()), "the states differ in the end")


def _check_refunds(factory: AllocatorFactory) -> None:
    """What was never generated of a pilot is given back, and the rest is dealt all the same."""
    allocator, dealt = _allocator(factory), np.zeros(PROMPTS, dtype=np.int64)
    for request in _requests(allocator):
        first = allocator.allocate(**request)
        lost = np.where(first.prompt_ids % 3 == 0, first.counts, 0)
        seen = Allocation(first.round, first.prompt_ids, first.counts - lost)
        allocator.refund(first.prompt_ids, lost, round=first.round)
        allocator.observe(outcomes_of(seen))
        rest = allocator.commit()
        exact = request.get("total") is None or rest.total == first.to_commit
        require("refunds", exact, f"{rest.total} of {first.to_commit} are dealt")
        dealt[first.prompt_ids] += seen.counts + rest.counts
        check_books(allocator, dealt, f"after a refund in round {first.round}")
        whole = seen.counts + rest.counts
        require("refunds", bool((whole != 1).all()) or (allocator.config.pilot == 1), f"a group of one in {whole}")


def _check_isolation(factory: AllocatorFactory) -> None:
    allocator = _allocator(factory)
    first = allocator.allocate(range(BATCH), total=_total(allocator))
    state, before = allocator.state_dict(), allocator.state_dict()
    for array in (first.prompt_ids, first.counts, *state.values()):
        if isinstance(array, np.ndarray):
            array[...] = 0
    require("isolation", same_state(allocator.state_dict(), before), "an array that was handed out is the state itself")


def _check_refusals(factory: AllocatorFactory) -> None:
    allocator = _allocator(factory)
    total, pilot = _total(allocator), allocator.config.pilot or 0
    unit = getattr(allocator.config, "rollouts_per_unit", 1)

    refuse = partial(check_refused, allocator)

    rows = range(BATCH)
    refuse("a rest before any pilot", PilotError, allocator.commit)
    refuse("a pilot that leaves nothing", BudgetError, lambda: allocator.allocate(rows, total=BATCH * pilot))
    refuse("a round too small for a pilot", BudgetError, lambda: allocator.allocate(rows, total=unit))
    refuse("more than remains", BudgetError, lambda: allocator.allocate(range(PROMPTS), total=BUDGET + 48))
    first = allocator.allocate(rows, total=total)
    refuse("a rest before the pilot's rewards", PilotError, allocator.commit)
    allocator.observe(part_of(outcomes_of(first), slice(2)))
    refuse("a rest before all of them", PilotError, allocator.commit)
    refuse("a round before the rest of this one", PilotError, lambda: allocator.allocate(rows, total=total))
    refuse("a row beyond the pool", PromptError, lambda: allocator.observe(RolloutOutcomes([PROMPTS], [1], [0])))
    allocator.observe(part_of(outcomes_of(first), slice(2, None)))
    refuse("the rest of another round", PilotError, lambda: allocator.commit(first.round + 1))
    refuse("rewards twice", InvalidOutcomeError, lambda: allocator.observe(outcomes_of(first)))
    state = allocator.state_dict()
    for name in state:
        if np.asarray(state[name]).dtype.kind == "f" and np.size(state[name]):
            load = partial(allocator.load_state_dict, state | {name: state[name] * np.nan})
            refuse(f"a state with NaN in {name}", CheckpointError, load)
    allocator.commit()
    refuse("a rest twice", PilotError, allocator.commit)
    allocator.allocate(rows, total=total)  # and on it goes


PILOT_CHECKS: tuple[Callable[[AllocatorFactory], None], ...] = (
    _check_waves,
    _check_one_group,
    _check_determinism,
    _check_equivariance,
    _check_round_trip,
    _check_refunds,
    _check_isolation,
    _check_refusals,
)
