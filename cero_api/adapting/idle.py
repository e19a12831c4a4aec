"""Settings with which nothing can be decided: said at the start of a training, with the remedy."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from cero_api.allocators import BaseAllocator
from cero_api.protocol import RolloutAllocator


def idle_reasons(
    *,
    scope: str,
    mean: int,
    floor: int,
    cap: int,
    batch: int,
    num_prompts: int,
    epochs: float,
    informed: bool,
    option: Callable[[str], str] = str,
) -> list[str]:
    """Why an allocator has nothing, or little, to decide in this training; each with what to do about it.

    Args:
        scope: "batch", "window" or "pool".
        mean: rollouts per prompt, on average: the trainer's group size.
        floor: least rollouts of a prompt that is dealt to.
        cap: most rollouts of a prompt.
        batch: prompts of a round.
        num_prompts: in the pool.
        epochs: passes over the pool.
        informed: whether anything is known of a prompt before its first visit (features, offline pass rates).
        option: how the trainer's users write an option of this library, for the remedies.

    Returns:
        Sentences; none if the training is one in which something can be decided from the first round on.

    >>> idle_reasons(scope="batch", mean=2, floor=2, cap=4, batch=8, num_prompts=64, epochs=3, informed=False)
    ['groups have 2 rollouts on average and at least 2, so all counts are equal; raise the group size, or ...']
    """
    reasons = []
    wide, low = option("scope=window"), option("min_rollouts_per_prompt=0")
    if scope == "batch":
        if batch == 1:
            reasons.append(
                f"a batch has one prompt, which gets all of its rollouts; give it more prompts, or choose them: {wide}"
            )
        elif mean <= floor:
            reasons.append(
                f"groups have {mean} rollouts on average and at least {floor}, so all counts are equal; raise the "
                f"group size, or choose among more prompts than fit: {wide} (or {low}, to pass prompts over)"
            )
        elif mean >= cap:
            reasons.append(
                f"groups have {mean} rollouts on average and at most {cap}, so all counts are equal; raise "
                f"{option('max_rollouts_per_prompt')} where there is one, or choose among more prompts than fit: {wide}"
            )
        elif epochs <= 1 and not informed:
            reasons.append(
                "every prompt is visited once, and nothing is known of it before, so all counts are equal; choose "
                f"among more prompts than fit ({wide}), and give what is known of them (features, offline pass "
                "rates), or train for more epochs"
            )
    elif num_prompts * cap <= batch * mean:
        reasons.append(
            f"the {num_prompts} prompts of the pool all fit into a round at {cap} rollouts each, so there is nobody to "
            "choose among; lower the batch, or give more prompts"
        )
    return reasons


def warn_if_idle(reasons: list[str], stacklevel: int = 2, allocator: RolloutAllocator | None = None) -> None:
    """Warn once for each reason, in the words of the trainer's users; the allocator's first round then need not.

    Args:
        reasons: see `idle_reasons`.
        stacklevel: of whoever is to look at it; see `warnings.warn`.
        allocator: of the training; None is in another process.
    """
    for reason in reasons:
        warnings.warn(f"the allocator can decide nothing: {reason}", stacklevel=stacklevel + 1)
    if reasons and isinstance(allocator, BaseAllocator):
        allocator.idleness_is_known()
