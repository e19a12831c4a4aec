"""What is compared: every registered allocator, and CERO with one thing changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cero_api.advantages import PromptWeight
from cero_lab.evidence.regimes import EVALUATION, REGIMES
from cero_lab.settings import RunSettings, Scope, TrainSettings


@dataclass(frozen=True)
class Variant:
    """An allocator and how it is used.

    Args:
        allocator: registered name.
        scope: who picks the prompts. The rivals share out a batch, as their papers do.
        options: of the allocator's configuration, beside what follows from the training.
        prompt_weight: of a prompt in the loss.
    """

    allocator: str
    scope: Scope = "batch"
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt_weight: PromptWeight = "rollout"


def _cero(scope: Scope = "pool", prompt_weight: PromptWeight = "rollout", **options: Any) -> Variant:
    return Variant("cero", scope, options, prompt_weight)


MAIN = ("uniform", "cero", "cero-batch", "knapsack", "random-matched")
RIVALS = ("vip", "hora", "gvm")
VARIANTS: dict[str, Variant] = {
    "uniform": Variant("uniform"),
    "cero": _cero(),
    "cero-batch": _cero("batch"),
    "knapsack": Variant("knapsack"),
    "random-matched": Variant("random_matched", "pool"),
    "vip": Variant("vip"),
    "hora": Variant("hora"),
    "gvm": Variant("gvm"),
    # CERO over the pool, with one thing changed.
    "cero-fixed": _cero(pacing="fixed"),
    "cero-schedule": _cero(pacing="schedule"),
    "cero-step-0.5": _cero(step_size=0.5),
    "cero-marginal": _cero(selection="marginal"),
    "cero-marginal-saturation-0.25": _cero(selection="marginal", saturation=0.25),
    "cero-saturation-0.25": _cero(saturation=0.25),
    "cero-saturation-4": _cero(saturation=4.0),
    "cero-forget-visit-0.5": _cero(forgetting=0.5, forgetting_clock="visit"),
    "cero-forget-round-0.99": _cero(forgetting=0.99),
    "cero-prior-2": _cero(prior=(2.0, 2.0)),
    "cero-prior-0.5": _cero(prior=(0.5, 0.5)),
    # CERO over batches, with one thing changed.
    "cero-batch-prompt-weight": _cero("batch", "prompt"),
    "cero-batch-dual": _cero("batch", selection="dual"),
    "cero-batch-floor-0": _cero("batch", min_rollouts_per_prompt=0),
    "cero-batch-forget-visit-0.5": _cero("batch", forgetting=0.5, forgetting_clock="visit"),
    "cero-batch-saturation-4": _cero("batch", saturation=4.0),
    # The others, so that a weight of the prompt is not CERO's privilege.
    "knapsack-prompt-weight": Variant("knapsack", prompt_weight="prompt"),
}


def run_settings(regime: str, variant: str, seed: int, start: Path) -> RunSettings:
    """The training of one variant.

    Args:
        regime: name in `REGIMES`.
        variant: name in `VARIANTS`.
        seed: of the pool's draw, the training and the allocator.
        start: checkpoint.
    """
    place, chosen = REGIMES[regime], VARIANTS[variant]
    options = dict(chosen.options)
    if options.get("pacing") == "schedule":
        options["pacing"] = _schedule(place.train)
    if chosen.allocator != "uniform":
        options["seed"] = seed
    return RunSettings(
        allocator=chosen.allocator,
        seed=seed,
        pool=place.pool,
        start=start,
        scope=chosen.scope,
        allocator_config=options,
        prompt_weight=chosen.prompt_weight,
        train=place.train,
        evaluation=EVALUATION,
    )


def _schedule(train: TrainSettings) -> tuple[int, ...]:
    """The even schedule, given as one."""
    return (train.prompts_per_round * train.group_size,) * train.rounds
