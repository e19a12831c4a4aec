"""Allocators on disk: one npz file, written whole or not at all, read without pickle."""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy as np

from cero_api.allocators import BaseAllocator, allocator_name, allocator_type, config_type, make_allocator
from cero_api.errors import CeroError, CheckpointError
from cero_api.files import regular_file, replacing
from cero_api.interrupts import interruptible
from cero_api.migrations import STEPS, VERSION, header
from cero_api.protocol import RolloutAllocator

_FORMAT, _VERSION = "cero-allocator", VERSION
_METADATA = "metadata.json"
_KNOWN = "knowledge."  # before the names of what is known of the prompts, beside the state
_DIRECTORY = 1 << 20  # bytes: an allocator's members have names of fewer


def _state_only(version: int) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """The step from a version after which only states changed."""

    def step(metadata: dict[str, Any], state: dict[str, Any]) -> None:
        if "ledger.budget" in state:  # of a BaseAllocator, whoever wrote it; others keep their own
            STEPS[version](state)

    return step


# How the metadata and state of a file of version n become those of version n + 1, in place. A release that changes a
# configuration writes a step here; one that changes the fields of a state, in cero_api/migrations.py.
_MIGRATIONS = {version: _state_only(version) for version in STEPS}


@interruptible
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
    try:
        content = _content(allocator)
        with replacing(path) as file:
            _write(content, file)
    except CheckpointError as error:
        raise CheckpointError(f"{path} is left as it was: {error}") from error
    except OSError as error:
        raise CheckpointError(
            f"cannot write {path}: {error}; what was there before is unchanged. Free the disk or choose a folder "
            "that can be written"
        ) from error
    return path


@interruptible
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
    return _loaded(lambda: regular_file(path), str(path))


@interruptible
def allocator_to_bytes(allocator: RolloutAllocator) -> bytes:
    """What `save_allocator` writes, for a checkpoint that is kept in another way.

    Raises:
        CheckpointError: the allocator's state is broken.
        ConfigurationError: the allocator's class is not registered.

    >>> allocator = make_allocator("uniform", num_prompts=4, rounds=2, budget=64)
    >>> allocator_from_bytes(allocator_to_bytes(allocator)).config == allocator.config
    True
    """
    file = io.BytesIO()
    _write(_content(allocator), file)
    return file.getvalue()


@interruptible
def allocator_from_bytes(data: bytes) -> RolloutAllocator:
    """Read what `allocator_to_bytes` gave, or `save_allocator` wrote; see `load_allocator`.

    Raises:
        CheckpointError: the bytes are torn, of a later version, or not an allocator's.
    """
    return _loaded(lambda: io.BytesIO(data), "the allocator's bytes")


def _content(allocator: RolloutAllocator) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metadata and state, which can be loaded again: what cannot must not take the place of what can."""
    name, state = allocator_name(allocator), allocator.state_dict()
    metadata = {
        "format": _FORMAT,
        "version": _VERSION,
        "allocator": name,
        "config": allocator.config.model_dump(mode="json"),
    }
    if isinstance(allocator, BaseAllocator) and type(allocator).load_state_dict is BaseAllocator.load_state_dict:
        allocator.check_state(state)
    else:
        make_allocator(name, allocator.config).load_state_dict(state)
    if isinstance(allocator, BaseAllocator):
        for entry in header(type(allocator)):  # the metadata says it
            del state[entry]
        state |= {_KNOWN + name: column for name, column in allocator.knowledge.entries().items()}
    return metadata, state


def _write(content: tuple[dict[str, Any], dict[str, Any]], file: BinaryIO) -> None:
    metadata, state = content
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        # A ZipInfo made from a name alone has no clock in it: one state is the same bytes whenever it is written.
        with archive.open(zipfile.ZipInfo(_METADATA), "w") as member:
            member.write(json.dumps(metadata, indent=2).encode())
        for name, value in state.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)


def _loaded(source: Callable[[], AbstractContextManager[BinaryIO]], where: str) -> RolloutAllocator:
    metadata, state = _read(source, where)
    try:
        name = metadata["allocator"]
        kind, config = allocator_type(name), config_type(name)(**metadata["config"])
        if issubclass(kind, BaseAllocator):
            if np.shape(state.get("exposure", 0)) != (config.num_prompts,):
                # Before a pool is allocated that the file only claims to have.
                raise CheckpointError(
                    f"it does not hold the {config.num_prompts} prompts that its configuration names; load an "
                    "earlier one"
                )
            state |= header(kind)
        known = {key.removeprefix(_KNOWN): state.pop(key) for key in list(state) if key.startswith(_KNOWN)}
        allocator = make_allocator(name, config, **known)
        allocator.load_state_dict(state)
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{where}: metadata is incomplete ({error!r}); load an earlier checkpoint") from error
    except CeroError as error:
        raise CheckpointError(f"{where}: {error}") from error
    return allocator


def _read(source: Callable[[], AbstractContextManager[BinaryIO]], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        with source() as file, _archive(file) as archive:
            _check_members(archive.infolist(), file.seek(0, os.SEEK_END))
            metadata = json.loads(archive.read(_METADATA))
            if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
                raise CheckpointError(f"{where} is not an allocator's checkpoint; give the file save_allocator wrote")
            version = metadata.get("version")
            if type(version) is not int or not 1 <= version <= _VERSION:
                raise CheckpointError(
                    f"{where} has format version {version!r}, this library reads 1 to {_VERSION}; install the version "
                    "of cero-api that wrote it"
                )
            members = [member for member in archive.namelist() if member != _METADATA]
            state = {member.removesuffix(".npy"): _array(archive.read(member)) for member in members}
        for number in range(version, _VERSION):
            _MIGRATIONS[number](metadata, state)
    except FileNotFoundError as error:
        raise CheckpointError(f"{where} does not exist; check the folder of the checkpoint") from error
    except CheckpointError:
        raise
    except Exception as error:  # damaged bytes make zipfile, json and numpy raise almost anything
        raise CheckpointError(
            f"{where} cannot be read ({error!r}); it is torn or foreign, load an earlier one"
        ) from error
    return metadata, state


class _Sparing:
    """A file of which no more is read at once than `most`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.most = file, _DIRECTORY
        self.size = file.seek(0, os.SEEK_END)

    def read(self, count: int = -1) -> bytes:
        if (self.size - self._file.tell() if count < 0 else count) > self.most:
            raise ValueError("it declares a directory of more than save_allocator ever writes")
        return self._file.read(count)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _archive(file: BinaryIO) -> zipfile.ZipFile:
    """The archive, after a glance at its directory, which could be declared as long as the file."""
    sparing = _Sparing(file)
    archive = zipfile.ZipFile(cast(IO[bytes], sparing))
    sparing.most = sparing.size
    return archive


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
