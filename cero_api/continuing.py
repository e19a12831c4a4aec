"""A training that goes on: as it was, or with another length than it was planned for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cero_api.allocators import BaseAllocator
from cero_api.config import AllocatorConfig
from cero_api.errors import CheckpointError
from cero_api.protocol import RolloutAllocator


def continued(saved: RolloutAllocator, config: AllocatorConfig) -> RolloutAllocator:
    r"""An allocator with this configuration that goes on where `saved` stands.

    With an equal configuration it is a copy. Otherwise only the length of the training may differ, and what depends on
    it (`config.replanned`: rounds and budget, and for CERO its capacity and pacing). Rounds and budget are those of the
    whole training, what is dealt and spent already included.

    Kept: evidence and posterior, exposure, the ledger with all that is still out, walks, prices. Planned anew: what is
    left of the budget is spread over the rounds that are left, by every method that spreads evenly, by the mean round
    that CERO's budget price steers at, and by the capacity that follows from it. The reference exposure $R$ and the
    size of the duals' steps, $\gamma = 1/\sqrt K$, are those of the whole training. Where exposures and not dual steps
    set CERO's prices (selection "marginal"), they are set anew by the new $R$; dual prices are about shares of $R$, and
    stay.

    To go on in place: `allocator.load_state_dict(continued(saved, allocator.config).state_dict())`.

    Args:
        saved: of any class whose constructor takes its configuration; another length needs a `BaseAllocator`.
        config: of the same class as `saved.config`.

    Returns:
        a new allocator; `saved` is unchanged.

    Raises:
        CheckpointError: another field differs (the message names those alone), or more is dealt or spent already than
            the new length allows.
        ConfigurationError: no training can have that length.

    >>> from cero_api import make_allocator
    >>> allocator = make_allocator("uniform", num_prompts=4, rounds=3, budget=24, rollouts_per_prompt=4)
    >>> [allocator.allocate().total for _ in range(3)], allocator.allocate().total
    ([8, 8, 8], 0)
    >>> longer = continued(allocator, allocator.config.model_copy(update={"rounds": 6, "budget": 44}))
    >>> [longer.allocate().total for _ in range(2)], longer.metrics()["budget_remaining"]
    ([10, 10], 0.0)
    """
    before = saved.config
    foreign = [] if type(before) is not type(config) else _differing(before, config) - config.replanned
    if type(before) is not type(config) or foreign:
        raise CheckpointError(
            f"the saved allocator has {differences(before, config, foreign)}; resume with the settings of that "
            f"training, of which only {', '.join(sorted(config.replanned))} may change, or begin a new allocator"
        )
    kind: Any = type(saved)
    known = getattr(saved, "knowledge", None)

    def make(config: AllocatorConfig) -> Any:
        return kind(config, known) if known else kind(config)

    state = saved.state_dict()
    if before == config:
        same: RolloutAllocator = make(config)
        same.load_state_dict(state)
        return same
    if not isinstance(saved, BaseAllocator):
        raise CheckpointError(
            f"the saved allocator has {differences(before, config)}, and a {type(saved).__name__} cannot change its "
            "length; resume with the length of that training, or derive the class from cero_api.BaseAllocator"
        )
    rounds, spent = state["round"], state["ledger.spent"]
    if config.rounds < rounds or config.budget < spent:
        raise CheckpointError(
            f"{rounds} rounds are dealt and {spent} rollouts spent already, more than rounds={config.rounds} and "
            f"budget={config.budget}; both are of the whole training, so give at least these"
        )
    # Checked anew: config.model_copy(update=...), the short way to another length, checks nothing.
    allocator: BaseAllocator[Any, Any] = make(type(config)(**config.model_dump()))
    allocator.load_state_dict(
        state | {"ledger.budget": config.budget, "plan.round": rounds, "plan.spent": spent},
    )
    allocator._replanned(before)
    return allocator


def differences(saved: AllocatorConfig, now: AllocatorConfig, fields: Iterable[str] | None = None) -> str:
    """The fields that differ, as `name=was (now is)`; empty if the two are equal.

    Args:
        saved: configuration.
        now: present one.
        fields: to speak of; None is all of them.

    >>> from cero_api import CeroConfig, UniformConfig
    >>> common = {"num_prompts": 8, "budget": 64}
    >>> differences(UniformConfig(rounds=4, **common), UniformConfig(rounds=5, **common))
    'rounds=4 (now 5)'
    >>> differences(UniformConfig(rounds=4, **common), CeroConfig(rounds=4, **common))
    'a UniformConfig (now a CeroConfig)'
    """
    if type(saved) is not type(now):
        return f"a {type(saved).__name__} (now a {type(now).__name__})"
    differ = _differing(saved, now) if fields is None else set(fields)
    names = [name for name in type(now).model_fields if name in differ]
    return ", ".join(f"{name}={getattr(saved, name)} (now {getattr(now, name)})" for name in names)


def _differing(one: AllocatorConfig, other: AllocatorConfig) -> set[str]:
    return {name for name in type(one).model_fields if getattr(one, name) != getattr(other, name)}
