"""Files: whole or not at all, plain arrays, strict on the way in."""

import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cero_api import (
    CheckpointError,
    ConfigurationError,
    RolloutAllocator,
    RolloutOutcomes,
    UniformAllocator,
    UniformConfig,
    load_allocator,
    make_allocator,
    save_allocator,
)
from cero_api.checkpoint import allocator_from_bytes, allocator_to_bytes

SIZE: dict[str, Any] = {"num_prompts": 30, "rounds": 20, "budget": 800}


def trained(name: str, rounds: int = 3) -> RolloutAllocator:
    allocator = make_allocator(name, **SIZE)
    for _ in range(rounds):
        play(allocator)
    allocator.allocate()  # and one round still open
    return allocator


def play(allocator: RolloutAllocator) -> np.ndarray:
    allocation = allocator.allocate()
    won = np.minimum(allocation.prompt_ids % 9, allocation.counts)
    allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won, round=allocation.round))
    return np.stack([allocation.prompt_ids, allocation.counts])


@pytest.mark.parametrize("name", ["cero", "uniform"])
def test_a_loaded_allocator_goes_on_as_the_saved_one(name: str, tmp_path: Path) -> None:
    allocator = trained(name)
    loaded = load_allocator(save_allocator(allocator, tmp_path / "allocator.npz"))
    assert type(loaded) is type(allocator)
    assert loaded.config == allocator.config
    for _ in range(10):
        np.testing.assert_array_equal(play(loaded), play(allocator))
    assert os.listdir(tmp_path) == ["allocator.npz"]


def test_the_file_is_plain_arrays_and_readable_metadata(tmp_path: Path) -> None:
    path = save_allocator(trained("cero"), tmp_path / "allocator.npz")
    with np.load(path, allow_pickle=False) as arrays:
        assert arrays["exposure"].dtype == np.int64
        metadata = json.loads(arrays["metadata.json"])
    assert metadata["allocator"] == "cero"
    assert metadata["config"]["budget"] == 800


def test_one_state_is_the_same_bytes_whenever_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    allocator = trained("cero")
    before = allocator_to_bytes(allocator)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert allocator_to_bytes(allocator) == before
    assert allocator_to_bytes(allocator_from_bytes(before)) == before


@pytest.mark.parametrize("moment", ["write", "fsync", "replace"])
def test_a_failed_save_keeps_the_previous_file(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_allocator(trained("cero"), tmp_path / "allocator.npz")
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    target = {"write": (np.lib.format, "write_array"), "fsync": (os, "fsync"), "replace": (os, "replace")}[moment]
    with monkeypatch.context() as patch:
        patch.setattr(*target, fail)
        with pytest.raises(CheckpointError, match="unchanged"):
            save_allocator(trained("cero", rounds=6), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["allocator.npz"]


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_allocator(trained("cero"), tmp_path / "allocator.npz")
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot write"):
        save_allocator(trained("cero"), tmp_path / "no" / "allocator.npz")
    with pytest.raises(CheckpointError, match="does not exist"):
        load_allocator(tmp_path / "allocator.npz")


def rewritten(path: Path, **changes: bytes | None) -> Path:
    """The checkpoint with some members replaced, or left out where None."""
    with zipfile.ZipFile(path) as old:
        members: dict[str, bytes | None] = {name: old.read(name) for name in old.namelist()}
    members |= {name.replace("_npy", ".npy").replace("_json", ".json"): data for name, data in changes.items()}
    with zipfile.ZipFile(path, "w") as new:
        for name, data in members.items():
            if data is not None:
                new.writestr(name, data)
    return path


def npy(array: np.ndarray, allow_pickle: bool = False) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, allow_pickle=allow_pickle)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metadata_json": b"{}"}, "not an allocator's checkpoint"),
        ({"metadata_json": b"{"}, "torn or foreign"),
        ({"metadata_json": None}, "torn or foreign"),
        ({"metadata_json": b'{"format": "cero-allocator", "version": 99}'}, "format version 99"),
        ({"metadata_json": b'{"format": "cero-allocator", "version": 1}'}, "metadata is incomplete"),
        ({"exposure_npy": None}, "does not hold the 30 prompts"),
        ({"failures_npy": None}, r"missing \['failures'\]"),
        ({"extra_npy": npy(np.zeros(3))}, r"unknown \['extra'\]"),
        ({"exposure_npy": npy(np.zeros(3, dtype=np.int64))}, "does not hold the 30 prompts"),
        ({"failures_npy": npy(np.zeros(3))}, "has length 3, this pool has 30"),
        ({"exposure_npy": npy(np.array([{}]), allow_pickle=True)}, "cannot be read"),
        ({"exposure_npy": b"junk"}, "cannot be read"),
        ({"round_npy": npy(np.array(2.5))}, "round must be a finite int"),
    ],
)
def test_foreign_files_are_refused(changes: dict[str, bytes | None], reason: str, tmp_path: Path) -> None:
    path = save_allocator(trained("cero"), tmp_path / "allocator.npz")
    with pytest.raises(CheckpointError, match=reason):
        load_allocator(rewritten(path, **changes))


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.99])
def test_torn_files_are_refused(keep: float, tmp_path: Path) -> None:
    path = save_allocator(trained("cero"), tmp_path / "allocator.npz")
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 else keep * len(data))])
    with pytest.raises(CheckpointError, match="torn or foreign"):
        load_allocator(path)


def test_another_allocators_config_is_refused(tmp_path: Path) -> None:
    path = save_allocator(trained("cero"), tmp_path / "allocator.npz")
    metadata = json.dumps(
        {"format": "cero-allocator", "version": 1, "allocator": "uniform", "config": SIZE | {"saturation": 2.0}}
    )
    with pytest.raises(CheckpointError, match="saturation: unknown"):
        load_allocator(rewritten(path, metadata_json=metadata.encode()))


def test_an_unregistered_allocator_is_not_saved(tmp_path: Path) -> None:
    class Mine(UniformAllocator):
        """Known to nobody."""

    with pytest.raises(ConfigurationError, match="register_allocator"):
        save_allocator(Mine(UniformConfig(**SIZE)), tmp_path / "allocator.npz")
