"""`launch.py <folder> <launcher> …`: that launcher on a Ray of its own, with as many GPUs as are asked for."""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

import ray


def end_with(parent: int) -> None:
    """Leave nothing running behind a test that was itself killed."""
    while os.getppid() == parent:
        time.sleep(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=end_with, args=[os.getppid()], daemon=True).start()
    scratch, launcher = sys.argv.pop(1), sys.argv.pop(1)
    # Its own address: another Ray on this machine is none of ours.
    ray.init(
        address="local",
        num_cpus=16,
        num_gpus=8,
        object_store_memory=100 * 2**20,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=scratch,
    )
    try:
        runpy.run_module(launcher, run_name="__main__", alter_sys=True)
    finally:
        ray.shutdown()
