"""Who writes a journal: one process at a time holds it, and lets it go when it ends, however it ends."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, BinaryIO

from bench import project
from bench.errors import ResultError

fcntl: Any = None
with contextlib.suppress(ImportError):  # not on every system
    import fcntl

LOCKS = Path("/proc/locks")


def claim(file: BinaryIO, path: Path) -> None:
    """Hold a journal for this process.

    Raises: ResultError when another process is writing it.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = _holder(os.fstat(file.fileno()).st_ino)
        raise ResultError(
            f"{project.shown(path)}: another bench is writing this run{holder}; wait for it, or stop it"
        ) from None


def written_by(path: Path) -> str | None:
    """Return who writes a journal now, in words to put behind "being written"; None where nobody does."""
    if fcntl is None:
        return None
    with contextlib.suppress(OSError), path.open("rb") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return _holder(os.fstat(file.fileno()).st_ino)
    return None


def unfinished(path: Path) -> str:
    """Return what to say of a run that is not complete: being written, or cut off, and what to do."""
    writer = written_by(path)
    if writer is None:
        return f"is not complete, and nobody is writing it; go on with: bench run --resume {project.shown(path)}"
    return (
        f"is still being written{writer}; wait for it to end (if it is no more:"
        f" bench run --resume {project.shown(path)})"
    )


def _holder(inode: int) -> str:
    """Return " by process 123" for who holds a file, "" where the system does not tell. Source: proc_locks(5)."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in LOCKS.read_text().splitlines():
            # 1: FLOCK  ADVISORY  WRITE 708 08:01:2359475 0 EOF; blocked ones have "->" in second place.
            parts = line.split()
            if parts[1] == "FLOCK" and parts[3] == "WRITE" and int(parts[5].rpartition(":")[2]) == inode:
                # In a container the number of a process outside of it is not to be had.
                return f" by process {parts[4]}" if int(parts[4]) > 0 else ""
    return ""
