"""`--cero.*`: the adapter's settings and every allocator's fields as arguments beside OpenRLHF's."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import re
import sys
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cero_api import available_allocators
from cero_api.adapting.modules import import_users
from cero_api.allocators import config_type
from cero_api.errors import ConfigurationError
from cero_openrlhf.config import PREFIX, OpenRLHFAllocatorConfig


def add_arguments(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> None:
    """Add all `--cero.*` arguments; what is not given does not appear in the namespace, but for the allocator's name.

    Args:
        parser: OpenRLHF's.
        argv: the command line, in which `--cero.module` is looked up first: it can register allocators.
    """
    _import_module(argv)
    group = parser.add_argument_group("rollouts per prompt (cero-api)")
    for name, field in OpenRLHFAllocatorConfig.model_fields.items():
        _add(group, name, field, _described(OpenRLHFAllocatorConfig).get(name, ""))
    parser.set_defaults(**{f"{PREFIX}.allocator": OpenRLHFAllocatorConfig().allocator})
    group = parser.add_argument_group("rollouts per prompt (cero-api): fields of the allocators")
    for name, (field, owners) in _allocator_fields().items():
        about = _described(config_type(owners[0])).get(name, "")
        _add(group, name, field, f"{about} [{', '.join(owners)}]")


def value(given: str | list[str]) -> str | list[str]:
    """An argument's words as pydantic takes them: one word that is not a number is a name, not a list.

    >>> value(["adaptive"]), value(["528", "496"]), value(["0.5"])
    ('adaptive', ['528', '496'], ['0.5'])
    """
    if isinstance(given, list) and len(given) == 1 and re.fullmatch(r"[A-Za-z_]+", given[0]):
        return given[0]
    return given


def _allocator_fields() -> dict[str, tuple[FieldInfo, list[str]]]:
    """Every field of any allocator's configuration, and who has it; the number of prompts is the dataset's."""
    fields: dict[str, tuple[FieldInfo, list[str]]] = {}
    for allocator in available_allocators():
        with contextlib.suppress(ConfigurationError):  # a broken plugin fails when it is asked for
            for name, field in config_type(allocator).model_fields.items():
                if name != "num_prompts":
                    fields.setdefault(name, (field, []))[1].append(allocator)
    return fields


def _add(group: Any, name: str, field: FieldInfo, about: str) -> None:
    default = "" if field.is_required() or field.default is None else f" (default: {field.default})"
    options: dict[str, Any] = {"nargs": "+"} if "tuple" in str(field.annotation) else {}
    if field.annotation is bool:
        options = {"nargs": "?", "const": "true"}
    group.add_argument(
        f"--{PREFIX}.{name}",
        default=argparse.SUPPRESS,
        metavar=name.upper(),
        help=(about + default).strip().replace("%", "%%"),
        **options,
    )


def _described(model: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a model and of its parents say of each field."""
    described: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        section = re.search(r"^Args:\n((?:    .*\n?|\n)*)", inspect.cleandoc(kind.__doc__ or ""), re.MULTILINE)
        for entry in re.split(r"\n(?=    \w)", section.group(1).rstrip()) if section else []:
            name, _, text = entry.strip().partition(": ")
            # TeX of the documentation, which a terminal does not set.
            described[name] = re.sub(r" \(\$[^$]*\$\)|\$|\\", "", " ".join(text.split()))
    return described


def _import_module(argv: Sequence[str] | None) -> None:
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument(f"--{PREFIX}.module", dest="module")
    known, _ = first.parse_known_args(sys.argv[1:] if argv is None else argv)
    if known.module is not None:
        import_users(known.module, f"--{PREFIX}.module {known.module}")
