"""The zygote: it has imported what Ray's workers import, and forks one of them whenever Ray asks for one.

    python server.py <socket> <module> …

It ends with the process that holds its standard input, and its workers with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

# Of a worker's environment, what it may have of its own: nothing that is imported here reads it.
READ_LATE_PREFIXES = (
    *("CERO_", "HCCL_", "HSA_", "NCCL_", "PYTEST_", "RAY_", "TENSORBOARD_", "TINY_", "TRANSFER_QUEUE_", "VERL_"),
    *("VLLM_", "WG_"),
    "SPT_",  # of the titles that Ray gives its processes
)
READ_LATE = (
    # What a worker is in its group, which torch.distributed asks when it makes one.
    *("LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"),
    # What libraries leave behind in the environment of a process that imports them, for whom it starts.
    *("COLUMNS", "CUDA_DEVICE_MAX_CONNECTIONS", "LAZY_LEGACY_OP", "LINES", "PYTHONBREAKPOINT", "TORCH_CUDA_ARCH_LIST"),
)
# What may not be imported here: Ray reads what a worker is told (its raylet, its job) as it is imported, a trainer
# looks for its platform then, and the adapters are what is tested.
LEFT_TO_WORKERS = ("cero_", "integration_tests", "openrlhf", "ray", "verl")
PR_SET_PDEATHSIG = 1


@dataclass
class Request:
    """What a process of its own would have been started with."""

    argv: list[str]
    environ: dict[str, str]
    cwd: str
    files: list[int]

    def close(self) -> None:
        """Its files are the worker's: whoever reads what that writes would wait for their end here."""
        for file in self.files:
            os.close(file)


def preload(modules: list[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    early = [name for name in sys.modules if name.startswith(LEFT_TO_WORKERS)]
    assert not early, f"a worker must import {early} by itself"
    names = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm") as file:
            names.append(file.read().strip())
    # The second is an allocator's, which pyarrow brings along and which knows how to be forked.
    assert [name for name in names if name != "jemalloc_bg_thd"] == names[:1], (
        f"a fork has one thread, here are {names}"
    )
    gc.collect()
    gc.freeze()


class Zygote:
    """Takes requests one after the other."""

    def __init__(self, path: str) -> None:
        self.pid = os.getpid()
        self.environ = dict(os.environ)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(64)
        self.workers: dict[socket.socket, tuple[int, int]] = {}  # of a client the worker, and the file of its pid

    def serve(self) -> Request | None:
        """Returns in each new worker, with what was asked for; here when all is over, with None."""
        with selectors.DefaultSelector() as ready:
            ready.register(sys.stdin, selectors.EVENT_READ, None)
            ready.register(self.listener, selectors.EVENT_READ, None)
            while True:
                for key, _ in ready.select():
                    if key.fileobj is sys.stdin:
                        return None
                    if key.fileobj is not self.listener:
                        self.end(key.data, ready)
                        continue
                    client, _ = self.listener.accept()
                    request = receive(client)
                    if request is None:
                        answer(client, None)
                    elif not self.can_be(request):
                        request.close()
                        answer(client, None)
                    elif worker := os.fork():
                        request.close()
                        self.workers[client] = (worker, os.pidfd_open(worker))
                        for source in (client, self.workers[client][1]):
                            ready.register(source, selectors.EVENT_READ, client)
                    else:
                        client.close()
                        self.leave()
                        return request

    def can_be(self, request: Request) -> bool:
        """Whether a fork is what a process of its own would be; what differs is said."""
        if not take_context(request):
            return False
        names = self.environ.keys() | request.environ.keys()
        differ = sorted(
            name
            for name in names
            if self.environ.get(name) != request.environ.get(name)
            and name not in READ_LATE
            and not name.startswith(READ_LATE_PREFIXES)
        )
        if differ:
            print(f"zygote: a worker has another {', '.join(differ)}", flush=True)
        return not differ

    def end(self, client: socket.socket, ready: selectors.BaseSelector) -> None:
        """Of a worker: it is over, or its client is, and then it must not stay."""
        if client not in self.workers:  # both, and this was done
            return
        worker, file = self.workers.pop(client)
        ready.unregister(client)
        ready.unregister(file)
        signal.pidfd_send_signal(file, signal.SIGKILL)
        os.close(file)
        _, status = os.waitpid(worker, 0)
        answer(client, os.waitstatus_to_exitcode(status))

    def leave(self) -> None:
        """In a worker: close what is the zygote's."""
        self.listener.close()
        for client, (_, file) in self.workers.items():
            client.close()
            os.close(file)
        self.workers.clear()


def receive(client: socket.socket) -> Request | None:
    """A request; None if its client has gone."""
    head, files, _, _ = socket.recv_fds(client, 8, 3)
    size, text = int.from_bytes(head, "big"), b""
    while len(text) < size:
        part = client.recv(size - len(text))
        if not part:
            return None
        text += part
    asked = json.loads(text)
    return Request(asked["argv"], asked["environ"], asked["cwd"], list(files))


def take_context(request: Request) -> bool:
    """What setup_worker.py does before it becomes the worker's program; False if it is to do more than this."""
    context: dict[str, Any] = {}
    rest = []
    for word in request.argv:
        if word.startswith("--serialized-runtime-env-context="):
            context = json.loads(word.partition("=")[2])
        elif not word.startswith("--language="):
            rest.append(word)
    variables = context.pop("env_vars", {})
    program = context.pop("py_executable", sys.executable)
    if any(context.values()) or program != sys.executable or any("$" in value for value in variables.values()):
        return False
    request.argv[:] = rest
    request.environ |= variables
    return True


def answer(client: socket.socket, code: int | None) -> None:
    with client, contextlib.suppress(OSError):  # it may be gone
        client.sendall(json.dumps(code).encode())


def run(request: Request, zygote: int) -> None:
    """In a worker: take over what a process of its own would have been started with, and run its program."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != zygote:  # which died in between
        os._exit(1)
    os.setpgid(0, 0)  # as Ray starts its workers: it kills the group of one that has ended
    for number, file in enumerate(request.files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.environ)
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # torch's begins with the same seed in every process
    sys.argv = request.argv
    sys.path[sys.path.index(os.path.dirname(os.path.abspath(__file__)))] = os.path.dirname(sys.argv[0])
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    zygote = Zygote(sys.argv[1])
    preload(sys.argv[2:])
    asked = zygote.serve()
    if asked is None:
        shutil.rmtree(os.path.dirname(sys.argv[1]))
    else:
        run(asked, zygote.pid)
