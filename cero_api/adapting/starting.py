"""What an allocator says of itself where a training starts: bounds, what it knows, and one line of both."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cero_api.config import AllocatorConfig, GroupConfig
from cero_api.protocol import RolloutAllocator
from cero_api.rewards import SuccessRule


class Limits(NamedTuple):
    """Rollouts of one prompt in one round."""

    floor: int  # least, for a prompt that a loader brings
    cap: int  # most


def limits(config: AllocatorConfig, mean: int | None = None) -> Limits | None:
    """Floor and cap of a method that has them; None for one that deals equal counts.

    Args:
        config: of the method.
        mean: rollouts of a candidate, on average, on which a cap may depend; None is over the pool.

    >>> from cero_api import CeroConfig, UniformConfig
    >>> size = {"num_prompts": 8, "rounds": 4, "budget": 64}
    >>> limits(CeroConfig(**size)), limits(CeroConfig(**size), mean=6), limits(UniformConfig(**size))
    (Limits(floor=2, cap=8), Limits(floor=2, cap=12), None)
    """
    if "max_rollouts_per_prompt" not in type(config).model_fields and not isinstance(config, GroupConfig):
        return None
    floor, cap = config.limits(candidates=1, rollouts=mean)
    return Limits(floor, config.limits()[1] if mean is None else cap)


def informed(allocator: RolloutAllocator) -> bool:
    """Whether anything is known that tells one prompt from another; what is alike for all does not.

    >>> from cero_api import make_allocator
    >>> informed(make_allocator("cero", num_prompts=8, rounds=4, budget=64))
    False
    """
    knowledge = getattr(allocator, "knowledge", None)
    told = knowledge.entries() if knowledge else {}
    rows = [np.reshape(values, (len(values), -1)) for name, values in told.items() if name != "offline_samples"]
    return any((row != row[:1]).any() for row in rows) or bool(np.ptp(allocator.success_rate()) > 0)


def start_line(
    name: str, allocator: RolloutAllocator, *, scope: str, mean: int, rule: SuccessRule, judge: str | None = None
) -> str:
    """What a training is about to do with its rollouts, in a line for its log.

    Args:
        name: of the method.
        allocator: as it is before the next round.
        scope: who may be chosen.
        mean: rollouts per prompt, on average: the trainer's group size.
        rule: how a reward becomes a success.
        judge: what gives the reward that is judged; None is the reward that is trained on.

    >>> from cero_api import make_allocator
    >>> allocator = make_allocator("cero", num_prompts=8, rounds=4, budget=64)
    >>> start_line("cero", allocator, scope="batch", mean=4, rule=SuccessRule())
    'cero: scope batch, 4 rollouts a prompt on average, 2 to 8; a reward of 1 or more is a success; 64 of 64 rollouts
    and 4 of 4 rounds to go, 8 prompts; nothing is known of a prompt before its first visit'
    """
    config, metrics = allocator.config, allocator.metrics()
    bounds = limits(config, mean if scope == "batch" else None)
    counts = f"{mean} rollouts a prompt on average" + (f", {bounds.floor} to {bounds.cap}" if bounds else "")
    if config.offer == "window":
        most = "up to " if config.variety else ""
        counts = f"groups of {config.group} for the best of {most}{config.window} times as many prompts as fit"
    if config.pilot is not None:
        counts += f", after a pilot of {config.pilot} rollouts each"
    left, rounds = int(metrics["budget_remaining"]), config.rounds - int(metrics["round"])
    visited = int(np.count_nonzero(allocator.exposure()))
    known = "nothing is known of a prompt before its first visit"
    knowledge = getattr(allocator, "knowledge", None)
    if knowledge:
        known = f"known of a prompt before its first visit: {', '.join(knowledge.entries()).replace('_', ' ')}"
        known += "" if informed(allocator) else ", alike for all"
    elif informed(allocator):
        known = f"success rates are told apart, {visited} prompts visited"
    return (
        f"{name}: scope {scope}, {counts}; {_success(rule, judge)}; {left} of {config.budget} rollouts and {rounds} of "
        f"{config.rounds} rounds to go, {config.num_prompts} prompts; {known}"
    )


def _success(rule: SuccessRule, judge: str | None) -> str:
    reward = "a reward" if judge is None else f"a reward by {judge}"
    if rule.reward_range is not None:
        low, high = rule.reward_range
        return f"{reward} is a success by its share of the way from {low:g} to {high:g}"
    threshold = 1.0 if rule.success_threshold is None else rule.success_threshold
    return f"{reward} of {threshold:g} or more is a success"
