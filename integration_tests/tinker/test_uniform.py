"""With equal counts the cookbook trains as it does without us: the same answers, advantages and steps."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tinker_cookbook.rl import train

import cero_tinker
from integration_tests.tinker.conftest import Server
from integration_tests.tinker.tiny import GROUP, Watched, config


def grouped(batch: list[Any]) -> list[list[Any]]:
    """The rollouts of a group in one order: which of them a request answers first is a matter of chance."""
    return [sorted(batch[start : start + GROUP]) for start in range(0, len(batch), GROUP)]


def steps(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "skyrl.ai/grad_norm" in line]


def test_uniform_is_the_cookbook(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch)
    asyncio.run(train.main(config(tmp_path / "stock", *server)))
    stock, watched.batches = watched.batches, []
    asyncio.run(cero_tinker.main(config(tmp_path / "ours", *server), allocator="uniform"))

    assert len(stock) == len(watched.batches) == 3
    assert list(map(grouped, watched.batches)) == list(map(grouped, stock))
    for ours, theirs in zip(steps(tmp_path / "ours"), steps(tmp_path / "stock"), strict=True):
        # Sums over a batch whose rows may stand in another order.
        assert ours["skyrl.ai/grad_norm"] == pytest.approx(theirs["skyrl.ai/grad_norm"], rel=1e-4)
        assert {name for name in theirs if not name.startswith("time/")} <= ours.keys()
