"""What Ray starts in place of its setup_worker.py: has the zygote fork the worker, and ends as that ends.

Imports nothing that takes time. Where the zygote cannot stand in, it becomes Ray's own program.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> None:
    code = forked()
    if code is None:
        os.execv(sys.executable, [sys.executable, os.environ["CERO_ZYGOTE_SETUP"], *sys.argv[1:]])
    if code < 0:  # by a signal
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def forked() -> int | None:
    """The exit code of the worker, if there was one."""
    request = json.dumps({"argv": sys.argv[1:], "environ": dict(os.environ), "cwd": os.getcwd()}).encode()
    with socket.socket(socket.AF_UNIX) as zygote:
        try:
            zygote.connect(os.environ["CERO_ZYGOTE"])
            socket.send_fds(zygote, [len(request).to_bytes(8, "big")], [0, 1, 2])
            zygote.sendall(request)
        except OSError:
            return None
        answer = zygote.recv(8)
    # No answer: the zygote is gone, and the worker with it.
    return json.loads(answer) if answer else -signal.SIGKILL


if __name__ == "__main__":
    main()
