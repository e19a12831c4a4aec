"""Packages that only some features need: imported when used, and named with their extra when missing."""

from __future__ import annotations

import importlib
from typing import Any

from cero_api.errors import MissingDependencyError


def install_hint(extra: str) -> str:
    """How to install an extra. There is no package of this name on an index, so it takes a clone.

    The command stands last, so that it can be copied to the end of the line.

    >>> install_hint("trl")
    'in a clone of cero-api: pip install ".[trl]"'
    """
    return f'in a clone of cero-api: pip install ".[{extra}]"'


def load_extra(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: its name.
        extra: of this distribution that installs it.

    Raises:
        MissingDependencyError: it is not installed.

    >>> load_extra("math", "none").pi
    3.14
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(f"{package} is not installed; {install_hint(extra)}") from error
