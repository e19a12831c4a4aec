"""What the checks of the contract share: sizes, requests, rewards, and what must hold after every call."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np

from cero_api._types import IntArray
from cero_api.errors import CeroError
from cero_api.protocol import Allocation, RolloutAllocator, RolloutOutcomes

PROMPTS, ROUNDS, BUDGET = 24, 30, 1440
BATCH, TOTAL = 6, 30  # candidates of a round, and the rollouts they share


class ContractError(CeroError, AssertionError):
    """An allocator breaks its contract; the message says which clause, and how."""


class AllocatorFactory(Protocol):
    """Makes an allocator of the given size; every call with the same arguments an equal one."""

    def __call__(self, *, num_prompts: int, rounds: int, budget: int, seed: int) -> RolloutAllocator:
        """A new allocator."""
        ...


def made(factory: AllocatorFactory, seed: int = 0) -> RolloutAllocator:
    """A new allocator of the checks' size."""
    return factory(num_prompts=PROMPTS, rounds=ROUNDS, budget=BUDGET, seed=seed)


def require(clause: str, holds: bool | np.bool_, found: str) -> None:
    """Raise ContractError unless a clause holds."""
    if not holds:
        raise ContractError(f"{clause}: {found}; see cero_api.RolloutAllocator")


def requests() -> Iterator[dict[str, Any]]:
    """What a run asks for: the pool, candidates, and candidates with an exact total, in turn."""
    rng = np.random.default_rng(0)
    for k in range(ROUNDS):
        rows = rng.choice(PROMPTS, size=BATCH, replace=False)
        yield ({}, {"row_ids": rows}, {"row_ids": rows, "total": TOTAL})[k % 3]


def outcomes_of(allocation: Allocation) -> RolloutOutcomes:
    """Rewards that differ from prompt to prompt and from round to round; every fourth round's are graded."""
    rng = np.random.default_rng(allocation.round)
    won = rng.binomial(allocation.counts, np.linspace(0.0, 1.0, PROMPTS)[allocation.prompt_ids])
    if allocation.round % 4 < 3:
        return RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round)
    half = won / 2  # successes are halves here
    return RolloutOutcomes(
        allocation.prompt_ids, half, allocation.counts - half, round=allocation.round, squares=half / 2
    )


def part_of(outcomes: RolloutOutcomes, rows: slice) -> RolloutOutcomes:
    """Those of some prompts."""
    ids, won, lost = outcomes.prompt_ids[rows], outcomes.successes[rows], outcomes.failures[rows]
    return RolloutOutcomes(ids, won, lost, round=outcomes.round, squares=outcomes.squares[rows])


def same_state(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two states have equal entries."""
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def check_refused(allocator: RolloutAllocator, what: str, error: type[CeroError], call: Callable[[], object]) -> None:
    """A call raises this error, and leaves the state as it was."""
    before = allocator.state_dict()
    try:
        call()
    except error:
        pass
    else:
        raise ContractError(f"refusals: {what} is accepted; raise {error.__name__} and change nothing")
    require("refusals", same_state(allocator.state_dict(), before), f"refusing {what} changed the state")


def check_books(allocator: RolloutAllocator, dealt: IntArray, when: str) -> None:
    """Budget identity and exposure, where so much has been dealt to each prompt."""
    metrics, budget = allocator.metrics(), allocator.config.budget
    spent, remaining = metrics["budget_spent"], metrics["budget_remaining"]
    require("budget identity", spent + remaining == budget, f"{spent} + {remaining} is not {budget} {when}")
    require("budget identity", spent == dealt.sum(), f"{spent} spent, {dealt.sum()} dealt {when}")
    require("budget identity", remaining >= 0, f"{remaining} remain {when}")
    require("exposure", np.array_equal(allocator.exposure(), dealt), f"it is not what was dealt {when}")
