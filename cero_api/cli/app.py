"""The program `cero`. Heavy imports wait inside the commands, so that `cero --help` answers at once."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; without typer, say what to install."""
    try:
        import rich  # noqa: F401
        import typer
    except ModuleNotFoundError as error:
        sys.exit(f"cero needs {error.name}, which is not installed: pip install 'cero-api[cli]'")

    from cero_api.cli.compare import compare
    from cero_api.cli.demo import demo
    from cero_api.cli.replay import replay
    from cero_api.cli.report import report
    from cero_api.cli.simulate import simulate

    app = typer.Typer(name="cero", no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)

    @app.callback()
    def _root() -> None:
        """Decides how many rollouts each prompt gets in RL post-training."""

    for command in (demo, compare, replay, simulate, report):
        app.command()(command)
    app()
