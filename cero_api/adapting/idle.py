"""Settings with which nothing can be decided: said at the start of a training, with the remedy."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from cero_api.adapting.defaults import RoundShape
from cero_api.adapting.starting import informed as is_informed
from cero_api.adapting.starting import limits
from cero_api.allocators import BaseAllocator
from cero_api.config import AllocatorConfig
from cero_api.protocol import RolloutAllocator


def keyword(setting: str) -> str:
    """How an option is written where options are keywords: of the trainer, or of its `allocator_config`.

    >>> keyword("scope=window"), keyword("min_rollouts_per_prompt=0")
    ('scope="window"', 'allocator_config={"min_rollouts_per_prompt": 0}')
    """
    name, _, value = setting.partition("=")
    if name == "scope":
        return f'{name}="{value}"'
    return f'allocator_config={{"{name}": {value or "..."}}}'


def idle_reasons(
    config: AllocatorConfig, shape: RoundShape, *, informed: bool, option: Callable[[str], str] = keyword
) -> list[str]:
    """Why an allocator has nothing, or little, to decide in a training; each with what to do about it.

    Args:
        config: of the allocator.
        shape: of the training. Its largest round is taken for every round, its budget for the visits that there are.
        informed: whether anything is known of a prompt before its first visit (features, offline pass rates).
        option: how the trainer's users write an option of this library, for the remedies.

    Returns:
        Sentences; none if something can be decided from the first round on, or if equal counts are what the method is
        for.

    >>> from cero_api import CeroConfig
    >>> shape = RoundShape(num_prompts=64, rounds=24, budget=384, group_size=2, largest=16)
    >>> idle_reasons(CeroConfig(num_prompts=64, rounds=24, budget=384), shape, informed=False)
    ['groups have 2 rollouts on average and at least 2, so all counts are equal; raise the group size, or ...']
    """
    mean, scope, batch = shape.group_size, shape.scope, shape.largest // shape.group_size
    bounds = limits(config, mean if scope == "batch" else None)
    if bounds is None:
        return []
    reasons = []
    wide, low = option("scope=window"), option("min_rollouts_per_prompt=0")
    if scope == "batch":
        if batch == 1:
            reasons.append(
                f"a batch has one prompt, which gets all of its rollouts; give it more prompts, or choose them: {wide}"
            )
        elif mean <= bounds.floor:
            reasons.append(
                f"groups have {mean} rollouts on average and at least {bounds.floor}, so all counts are equal; raise "
                f"the group size, or choose among more prompts than fit: {wide} (or {low}, to pass prompts over)"
            )
        elif mean >= bounds.cap:
            reasons.append(
                f"groups have {mean} rollouts on average and at most {bounds.cap}, so all counts are equal; raise "
                f"{option('max_rollouts_per_prompt')} where there is one, or choose among more prompts than fit: {wide}"
            )
        elif shape.visits <= 1 and not informed and config.pilot is None:
            reasons.append(
                "every prompt is visited once, and nothing is known of it before, so all counts are equal; choose "
                f"among more prompts than fit ({wide}), and give what is known of them (features, offline pass "
                "rates), or train for more epochs"
            )
    elif shape.num_prompts * bounds.cap <= shape.largest:
        reasons.append(
            f"the {shape.num_prompts} prompts of the pool all fit into a round at {bounds.cap} rollouts each, so there "
            "is nobody to choose among; lower the batch, or give more prompts"
        )
    return reasons


def warn_of_idleness(
    allocator: RolloutAllocator, shape: RoundShape, *, option: Callable[[str], str] = keyword, stacklevel: int = 2
) -> bool:
    """Warn of settings with which the allocator has nothing to decide; its first round then need not say so as well.

    Args:
        allocator: of the training, as it begins.
        shape: of the training; see `idle_reasons`.
        option: how the trainer's users write an option of this library.
        stacklevel: of whoever is to look at it; see `warnings.warn`.

    Returns:
        whether it did.
    """
    reasons = idle_reasons(allocator.config, shape, informed=is_informed(allocator), option=option)
    for reason in reasons:
        warnings.warn(f"the allocator can decide nothing: {reason}", stacklevel=stacklevel + 1)
    if reasons and isinstance(allocator, BaseAllocator):
        allocator.idleness_is_known()
    return bool(reasons)
