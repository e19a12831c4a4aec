"""Resuming equals never having stopped: same prompts, counts, losses and weights, at any step."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cero_api.errors import CheckpointError
from integration_tests.trl import tiny

PLAIN: dict[str, Any] = {}
ACCUMULATED = {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 4}
# Two optimiser steps to a round, so that steps 1, 3 and 5 fall into the middle of one; and four.
HALVED = {"steps_per_generation": 2, "per_device_train_batch_size": 4}
REUSED = {**HALVED, "num_iterations": 2}


def trained(folder: Path, options: dict[str, Any], *, resume: Path | None = None, **kwargs: Any) -> Any:
    args = {"max_steps": 6, "save_strategy": "steps", "save_steps": 1, **options}
    trainer = tiny.trainer(folder, tiny.first_is_digit, args=args, **kwargs)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer


def rounds_of(trainer: Any) -> list[tuple[Any, ...]]:
    return [
        (r.round, r.prompt_ids.tolist(), r.counts.tolist(), r.successes.tolist(), r.rollouts_so_far)
        for r in trainer.records
    ]


@pytest.mark.parametrize(
    ("options", "steps", "scope"),
    [
        (PLAIN, [2, 5], "pool"),
        (ACCUMULATED, [2], "batch"),
        (HALVED, [1, 2], "batch"),
        (REUSED, [1, 3, 4], "batch"),
    ],
)
def test_resumed_equals_uninterrupted(tmp_path: Path, options: dict[str, Any], steps: list[int], scope: str) -> None:
    whole = trained(tmp_path / "whole", options, scope=scope)
    for step in steps:
        stopped = tmp_path / "whole" / f"checkpoint-{step}"
        rest = trained(tmp_path / "rest", {**options, "save_steps": 100}, scope=scope, resume=stopped)
        assert rest.records
        assert rounds_of(rest) == rounds_of(whole)[-len(rest.records) :]
        # The closing line averages the loss over this process's own steps.
        assert tiny.history(rest, without=["train_loss"]) == tiny.history(whole, without=["train_loss"])
        assert (tiny.weights(rest) == tiny.weights(whole)).all()
        assert (rest.allocator.exposure() == whole.allocator.exposure()).all()
        assert rest.allocator.metrics() == whole.allocator.metrics()
        assert rest.allocator.metrics()["budget_remaining"] == 0


def test_a_generation_batch_is_kept_only_while_it_is_trained_on(tmp_path: Path) -> None:
    trained(tmp_path, {"max_steps": 4, **HALVED}, allocator="uniform")
    kept = [len(list((tmp_path / f"checkpoint-{step}").glob("cero_batch_*.pt"))) for step in (1, 2, 3, 4)]
    assert kept == [1, 0, 1, 0]


def test_a_checkpoint_without_the_allocator_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "stock", {"save_steps": 3}, stock=True)
    with pytest.raises(CheckpointError, match=r"has no cero_allocator\.npz or cero_trl\.json"):
        trained(tmp_path / "ours", {}, allocator="uniform", resume=tmp_path / "stock" / "checkpoint-3")


def test_a_checkpoint_of_another_dataset_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "a", {"save_steps": 3}, allocator="uniform")
    backwards = tiny.dataset().select(range(11, -1, -1))
    with pytest.raises(CheckpointError, match="another train dataset, or the same in another order"):
        trained(
            tmp_path / "b",
            {},
            allocator="uniform",
            train_dataset=backwards,
            resume=tmp_path / "a" / "checkpoint-3",
        )


def test_a_checkpoint_of_another_allocator_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "a", {"save_steps": 3}, allocator="uniform")
    with pytest.raises(CheckpointError, match=r"a UniformConfig \(now a CeroConfig\)"):
        trained(tmp_path / "b", {}, allocator="cero", resume=tmp_path / "a" / "checkpoint-3")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"success_threshold": 0.5}, r"success_threshold=1\.0 \(now 0\.5\)"),
        ({"reward_range": (0, 2)}, r"success_threshold=1\.0 \(now None\), reward_range=None \(now \[0\.0, 2\.0\]\)"),
        ({"success_reward": "first_is_digit"}, r"success_reward=None \(now first_is_digit\)"),
    ],
)
def test_a_checkpoint_of_other_successes_is_refused(tmp_path: Path, rule: dict[str, Any], said: str) -> None:
    trained(tmp_path / "a", {"save_steps": 3})
    saved = tmp_path / "a" / "checkpoint-3"
    with pytest.raises(CheckpointError, match=said):
        trained(tmp_path / "b", {}, resume=saved, **rule)
    assert trained(tmp_path / "b", {}, resume=saved, fresh_start=True, **rule).allocator.metrics()["round"] == 3
    progress = json.loads((saved / "cero_trl.json").read_text())
    del progress["judged_by"]  # as an earlier version wrote it
    (saved / "cero_trl.json").write_text(json.dumps(progress))
    assert trained(tmp_path / "c", {}, resume=saved, **rule).allocator.metrics()["round"] == 6


def test_a_torn_checkpoint_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "a", HALVED, allocator="uniform")
    torn = tmp_path / "torn-3"
    shutil.copytree(tmp_path / "a" / "checkpoint-3", torn)
    (torn / "cero_batch_0.pt").unlink()
    with pytest.raises(CheckpointError, match=r"cero_batch_0\.pt is missing"):
        trained(tmp_path / "b", HALVED, allocator="uniform", resume=torn)
    (torn / "cero_trl.json").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot be read"):
        trained(tmp_path / "c", HALVED, allocator="uniform", resume=torn)


@pytest.mark.parametrize("name", ["cero_batch_0.pt", "cero_trl.json", "cero_allocator.npz", "trainer_state.json"])
@pytest.mark.parametrize("size", [0, 40])
def test_a_file_that_ends_early_is_named(tmp_path: Path, name: str, size: int) -> None:
    """As a full disk or a copy that stopped leaves it; the message says what to do."""
    trained(tmp_path / "a", {**HALVED, "max_steps": 3}, allocator="uniform")
    torn = tmp_path / "a" / "checkpoint-3" / name
    torn.write_bytes(torn.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=rf"{name} cannot be read(.|\n)*(earlier|fresh_start)"):
        trained(tmp_path / "b", HALVED, allocator="uniform", resume=torn.parent)


def test_another_batch_layout_in_mid_round_is_refused(tmp_path: Path) -> None:
    trained(tmp_path / "a", {**HALVED, "max_steps": 4}, allocator="uniform")
    with pytest.raises(CheckpointError, match=r"micro_batches_per_round=2 \(now 1\)"):
        trained(tmp_path / "b", {"max_steps": 2}, allocator="uniform", resume=tmp_path / "a" / "checkpoint-1")
