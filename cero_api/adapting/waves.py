"""Whether an allocator deals a round in more waves than a trainer generates."""

from __future__ import annotations

from cero_api.allocators import config_type
from cero_api.config import AllocatorConfig
from cero_api.errors import ConfigurationError


def refuse_waves(name: str, pilot: object, waves: int = 1) -> None:
    """Refuse, before anything is loaded, a pilot that nobody would generate the rest of.

    Args:
        name: of the allocator, registered.
        pilot: its setting, in whatever form it was given; None if it was not.
        waves: that the trainer generates in a round.

    Raises:
        ConfigurationError: two are needed.

    >>> refuse_waves("cero", None)
    >>> refuse_waves("pilot_commit", None, waves=2)
    """
    if waves < 2 and (pilot is not None or config_type(name).waves > 1):
        told = "" if pilot is None else f" with pilot={pilot}"
        raise ConfigurationError(
            f"{name}{told} deals a round in two waves, and this trainer generates it in one; "
            + ("take another allocator" if pilot is None else "leave pilot out")
            + ", or write a loop of your own (docs/own_loop.md, A pilot first)"
        )


def refuse_waves_of(config: AllocatorConfig, waves: int = 1, scope: str = "window") -> None:
    """The same of an allocator that is made already, and of a pilot with nobody to choose among.

    Args:
        config: of the allocator.
        waves: that the trainer generates in a round.
        scope: who may be chosen.

    Raises:
        ConfigurationError: two waves are needed, or other prompts.
    """
    if waves < 2 and config.pilot is not None:
        raise ConfigurationError(
            f"an allocator with pilot={config.pilot} deals a round in two waves, and here it is generated in one; make "
            "it without, or write a loop of your own (docs/own_loop.md, A pilot first)"
        )
    if scope == "pool" and config.pilot is not None:
        raise ConfigurationError(
            f"pilot={config.pilot} tries out some prompts and chooses among them, and scope=pool offers all at once; "
            "choose scope=window or scope=batch, or leave pilot out"
        )
