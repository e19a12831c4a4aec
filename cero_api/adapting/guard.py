"""The names inside an upstream trainer on which an adapter relies: are they still there, and still the same?"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from cero_api.adapting.versions import TRAINERS, Supported
from cero_api.errors import MissingDependencyError
from cero_api.extras import install_hint


def check_upstream(
    adapter: str,
    trainer: str,
    *,
    functions: Mapping[str, Sequence[str]],
    words: Mapping[str, Sequence[str]] | None = None,
    installed: str | None = None,
) -> None:
    """Refuse a trainer whose internals differ from those the adapter was written for; warn outside of its range.

    Args:
        adapter: that asks, for the messages.
        trainer: its key in `TRAINERS`.
        functions: dotted path of every function and method that the adapter overrides or calls, with its parameters. A
            name that ends in "?" is one that some supported versions do not have yet.
        words: dotted path of a function, with names and strings that must occur in its code.
        installed: its version; None asks the installed distribution.

    Raises:
        MissingDependencyError: the trainer is not installed, or a name is gone or takes other arguments; the message
            names it.
    """
    range_ = TRAINERS[trainer]
    found = installed if installed is not None else _version(adapter, range_)
    changed = [path for path, parameters in functions.items() if not _fits(path, parameters)]
    changed += [path for path, needed in (words or {}).items() if not set(needed) <= names_in(_function(path))]
    if changed:
        raise MissingDependencyError(
            f"{adapter} was written for {range_.requirement}; in {range_.package} {found} these are gone or work "
            f"differently: {', '.join(changed)}; pip install '{range_.requirement}'"
        )
    if found not in range_:
        warnings.warn(
            f"{adapter} is tested with {range_.requirement}, and this is {found}; its internals look the same, but run "
            f"the adapter's tests before relying on it, or pip install '{range_.requirement}'",
            stacklevel=3,
        )


def check_attributes(adapter: str, trainer: str, instance: object, names: Sequence[str]) -> None:
    """Refuse a constructed object of a trainer that lacks a private attribute the adapter uses.

    Raises:
        MissingDependencyError: an attribute is gone.
    """
    gone = [name for name in names if not hasattr(instance, name)]
    if gone:
        range_ = TRAINERS[trainer]
        raise MissingDependencyError(
            f"{adapter} was written for {range_.requirement}; in {range_.package} {_version(adapter, range_)} a "
            f"{type(instance).__name__} has no {', '.join(gone)}; pip install '{range_.requirement}'"
        )


def _version(adapter: str, range_: Supported) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(range_.package)
    except PackageNotFoundError as error:
        raise MissingDependencyError(
            # The extra, and not the trainer alone: it brings what the trainer imports and does not require.
            f"{adapter} needs {range_.package}, which is not installed; {install_hint(range_.package)}"
        ) from error


def _fits(path: str, expected: Sequence[str]) -> bool:
    """Whether a function takes these parameters in this order, those with a "?" being free to be missing."""
    function = _function(path)
    if function is None:
        return False
    parameters = _parameters(function)
    if _hands_on(function):  # somebody's wrapper, which says nothing of what is inside
        return True
    there = [name.removesuffix("?") for name in expected if not name.endswith("?") or name[:-1] in parameters]
    return parameters == tuple(there)


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


def _hands_on(function: Any) -> bool:
    """Whether it takes nothing by name but itself, and all the rest as it comes."""
    kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
    everything = [inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD]
    return kinds[-2:] == everything and len(kinds) <= 3


def _parameters(function: Any) -> tuple[str, ...]:
    # Ray adds a parameter of its own to the signatures of an actor's methods.
    return tuple(name for name in inspect.signature(function).parameters if name != "_ray_trace_ctx")


def names_in(function: Any) -> set[str]:
    """Every name and string in a function's code, and in the functions inside of it.

    >>> sorted(names_in(lambda trainer: trainer.step("train")))
    ['step', 'train', 'trainer']
    """
    code = getattr(function, "__code__", function)
    words = {*getattr(code, "co_names", ()), *getattr(code, "co_varnames", ())}
    for constant in getattr(code, "co_consts", ()):
        if isinstance(constant, str):
            words.add(constant)
        elif isinstance(constant, tuple):
            words |= {item for item in constant if isinstance(item, str)}
        elif hasattr(constant, "co_consts"):
            words |= names_in(constant)
    return words
