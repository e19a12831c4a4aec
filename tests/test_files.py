"""Files take a name whole, keep modes and links, and are read only where there is an end to them."""

import os
import stat
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cero_api import CheckpointError, TraceError, load_allocator, make_allocator, save_allocator
from cero_api.analysis.learning import TrainingRecord
from cero_api.checkpoint import allocator_from_bytes, allocator_to_bytes
from cero_api.files import regular_file, replacing, write_whole

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes are POSIX")
SIZE: dict[str, Any] = {"num_prompts": 30, "rounds": 20, "budget": 800}


def save(path: Path) -> None:
    save_allocator(make_allocator("uniform", **SIZE), path)


def record(path: Path) -> None:
    TrainingRecord(label="cero", rollouts=[0, 8], accuracy=[0.1, 0.2]).save(path)


writers = pytest.mark.parametrize("write", [save, record, lambda path: write_whole(path, "text")])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
@writers
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077])
def test_a_new_file_gets_what_the_umask_leaves_and_keeps_its_own(write: Any, mask: int, tmp_path: Path) -> None:
    path, before = tmp_path / "file", os.umask(mask)
    try:
        write(path)
        assert mode(path) == 0o666 & ~mask
        path.chmod(0o640)
        write(path)
        assert mode(path) == 0o640
    finally:
        os.umask(before)


@posix
@writers
def test_a_link_stays_and_what_it_names_is_replaced(write: Any, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, target = tmp_path / "latest", tmp_path / "disk" / "step-7"
    link.symlink_to(Path("disk") / "step-7")  # to nothing yet
    for _ in range(2):
        write(link)
        assert link.is_symlink()
        assert target.stat().st_size > 0
        assert link.samefile(target)
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["disk", "latest", "step-7"]


@posix
def test_nothing_but_a_regular_file_is_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "pipe", tmp_path / "loop", tmp_path):
        with pytest.raises(CheckpointError, match="cannot write"):
            save(path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["loop", "pipe"]


def test_a_file_that_is_not_completed_never_was(tmp_path: Path) -> None:
    path = tmp_path / ("long-" * 45)
    write_whole(path, "before")

    def interrupted() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


@posix
def test_files_without_an_end_are_refused_at_once_and_in_little_memory(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # which nobody will write to
    holes = tmp_path / "holes"
    with holes.open("wb") as file:
        file.truncate(1 << 40)
    directory = tmp_path / "directory"  # one that says it is as long as the file
    with directory.open("wb") as file:
        file.truncate(1 << 31)
        file.seek(0, os.SEEK_END)
        size = (1 << 31) - 1
        file.write(b"PK\x05\x06" + bytes(4) + (1).to_bytes(2, "little") * 2 + size.to_bytes(4, "little") + bytes(6))
    for path in (Path("/dev/zero"), tmp_path / "pipe", tmp_path, holes, directory):
        for read, error in ((load_allocator, CheckpointError), (TrainingRecord.load, TraceError)):
            if path in (holes, directory) and error is TraceError:
                continue  # a regular file, however long, has an end
            refusals: list[BaseException] = []

            def refuse(read: Any = read, path: Path = path, into: list[BaseException] = refusals) -> None:
                try:
                    read(path)
                except Exception as refusal:
                    into.append(refusal)

            tracemalloc.start()
            thread = threading.Thread(target=refuse, daemon=True)
            thread.start()
            thread.join(10)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert isinstance(refusals[0], error), path
            assert peak < 1 << 23


@posix
def test_a_file_is_read_through_a_link(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "text")
    (tmp_path / "link").symlink_to("file")
    with regular_file(tmp_path / "link") as file:
        assert file.read() == b"text"


def test_bytes_are_what_a_file_would_hold(tmp_path: Path) -> None:
    allocator = make_allocator("cero", **SIZE)
    allocator.allocate()
    data = allocator_to_bytes(allocator)
    path = tmp_path / "allocator.npz"
    path.write_bytes(data)
    for loaded in (load_allocator(path), allocator_from_bytes(data)):
        assert loaded.config == allocator.config
        assert loaded.metrics() == allocator.metrics()
    for damaged in (b"", data[:-30], b"PK" + bytes(200)):
        with pytest.raises(CheckpointError, match="the allocator's bytes cannot be read"):
            allocator_from_bytes(damaged)


def test_a_name_that_no_file_can_have_is_refused_like_any_other(tmp_path: Path) -> None:
    allocator = make_allocator("uniform", num_prompts=4, rounds=2, budget=64)
    for call in (lambda path: save_allocator(allocator, path), load_allocator):
        with pytest.raises(CheckpointError, match="no name has a NUL in it"):
            call(tmp_path / "a\0b")
    with pytest.raises(OSError, match="no name has a NUL in it"):
        write_whole(tmp_path / "a\0b", "text")
