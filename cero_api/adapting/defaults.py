"""An allocator's settings as they follow from a trainer's schedule, where the user gave none."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cero_api.adapting.waves import refuse_waves
from cero_api.allocators import config_type
from cero_api.config import Scope
from cero_api.errors import ConfigurationError

WINDOW, VARIETY = 8, 0.25
"""Most prompts offered for each that a round has room for, and what a wider window must add: in a hard pool nearly all
of them pay, in an easy one nearly none; docs/early.md has the table."""

REFILL_RESERVE = 3.0
"""Budget over uniform's where groups are replaced: nobody knows beforehand how many, and two in three is a lot."""


@dataclass(frozen=True)
class RoundShape:
    """What uniform allocation would generate in a training, from which an allocator's defaults follow.

    Args:
        num_prompts: prompts in the pool.
        rounds: rounds of the training, without refills.
        budget: rollouts of the training, without refills.
        group_size: rollouts of a prompt, on average.
        largest: rollouts of the largest round, or of the largest dispatch where rounds are dealt in pieces.
        scope: who may be chosen: "batch" (a loader's prompts), "window" or "pool".
        room: most rollouts of a group that the trainer has room for; None where it has no bound.
        reserve: budget over uniform's, as a factor, for groups that are generated anew.
        waves: of generation that the trainer can play in a round.
        fixed: whether the trainer's batches have a fixed number of rollouts; if not, rounds may be of any size.
    """

    num_prompts: int
    rounds: int
    budget: int
    group_size: int
    largest: int
    scope: Scope = "batch"
    room: int | None = None
    reserve: float = 1.0
    waves: int = 1
    fixed: bool = True

    @property
    def visits(self) -> float:
        """Groups of each prompt of the pool, were all visited alike."""
        return self.budget / (self.group_size * self.num_prompts)


def scope_of(name: str, scope: Scope | None = None) -> Scope:
    """Who may be chosen, as the user says, or else as the method is known to do best.

    Args:
        name: of a registered allocator.
        scope: the user's; None is the method's usual one.

    Raises:
        ConfigurationError: no allocator has that name.

    >>> scope_of("cero"), scope_of("cero", "batch"), scope_of("vip")
    ('window', 'batch', 'batch')
    """
    return config_type(name).usual_scope if scope is None else scope


