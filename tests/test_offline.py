"""Nothing here opens a connection: whatever a program of the core does, it does with the machine it runs on."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

# An audit hook sees every socket of the process, whoever opens it; and it cannot be removed again.
NO_NETWORK = """
import os, sys

def refuse(event, arguments):
    if event.startswith(("socket.", "http.client.", "urllib.", "ftplib.", "smtplib.")):
        os.write(2, f"network access: {event} {arguments}".encode())
        os._exit(77)

sys.addaudithook(refuse)
"""
LIBRARY = """
import importlib, pkgutil
import cero_api
for module in pkgutil.walk_packages(cero_api.__path__, "cero_api."):
    if not module.name.startswith("cero_api.cli"):
        importlib.import_module(module.name)
from cero_api.analysis.history import read_history
from cero_api.trace import TraceWriter
for name in cero_api.available_allocators(waves=1):
    cero_api.check_allocator(lambda **size: cero_api.make_allocator(name, **size))
    allocator = cero_api.make_allocator(name, num_prompts=9, rounds=9, budget=320)
    with TraceWriter(f"{name}.jsonl", num_prompts=9) as trace:
        for _ in range(5):
            allocation = allocator.allocate()
            won = allocation.counts // 2
            outcomes = cero_api.RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won)
            allocator.observe(outcomes)
            trace.write(allocation.round, allocation.prompt_ids, allocation.counts, won)
    read_history(f"{name}.jsonl")
    cero_api.load_allocator(cero_api.save_allocator(allocator, f"{name}.npz")).citation()
"""
PROGRAM = """
from cero_api.cli.app import main
sys.argv = ["cero", *{arguments!r}]
main()
"""


def run(program: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", NO_NETWORK + program]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=environment())


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_the_library_opens_no_connection(tmp_path: Path) -> None:
    result = run(LIBRARY, tmp_path)
    assert result.returncode == 0, result.stderr


def test_a_connection_would_be_noticed(tmp_path: Path) -> None:
    result = run("import socket; socket.create_connection(('127.0.0.1', 9))", tmp_path)
    assert result.returncode == 77
    assert "network access: socket." in result.stderr


@pytest.mark.skipif(importlib.util.find_spec("typer") is None, reason="the command line needs the extra cli")
def test_the_command_line_opens_no_connection(tmp_path: Path) -> None:
    assert run(LIBRARY, tmp_path).returncode == 0
    for arguments in (["--help"], ["simulate", "--seeds", "1"], ["replay", "uniform.jsonl", "--seeds", "1"]):
        result = run(PROGRAM.format(arguments=arguments), tmp_path)
        assert result.returncode == 0, result.stderr
