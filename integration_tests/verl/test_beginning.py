"""Which checkpoints an allocator begins from, and which are refused with what to do; no training needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cero_api import make_allocator
from cero_api.errors import CheckpointError
from cero_ray import DurableDesk
from cero_verl.beginning import Beginning, beginning
from cero_verl.checkpoint import Progress, save_state
from cero_verl.prompts import index_of, train_dataset
from integration_tests.verl.tiny import Tiny, save_prompts

STEPS, SAVED = 6, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a training that stopped after its fourth step."""
    first = begin(tmp_path)
    allocator = make_allocator("cero", **first.begin["config"])
    checkpoint = tmp_path / "checkpoints" / f"global_step_{SAVED}"
    files = DurableDesk(tmp_path / "journal", allocator).checkpoint()
    save_state(checkpoint, files, Progress(step=SAVED, pool=pool(tmp_path), after=first.after))
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(SAVED))
    return tmp_path


def begin(folder: Path, *flags: str, steps: int = STEPS, allocator: str = "cero") -> Beginning:
    config = composed(folder, *flags, steps=steps, allocator=allocator)
    index = index_of(train_dataset(config))
    return beginning(config, len(index), index.fingerprint)


def composed(folder: Path, *flags: str, steps: int = STEPS, allocator: str = "cero") -> Any:
    return Tiny(folder, steps=steps, prompts=8, extra=[f"+rollout_allocator={allocator}", *flags]).config()


def pool(folder: Path) -> str:
    return index_of(train_dataset(composed(folder))).fingerprint


def test_from_scratch(tmp_path: Path) -> None:
    found = begin(tmp_path)
    assert (found.begin["name"], found.after, found.next_step, found.schedule.steps) == ("cero", 0, 1, STEPS)


def test_auto_and_resume_path_and_disable(folder: Path) -> None:
    found = begin(folder)
    assert found.begin["files"].keys() == {"cero_allocator.npz", "cero_tickets.json"}
    assert (found.after, found.next_step, found.schedule.steps) == (0, SAVED + 1, STEPS)
    moved = folder / "elsewhere" / f"global_step_{SAVED}"
    shutil.move(folder / "checkpoints" / f"global_step_{SAVED}", moved)
    assert "name" in begin(folder).begin, "verl finds no checkpoint there, and starts from scratch"
    by_path = begin(folder, "trainer.resume_mode=resume_path", f"trainer.resume_from_path={moved}")
    assert by_path.next_step == SAVED + 1
    assert begin(folder, "trainer.resume_mode=disable").next_step == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"flags": ("rollout_allocator.saturation=2",)}, r"saturation=1\.0 \(now 2\.0\).*fresh_start=true"),
        ({"steps": STEPS + 1}, r"rounds=6 \(now 7\)"),
        ({"allocator": "uniform"}, "a CeroConfig, and this run has a UniformConfig"),
    ],
)
def test_another_configuration(folder: Path, changed: dict[str, Any], said: str) -> None:
    flags, others = changed.get("flags", ()), {k: v for k, v in changed.items() if k != "flags"}
    with pytest.raises(CheckpointError, match=said):
        begin(folder, *flags, **others)
    fresh = begin(folder, *flags, "rollout_allocator.fresh_start=true", **others)
    assert (fresh.after, fresh.next_step) == (SAVED, SAVED + 1)
    assert fresh.schedule.steps == fresh.begin["config"]["rounds"] == others.get("steps", STEPS) - SAVED


def test_what_fits_is_resumed_whatever_fresh_start_says(folder: Path) -> None:
    assert "files" in begin(folder, "rollout_allocator.fresh_start=true").begin


def test_a_fresh_start_is_resumed_as_one(folder: Path) -> None:
    """The later checkpoint knows that its allocator has not seen the first steps."""
    fresh = begin(folder, "rollout_allocator.saturation=2", "rollout_allocator.fresh_start=true")
    allocator = make_allocator("cero", **fresh.begin["config"])
    checkpoint = folder / "checkpoints" / f"global_step_{SAVED + 1}"
    files = DurableDesk(folder / "second", allocator).checkpoint()
    save_state(checkpoint, files, Progress(step=SAVED + 1, pool=pool(folder), after=fresh.after))
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(SAVED + 1))
    resumed = begin(folder, "rollout_allocator.saturation=2")
    assert "files" in resumed.begin
    assert (resumed.after, resumed.next_step, resumed.schedule.steps) == (SAVED, SAVED + 2, STEPS - SAVED)


def test_other_prompts(folder: Path) -> None:
    save_prompts(folder / "train.parquet", 8, indices=list(range(1, 9)))
    with pytest.raises(CheckpointError, match="other train prompts"):
        begin(folder)


def test_torn_missing_or_of_another_step(folder: Path) -> None:
    checkpoint = folder / "checkpoints" / f"global_step_{SAVED}"
    whole = (checkpoint / "cero_allocator.npz").read_bytes()
    (checkpoint / "cero_allocator.npz").write_bytes(whole[:100])
    with pytest.raises(CheckpointError, match="torn or foreign"):
        begin(folder)
    (checkpoint / "cero_allocator.npz").write_bytes(whole)
    renamed = checkpoint.with_name("global_step_5")
    shutil.copytree(checkpoint, renamed)
    (folder / "checkpoints" / "latest_checkpointed_iteration.txt").write_text("5")
    with pytest.raises(CheckpointError, match="the allocator of step 4"):
        begin(folder)
    (renamed / "cero_verl.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"cero_verl.json cannot be read"):
        begin(folder)
    (renamed / "cero_verl.json").unlink()
    with pytest.raises(CheckpointError, match=r"no cero_verl.json.*resume_path.*fresh_start=true"):
        begin(folder)
