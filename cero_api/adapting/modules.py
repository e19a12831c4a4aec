"""A module of the user's, which registers an allocator when it is imported."""

from __future__ import annotations

import importlib

from cero_api.errors import ConfigurationError


def import_users(module: str, said: str) -> None:
    """Import it.

    Args:
        module: its name, as in an import statement.
        said: what the user wrote to name it, for the message.

    Raises:
        ConfigurationError: it cannot be imported.

    >>> import_users("nobody.here", "module=nobody.here")
    Traceback (most recent call last):
        ...
    cero_api.errors.ConfigurationError: module=nobody.here cannot be imported (ModuleNotFoundError("No module named ...
    """
    try:
        importlib.import_module(module)
    except Exception as error:  # somebody else's module can raise anything
        raise ConfigurationError(
            f"{said} cannot be imported ({error!r}); install it where this program and every node of Ray finds it, or "
            "correct the name"
        ) from error
