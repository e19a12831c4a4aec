"""The names inside an upstream trainer on which an adapter relies: are they still there, and still the same?"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from cero_api.errors import MissingDependencyError


def check_upstream(
    adapter: str,
    package: str,
    *,
    installed: str,
    expected: str,
    functions: Mapping[str, Sequence[str]],
    words: Mapping[str, Sequence[str]],
) -> None:
    """Refuse a package whose internals differ from those the adapter was written for; warn at another version.

    Args:
        adapter: that asks, for the messages.
        package: as it is installed.
        installed: its version.
        expected: the version that the adapter was written for.
        functions: dotted path of every function and method that the adapter overrides or calls, with its parameters.
        words: dotted path of a function, with names and strings that must occur in its code.

    Raises:
        MissingDependencyError: one of them is gone, or takes other arguments; the message names it.
    """
    changed = [path for path, parameters in functions.items() if _parameters(path) != tuple(parameters)]
    changed += [path for path, needed in words.items() if not set(needed) <= _words(_function(path))]
    if changed:
        raise MissingDependencyError(
            f"{adapter} was written for {package} {expected}; in {package} {installed} these are gone or work "
            f"differently: {', '.join(changed)}; install {package}=={expected}"
        )
    if installed != expected:
        warnings.warn(
            f"{adapter} is tested with {package} {expected}, and this is {installed}; its internals look the same, "
            f"but run the adapter's tests before relying on it, or install {package}=={expected}",
            stacklevel=3,
        )


def plain(actor: Any) -> Any:
    """The class behind a Ray actor class, or the class itself."""
    metadata = getattr(actor, "__ray_metadata__", None)
    return actor if metadata is None else metadata.modified_class.__ray_actor_class__


def _function(path: str) -> Any:
    """The function of this dotted path, from behind decorators and Ray; None if there is none."""
    parts = path.split(".")
    depth = next((i for i, part in enumerate(parts) if part[0].isupper()), len(parts) - 1)
    try:
        found = importlib.import_module(".".join(parts[:depth]))
        for name in parts[depth:]:
            found = getattr(plain(found), name)
    except (ImportError, AttributeError):
        return None
    return inspect.unwrap(found) if callable(found) else None


def _parameters(path: str) -> tuple[str, ...] | None:
    function = _function(path)
    if function is None:
        return None
    # Ray adds a parameter of its own to the signatures of an actor's methods.
    return tuple(name for name in inspect.signature(function).parameters if name != "_ray_trace_ctx")


def _words(function: Any) -> set[str]:
    """Every name and string in a function's code, and in the functions inside of it."""
    code = getattr(function, "__code__", function)
    words = {*getattr(code, "co_names", ()), *getattr(code, "co_varnames", ())}
    for constant in getattr(code, "co_consts", ()):
        if isinstance(constant, str):
            words.add(constant)
        elif isinstance(constant, tuple):
            words |= {item for item in constant if isinstance(item, str)}
        elif hasattr(constant, "co_consts"):
            words |= _words(constant)
    return words
