"""The exact arguments with which each trainer deals a composition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The trainers of cero_api/adapting/versions.py, by the names that people know.
TITLES = {"trl": "TRL", "verl": "verl", "openrlhf": "OpenRLHF", "tinker": "tinker-cookbook"}
# Those whose adapter takes offline pass rates: a column's name, or arrays.
TAKE_RATES = frozenset({"trl", "verl", "tinker"})
TAKE_ARRAYS = frozenset({"tinker"})


@dataclass(frozen=True)
class Composition:
    """Who may be chosen, by what is known, and what a rollout costs.

    Args:
        scope: "batch", "window" or "pool".
        rates: column of pass rates that were known before; None is none.
        samples: column of the number of samples behind each; None is none.
        source: whether a column says where a prompt is from, which trainers look at by themselves in a window.
        tokens: whether a rollout costs its expected length.
        window: prompts offered for each that fits; None is the trainers' own.
        fields: of the allocator's configuration, beside these.

    >>> Composition("window", rates="pass_rate", tokens=True, window=4).text
    'cero, scope=window, offline_rates=pass_rate, window=4, cost=tokens'
    """

    scope: str
    rates: str | None = None
    samples: str | None = None
    source: bool = False
    tokens: bool = False
    window: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """Of the allocator's configuration."""
        width = {} if self.window is None else {"window": self.window}
        return width | ({"cost": "tokens"} if self.tokens else {}) | dict(self.fields)

    @property
    def text(self) -> str:
        """In a line."""
        told = {"scope": self.scope, **_rates(self), **self.settings}
        return ", ".join(["cero", *(f"{name}={value}" for name, value in told.items())])

    @property
    def names(self) -> tuple[str, ...]:
        """What the published records call it, and then what is dealt alike and knows less, nearest first."""
        if self.scope == "pool":
            return ("cero-pool",)
        offline = ["offline"] if self.rates is not None else []
        if self.scope == "batch":  # where trainers look at no source by themselves
            return (*(f"batch-{what}" for what in offline), "cero-batch")
        known = [*(["both"] if self.source else []), *offline] if offline else []
        known += ["features", "lengths"] if self.source else ["lengths"]  # a prompt's length is always looked at
        cost = "-tokens" if self.tokens else ""
        return (*(f"window-{what}{cost}" for what in known), f"window{cost}")


def trainer_lines(composition: Composition) -> dict[str, str]:
    """What to write, by trainer: arguments in Python, or those of a command line.

    Args:
        composition: to be dealt.

    >>> for trainer, line in trainer_lines(Composition("window", tokens=True)).items():
    ...     print(f"{trainer}: {line}")
    trl: CeroGRPOTrainer(..., allocator="cero", scope="window", allocator_config={"cost": "tokens"})
    verl: +rollout_allocator=cero rollout_allocator.scope=window rollout_allocator.cost=tokens
    openrlhf: --cero.allocator cero --cero.scope window --cero.cost tokens
    tinker: asyncio.run(cero_tinker.main(config, allocator="cero", scope="window", allocator_config={"cost": "tokens"}))
    """
    tinker = _call("cero_tinker.main", "config", composition, 'table["{}"]')
    return {
        "trl": _call("CeroGRPOTrainer", "...", composition, '"{}"'),
        "verl": _verl(composition),
        "openrlhf": _openrlhf(composition),
        "tinker": f"asyncio.run({tinker})",
    }


def _rates(composition: Composition) -> dict[str, str]:
    given = {"offline_rates": composition.rates, "offline_samples": composition.samples}
    return {name: column for name, column in given.items() if column is not None}


def _call(function: str, first: str, composition: Composition, column: str) -> str:
    arguments = [first, 'allocator="cero"', f'scope="{composition.scope}"']
    arguments += [f"{name}={column.format(value)}" for name, value in _rates(composition).items()]
    config = ", ".join(f'"{name}": {value!r}'.replace("'", '"') for name, value in composition.settings.items())
    if config:
        arguments.append(f"allocator_config={{{config}}}")
    return f"{function}({', '.join(arguments)})"


def _verl(composition: Composition) -> str:
    told = {"scope": composition.scope} | _rates(composition) | composition.settings
    return " ".join(["+rollout_allocator=cero", *(f"rollout_allocator.{name}={value}" for name, value in told.items())])


def _openrlhf(composition: Composition) -> str:
    told = {"scope": composition.scope} | composition.settings
    return " ".join(["--cero.allocator cero", *(f"--cero.{name} {value}" for name, value in told.items())])
