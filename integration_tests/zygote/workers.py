"""Ray's workers by fork: a tiny training has eight or nine, and most of its time was that each imports torch."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from ray._private import ray_constants

HERE = Path(__file__).parent
ORIGINAL = Path(ray_constants.__file__).parent / "workers" / "setup_worker.py"
# CERO_FORK=0 has Ray start every worker by itself, to see whether a failure comes from here.
FORK = sys.platform == "linux" and os.environ.get("CERO_FORK", "1") != "0"

_variables: dict[str, str] = {}  # by which a worker finds the zygote, once there is one


def fork_workers(*modules: str) -> None:
    """From here on the workers of this process's Ray are forked from one that has imported these modules."""
    start_zygote(modules, os.environ)
    use_zygote()


def start_zygote(modules: tuple[str, ...], environ: MutableMapping[str, str]) -> None:
    """One for all who call, with the environment of the first; a program that gets this one can use it."""
    if FORK and not _variables:
        _variables.update(_started(modules, environ))
    environ.update(_variables)


def use_zygote() -> None:
    """Has this process's Ray use the zygote that its environment names, if any."""
    if "CERO_ZYGOTE" in os.environ:
        ray_constants.SETUP_WORKER_FILENAME = str(HERE / "client.py")


def not_forked() -> list[str]:
    """Why some workers were not; a slow suite says so where it sums up."""
    if not _variables:
        return []
    log = Path(_variables["CERO_ZYGOTE"]).with_name("log")
    lines = log.read_text().splitlines() if log.exists() else ["zygote: gone"]
    return sorted({line for line in lines if line.startswith(("zygote: ", "AssertionError", "ModuleNotFoundError"))})


def _started(modules: tuple[str, ...], environ: Mapping[str, str]) -> dict[str, str]:
    folder = Path(tempfile.mkdtemp(prefix="cero-zygote-"))
    path = str(folder / "socket")
    command = [sys.executable, str(HERE / "server.py"), path, *modules]
    with (folder / "log").open("w") as log:
        # It ends as its standard input does: with this process, however that ends, and not sooner.
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environ, start_new_session=True
        )
    atexit.register(process.communicate)
    return {"CERO_ZYGOTE": path, "CERO_ZYGOTE_SETUP": str(ORIGINAL)}
