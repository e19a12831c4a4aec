"""States that earlier versions wrote: each loads, and deals on exactly as was recorded when it was saved.

`python tests/faults/test_skew.py` writes the samples of this version into tests/data/states/; those of earlier versions
stay as they are for as long as they can be loaded.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api import (
    CeroAllocator,
    CheckpointError,
    PilotAllocator,
    RolloutAllocator,
    RolloutOutcomes,
    available_allocators,
    checkpoint,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_ray import Desk
from cero_ray.durable import ALLOCATOR_FILE, TICKETS_FILE, restored

STATES = Path(__file__).parents[1] / "data" / "states"
SAMPLES = sorted(STATES.glob("v*/*.npz"))
SIZE: dict[str, Any] = {"num_prompts": 12, "rounds": 20, "budget": 480, "seed": 1}


def play(allocator: RolloutAllocator, rounds: range) -> list[list[Any]]:
    """Pool, batch and exact rounds in turn; rewards come in parts, late, and not at all."""
    dealt = []
    for k in rounds:
        rows = np.random.default_rng(k).permutation(12)[:5]
        allocation = allocator.allocate(None if k % 3 == 0 else rows, total=20 if k % 3 == 2 else None)
        ids, counts = allocation.prompt_ids, allocation.counts
        dealt.append([ids.tolist(), counts.tolist()])
        half = counts // 2
        won = np.minimum((ids + k) % 3, half)
        allocator.observe(RolloutOutcomes(ids, won, half - won, round=allocation.round))
        if k % 4 == 1 or allocation.to_commit:
            allocator.refund(ids, counts - half, round=allocation.round)
        if allocation.to_commit and isinstance(allocator, PilotAllocator):
            rest = allocator.commit()
            dealt.append([rest.prompt_ids.tolist(), rest.counts.tolist()])
            won = np.minimum((rest.prompt_ids + k) % 3, rest.counts)
            allocator.observe(RolloutOutcomes(rest.prompt_ids, won, rest.counts - won, round=rest.round))
    return dealt


def serve(desk: Desk, steps: range) -> list[list[int]]:
    dealt = []
    for step in steps:
        tickets, rows = [f"{step}-{i}" for i in range(4)], [(5 * step + i) % 12 for i in range(4)]
        counts = desk.deal(tickets, rows, mean=4, step=step)
        for ticket, count in zip(tickets, counts, strict=True):
            for session in range(count // 2 if ticket.endswith("1") else count):
                desk.report(ticket, session, float(session % 2))
        dealt.append(counts)
    return dealt


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_frozen_state_deals_on_as_recorded(path: Path) -> None:
    expected = json.loads((path.parent / "next.json").read_text())[path.stem]
    assert play(load_allocator(path), range(6, 12)) == expected


@pytest.mark.parametrize("folder", sorted(STATES.glob("v*/desk")), ids=lambda folder: folder.parent.name)
def test_frozen_tickets_deal_on_as_recorded(folder: Path) -> None:
    expected = json.loads((folder.parent / "next.json").read_text())["desk"]
    allocator, tickets = restored({name: (folder / name).read_bytes() for name in (ALLOCATOR_FILE, TICKETS_FILE)})
    desk = Desk(allocator)
    desk.load_state_dict(tickets)
    assert serve(desk, range(2, 6)) == expected  # step 2 was asked for before the checkpoint


@pytest.mark.parametrize("name", ["cero", "knapsack"])
def test_a_state_of_before_graded_rewards_counts_all_as_whole(name: str) -> None:
    """Also where somebody kept `state_dict()` in a checkpoint of their own."""
    allocator, old = make_allocator(name, **SIZE), make_allocator(name, **SIZE)
    play(allocator, range(6))
    later = ("version", "allocator", "decidable")  # than graded rewards, and those than the rest
    before = {
        key: value
        for key, value in allocator.state_dict().items()
        if key not in later and "graded" not in key and "squares" not in key
    }
    old.load_state_dict(before)
    assert play(old, range(6, 12)) == play(allocator, range(6, 12))


def test_every_allocator_and_the_present_version_has_a_sample() -> None:
    now = STATES / f"v{checkpoint._VERSION}"
    assert {path.stem for path in now.glob("*.npz")} == {*available_allocators()}
    for path in now.glob("*.npz"):
        with zipfile.ZipFile(path) as archive:
            assert json.loads(archive.read("metadata.json"))["version"] == checkpoint._VERSION


def test_an_old_version_is_brought_up_to_date_step_by_step(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As if the next version had given the exposure its name, and the one after it a saturation of its own."""
    now = checkpoint._VERSION
    allocator = make_allocator("cero", **SIZE)
    play(allocator, range(6))
    path, exposure = save_allocator(allocator, tmp_path / "allocator.npz"), allocator.exposure()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["given.npy"] = members["exposure.npy"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)

    def to_next(metadata: dict[str, Any], state: dict[str, Any]) -> None:
        state["exposure"] = state.pop("given")

    def to_the_one_after(metadata: dict[str, Any], state: dict[str, Any]) -> None:
        assert "given" not in state
        metadata["config"]["saturation"] = 2.0

    with pytest.raises(CheckpointError, match=r"unknown \['given'\]"):
        load_allocator(path)
    monkeypatch.setattr(checkpoint, "_VERSION", now + 2)
    monkeypatch.setattr(checkpoint, "_MIGRATIONS", {now: to_next, now + 1: to_the_one_after})
    loaded = load_allocator(path)
    assert isinstance(loaded, CeroAllocator)
    assert loaded.config.saturation == 2.0
    np.testing.assert_array_equal(loaded.exposure(), exposure)


def test_a_state_dict_of_the_first_version_is_taken() -> None:
    """It had no header, plan or squares, and no word on what could be decided; a user's own checkpoint may hold one."""
    for name in available_allocators():
        allocator, resumed = make_allocator(name, **SIZE), make_allocator(name, **SIZE)
        play(allocator, range(6))
        old = allocator.state_dict()
        for entry in ("version", "allocator", "decidable", "plan.round", "plan.spent"):
            del old[entry]
        for entry in ("graded", "last_graded", "visit_graded", "ledger.open_squares"):
            old.pop(entry, None)
        resumed.load_state_dict(old)
        assert play(resumed, range(6, 12)) == play(allocator, range(6, 12))


def main() -> None:
    """Freeze the samples of this version."""
    folder = STATES / f"v{checkpoint._VERSION}"
    (folder / "desk").mkdir(parents=True, exist_ok=True)
    following: dict[str, Any] = {}
    for name in available_allocators():
        allocator = make_allocator(name, **SIZE)
        play(allocator, range(6))
        save_allocator(allocator, folder / f"{name}.npz")
        following[name] = play(allocator, range(6, 12))
    desk = Desk(make_allocator("cero", **SIZE))
    serve(desk, range(3))
    (folder / "desk" / TICKETS_FILE).write_text(json.dumps(desk.state_dict()))
    save_allocator(desk.allocator, folder / "desk" / ALLOCATOR_FILE)
    following["desk"] = serve(desk, range(2, 6))
    (folder / "next.json").write_text(json.dumps(following) + "\n")


if __name__ == "__main__":
    main()
