"""Another commit of the repository one stands in, as a folder that is gone afterwards."""

from __future__ import annotations

import bisect
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.measure.turns import Place

fcntl: Any = None
with contextlib.suppress(ImportError):  # not on every system
    import fcntl

LIMIT_S = 120.0
PREFIX = "bench-baseline-"
# What git itself abbreviates to, at least; a run records 12.
LEAST_HASH = 7


@contextlib.contextmanager
def checked_out(commit: str, python: str) -> Iterator[Place]:
    """Yield the place of a commit's code: a worktree in the temporary folder, removed at the end.

    One whose process was killed is removed by the next: nobody holds its lock any more.
    Raises: BenchError when there is no repository here, or it does not have the commit.
    """
    root = Path(_git("rev-parse", "--show-toplevel"))
    below = Path.cwd().resolve().relative_to(root.resolve())
    _remove_left_behind()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as temporary, _held(Path(temporary)):
        folder = Path(temporary) / "tree"
        try:
            _git("worktree", "add", "--detach", "--quiet", str(folder), commit)
            stand = folder / below
            yield Place(stand if stand.is_dir() else folder, python, folder)
        finally:
            with contextlib.suppress(BenchError):
                _git("worktree", "remove", "--force", str(folder))


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Lock a worktree's folder; false where another process has it, or the system has no such locks."""
    with (folder / "lock").open("a") as file:
        free = fcntl is not None
        try:
            if free:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            free = False
        yield free


def _remove_left_behind() -> None:
    for line in _git("worktree", "list", "--porcelain").splitlines():
        tree = Path(line.removeprefix("worktree "))
        if not line.startswith("worktree ") or not tree.parent.name.startswith(PREFIX) or not tree.is_dir():
            continue
        with contextlib.suppress(BenchError, OSError), _held(tree.parent) as free:
            if free:
                _git("worktree", "remove", "--force", str(tree))
                shutil.rmtree(tree.parent, ignore_errors=True)


class Ancestry:
    """The commits that a revision's history is made of, asked for once, however many are looked up."""

    def __init__(self, revision: str) -> None:
        self._hashes = sorted(_git("rev-list", "--end-of-options", revision, "--").split())

    def __contains__(self, commit: str) -> bool:
        """Whether a commit, its hash or as much of it as a run records, is one of them."""
        at = bisect.bisect_left(self._hashes, commit)
        return len(commit) >= LEAST_HASH and at < len(self._hashes) and self._hashes[at].startswith(commit)


def same_code(commit: str, other: str, aside: str = "results") -> bool:
    """Whether two commits hold the same files but for what is below `aside`: then they are the same to measure."""
    try:
        _git("diff", "--quiet", commit, other, "--", ":/", f":(exclude){aside}")
    except BenchError:
        return False
    return True


def holds(commit: str, path: str) -> bool:
    """Whether a commit has a file; the path is from the repository's root."""
    try:
        _git("cat-file", "-e", f"{commit}:{path}")
    except BenchError:
        return False
    return True


def edited_after(when: float, aside: str = "results") -> str | None:
    """Return a tracked file with uncommitted changes that was written after a time (seconds since 1970), or None."""
    root = Path(_git("rev-parse", "--show-toplevel"))
    names = _git("diff", "--name-only", "-z", "HEAD", "--", ":/", f":(exclude){aside}").split("\0")
    for name in filter(None, names):
        with contextlib.suppress(OSError):  # one that was deleted has no time
            if (root / name).stat().st_mtime > when:
                return name
    return None


def known_revision(name: str) -> str | None:
    """Return the commit that a branch, tag or hash names here, or None."""
    try:
        return _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}") or None
    except BenchError:
        return None


def file_at(revision: str, path: Path) -> bytes | None:
    """Return a file's content in a revision, the path as seen from here, or None where it has none."""
    try:
        return _git("show", f"{revision}:./{path.as_posix()}").encode()
    except BenchError:
        return None


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], capture_output=True, timeout=LIMIT_S, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchError(f"git {words[0]}: {type(error).__name__}; is git installed?") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise BenchError(f"git {words[0]}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    return done.stdout.decode(errors="replace").strip()
