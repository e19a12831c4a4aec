"""A full disk and a folder that cannot be written: said clearly, and what was there before is unharmed."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api import CeroAllocator, CeroConfig, CheckpointError, TraceError, load_allocator, make_allocator
from cero_api import save_allocator as save
from cero_api.trace import TraceReader, TraceWriter
from cero_ray import Desk, DurableDesk, durable
from tests.faults import lives

resource = pytest.importorskip("resource", reason="limits and other users are POSIX")

NOBODY = 65534


@contextlib.contextmanager
def disk_full_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes: a write stops in the middle, the next one is refused."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that this process cannot write to while the test runs, root or not; it holds a checkpoint."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save(make_allocator("cero", **lives.SIZE), folder / "allocator.npz")
        for path, mode in ((folder / "allocator.npz", 0o644), (folder, 0o555)):
            path.chmod(mode)
        root = os.geteuid() == 0  # whom no mode stops
        if root:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("room", [0, 100, 5_000, 200_000])
def test_a_full_disk_keeps_the_previous_checkpoint(room: int, tmp_path: Path) -> None:
    allocator = make_allocator("cero", **lives.SIZE)
    path = save(allocator, tmp_path / "allocator.npz")
    before = path.read_bytes()
    lives.round_of(allocator)
    with disk_full_at(room), pytest.raises(CheckpointError, match=r"cannot write .*is unchanged. Free the disk"):
        save(allocator, path)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["allocator.npz"]
    save(allocator, path)
    assert load_allocator(path).metrics() == allocator.metrics()


def test_a_locked_folder_keeps_the_previous_checkpoint(locked: Path) -> None:
    path = locked / "allocator.npz"
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match=r"Permission denied.*choose a folder that can be written"):
        save(make_allocator("cero", **lives.SIZE), path)
    assert path.read_bytes() == before
    assert names(locked) == ["allocator.npz"]
    assert load_allocator(path).metrics()["round"] == 0


def test_a_locked_folder_takes_no_desk_and_no_trace(locked: Path) -> None:
    for folder in (locked, locked / "new"):
        with pytest.raises(CheckpointError, match=r"cannot write to .*choose a folder that can be written"):
            DurableDesk(folder, CeroAllocator(lives.DESK))
    with pytest.raises(TraceError, match="cannot write"):
        TraceWriter(locked / "trace.jsonl")
    assert names(locked) == ["allocator.npz"]


@pytest.mark.parametrize("name", ["trace.jsonl", "trace.jsonl.gz"])
def test_a_trace_loses_no_round_to_a_full_disk(name: str, tmp_path: Path) -> None:
    prompts = np.arange(40)

    def write(trace: TraceWriter, round: int) -> None:
        trace.write(round, prompts, np.full(40, 8), (prompts + round) % 9)

    (tmp_path / "whole").mkdir()
    with TraceWriter(tmp_path / "whole" / name) as whole:
        for round in range(6):
            write(whole, round)
    with disk_full_at(10), pytest.raises(TraceError, match="cannot write"):
        TraceWriter(tmp_path / name)
    with TraceWriter(tmp_path / name) as trace:
        for round in range(3):
            write(trace, round)
        size = (tmp_path / name).stat().st_size
        for room in (0, 1, 50):
            with disk_full_at(size + room), pytest.raises(TraceError, match="the rounds before are unharmed, free the"):
                write(trace, 3)
            assert (tmp_path / name).stat().st_size == size
        assert len(list(TraceReader(tmp_path / name))) == 3
        for round in range(3, 6):  # the trainer went on, and the disk was freed
            write(trace, round)
    assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


CONFIG = CeroConfig(num_prompts=8, rounds=20, budget=400, saturation=0.5)


def ask(desk: Desk | DurableDesk, step: int) -> list[int]:
    tickets, rows = [f"{step}-{i}" for i in range(4)], [(4 * step + i) % 8 for i in range(4)]
    if isinstance(desk, Desk):
        return desk.deal(tickets, rows, mean=4, step=step, exact=True)
    return desk.deal(tickets, rows, 4, step, True)


def answer(desk: Desk | DurableDesk, step: int, counts: list[int]) -> None:
    for i, count in enumerate(counts):
        for session in range(count):
            desk.report(f"{step}-{i}", session, float((i + session) % 2))


def ask_and_answer(desk: Desk | DurableDesk, step: int) -> list[int]:
    counts = ask(desk, step)
    answer(desk, step, counts)
    return counts


def state(desk: Desk | DurableDesk) -> dict[str, Any]:
    desk.metrics()
    return (desk if isinstance(desk, Desk) else desk.desk).allocator.state_dict()


@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_request_that_cannot_be_written_down_is_not_done(room: int, tmp_path: Path) -> None:
    desk, alone = DurableDesk(tmp_path, CeroAllocator(CONFIG)), Desk(CeroAllocator(CONFIG))
    for step in range(4):
        (journal,) = tmp_path.glob("*.jsonl")
        with disk_full_at(journal.stat().st_size + room):
            for _ in range(2):
                with pytest.raises(CheckpointError, match=r"cannot write to .*Free the disk"):
                    ask(desk, step)
        counts = ask(desk, step)  # the disk was freed, and the caller asks again
        assert counts == ask(alone, step)
        for one in (desk, alone):
            answer(one, step, counts)
    again = DurableDesk(tmp_path, CeroAllocator(CONFIG))
    expected = state(alone)
    for one in (desk, again):
        assert all(np.array_equal(state(one)[name], expected[name]) for name in expected)


def test_a_snapshot_that_does_not_fit_is_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "_SNAPSHOT_EVERY", 12)
    desk, alone = DurableDesk(tmp_path, CeroAllocator(CONFIG)), Desk(CeroAllocator(CONFIG))
    with disk_full_at(4_000), pytest.warns(UserWarning, match="goes on without a new snapshot: cannot write"):
        counts = ask_and_answer(desk, 0)
    assert counts == ask_and_answer(alone, 0)
    expected = state(alone)
    again = DurableDesk(tmp_path, CeroAllocator(CONFIG))
    assert all(np.array_equal(state(again)[name], expected[name]) for name in expected)
