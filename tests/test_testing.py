"""The contract tests pass every built-in allocator, and find out the broken ones."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from cero_api import (
    Allocation,
    RolloutAllocator,
    RolloutOutcomes,
    UniformAllocator,
    UniformConfig,
    available_allocators,
    check_allocator,
    make_allocator,
)
from cero_api.testing import ContractError

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in available_allocators(waves=1)},
    "cero, units of 2": ("cero", {"rollouts_per_unit": 2}),
    "cero, marginal": ("cero", {"selection": "marginal"}),
    "cero, dual": ("cero", {"selection": "dual"}),
    "cero, fixed": ("cero", {"pacing": "fixed"}),
    "cero, forgetful": ("cero", {"forgetting": 0.9}),
    "cero, forgetful at visits": ("cero", {"forgetting": 0.9, "forgetting_clock": "visit"}),
    "vip, rloo": ("vip", {"estimator": "rloo"}),
    "mopps, pool": ("mopps", {"offer": "pool"}),
    "greso, window": ("greso", {"offer": "window", "window": 2}),
}


@pytest.mark.parametrize(("name", "options"), VARIANTS.values(), ids=VARIANTS.keys())
def test_every_built_in_keeps_the_contract(name: str, options: dict[str, Any]) -> None:
    check_allocator(lambda **size: make_allocator(name, **size, **options))


class Overspending(UniformAllocator):
    """Deals one rollout more than it books."""

    def allocate(self, row_ids: ArrayLike | None = None, total: int | None = None) -> Allocation:
        allocation = super().allocate(row_ids, total)
        if allocation.counts.size:
            allocation.counts[0] += 1
        return allocation


class Random(UniformAllocator):
    """Draws on the global random state."""

    def allocate(self, row_ids: ArrayLike | None = None, total: int | None = None) -> Allocation:
        if row_ids is None:
            row_ids = np.random.permutation(self.config.num_prompts)[:6]  # noqa: NPY002 - what is broken about it
            allocation = super().allocate(row_ids)
            return Allocation(allocation.round, allocation.prompt_ids, allocation.counts)
        return super().allocate(row_ids, total)


class Forgetful(UniformAllocator):
    """Leaves where the walk stands out of its state."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self._state.walk.cursor = 0


class Shared(UniformAllocator):
    """Hands its state out instead of a copy."""

    def exposure(self) -> np.ndarray:
        return self._state.exposure


class Deaf(UniformAllocator):
    """Ignores rewards that come late."""

    def observe(self, outcomes: RolloutOutcomes) -> None:
        if outcomes.round == self._state.round - 1:
            super().observe(outcomes)


class Lenient(UniformAllocator):
    """Books outcomes that it never dealt."""

    def observe(self, outcomes: RolloutOutcomes) -> None:
        try:
            super().observe(outcomes)
        except ValueError:
            self._state.successes[outcomes.prompt_ids] += outcomes.successes


class OrderMatters(UniformAllocator):
    """Gives the first candidate most."""

    def _deal(self, rows: np.ndarray | None, total: int | None) -> tuple[np.ndarray, np.ndarray]:
        ids, counts = super()._deal(rows, total)
        if rows is not None and counts.size > 1 and counts[1] > 3:
            counts[0] += 2
            counts[1] -= 2
        return ids, counts


class Miserly(UniformAllocator):
    """Keeps the refunds."""

    def refund(self, prompt_ids: ArrayLike, counts: ArrayLike, round: int | None = None) -> None:
        return


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (Overspending, "budget identity|exact totals"),
        (Random, "determinism"),
        (Forgetful, "round trip"),
        (Shared, "isolation"),
        (Deaf, "late outcomes"),
        (Lenient, "refusals"),
        (OrderMatters, "equivariance"),
        (Miserly, "budget identity"),
    ],
)
def test_broken_allocators_are_found_out(broken: Callable[[UniformConfig], RolloutAllocator], clause: str) -> None:
    with pytest.raises(ContractError, match=clause):
        check_allocator(lambda **size: broken(UniformConfig(**size)))
