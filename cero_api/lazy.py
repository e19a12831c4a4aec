"""Names of a package that are imported on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_exports(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__`, which imports a name from the submodule that is its home.

    A trainer takes seconds to import, numpy and pydantic a tenth of one: who asks for a name waits for that name alone.

    Args:
        package: `__name__` of the package.
        homes: submodule of each public name.

    >>> __getattr__ = lazy_exports("cero_api", {"make_allocator": "allocators"})
    >>> __getattr__("make_allocator").__name__
    'make_allocator'
    """

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return get
