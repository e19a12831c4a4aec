"""The program `cero`. Heavy imports wait inside the commands, so that `cero --help` answers at once."""

from __future__ import annotations

import io
import sys
from importlib.metadata import EntryPoint, entry_points

# Packages add commands to `cero` by this group: the entry's name is the command's, its object a function for typer.
COMMANDS = "cero_api.commands"


def main() -> None:
    """Run the command line; without typer, say what to install."""
    try:
        import rich  # noqa: F401
        import typer
    except ModuleNotFoundError as error:
        from cero_api.extras import install_hint

        sys.exit(f"cero needs {error.name}, which is not installed: {install_hint('cli')}")

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a console of another encoding has no ± or ≈

    from cero_api.cli.advise import advise
    from cero_api.cli.replay import replay
    from cero_api.cli.report import report
    from cero_api.cli.root import root
    from cero_api.cli.simulate import simulate

    app = typer.Typer(name="cero", no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)

    app.callback()(root)
    for command in (advise, replay, simulate, report):
        app.command()(command)
    for point in sorted(entry_points(group=COMMANDS), key=lambda point: point.name):
        _add(app, point)
    app()


def _add(app: object, point: EntryPoint) -> None:
    """Add another package's command; one that cannot be loaded is named, and the others work."""
    try:
        command = point.load()
    except Exception as error:  # another package's import may raise anything
        sys.stderr.write(f"cero: the command {point.name!r} of {point.value} cannot be loaded: {error!r}\n")
        return
    app.command(name=point.name)(command)  # type: ignore[attr-defined]
