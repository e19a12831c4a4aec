"""Allocators on disk: one npz file, written whole or not at all, read without pickle."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from cero_api.allocators import BaseAllocator, allocator_name, allocator_type, config_type, make_allocator
from cero_api.allocators.base import with_graded
from cero_api.errors import CeroError, CheckpointError
from cero_api.protocol import RolloutAllocator

_FORMAT, _VERSION = "cero-allocator", 3
_METADATA = "metadata.json"


def _to_2(metadata: dict[str, Any], state: dict[str, Any]) -> None:
    """A training may be given another length; those before never were."""
    if "ledger.spent" in state:  # of an allocator of ours
        state |= {"plan.round": 0, "plan.spent": 0}


def _to_3(metadata: dict[str, Any], state: dict[str, Any]) -> None:
    """Graded rewards are known by their spread too."""
    with_graded(state)


# How the metadata and state of a file of version n become those of version n + 1, in place. A release that changes
# the fields of a state raises the version, adds its step here and a sample of the old version to tests/data.
_MIGRATIONS: dict[int, Callable[[dict[str, Any], dict[str, Any]], None]] = {1: _to_2, 2: _to_3}


def save_allocator(allocator: RolloutAllocator, path: str | os.PathLike[str]) -> Path:
    """Write an allocator's configuration and state to one file, atomically.

    A reader finds the old file or the new one, never half of either: the bytes go to a temporary file beside it,
    reach the disk, and only then take its name. The file is a zip of plain `.npy` arrays and a readable
    `metadata.json` (`unzip -p FILE metadata.json`).

    Args:
        allocator: of a registered class.
        path: of the file; its folder must exist.

    Returns:
        The path.

    Raises:
        CheckpointError: the file cannot be written; the previous one, if any, is as it was.
        ConfigurationError: the allocator's class is not registered.

    >>> import tempfile, os.path
    >>> allocator = make_allocator("uniform", num_prompts=4, rounds=2, budget=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_allocator(save_allocator(allocator, os.path.join(folder, "allocator.npz"))).config == allocator.config
    True
    """
    path = Path(path)
    state = allocator.state_dict()
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "allocator": allocator_name(allocator),
        "config": allocator.config.model_dump(mode="json"),
    }
    try:
        with _replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_METADATA, json.dumps(metadata, indent=2))
            for name, value in state.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error}; what was there before is unchanged. Free the disk or choose a folder "
            "that can be written"
        ) from error
    return path


def load_allocator(path: str | os.PathLike[str]) -> RolloutAllocator:
    """Read an allocator that `save_allocator` wrote; it goes on as if it had never stopped.

    A file may come from anywhere: it is read without pickle, in memory that its own size bounds, and nothing is
    written to disk. A file of an earlier version is brought up to date first.

    Args:
        path: of the file.

    Raises:
        CheckpointError: the file is missing, torn, of a later version, or not an allocator's.

    Returns:
        A new allocator of the saved class and configuration.
    """
    metadata, state = _read(Path(path))
    try:
        name = metadata["allocator"]
        config = config_type(name)(**metadata["config"])
        if issubclass(allocator_type(name), BaseAllocator) and np.shape(state.get("exposure", 0)) != (
            config.num_prompts,
        ):
            # Before a pool is allocated that the file only claims to have.
            raise CheckpointError(
                f"it does not hold the {config.num_prompts} prompts that its configuration names; load an earlier one"
            )
        allocator = make_allocator(name, config)
        allocator.load_state_dict(state)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: metadata is incomplete ({error!r}); load an earlier checkpoint") from error
    except CeroError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return allocator


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive.infolist(), path.stat().st_size)
            metadata = json.loads(archive.read(_METADATA))
            if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
                raise CheckpointError(f"{path} is not an allocator's checkpoint; give the file save_allocator wrote")
            version = metadata.get("version")
            if type(version) is not int or not 1 <= version <= _VERSION:
                raise CheckpointError(
                    f"{path} has format version {version!r}, this library reads 1 to {_VERSION}; install the version "
                    "of cero-api that wrote it"
                )
            members = [member for member in archive.namelist() if member != _METADATA]
            state = {member.removesuffix(".npy"): _array(archive.read(member)) for member in members}
        for number in range(version, _VERSION):
            _MIGRATIONS[number](metadata, state)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} does not exist; check the folder of the checkpoint") from error
    except CheckpointError:
        raise
    except Exception as error:  # damaged bytes make zipfile, json and numpy raise almost anything
        raise CheckpointError(
            f"{path} cannot be read ({error!r}); it is torn or foreign, load an earlier one"
        ) from error
    return metadata, state


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse an archive that would unpack to more than it is."""
    if len({member.filename for member in members}) != len(members):
        raise ValueError("it has a member twice")
    if any(member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1 for member in members):
        raise ValueError("it has a member that is compressed or encrypted, which save_allocator never writes")
    if sum(member.file_size for member in members) > size:
        raise ValueError("it declares more than it holds")


def _array(data: bytes) -> Any:
    """A plain array, or a plain number, from the bytes of an `.npy` file that hold exactly that."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("it has an array of another format than save_allocator writes")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    start = stream.tell()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - start:
        raise ValueError("it has an array of objects, or of another size than its header says")
    array = np.ndarray(shape, dtype, data, start, order="F" if fortran else "C")
    return array.copy() if array.ndim else array.item()


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the name `path` once it is complete and on the disk, and vanishes if it never is."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    # The rename itself must survive a power cut; Windows has no handle for a folder.
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
