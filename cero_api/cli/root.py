"""`cero` itself: its version, and what it is for."""

from __future__ import annotations

import importlib.metadata
from typing import Annotated

import typer


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"cero-api {importlib.metadata.version('cero-api')}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Decides how many rollouts each prompt gets in RL post-training."""
