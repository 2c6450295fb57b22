"""Another commit as a folder: made, used and gone again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.measure.checkout import Ancestry, checked_out, file_at, known_revision


def git(*words):
    name = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    return subprocess.run(["git", *name, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def two_commits(tmp_path, monkeypatch):
    """A repository with two commits of one file, standing in a folder below its root."""
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "main")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_text("first")
    git("add", "."), git("commit", "-qm", "first")
    first = git("rev-parse", "HEAD")
    (tmp_path / "below" / "file").write_text("second")
    git("commit", "-qam", "second")
    monkeypatch.chdir(tmp_path / "below")
    return first, git("rev-parse", "HEAD")


def test_a_commit_is_a_folder_for_a_while(two_commits):
    with checked_out(two_commits[0], sys.executable) as place:
        assert (place.folder / "file").read_text() == "first"
        assert place.folder == place.root / "below"
    assert not place.root.exists()
    assert len(git("worktree", "list").splitlines()) == 1


def test_it_is_gone_after_an_error_too(two_commits):
    with pytest.raises(RuntimeError), checked_out(two_commits[0], sys.executable) as place:
        raise RuntimeError
    assert not place.root.exists()
    assert len(git("worktree", "list").splitlines()) == 1


def test_what_a_killed_check_left_behind_goes_with_the_next_one_and_what_is_in_use_stays(two_commits):
    script = f"""
import os, sys
from bench.measure.checkout import checked_out
with checked_out("{two_commits[0]}", sys.executable) as place:
    print(place.root, flush=True)
    os._exit(9)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert (done.returncode, left.is_dir()) == (9, True)
    with checked_out(two_commits[0], sys.executable) as place:
        assert not left.parent.exists()
        with checked_out(two_commits[1], sys.executable):
            assert place.root.is_dir()
    assert len(git("worktree", "list").splitlines()) == 1


def test_history_is_asked_for_in_words(two_commits):
    first, second = two_commits
    assert first in Ancestry("main")
    assert first[:12] in Ancestry("main")
    assert second not in Ancestry(first)
    assert not any(part in Ancestry("main") for part in ("", first[:6], "f" * 40))
    assert known_revision("main") == second
    assert known_revision("nothing") is None
    assert known_revision("--help") is None
    assert file_at(first, Path("file")) == b"first"
    assert file_at(first, Path("other")) is None


def test_a_commit_that_is_not_there_is_one_line(two_commits):
    with pytest.raises(BenchError, match="git worktree: "), checked_out("0" * 40, sys.executable):
        pass


def test_outside_a_repository_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert known_revision("main") is None
    with pytest.raises(BenchError, match="not a git repository"), checked_out("main", sys.executable):
        pass
