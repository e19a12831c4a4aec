"""Files on disk: written whole or not at all, and read only where there is an end to them."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO

_LONGEST = 100  # characters of a name that its temporary file repeats; a file system takes 255 bytes


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that takes the name `path` once it is complete and on the disk, and vanishes if it never is.

    What was there keeps its mode; a new file gets what the umask leaves, as any other. A symbolic link stays one, and
    what it names is replaced.

    Raises:
        OSError: it cannot be written, or is no regular file; what was there before is unchanged.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "note.txt")
    ...     with replacing(path) as file:
    ...         count = file.write(b"whole")
    ...     pathlib.Path(path).read_text()
    'whole'
    """
    target = os.path.realpath(_possible(path))
    mode = _mode(target)
    name = f".{os.path.basename(target)[:_LONGEST]}.{secrets.token_hex(4)}.tmp"
    temporary = os.path.join(os.path.dirname(target), name)
    try:
        # Not by tempfile, which gives every file the mode 0600.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            if mode is not None:
                os.chmod(temporary, mode)
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _keep_name(os.path.dirname(target))


def write_whole(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file whole or not at all; text as UTF-8. See `replacing`."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def regular_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file open for reading, if it is one: no folder, and no pipe or device, which may have no end.

    Raises:
        OSError: there is none, it is no regular file, or it cannot be read.
    """
    # Opening a pipe waits for a writer unless it is told not to.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(_possible(path), flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        yield file


def _possible(path: str | os.PathLike[str]) -> str:
    """The path, unless it has a character that no name can have, of which Python makes no OSError."""
    if "\0" in os.fspath(path):
        raise OSError(errno.EINVAL, "no name has a NUL in it", repr(os.fspath(path)))
    return os.fspath(path)


def _mode(target: str) -> int | None:
    """Permission bits of what is there; None if nothing is."""
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", target)
    return stat.S_IMODE(found.st_mode)


def _keep_name(folder: str) -> None:
    """Let the new name survive a power cut; where a folder cannot be synchronised, the system does what it can."""
    if os.name != "posix":  # Windows has no handle for a folder
        return
    with contextlib.suppress(OSError):  # the file is in its place already
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
