"""The exact arguments with which each trainer deals a composition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cero_api.adapting.defaults import WINDOW

# Trainers whose adapter takes a column of offline pass rates.
TAKE_RATES = frozenset({"trl", "verl"})
_OWN = f"window-{WINDOW}"


@dataclass(frozen=True)
class Composition:
    """Who may be chosen, by what is known, and what a rollout costs.

    Args:
        scope: "batch", "window" or "pool".
        rates: column of pass rates that were known before; None is none.
        samples: column of the number of samples behind each; None is none.
        source: whether a column says where a prompt is from, which trainers look at by themselves in a window.
        tokens: whether a rollout costs its expected length.
        fields: of the allocator's configuration, beside these.

    >>> Composition("window", rates="pass_rate", tokens=True).text
    'cero, scope=window, offline_rates=pass_rate, cost=tokens'
    """

    scope: str
    rates: str | None = None
    samples: str | None = None
    source: bool = False
    tokens: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """In a line."""
        told = {"scope": self.scope, **_rates(self), **({"cost": "tokens"} if self.tokens else {}), **self.fields}
        parts = [f"{name}={value}" for name, value in told.items()]
        return ", ".join(["cero", *parts])

    @property
    def names(self) -> tuple[str, ...]:
        """What the published records call it, and then what comes near to it and knows no more, nearest first."""
        if self.scope == "pool":
            return ("cero-pool",)
        known = ["both"] if self.rates is not None and self.source else []
        known += ["offline"] if self.rates is not None else ["features"] if self.source else []
        if self.scope == "batch":
            return (*(f"batch-{what}" for what in known), "cero-batch")
        plain = [*(f"window-{what}" for what in known), "window"]
        names = [name for one in plain for name in ((f"{one}-tokens", one) if self.tokens else (one,))]
        # Those of the adapters' own width come first; where a name says none, it was another.
        return tuple(name for one in [*names, "window-pooled"] for name in (one.replace("window", _OWN, 1), one))


def trainer_lines(composition: Composition) -> dict[str, str]:
    """What to write, by trainer: an argument list in Python for TRL, command lines for the others.

    Args:
        composition: to be dealt.

    >>> for trainer, line in trainer_lines(Composition("window", tokens=True)).items():
    ...     print(f"{trainer}: {line}")
    trl: CeroGRPOTrainer(..., allocator="cero", scope="window", allocator_config={"cost": "tokens"})
    verl: +rollout_allocator=cero rollout_allocator.scope=window rollout_allocator.cost=tokens
    openrlhf: --cero.allocator cero --cero.scope window --cero.cost tokens
    """
    return {"trl": _trl(composition), "verl": _verl(composition), "openrlhf": _openrlhf(composition)}


def _rates(composition: Composition) -> dict[str, str]:
    given = {"offline_rates": composition.rates, "offline_samples": composition.samples}
    return {name: column for name, column in given.items() if column is not None}


def _fields(composition: Composition) -> dict[str, Any]:
    return ({"cost": "tokens"} if composition.tokens else {}) | dict(composition.fields)


def _trl(composition: Composition) -> str:
    arguments = ["...", 'allocator="cero"']
    arguments.append(f'scope="{composition.scope}"')
    arguments += [f'{name}="{column}"' for name, column in _rates(composition).items()]
    config = ", ".join(f'"{name}": {value!r}'.replace("'", '"') for name, value in _fields(composition).items())
    if config:
        arguments.append(f"allocator_config={{{config}}}")
    return f"CeroGRPOTrainer({', '.join(arguments)})"


def _verl(composition: Composition) -> str:
    told: dict[str, Any] = {"scope": composition.scope}
    told |= _rates(composition) | _fields(composition)
    parts = [f"rollout_allocator.{name}={value}" for name, value in told.items()]
    return " ".join(["+rollout_allocator=cero", *parts])


def _openrlhf(composition: Composition) -> str:
    told = {"scope": composition.scope}
    parts = [f"--cero.{name} {value}" for name, value in (told | _fields(composition)).items()]
    return " ".join(["--cero.allocator cero", *parts])
