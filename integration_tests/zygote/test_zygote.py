"""A forked worker is what a process of its own would be, and neither it nor the zygote outlives what asked for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
WORKER = """
import json, os, random, sys, time
import numpy
import beside
said = {"pid": os.getpid(), "group": os.getpgid(0), "environ": dict(os.environ), "argv": sys.argv}
said |= {"path": sys.path, "cwd": os.getcwd()}
said |= {"name": __name__, "random": [random.random(), numpy.random.random()], "beside": beside.__file__}
print(json.dumps(said), flush=True)
if "stay" in sys.argv:
    time.sleep(60)
sys.exit(7)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid: int) -> bool:
    deadline = time.monotonic() + 10
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(pid)


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    folder = tmp_path / "zygote"
    folder.mkdir()
    command = [sys.executable, str(HERE / "server.py"), str(folder / "socket"), "numpy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process:
        while not (folder / "socket").exists():
            time.sleep(0.02)
        yield process
        process.kill()


def start(folder: Path, *words: str, **environ: str) -> subprocess.Popen[str]:
    """As Ray would."""
    (folder / "worker.py").write_text(WORKER)
    (folder / "beside.py").touch()
    (folder / "own.py").write_text("import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], {}, '__main__')")
    context = json.dumps({"env_vars": {"RANK": "3"}, "py_executable": sys.executable, "command_prefix": []})
    return subprocess.Popen(
        [
            *(sys.executable, str(HERE / "client.py"), str(folder / "worker.py")),
            *(f"--serialized-runtime-env-context={context}", "--language=PYTHON", *words),
        ],
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "CERO_ZYGOTE": str(folder / "zygote" / "socket")}
        | {"CERO_ZYGOTE_SETUP": str(folder / "own.py"), **environ},
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )


def said(client: subprocess.Popen[str]) -> dict[str, Any]:
    assert client.stdout is not None
    return json.loads(client.stdout.readline())


def test_a_worker_is_what_was_asked_for(zygote: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with start(tmp_path, "--one", RAY_JOB_ID="5") as first, start(tmp_path, "--two") as second:
        one, two = said(first), said(second)
    assert (first.returncode, second.returncode) == (7, 7)
    assert one["pid"] not in (first.pid, zygote.pid)
    assert one["group"] == one["pid"], "Ray would end the zygote with this worker"
    assert (one["argv"], two["argv"]) == (
        [str(tmp_path / "worker.py"), "--one"],
        [str(tmp_path / "worker.py"), "--two"],
    )
    assert (one["name"], one["cwd"], one["beside"]) == ("__main__", str(tmp_path), str(tmp_path / "beside.py"))
    assert not any(str(HERE) == folder for folder in one["path"])
    assert (one["environ"]["RAY_JOB_ID"], one["environ"]["RANK"]) == ("5", "3")
    assert "RAY_JOB_ID" not in two["environ"]
    assert not set(one["random"]) & set(two["random"])


def test_what_may_have_been_read_already_takes_a_process_of_its_own(
    zygote: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    with start(tmp_path, PYTHONUTF8="1", OMP_NUM_THREADS="3") as client:
        assert said(client)["pid"] == client.pid


def test_a_worker_ends_with_its_client_and_with_the_zygote(zygote: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with start(tmp_path, "stay") as first, start(tmp_path, "stay") as second:
        one, two = said(first), said(second)
        first.kill()
        assert ends(one["pid"])
        assert alive(two["pid"])
        assert zygote.stdin is not None
        zygote.stdin.close()
        assert zygote.wait(10) == 0
        assert ends(two["pid"])
        assert second.wait(10) == -signal.SIGKILL
    assert not (tmp_path / "zygote").exists()


def test_a_killed_worker_is_a_killed_client(zygote: subprocess.Popen[bytes], tmp_path: Path) -> None:
    with start(tmp_path, "stay") as client:
        os.kill(said(client)["pid"], signal.SIGTERM)
        assert client.wait(10) == -signal.SIGTERM
