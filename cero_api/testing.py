"""The contract of an allocator as executable checks, for the built-in ones and for anybody's own."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from cero_api.allocators import BUILT_IN, make_allocator
from cero_api.contract import (
    BATCH,
    BUDGET,
    ROUNDS,
    TOTAL,
    AllocatorFactory,
    ContractError,
    check_books,
    check_refused,
    made,
    outcomes_of,
    part_of,
    requests,
    require,
    same_state,
)
from cero_api.contract import PROMPTS as PROMPTS  # known under this address, too
from cero_api.contract_pilot import PILOT_CHECKS
from cero_api.errors import BudgetError, CeroError, CeroWarning, CheckpointError, InvalidOutcomeError, PromptError
from cero_api.protocol import Allocation, RolloutAllocator, RolloutOutcomes

__all__ = ["AllocatorFactory", "ContractError", "check_allocator", "check_request"]


def check_allocator(factory: AllocatorFactory) -> None:
    """Check the whole contract of `RolloutAllocator`, on seeded runs of a small pool.

    Budget identity, exact totals however small, floors and caps, determinism, equivariance to the order of candidates,
    state round trip, inputs and state kept apart, asynchronous, late, partial and missing outcomes, refunds, and
    refusals that change nothing, of other allocators' states among them. With a `pilot`, the same of rounds in two
    waves: one round, one group a prompt, the exact total over both, a state between them.

    Args:
        factory: makes the allocator; usually `lambda **size: MyAllocator(MyConfig(**size))`.

    Raises:
        ContractError: a clause is broken.

    >>> from cero_api import make_allocator
    >>> check_allocator(lambda **size: make_allocator("uniform", **size))
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CeroWarning)  # some rounds here leave nothing to decide, on purpose
        for check in CHECKS if made(factory).config.pilot is None else PILOT_CHECKS:
            check(factory)


def check_request(
    allocator: RolloutAllocator, row_ids: ArrayLike | None = None, total: int | None = None
) -> Allocation | None:
    """Ask an allocator for one round, and check what comes of it.

    Exactly the total, within floor and cap (which give way only where the budget ends), in the candidates' order and on
    the books; or a `BudgetError`, and nothing has changed.

    Args:
        allocator: whose round it is.
        row_ids: int `[P]`, the candidates; None is the whole pool.
        total: rollouts; None leaves it to the method.

    Returns:
        The allocation; None if it was refused.

    Raises:
        ContractError: a clause is broken.

    >>> from cero_api import make_allocator
    >>> check_request(make_allocator("vip", num_prompts=9, rounds=3, budget=72), total=2) is None  # its floor is 3
    True
    """
    before, dealt = allocator.state_dict(), allocator.exposure().copy()
    round, left = allocator.metrics()["round"], allocator.metrics()["budget_remaining"]
    rows = None if row_ids is None else np.asarray(row_ids, dtype=np.int64)
    floor, cap = allocator.config.limits(None if rows is None else rows.size, total)
    what = f"asked for {total} rollouts of {'the pool' if rows is None else rows}"
    try:
        allocation = allocator.allocate(rows, total)
    except BudgetError as error:
        require("refusals", same_state(allocator.state_dict(), before), f"{error!r} changed the state, {what}")
        return None
    ids, counts = allocation.prompt_ids, allocation.counts
    require("round", allocation.round == round, f"round {round:.0f} is called {allocation.round}")
    require("counts", ids.shape == counts.shape and (counts >= 0).all(), f"{counts} for {ids}, {what}")
    require("counts", np.unique(ids).size == ids.size, f"a prompt twice in {ids}, {what}")
    if rows is None:
        require("pool", (counts > 0).all(), f"admitted prompts with counts {counts}, {what}")
    else:
        require("candidates", np.array_equal(ids, rows), f"{ids} instead of {rows}, in this order")
    # A method may also pass a whole round over, where the round's size is its own.
    free = total is None and (counts.sum() in (0, left) or (rows is not None and left < floor * rows.size))
    require("floors and caps", (counts >= floor).all() or free, f"{counts} goes below {floor} a prompt, {what}")
    require("floors and caps", (counts <= cap).all(), f"{counts} exceeds {cap} a prompt, {what}")
    require("exact totals", total in (None, counts.sum()), f"{counts.sum()} dealt, {what}")
    dealt[ids] += counts
    check_books(allocator, dealt, f"after round {round:.0f}")
    return allocation


