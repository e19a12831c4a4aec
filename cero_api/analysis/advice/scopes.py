"""What each scope can decide in a training: among whom, how much of a round, from when on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cero_api.adapting.defaults import allocator_fields
from cero_api.adapting.idle import idle_reasons
from cero_api.adapting.starting import limits
from cero_api.allocators.choice import Choice
from cero_api.analysis.advice.run import Run
from cero_api.config import CeroConfig
from cero_api.config import Scope as Scope

SCOPES: tuple[Scope, ...] = ("batch", "window", "pool")


@dataclass(frozen=True)
class ScopeView:
    """What one scope can decide.

    Args:
        scope: who may be chosen.
        prompts: that a round is shared among, or chosen from.
        floor: least rollouts of each.
        cap: most.
        first: share of the rollouts of the first epoch that could go to another prompt by something that is known.
        later: of those after it; None if there is one epoch.
        reasons: why nothing is decided; with what to do.
    """

    scope: Scope
    prompts: int
    floor: int
    cap: int
    first: float
    later: float | None
    reasons: tuple[str, ...]

    @property
    def decides(self) -> bool:
        """Whether there is something to decide in this training."""
        return max(self.first, self.later or 0.0) > 0.0


def scope_views(
    run: Run, *, informed: bool, floor: int | None = None, cap: int | None = None, window: int | None = None
) -> list[ScopeView]:
    r"""What each scope can decide, under the settings that an adapter would give to CERO.

    A round's decidable share is that of the metric `decidable`: what floors and caps leave open. In the first epoch it
    counts only where something tells prompts apart. Where nothing is known beforehand, that is nothing in a batch, nor
    over the pool, which is seen once before anybody comes again; a window of $W$ offers every prompt $W$ times while
    uniform would come by once, so that at most all but the first $1/W$ of the epoch has outcomes to go by.

    Args:
        run: its sizes.
        informed: whether something is known of prompts before their first visit.
        floor: of a batch's prompts; None is the default.
        cap: of a prompt; None is the default.
        window: prompts offered for each that fits; None is the default.

    Raises:
        ConfigurationError: floor, cap and group size do not fit each other.

    >>> views = scope_views(Run(prompts=640, epochs=1, group_size=8, batch=8), informed=False)
    >>> [(view.scope, view.first > 0) for view in views]
    [('batch', False), ('window', True), ('pool', False)]
    """
    return [_view(run, scope, informed, floor, cap, window) for scope in SCOPES]


def cero_config(
    run: Run, scope: Scope, floor: int | None = None, cap: int | None = None, window: int | None = None
) -> CeroConfig:
    """CERO's configuration as an adapter would make it for this run.

    Args:
        run: its sizes.
        scope: who may be chosen.
        floor: None is the default.
        cap: None is the default.
        window: None is the default.
    """
    width = {"window": window} if scope == "window" and window is not None else {}
    return CeroConfig(**allocator_fields("cero", run.shape(scope), limit_fields(scope, floor, cap) | width))


def limit_fields(scope: str, floor: int | None, cap: int | None) -> dict[str, Any]:
    """Floor and cap as fields of a configuration, where they were given; only a batch's prompts have a floor.

    >>> limit_fields("window", 2, 8), limit_fields("batch", 2, None)
    ({'max_rollouts_per_prompt': 8}, {'min_rollouts_per_prompt': 2})
    """
    given = {"min_rollouts_per_prompt": floor if scope == "batch" else None, "max_rollouts_per_prompt": cap}
    return {name: value for name, value in given.items() if value is not None}


def _view(run: Run, scope: Scope, informed: bool, floor: int | None, cap: int | None, window: int | None) -> ScopeView:
    config = cero_config(run, scope, floor, cap, window)
    bounds = limits(config, run.group_size if scope == "batch" else None)
    assert bounds is not None  # CERO has them
    least, most = bounds.floor if scope == "batch" else 0, bounds.cap
    groups = -(-run.room // most)
    prompts = {"batch": run.batch, "window": groups * config.window, "pool": run.prompts}[scope]
    possible = Choice(prompts, least, most, run.room, run.room).decidable(run.room)
    reasons = idle_reasons(config, run.shape(scope), informed=informed, option=str)
    if scope == "window" and config.window == 1 and not reasons:
        reasons = [
            f"the pool of {run.prompts} prompts has not two for each that fits into a round, so a window is a batch; "
            "lower the batch, or give more prompts"
        ]
    knowing = {"batch": 0.0, "window": 1.0 - 1.0 / config.window, "pool": 0.0}[scope]
    first = possible * (1.0 if informed else knowing)
    return ScopeView(
        scope=scope,
        prompts=prompts,
        floor=least,
        cap=most,
        first=first if not reasons else 0.0,
        later=None if run.epochs <= 1 else possible if not reasons else 0.0,
        reasons=tuple(reasons),
    )
