"""Which checkpoints an allocator begins from, and which are refused with what to do; no training needed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from cero_api import make_allocator
from cero_api.errors import CheckpointError
from cero_ray import DurableDesk
from cero_ray.durable import restored
from cero_verl.beginning import Beginning, beginning
from cero_verl.config import VerlAllocatorConfig
from cero_verl.prompts import TrainPrompts, train_dataset
from cero_verl.saved import Progress, save_state
from integration_tests.verl.tiny import Tiny, save_prompts

STEPS, SAVED = 6, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of a training that stopped after its fourth step."""
    first = begin(tmp_path)
    desk = DurableDesk(tmp_path / "journal", make_allocator("cero", **first.begin["config"]))
    for step in range(SAVED):
        tickets, rows = [f"{step}-{i}" for i in range(4)], [(4 * step + i) % 8 for i in range(4)]
        for ticket, count in zip(tickets, desk.deal(tickets, rows, 4, step, True), strict=True):
            for session in range(count):
                desk.report(ticket, session, float(session % 2))
    checkpoint = tmp_path / "checkpoints" / f"global_step_{SAVED}"
    save_state(checkpoint, desk.checkpoint(), Progress(step=SAVED, pool=pool(tmp_path), after=first.after))
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(SAVED))
    return tmp_path


def begin(folder: Path, *flags: str, steps: int = STEPS, allocator: str = "cero") -> Beginning:
    config = composed(folder, *flags, steps=steps, allocator=allocator)
    return beginning(config, TrainPrompts(train_dataset(config)))


def composed(folder: Path, *flags: str, steps: int = STEPS, allocator: str = "cero") -> Any:
    return Tiny(folder, steps=steps, prompts=8, extra=[f"+rollout_allocator={allocator}", *flags]).config()


def pool(folder: Path) -> str:
    return TrainPrompts(train_dataset(composed(folder))).index.fingerprint


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
        (
            {"flags": ("rollout_allocator.saturation=2",)},
            r"the saved allocator has saturation=1\.0 \(now 2\.0\);.*fresh_start=true",
        ),
        (
            {"flags": ("rollout_allocator.saturation=2",), "steps": STEPS + 1},
            r"the saved allocator has saturation=1\.0 \(now 2\.0\);",
        ),
        ({"allocator": "uniform"}, r"a CeroConfig \(now a UniformConfig\).*fresh_start=true"),
    ],
)
def test_another_configuration(folder: Path, changed: dict[str, Any], said: str) -> None:
    flags, others = changed.get("flags", ()), {k: v for k, v in changed.items() if k != "flags"}
    with pytest.raises(CheckpointError, match=said):
        begin(folder, *flags, **others)
    fresh = begin(folder, *flags, "rollout_allocator.fresh_start=true", **others)
    assert (fresh.after, fresh.next_step) == (SAVED, SAVED + 1)
    assert fresh.schedule.steps == fresh.begin["config"]["rounds"] == others.get("steps", STEPS) - SAVED


def test_other_knowledge_of_the_prompts_is_refused(tmp_path: Path) -> None:
    window = "rollout_allocator.scope=window"
    told = begin(tmp_path, window)
    desk = DurableDesk(tmp_path / "journal", told.allocator)
    checkpoint = tmp_path / "checkpoints" / f"global_step_{SAVED}"
    save_state(checkpoint, desk.checkpoint(), Progress(step=SAVED, pool=pool(tmp_path)))
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(SAVED))
    assert begin(tmp_path, window).next_step == SAVED + 1
    other = (window, "rollout_allocator.features=[extra_info.index]")
    with pytest.raises(CheckpointError, match="was told other features of its prompts"):
        begin(tmp_path, *other)
    assert begin(tmp_path, *other, "rollout_allocator.fresh_start=true").after == SAVED