def _check_allocations(factory: AllocatorFactory) -> None:
    allocator, dealt = made(factory), np.zeros(PROMPTS, dtype=np.int64)
    for k, request in enumerate(requests()):
        allocation = check_request(allocator, **request)
        if allocation is None:
            raise ContractError(f"exact totals: {request} is refused in round {k}; see cero_api.RolloutAllocator")
        dealt[allocation.prompt_ids] += allocation.counts
        allocator.observe(outcomes_of(allocation))
        check_books(allocator, dealt, f"after the rewards of round {k}")
    for total in (None, 0):
        nothing = allocator.allocate([], total)
        require("candidates", nothing.counts.size == 0, f"{nothing.counts} for no candidates")
    for _ in range(10 * ROUNDS):
        allocator.allocate()
    left = allocator.metrics()["budget_remaining"]
    require("budget", left == 0 or allocator.allocate().total > 0, f"{left} remain and are not dealt")


def _check_small_requests(factory: AllocatorFactory) -> None:
    """Few candidates and few rollouts, where floors, caps and groups of one meet; over the pool, too."""
    for seed in range(4):
        allocator, rng = made(factory, seed), np.random.default_rng(seed)
        for total in [*range(20), None]:
            for candidates in (None, 1, 2, 3):
                rows = None if candidates is None else rng.choice(PROMPTS, size=candidates, replace=False)
                allocation = check_request(allocator, rows, total)
                if allocation is not None:
                    allocator.observe(outcomes_of(allocation))
        share = allocator.metrics().get("decidable", 0.0)
        require("decidable", 0.0 <= share <= 1.0, f"{share} is no share of a round")


def _check_determinism(factory: AllocatorFactory) -> None:
    np.random.seed(1)  # noqa: NPY002 - the global state is what must not matter
    one, other = made(factory, seed=3), made(factory, seed=3)
    for request in requests():
        np.random.random()  # noqa: NPY002 - likewise
        first, second = one.allocate(**request), other.allocate(**request)
        same = np.array_equal(first.prompt_ids, second.prompt_ids) and np.array_equal(first.counts, second.counts)
        require("determinism", same, f"equal allocators differ in round {first.round}; draw from the seed alone")
        one.observe(outcomes_of(first))
        other.observe(outcomes_of(first))


def _check_equivariance(factory: AllocatorFactory) -> None:
    one, other, unit = made(factory), made(factory), 1
    for allocator in (one, other):
        unit = getattr(allocator.config, "rollouts_per_unit", 1)
        for start in range(0, PROMPTS, BATCH):
            allocator.observe(outcomes_of(allocator.allocate(range(start, start + BATCH), total=TOTAL)))
    rows = np.arange(0, PROMPTS, 3)
    shuffled = np.random.default_rng(0).permutation(rows)
    straight = one.allocate(rows, total=TOTAL).counts
    back = other.allocate(shuffled, total=TOTAL).counts[np.argsort(shuffled)]
    # Between equals the order may decide, over one unit.
    require(
        "equivariance",
        np.array_equal(np.sort(straight), np.sort(back)) and (np.abs(straight - back) <= unit).all(),
        f"{straight} in one order of the candidates, {back} in another",
    )


def _check_round_trip(factory: AllocatorFactory) -> None:
    straight, stopped = made(factory), made(factory)
    late: RolloutOutcomes | None = None
    for request in requests():
        first, second = straight.allocate(**request), stopped.allocate(**request)
        same = np.array_equal(first.prompt_ids, second.prompt_ids) and np.array_equal(first.counts, second.counts)
        require("round trip", same, f"a reloaded allocator deals round {first.round} differently")
        outcomes = outcomes_of(first)
        for allocator in (straight, stopped):
            allocator.observe(part_of(outcomes, slice(2, None)))
            if late is not None:
                allocator.observe(late)
        late = part_of(outcomes, slice(2))
        state = stopped.state_dict()
        for name, value in state.items():
            plain = isinstance(value, (int, float)) or (isinstance(value, np.ndarray) and value.dtype.kind in "iufb")
            require("round trip", plain, f"state entry {name!r} is a {type(value).__name__}, not a plain array")
        stopped = made(factory)
        stopped.load_state_dict(state)
    require("round trip", same_state(straight.state_dict(), stopped.state_dict()), "the states differ in the end")


def _check_isolation(factory: AllocatorFactory) -> None:
    allocator, rows = made(factory), np.array([3, 1, 2])
    allocation = allocator.allocate(rows)
    outcomes = outcomes_of(allocation)
    given = (rows, outcomes.prompt_ids, outcomes.successes, outcomes.failures, outcomes.squares)
    kept = copy.deepcopy(given)
    allocator.observe(outcomes)
    unmutated = all(np.array_equal(now, before) for now, before in zip(given, kept, strict=True))
    require("isolation", unmutated, "an array that was passed in has changed")
    state, before = allocator.state_dict(), allocator.state_dict()
    taken = (allocator.exposure(), allocator.success_rate(), allocation.counts, allocation.prompt_ids, rows)
    for array in (*taken, *state.values()):
        if isinstance(array, np.ndarray):
            array[...] = 0
    require("isolation", same_state(allocator.state_dict(), before), "an array that was handed out is the state itself")