def allocator_fields(name: str, shape: RoundShape, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for an allocator given by name: those that were given, and for the rest uniform's own.

    A method with a cap and no group size, like CERO, is capped at one group where it chooses prompts (as in the paper),
    and at two in a batch, where one would leave nothing to decide. A group that must fit the trainer's room is capped
    by that. A budget of the user's own that uniform's rounds cannot spend is a plan of as many rounds as it takes.

    Args:
        name: of a registered allocator.
        shape: of the training.
        fields: the user's own settings, which win.

    Raises:
        ConfigurationError: no allocator has that name, an offer contradicts the scope, a round has more waves than the
            trainer plays, or what is set would decide nothing.

    >>> shape = RoundShape(num_prompts=640, rounds=80, budget=5120, group_size=8, largest=64)
    >>> allocator_fields("cero", shape, {"saturation": 2.0})["max_rollouts_per_prompt"]
    16
    """
    refuse_waves(name, fields.get("pilot"), shape.waves)
    refuse_other_offer(shape.scope, fields.get("offer"))
    refuse_unused(name, shape.scope, fields, shape.fixed)
    known = config_type(name).model_fields
    rounds = math.ceil(shape.rounds * shape.reserve)
    values: dict[str, Any] = {
        "num_prompts": shape.num_prompts,
        "rounds": rounds,
        "budget": min(math.ceil(shape.budget * shape.reserve), rounds * shape.largest),
    }
    if shape.scope == "window":
        values["offer"] = "window"
    if "rollouts_per_prompt" in known:
        values["rollouts_per_prompt"] = shape.group_size
    if "max_rollouts_per_prompt" in known:
        if shape.room is not None and shape.room > shape.group_size:
            # Groups that fit the room over the mean keep any mixture of them within the trainer's batch size.
            values["max_rollouts_per_prompt"] = shape.room
        elif "rollouts_per_prompt" not in known:
            values["max_rollouts_per_prompt"] = shape.group_size * (2 if shape.scope == "batch" else 1)
    values |= fields
    if shape.scope == "window":
        values |= window_fields(name, shape.num_prompts, -(-shape.largest // shape.group_size), fields)
    # What is no number is left for the configuration to refuse, which says how.
    budget = _number(fields.get("budget"))
    if budget is not None and "rounds" not in fields:
        # What is more than uniform's is for rounds beyond the planned ones: refills, retries, a longer training.
        values["rounds"] = max(rounds, math.ceil(budget / shape.largest))
    if "capacity" in known and "capacity" not in fields:
        cap = _number(values["max_rollouts_per_prompt"])  # None, which a user may give, follows from the round
        values["capacity"] = shape.largest if cap is None else min(shape.largest, shape.num_prompts * int(cap))
    return values


def window_fields(name: str, num_prompts: int, groups: int, fields: Mapping[str, Any]) -> dict[str, Any]:
    """How wide a window is, and whether it is narrowed, where the user does not say: as wide as a small pool allows.

    A method that was published with a window keeps its width. The others look at up to `WINDOW` times as many prompts
    as fit, and at no more of them than pays, unless a width was given, or something is drawn or tried out first.

    Args:
        name: of a registered allocator.
        num_prompts: prompts in the pool.
        groups: full groups of the largest round.
        fields: the user's own settings, which win.

    >>> window_fields("cero", 640, 8, {}), window_fields("cero", 24, 8, {})
    ({'window': 8, 'variety': 0.25}, {'window': 3, 'variety': 0.25})
    >>> window_fields("cero", 640, 8, {"window": 4}), window_fields("mopps", 640, 8, {})
    ({}, {'window': 8})
    """
    if "window" in fields:
        return {}
    kind = config_type(name)
    published = published_width(name)
    values: dict[str, Any] = {"window": max(min(published or WINDOW, num_prompts // max(groups, 1)), 1)}
    if kind.narrows and published is None and "variety" not in fields and fields.get("pilot") is None:
        values["variety"] = VARIETY
    return values


def published_width(name: str) -> int | None:
    """Width of the window with which a method was published; None if it had none.

    >>> published_width("mopps"), published_width("cero")
    (8, None)
    """
    known = config_type(name).model_fields
    return int(known["window"].default) if known["offer"].default == "window" else None


def refuse_other_offer(scope: str, offer: str | None) -> None:
    """Refuse an allocator's offer that the trainer's scope would pass over, without a word.

    Args:
        scope: see `RoundShape`.
        offer: that was asked for; None is whatever follows from the scope.

    Raises:
        ConfigurationError: they contradict each other.
    """
    if (scope == "batch" and offer == "window") or (scope == "window" and offer not in (None, "window")):
        raise ConfigurationError(
            f"offer={offer} contradicts scope={scope}, which says who may be chosen in a trainer; leave offer out, and "
            "choose the scope: batch, window or pool"
        )


def _number(value: object) -> float | None:
    """A finite number, also in the words of a command line; None for what is none."""
    try:
        number = float(value) if isinstance(value, numbers.Real | str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def refuse_unused(name: str, scope: str, fields: Mapping[str, Any], fixed: bool = True) -> None:
    """Refuse a setting that would decide nothing, without a word.

    Args:
        name: of a registered allocator.
        scope: see `RoundShape`.
        fields: the user's own settings.
        fixed: see `RoundShape`.

    Raises:
        ConfigurationError: a cost in tokens where no prompts are ranked by it, a budget in tokens where all batches
            have the same number of rollouts, or a width where there is no window.
    """
    offer = fields.get("offer") or config_type(name).model_fields["offer"].default
    if fields.get("window") is not None and (scope == "batch" or (scope == "pool" and offer != "window")):
        raise ConfigurationError(
            f"window={fields['window']} says how many prompts a window offers, and there is none with scope={scope}; "
            "choose scope=window, or leave it out"
        )
    if fields.get("token_budget") is not None and fixed:
        raise ConfigurationError(
            f"token_budget={fields['token_budget']} is kept by the size of rounds, and this training's batches have a "
            "fixed number of rollouts; leave it out, or let the size vary where the trainer can (verl's "
            "rollout_allocator.constant_total=false; your own loop)"
        )
    ranked = "window" in (scope, fields.get("offer")) or config_type(name).ranks
    if fields.get("cost") == "tokens" and not (ranked or fields.get("pilot")):
        raise ConfigurationError(
            f"cost=tokens ranks prompts by what a group is worth for its length, and {name} ranks none with "
            f"scope={scope}, so it would decide nothing; choose scope=window, or leave cost out"
        )
