"""Files that are whole or not there, and the lock that keeps a run to one process."""

import errno
import os
import socket
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["append_line", "lock", "replace_file"]

# What a drive without locks answers, by its system.
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file's content at once: whoever reads it finds the old or the new, never a part.

    The content is written to a file of its own beside it, which is then renamed. Where that fails
    nothing is left of it, and the old file stays. Errors: OSError that names the file, on a full
    disk say.
    """
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise _with_name(error, path) from error
    finally:
        temporary.unlink(missing_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add a line to a text file. Errors: OSError that names the file."""
    try:
        with open(path, "a") as file:
            file.write(line + "\n")
    except OSError as error:
        raise _with_name(error, path) from error


def _with_name(error: OSError, path: Path) -> OSError:
    """The same error with the name of the file that could not be written."""
    reason = error.strerror or str(error)
    return OSError(error.errno, f"{path} could not be written: {reason}")


@contextmanager
def lock(path: Path, wait: bool = False) -> Iterator[None]:
    """Hold a file's lock for the duration of the block; it ends with the process at the latest.

    Beside it, in PATH.owner, stands which process holds it. On a drive that has no locks the block
    runs without one, after a warning.
    Errors: ValueError if another process holds the lock and wait is False; OSError where the lock
    cannot be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = path.with_name(f"{path.name}.owner")
    held = FileLock(path, mode=0o666)  # other users of a shared folder must be able to open it
    try:
        held.acquire(blocking=wait)
    except Timeout:
        raise ValueError(
            f"the run in {path.parent} is being trained by another process ({_read(owner)}): "
            "wait until it is done, or end it"
        ) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise _with_name(error, path) from error
        warnings.warn(
            f"{path.parent} lies on a drive without file locks ({error}): "
            "see to it yourself that no two processes train one run",
            stacklevel=3,
        )
        held = None
    if held is None:
        yield
        return
    try:
        replace_file(owner, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        held.release()


def _read(owner: Path) -> str:
    """Which process holds a lock, if it said so."""
    try:
        return owner.read_text() or "unnamed"
    except OSError:
        return "unnamed"
