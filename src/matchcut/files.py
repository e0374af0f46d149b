"""Writing files so that a reader sees the old one or the new one, never half of one."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from matchcut.errors import MatchcutError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success flush it to disk and rename it, on failure remove it.

    A full disk or a missing permission becomes a `MatchcutError` that names the file.

    >>> import tempfile
    >>> target = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with atomic(target) as temporary:
    ...     _ = temporary.write_text("whole")
    >>> target.read_text()
    'whole'
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or f"{error} (is the disk full?)"  # NumPy only counts
        raise MatchcutError(f"{path}: cannot be written: {reason}; nothing was changed") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def locked(path: Path, *, busy: str | None = None) -> Iterator[None]:
    """Hold `path`, made with its folder if need be, against other processes; the system lets go when a process ends.

    Args:
        busy: what to say if another process holds it; wait for that one if not given.

    >>> import tempfile
    >>> lock = Path(tempfile.mkdtemp()) / ".lock"
    >>> with locked(lock), locked(lock, busy="another program is at work"):
    ...     pass
    Traceback (most recent call last):
    ...
    matchcut.errors.MatchcutError: another program is at work
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise MatchcutError(f"{path.parent}: cannot be written: {error.strerror}; nothing was changed") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
    except BlockingIOError as error:
        os.close(lock)
        raise MatchcutError(busy or "") from error
    try:
        yield
    finally:
        os.close(lock)


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold it: no half of a character, as JSON escapes and undecodable bytes leave behind.

    >>> is_text("a café"), is_text("\\ud800")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically, in UTF-8."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
