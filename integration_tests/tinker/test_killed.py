"""Killed in the middle of a round and started again, a training goes on as if it had never stopped."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cero_tinker
from cero_api import load_allocator
from integration_tests.tinker.conftest import Server
from integration_tests.tinker.tiny import Watched, config
from integration_tests.tinker.until_killed import EPOCHS, EVERY, LAST


def trained(batches: list[Any]) -> list[Counter[Any]]:
    return [Counter((question, answer) for question, answer, _ in batch) for batch in batches]


def test_killed_and_resumed(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"num_epochs": EPOCHS, "save_every": EVERY}
    command = [sys.executable, "-m", "integration_tests.tinker.until_killed", *server, str(tmp_path / "killed")]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]

    watched = Watched(monkeypatch)
    asyncio.run(cero_tinker.main(config(tmp_path / "killed", *server, **options), scope="batch"))
    resumed, watched.batches = watched.batches, []
    asyncio.run(cero_tinker.main(config(tmp_path / "whole", *server, **options), scope="batch"))

    begun = LAST // EVERY * EVERY  # the latest checkpoint
    assert len(watched.batches) == 6
    assert trained(resumed) == trained(watched.batches[begun:])
    states = [load_allocator(tmp_path / name / "cero" / "000006.npz").state_dict() for name in ("killed", "whole")]
    for name, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][name], err_msg=name)
