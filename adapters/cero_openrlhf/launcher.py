"""OpenRLHF's own command line, with `--cero.*` beside its arguments and an allocator in its trainers."""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from collections.abc import Callable
from typing import Any

from cero_api.errors import CeroError
from cero_openrlhf.arguments import add_arguments, value
from cero_openrlhf.config import PREFIX, read_settings
from cero_openrlhf.early import DATASET, check_files
from cero_openrlhf.guard import check_openrlhf
from cero_openrlhf.refusals import refuse_unsupported

# By which OpenRLHF's parser is known: libraries parse arguments of their own on import.
_OPENRLHF_OPTION = "--rollout.n_samples_per_prompt"


def main() -> None:
    """Run `openrlhf.cli.train_ppo_ray` on this process's command line.

    Raises:
        MissingDependencyError: OpenRLHF is missing, or its internals are not those of the version this is for.
        SystemExit: an argument is wrong.
    """
    check_openrlhf()
    sys.modules.pop("openrlhf.cli.train_ppo_ray", None)  # imported by the check, and run from its beginning below
    original = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = _with_cero(original)  # type: ignore[method-assign]
    try:
        runpy.run_module("openrlhf.cli.train_ppo_ray", run_name="__main__", alter_sys=True)
    finally:
        argparse.ArgumentParser.parse_args = original  # type: ignore[method-assign]


def prepare(parsed: argparse.Namespace) -> None:
    """Check OpenRLHF's parsed arguments, and put the adapter's trainer in the place of the one they ask for.

    Args:
        parsed: flat, with dots in the names, as OpenRLHF's parser returns them.

    Raises:
        ConfigurationError: they do not fit; the message says what to change.
    """
    import ray
    from openrlhf.utils.config import hierarchize

    for name, given in list(vars(parsed).items()):
        if name.startswith(f"{PREFIX}."):
            setattr(parsed, name, value(given))
    args = hierarchize(parsed)
    settings = refuse_unsupported(args)
    if settings.trace is not None:  # trainers may run in another folder
        setattr(parsed, f"{PREFIX}.trace", os.path.abspath(settings.trace))
    setattr(parsed, DATASET, check_files(args, settings, read_settings(args)[1]))
    if args.train.async_enable:
        from openrlhf.trainer import ppo_trainer_async

        from cero_openrlhf.trainer_async import CeroPPOTrainerAsync

        ppo_trainer_async.PPOTrainerAsync = ray.remote(CeroPPOTrainerAsync)
    else:
        from openrlhf.trainer import ppo_trainer

        from cero_openrlhf.trainer import CeroPPOTrainer

        ppo_trainer.PPOTrainer = ray.remote(CeroPPOTrainer)


def _with_cero(original: Callable[..., Any]) -> Callable[..., Any]:
    def parse_args(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        if _OPENRLHF_OPTION not in self._option_string_actions:
            return original(self, args, namespace)
        try:
            add_arguments(self, args)
            parsed = original(self, args, namespace)
            prepare(parsed)
        except CeroError as error:
            self.exit(2, f"{self.prog}: error: {error}\n")
        return parsed

    return parse_args