def _check_asynchrony(factory: AllocatorFactory) -> None:
    allocator, dealt = made(factory), np.zeros(PROMPTS, dtype=np.int64)
    allocations = []
    for request in list(requests())[:9]:  # allocate never waits for rewards
        allocations.append(allocator.allocate(**request))
        np.add.at(dealt, allocations[-1].prompt_ids, allocations[-1].counts)
    for allocation in allocations[::-2]:  # late, out of order, in two parts, and every second one missing
        outcomes = outcomes_of(allocation)
        allocator.observe(part_of(outcomes, slice(3, None)))
        allocator.observe(part_of(outcomes, slice(3)))
        check_books(allocator, dealt, f"after the late rewards of round {allocation.round}")
    allocator = made(factory)
    late, believed = allocator.allocate(range(BATCH)), allocator.success_rate()
    allocator.allocate(range(BATCH, 2 * BATCH))
    allocator.observe(outcomes_of(late))
    moved = not np.array_equal(allocator.success_rate(), believed)
    require("late outcomes", moved, "success_rate() took no notice of them")


def _check_refunds(factory: AllocatorFactory) -> None:
    allocator, dealt = made(factory), np.zeros(PROMPTS, dtype=np.int64)
    lost = 0
    for request in requests():
        allocation = allocator.allocate(**request)
        failed = np.minimum(allocation.counts, allocation.prompt_ids % 3)
        allocator.refund(allocation.prompt_ids, failed, round=allocation.round)
        dealt[allocation.prompt_ids] += allocation.counts - failed
        lost += int(failed.sum())
        check_books(allocator, dealt, f"after a refund in round {allocation.round}")
    refunded = allocator.metrics()["budget_refunded"]
    require("refunds", refunded == lost, f"{refunded} booked, {lost} refunded")


def _check_refusals(factory: AllocatorFactory) -> None:
    allocator = made(factory)
    allocation = allocator.allocate([3, 1, 2])
    allocator.observe(outcomes_of(allocation))
    before = allocator.state_dict()
    damaged = before | {name: before[name] * np.nan for name in before if np.asarray(before[name]).dtype.kind == "f"}
    size = {"num_prompts": PROMPTS, "rounds": ROUNDS, "budget": BUDGET}
    others = {name: make_allocator(name, **size) for name in BUILT_IN}
    foreign: dict[str, tuple[type[CeroError], Callable[[], object]]] = {
        f"the state of {name}": (CheckpointError, partial(allocator.load_state_dict, other.state_dict()))
        for name, other in others.items()
        if type(other) is not type(allocator)
    }
    refused: dict[str, tuple[type[CeroError], Callable[[], object]]] = foreign | {
        "a row beyond the pool": (PromptError, lambda: allocator.allocate([PROMPTS])),
        "a negative row": (PromptError, lambda: allocator.allocate([-1])),
        "a candidate twice": (PromptError, lambda: allocator.allocate([2, 2])),
        "more than remains": (BudgetError, lambda: allocator.allocate(range(PROMPTS), total=BUDGET + 48)),
        "outcomes beyond the pool": (PromptError, lambda: allocator.observe(RolloutOutcomes([PROMPTS], [1], [0]))),
        "outcomes reported twice": (InvalidOutcomeError, lambda: allocator.observe(outcomes_of(allocation))),
        "outcomes never dealt": (InvalidOutcomeError, lambda: allocator.observe(RolloutOutcomes([9], [1], [0]))),
        "outcomes of a round to come": (
            InvalidOutcomeError,
            lambda: allocator.observe(RolloutOutcomes([3], [1], [0], round=1)),
        ),
        "a refund of reported rollouts": (InvalidOutcomeError, lambda: allocator.refund([3], [1])),
        "an empty state": (CheckpointError, lambda: allocator.load_state_dict({})),
        "a state with one entry more": (CheckpointError, lambda: allocator.load_state_dict(before | {"more": 1})),
        "a state with NaN": (CheckpointError, lambda: allocator.load_state_dict(damaged)),
    }
    for what, (error, call) in refused.items():
        check_refused(allocator, what, error, call)


CHECKS: tuple[Callable[[AllocatorFactory], None], ...] = (
    _check_allocations,
    _check_determinism,
    _check_equivariance,
    _check_round_trip,
    _check_isolation,
    _check_asynchrony,
    _check_refunds,
    _check_refusals,
    _check_small_requests,
)