def test_other_successes_are_refused(tmp_path: Path) -> None:
    settings = VerlAllocatorConfig(name="cero", success_key="acc")
    checkpoint = tmp_path / "checkpoints" / f"global_step_{SAVED}"
    desk = DurableDesk(tmp_path / "journal", begin(tmp_path).allocator)
    progress = Progress(step=SAVED, pool=pool(tmp_path), judged_by=settings.judged_by)
    save_state(checkpoint, desk.checkpoint(), progress)
    (tmp_path / "checkpoints" / "latest_checkpointed_iteration.txt").write_text(str(SAVED))
    assert begin(tmp_path, "rollout_allocator.success_key=acc").next_step == SAVED + 1
    with pytest.raises(CheckpointError, match=r"success_key=acc \(now None\)"):
        begin(tmp_path)
    assert begin(tmp_path, "rollout_allocator.fresh_start=true").after == SAVED


@pytest.mark.parametrize(
    ("steps", "flags", "rounds", "budget"),
    [
        (STEPS + 3, [], STEPS + 3, (STEPS + 3) * 16),
        (STEPS, ["rollout_allocator.budget=150"], 10, 150),  # as many rounds as that takes
        (STEPS - 1, [], STEPS - 1, (STEPS - 1) * 16),
    ],
)
def test_a_training_of_another_length_goes_on(
    folder: Path, steps: int, flags: list[str], rounds: int, budget: int
) -> None:
    before, found = begin(folder).allocator, begin(folder, *flags, steps=steps)
    allocator, tickets = restored(found.begin["files"])
    assert (found.after, found.next_step) == (0, SAVED + 1)
    assert (allocator.config.rounds, allocator.config.budget) == (rounds, budget)
    assert "resumed from" in found.told
    assert f"(now {budget})" in found.told
    assert allocator.exposure().tolist() == before.exposure().tolist()
    assert allocator.success_rate().tolist() == before.success_rate().tolist()
    assert allocator.metrics()["budget_remaining"] == budget - SAVED * 16
    assert len(tickets["done"]) == SAVED * 4


def test_more_rounds_than_were_planned_go_on(folder: Path) -> None:
    """Refills take rounds of their own."""
    desk = DurableDesk(folder / "journal", begin(folder).allocator)  # whose journal goes on
    for step in range(4):
        desk.deal([f"refill {step}"], [step], 2, SAVED, True)
    checkpoint = folder / "checkpoints" / f"global_step_{SAVED}"
    save_state(checkpoint, desk.checkpoint(), Progress(step=SAVED, pool=pool(folder)))
    found = begin(folder, steps=STEPS + 1)
    assert found.asked == (STEPS + 1, (STEPS + 1) * 16)
    assert found.allocator.config.rounds == SAVED + 4 + (STEPS + 1 - SAVED)
    assert found.allocator.metrics()["budget_remaining"] >= (STEPS + 1 - SAVED) * 16

    # Saved again, and resumed with the same settings, it goes on by the same plan.
    longer = DurableDesk(folder / "longer", restored(found.begin["files"])[0])
    save_state(checkpoint, longer.checkpoint(), Progress(step=SAVED, pool=pool(folder), asked=found.asked))
    again = begin(folder, steps=STEPS + 1)
    assert again.asked == found.asked
    assert again.allocator.config == found.allocator.config
    assert "where it had" not in again.told
    assert begin(folder, steps=STEPS + 2).allocator.config.rounds == SAVED + 4 + (STEPS + 2 - SAVED)


@pytest.mark.parametrize("flags", [[], ["rollout_allocator.saturation=2"]])
@pytest.mark.parametrize("steps", [SAVED, SAVED - 1])
def test_a_training_that_is_over_has_nothing_to_say(folder: Path, steps: int, flags: list[str]) -> None:
    found = begin(folder, *flags, steps=steps)
    assert found.next_step == SAVED + 1
    assert "the training is over" in found.told
    for path in (folder / "checkpoints" / f"global_step_{SAVED}").glob("cero_*"):
        path.unlink()
    fresh = begin(folder, steps=steps)
    assert (fresh.after, fresh.next_step) == (SAVED, SAVED + 1)


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
