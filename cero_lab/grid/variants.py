"""What is compared: named ways to make a driver for a training. A new one is a line in `VARIANTS`.

An allocator takes its name and options. What it must know of the prompts comes from the `Scene`, under the names of its
configuration's fields (`given`); what no allocator can do takes a class with a `driver` of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from cero_api import CeroConfig, make_allocator
from cero_api.adapting.defaults import RoundShape, allocator_fields, published_width
from cero_lab.fast.driver import Driver
from cero_lab.fast.drivers import Dealt, DynamicSampling, Loader
from cero_lab.fast.oracle import OracleAllocator

if TYPE_CHECKING:  # to name a variant needs no torch
    from cero_lab.fast.scene import Scene

Scope = Literal["batch", "window", "pool"]


class Variant(Protocol):
    """Makes the driver of a training. Its `repr` is kept in the records, and tells one setting from another."""

    @property
    def stream(self) -> int:
        """Of the samples: variants of equal stream draw the same numbers, round by round, while they ask alike."""
        ...

    @property
    def ceiling(self) -> str:
        """The variant that chooses among the same prompts and knows their success rates."""
        ...

    def driver(self, scene: Scene) -> Driver:
        """For one training."""
        ...


@dataclass(frozen=True)
class Allocated:
    """A registered allocator, with the settings that every adapter would give it.

    Args:
        allocator: its name.
        scope: who picks the prompts: it shares out the loader's batches, or chooses itself.
        options: of its configuration, beside what follows from the training.
        given: fields of its configuration, and the method of the scene that fills each, called without arguments.
        stream: see `Variant`.
        ceiling: see `Variant`.
    """

    allocator: str
    scope: Scope = "batch"
    options: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)
    stream: int = 0
    ceiling: str = "oracle-batch"

    def driver(self, scene: Scene) -> Driver:
        """For one training."""
        fields = allocator_fields(self.allocator, shape_of(scene, self.scope), self.fields(scene))
        return Dealt(make_allocator(self.allocator, **fields), scene.rollouts, loader_of(scene, self.scope))

    def fields(self, scene: Scene) -> dict[str, Any]:
        """Of the allocator's configuration, what does not follow from the sizes of the training."""
        told = {name: getattr(scene, method)() for name, method in self.given.items()}
        # The width is the variant's own or its paper's, whatever becomes the adapters' default.
        fixed = self.scope == "window" and published_width(self.allocator) is None
        width = {"window": WIDTH} if fixed else {}
        return {"seed": scene.seed, **width, **self.options, **told}


@dataclass(frozen=True)
class Oracle:
    """CERO's rules with the exact success rates.

    Args:
        scope: "batch" shares out the loader's batches; "window" serves whole groups of those it is offered.
        window: prompts offered, over those that a round has room for.
        stream: see `Variant`.
        ceiling: see `Variant`.
    """

    scope: Scope
    window: int = 4
    stream: int = 0
    ceiling: str = ""

    def driver(self, scene: Scene) -> Driver:
        """For one training."""
        config = CeroConfig(**allocator_fields("cero", shape_of(scene, self.scope), {"seed": scene.seed}))
        allocator = OracleAllocator(config, scene.rates, self.window)
        return Dealt(allocator, scene.rollouts, loader_of(scene, self.scope))


@dataclass(frozen=True)
class Dynamic:
    """DAPO's dynamic sampling over the loader's batches, to the end of the same budget.

    Args:
        stream: see `Variant`.
        ceiling: see `Variant`.
    """

    stream: int = 0
    ceiling: str = ""

    def driver(self, scene: Scene) -> Driver:
        """For one training."""
        sizes = scene.train
        loader = Loader(sizes.prompts, sizes.prompts_per_round, scene.seed)
        return DynamicSampling(loader, sizes.prompts_per_round, sizes.group_size, sizes.budget)


def shape_of(scene: Scene, scope: Scope) -> RoundShape:
    """What an allocator's settings follow from."""
    sizes = scene.train
    return RoundShape(
        num_prompts=sizes.prompts,
        rounds=sizes.rounds,
        budget=sizes.budget,
        group_size=sizes.group_size,
        largest=scene.rollouts,
        scope=scope,
        waves=2,
    )


def loader_of(scene: Scene, scope: Scope) -> Loader | None:
    """Whose batches are shared out, if they are; of one seed they are the same for every variant."""
    return Loader(scene.train.prompts, scene.train.prompts_per_round, scene.seed) if scope == "batch" else None


WIDTH = 4  # prompts offered for each that fits, of a variant that says no other

FEATURES = {"features": "features"}
OFFLINE = {"offline_rates": "offline_rates", "offline_samples": "offline_samples"}
PILOT = {"pilot": "pilot"}


def narrowed(widest: int, variety: float, given: Mapping[str, str] = FEATURES) -> Allocated:
    """A window that is narrowed to what pays, going by features."""
    options = {"belief": "features", "window": widest, "variety": variety}
    return Allocated("cero", "window", options, given, ceiling="oracle-window")


