"""Equal terms: one budget, one cap and one group size for allocators of any make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cero_api.allocators import config_type
from cero_api.analysis.contest.arena import Arena
from cero_api.errors import ConfigurationError

# What a method has of its own for smaller groups than its defaults take.
_VARIANTS: dict[str, dict[str, Any]] = {"vip": {"estimator": "rloo"}}


@dataclass(frozen=True)
class Terms:
    """Configurations under which allocators can be compared.

    Args:
        configs: fields of each one's configuration by its name, the seed apart.
        configured: those that the caller gave settings of their own: what they refuse is for the caller to hear.
        notes: how one had to be adapted.
    """

    configs: Mapping[str, Mapping[str, Any]]
    configured: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def equal_terms(
    arena: Arena,
    allocators: Sequence[str],
    *,
    group_size: int,
    cap: int,
    floor: int | None = None,
    capacity: int | None = None,
    whole_pool: bool = False,
    window: Callable[[str], Mapping[str, Any]] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> Terms:
    """One budget, one cap, one group size for all.

    An allocator gets those of the fields that its configuration has, whoever wrote it. Over the whole pool one that
    knows a cap and no group size, like CERO, is capped at one group, as in the paper. One whose configuration refuses
    such groups takes part in the variant that its paper has for them, if there is one.

    Args:
        arena: whose prompts, rounds and budget they get.
        allocators: registered names.
        group_size: rollouts of a prompt where all get the same.
        cap: rollouts of a prompt in a round, at least `group_size`.
        floor: the largest feasible floor; a method with a higher one by default gets 0 or this.
        capacity: rollouts that a round may take; None is each method's own.
        whole_pool: the methods choose, from a window or from the whole pool.
        window: fields of an allocator's window, by its name; the baseline gets none. None is no window.
        settings: fields by allocator, which overrule all of this.

    Raises:
        ConfigurationError: an allocator that does not exist, or settings for one that does not take part.

    >>> from cero_api.analysis.simulate import SyntheticArena
    >>> sizes = {"num_prompts": 9, "rounds": 4, "budget": 32, "group_size": 2, "cap": 4}
    >>> arena = SyntheticArena(**sizes, batch=True, beta=(1, 1), drift=0, drift_spread=0)
    >>> equal_terms(arena, ["vip"], group_size=2, cap=4, floor=2).notes
    ("vip takes part with estimator='rloo': its defaults do not take groups of 2.",)
    """
    settings = settings or {}
    strangers = set(settings) - set(allocators)
    if strangers:
        raise ConfigurationError(f"settings for {', '.join(sorted(strangers))}, which does not take part; add it")
    most = group_size if floor is None else min(floor, group_size)
    configs, notes = {}, []
    for name in allocators:
        fields = config_type(name).model_fields
        config: dict[str, Any] = {"num_prompts": arena.num_prompts, "rounds": arena.rounds, "budget": arena.budget}
        if "rollouts_per_prompt" in fields:
            config["rollouts_per_prompt"] = group_size
        if "max_rollouts_per_prompt" in fields:
            config["max_rollouts_per_prompt"] = (
                group_size if whole_pool and "rollouts_per_prompt" not in fields else cap
            )
        if "min_rollouts_per_prompt" in fields:
            own = fields["min_rollouts_per_prompt"].default
            if (2 if own is None else own) > most:
                config["min_rollouts_per_prompt"] = most if most >= 2 else 0
        if "capacity" in fields and capacity is not None:
            config["capacity"] = capacity
        if window is not None and name != "uniform":
            config |= {"offer": "window", **window(name)}
        own_settings = dict(settings.get(name, {}))
        variant = _VARIANTS.get(name, {})
        if variant and not _fits(name, config | own_settings) and _fits(name, config | variant | own_settings):
            config |= variant
            said = ", ".join(f"{field}={value!r}" for field, value in variant.items())
            notes.append(f"{name} takes part with {said}: its defaults do not take groups of {most}.")
        configs[name] = config | own_settings
    return Terms(configs, frozenset(settings), tuple(notes))


def _fits(name: str, config: Mapping[str, Any]) -> bool:
    try:
        config_type(name)(**config)
    except ConfigurationError:
        return False
    return True
