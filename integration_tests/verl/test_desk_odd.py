"""What nobody means to tell a desk, and what may become of its folder: nothing ends a training, nothing goes unsaid."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api import CeroAllocator, CeroConfig
from cero_api.errors import CheckpointError
from cero_ray import Desk, DurableDesk
from cero_ray.durable import ALLOCATOR_FILE, restored

pytestmark = pytest.mark.filterwarnings("ignore:.*there is nothing to decide:cero_api.CeroWarning")

CONFIG = CeroConfig(num_prompts=8, rounds=10, budget=160, saturation=0.5)


@pytest.mark.parametrize("reward", [None, "wrong", [1.0], math.nan])
def test_what_is_no_reward_is_refunded(tmp_path: Path, reward: Any) -> None:
    for desk in (Desk(CeroAllocator(CONFIG)), DurableDesk(tmp_path, CeroAllocator(CONFIG))):
        desk.deal(["a"], [1], mean=4, step=0, exact=True)
        desk.report("a", 0, reward)
        assert desk.metrics()["rewards_missing"] == desk.metrics()["budget_refunded"] == 1


@pytest.mark.parametrize("tokens", [math.nan, math.inf, -1.0, 1e300])
def test_what_is_no_count_of_tokens_is_not_counted(tokens: float) -> None:
    desk = Desk(CeroAllocator(CONFIG))
    desk.deal(["a"], [1], mean=4)
    desk.report("a", 0, 1.0, tokens)
    assert desk.metrics()["outstanding"] == 3
    desk.report("a", 1, 1.0, 7)
    assert desk.metrics()["tokens"] == 7


def test_numbers_of_numpy_can_be_written_down(tmp_path: Path) -> None:
    desk = DurableDesk(tmp_path, CeroAllocator(CONFIG))
    mean, step, exact, session = np.int64(4), np.int64(0), np.bool_(True), np.int64(1)
    desk.deal(["a"], [np.int64(1)], mean, step, exact)  # type: ignore[arg-type, list-item]  # as numpy hands them out
    desk.report("a", session, np.float32(1), np.int64(7))  # type: ignore[arg-type]  # as numpy hands them out
    desk.refund("a", np.int64(2))  # type: ignore[arg-type]  # as numpy hands them out
    again = DurableDesk(tmp_path, CeroAllocator(CONFIG))
    assert again.metrics() == desk.metrics()
    assert again.metrics()["outstanding"] == 2


@pytest.mark.parametrize("pool", [False, True])
def test_a_budget_that_is_spent_is_said_once(pool: bool, caplog: pytest.LogCaptureFixture) -> None:
    config = CeroConfig(num_prompts=8, rounds=2, budget=28, max_rollouts_per_prompt=4)
    desk = Desk(CeroAllocator(config), option="rollout_allocator.")
    for step in range(5):
        tickets, rows = [f"{step}-{i}" for i in range(3)], [0, 1, 2]
        deal = desk.deal_pool if pool else desk.deal
        deal(tickets, rows, mean=4, step=step)
    assert desk.metrics()["unbudgeted"] == 36
    [said] = [record.getMessage() for record in caplog.records]
    assert "budget is spent at step 2: it has 4 rollouts left" in said
    assert said.endswith("give it a larger rollout_allocator.budget")


def test_files_of_two_checkpoints_are_no_checkpoint(tmp_path: Path) -> None:
    desk = DurableDesk(tmp_path, CeroAllocator(CONFIG))
    desk.deal(["a"], [1], 4, 0, True)
    before = desk.checkpoint()
    desk.deal(["b"], [2], 4, 1, True)
    assert restored(desk.checkpoint())[0].metrics()["round"] == 2
    with pytest.raises(CheckpointError, match=r"has dealt 1 rounds .*; take both files from one checkpoint"):
        restored(desk.checkpoint() | {ALLOCATOR_FILE: before[ALLOCATOR_FILE]})


@pytest.mark.parametrize("gone", ["jsonl", "npz"])
def test_a_folder_that_somebody_has_tidied_up_is_no_new_beginning(tmp_path: Path, gone: str) -> None:
    DurableDesk(tmp_path, CeroAllocator(CONFIG)).deal(["a"], [1], 4, 0, True)
    (tmp_path / f"desk-1.{gone}").unlink()
    with pytest.raises(CheckpointError, match="resume the training's checkpoint"):
        DurableDesk(tmp_path, CeroAllocator(CONFIG))


def test_a_folder_whose_first_snapshot_was_cut_short_is(tmp_path: Path) -> None:
    DurableDesk(tmp_path, CeroAllocator(CONFIG))
    (tmp_path / "desk-1.npz").unlink()
    assert DurableDesk(tmp_path, CeroAllocator(CONFIG)).metrics()["outstanding"] == 0
