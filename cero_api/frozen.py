"""Settings that never change, and errors that name the field: the base of every configuration."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from cero_api.errors import ConfigurationError


class FrozenConfig(BaseModel):
    """A set of settings that never changes, refuses unknown names, and says in plain words what is wrong.

    Raises:
        ConfigurationError: a value is missing, unknown, or out of range.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)  # built when first used

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ConfigurationError(_explain(type(self), error)) from None


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """One line per fault, with the field's name and what it may be instead."""
    faults = []
    for fault in error.errors(include_url=False):
        where = ".".join(str(part) for part in fault["loc"])
        said = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            said = f"unknown; {model.__name__} has {', '.join(model.model_fields)}"
        elif where and fault["type"] != "missing":
            said = f"{said} (got {fault['input']!r})"
        faults.append(f"{where}: {said}" if where else said)
    builtin = any(fault["type"] not in ("value_error", "extra_forbidden") for fault in error.errors(include_url=False))
    return f"{model.__name__}: " + "; ".join(faults) + ("; correct what is named" if builtin else "")
