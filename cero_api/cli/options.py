"""Options that several commands share: their types, defaults' meaning and grammar in one place."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer


class RecordFormat(StrEnum):
    """Shapes of a record."""

    auto = "auto"
    trace = "trace"
    verl = "verl"
    rates = "rates"
    table = "table"


Allocators = Annotated[str, typer.Option(help="Comma-separated names, or all.")]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds, counting from --seed.")]
FirstSeed = Annotated[int, typer.Option(min=0, help="First seed.")]
Cap = Annotated[int | None, typer.Option(min=1, help="Rollouts of a prompt in a round; twice the group.")]
Settings = Annotated[
    list[str] | None, typer.Option(help="allocator.field=value, for one allocator's configuration; repeatable.")
]
Format = Annotated[RecordFormat, typer.Option(help="Shape of the record.")]
Threshold = Annotated[float, typer.Option(help="Reward from which a single rollout is a success.")]
PromptColumn = Annotated[str | None, typer.Option(help="Of a table; this and all below are found unless given.")]
RateColumn = Annotated[str | None, typer.Option(help="Pass rate, or reward of one rollout; a.b is b within a.")]
SuccessColumn = Annotated[str | None, typer.Option(help="Number of successes, in place of a rate.")]
CountColumn = Annotated[str | None, typer.Option(help="Number of rollouts.")]
RoundColumn = Annotated[str | None, typer.Option(help="When: round or step.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def allocator_names(text: str) -> list[str]:
    """Names from `a,b,c`; `all` is every allocator there is, the baseline first."""
    from cero_api import available_allocators

    known = available_allocators()
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ["all"]:
        return sorted(known, key=lambda name: (name != "uniform", name))
    if not names or not set(names) <= set(known):
        raise typer.BadParameter(f"{text!r}: choose from all, {', '.join(known)}", param_hint="--allocators")
    return names


def seed_range(count: int, first: int) -> list[int]:
    """`count` seeds from `first` on."""
    return list(range(first, first + count))


def field_settings(texts: list[str] | None) -> dict[str, dict[str, Any]]:
    """Settings from `allocator.field=value`, the value being JSON where it can be.

    >>> field_settings(["cero.saturation=2.0", "vip.estimator=rloo"])
    {'cero': {'saturation': 2.0}, 'vip': {'estimator': 'rloo'}}
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in texts or []:
        target, equals, value = text.partition("=")
        name, dot, field = target.partition(".")
        if not (equals and dot and name and field):
            raise typer.BadParameter(f"{text!r}: write allocator.field=value", param_hint="--set")
        try:
            settings.setdefault(name, {})[field] = json.loads(value)
        except ValueError:
            settings.setdefault(name, {})[field] = value
    return settings