VARIANTS: dict[str, Variant] = {
    "uniform": Allocated("uniform"),
    # Other samples: how far apart trainings are that differ in nothing.
    "uniform-again": Allocated("uniform", stream=1),
    "cero-batch": Allocated("cero"),
    "cero-pool": Allocated("cero", "pool", ceiling="oracle-window"),
    "vip": Allocated("vip"),
    "knapsack": Allocated("knapsack"),
    "random-matched": Allocated("random_matched", "pool", ceiling="oracle-window"),
    # Methods that choose whole groups do so where their papers do.
    "hora": Allocated("hora"),
    "gvm": Allocated("gvm"),
    "coba-rl": Allocated("coba_rl"),
    "mopps": Allocated("mopps", "window", ceiling="oracle-window"),
    "greso": Allocated("greso", "pool", ceiling="oracle-window"),
    "dynamic-sampling": Dynamic(),
    # Two waves a round: for those who know nothing beforehand.
    "pilot-commit": Allocated("pilot_commit", "window", ceiling="oracle-window"),
    "window-pilot": Allocated("cero", "window", {"belief": "pooled"}, PILOT, ceiling="oracle-window"),
    "window-pilot-tokens": Allocated(
        "cero",
        "window",
        {"belief": "pooled", "cost": "tokens"},
        PILOT | {"features": "lengths"},
        ceiling="oracle-window",
    ),
    # The compositions: a window, and what is known before the first visit.
    "window": Allocated("cero", "window", ceiling="oracle-window"),
    "window-tokens": Allocated("cero", "window", {"cost": "tokens"}, {"features": "lengths"}, ceiling="oracle-window"),
    "window-pooled": Allocated("cero", "window", {"belief": "pooled"}, ceiling="oracle-window"),
    "window-pooled-tokens": Allocated(
        "cero", "window", {"belief": "pooled", "cost": "tokens"}, {"features": "lengths"}, ceiling="oracle-window"
    ),
    "window-offline": Allocated("cero", "window", {"belief": "pooled"}, OFFLINE, ceiling="oracle-window"),
    "window-offline-beta": Allocated("cero", "window", {}, OFFLINE, ceiling="oracle-window"),
    "window-offline-tokens": Allocated(
        "cero",
        "window",
        {"belief": "pooled", "cost": "tokens"},
        OFFLINE | {"features": "lengths"},
        ceiling="oracle-window",
    ),
    "window-features": Allocated("cero", "window", {"belief": "features"}, FEATURES, ceiling="oracle-window"),
    "window-2-features": Allocated(
        "cero", "window", {"belief": "features", "window": 2}, FEATURES, ceiling="oracle-window"
    ),
    # The trainers' default: up to eight times as many prompts, and no more of them than pays.
    "window-8-features": narrowed(8, 0.25),
    # What that is where no column says which task a prompt is of.
    "window-8-lengths": narrowed(8, 0.25, {"features": "lengths"}),
    # What it was chosen among.
    "window-8-variety-35": narrowed(8, 0.35),
    "window-4-variety-25": narrowed(4, 0.25),
    "window-4-variety-35": narrowed(4, 0.35),
    "window-features-tokens": Allocated(
        "cero", "window", {"belief": "features", "cost": "tokens"}, FEATURES, ceiling="oracle-window"
    ),
    "window-both": Allocated("cero", "window", {"belief": "features"}, FEATURES | OFFLINE, ceiling="oracle-window"),
    "window-both-tokens": Allocated(
        "cero", "window", {"belief": "features", "cost": "tokens"}, FEATURES | OFFLINE, ceiling="oracle-window"
    ),
    "vip-window-features": Allocated("vip", "window", {"belief": "features"}, FEATURES, ceiling="oracle-window"),
    "vip-window-gp": Allocated(
        "vip", "window", {"belief": "gp", "prior": (1.0, math.e)}, FEATURES, ceiling="oracle-window"
    ),
    "random-window": Allocated("random_matched", "window", ceiling="oracle-window"),
    # The same knowledge without a window.
    "batch-features": Allocated("cero", "batch", {"belief": "features"}, FEATURES),
    "batch-offline": Allocated("cero", "batch", {"belief": "pooled"}, OFFLINE),
    # The ceilings.
    "oracle-batch": Oracle("batch"),
    "oracle-window": Oracle("window"),
    "oracle-window-2": Oracle("window", window=2),
}

VARIANT_SETS: Mapping[str, tuple[str, ...]] = {
    "main": ("uniform", "cero-batch", "cero-pool", "oracle-batch", "oracle-window"),
    "early": tuple(
        name for name in VARIANTS if "window" in name or name in ("uniform", "batch-features", "batch-offline")
    ),
    "rivals": ("vip", "knapsack", "hora", "gvm", "coba-rl", "mopps", "greso", "pilot-commit", "dynamic-sampling"),
    "controls": ("uniform-again", "random-matched"),
    "all": tuple(VARIANTS),
}

# Whose saving is a share of whose, for `cero_api.learning.compare_trainings`.
CEILINGS: Mapping[str, str] = {name: variant.ceiling for name, variant in VARIANTS.items() if variant.ceiling}
