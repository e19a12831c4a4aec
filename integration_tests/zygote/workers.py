"""Ray's workers by fork: a tiny training has eight or nine, and most of its time was that each imports torch."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from ray._private import ray_constants

HERE = Path(__file__).parent
ORIGINAL = Path(ray_constants.__file__).parent / "workers" / "setup_worker.py"
# CERO_FORK=0 has Ray start every worker by itself, to see whether a failure comes from here.
FORK = sys.platform == "linux" and os.environ.get("CERO_FORK", "1") != "0"


def fork_workers(*modules: str) -> None:
    """From here on the workers of this process's Ray are forked from one that has imported these modules."""
    if FORK:
        _start(*modules)
        use_zygote()


def use_zygote() -> None:
    """The same in a program that such a process starts; nothing where there is no zygote."""
    if "CERO_ZYGOTE" in os.environ:
        ray_constants.SETUP_WORKER_FILENAME = str(HERE / "client.py")


@cache
def _start(*modules: str) -> subprocess.Popen[bytes]:
    path = str(Path(tempfile.mkdtemp(prefix="cero-zygote-")) / "socket")
    command = [sys.executable, str(HERE / "server.py"), path, *modules]
    # It ends as its standard input does: with this process, however that ends.
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    os.environ |= {"CERO_ZYGOTE": path, "CERO_ZYGOTE_SETUP": str(ORIGINAL)}
    return process
