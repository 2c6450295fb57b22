"""Whether a journal is being written, and by whom."""

from __future__ import annotations

import os

import pytest

from bench.errors import ResultError
from bench.results import writing
from bench.results.writing import claim, unfinished, written_by


@pytest.fixture
def journal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.jsonl"
    path.write_text("{}")
    return path


def test_who_holds_a_journal_is_told_by_number_until_it_lets_go(journal):
    with journal.open("r+b") as file:
        claim(file, journal)
        assert written_by(journal) == f" by process {os.getpid()}"
        assert unfinished(journal) == (
            f"is still being written by process {os.getpid()}; wait for it to end (if it is no more:"
            " bench run --resume a.jsonl)"
        )
        with journal.open("r+b") as other, pytest.raises(ResultError, match=rf"by process {os.getpid()}; wait for it"):
            claim(other, journal)
    assert written_by(journal) is None
    assert unfinished(journal).endswith("nobody is writing it; go on with: bench run --resume a.jsonl")


@pytest.mark.parametrize("told", [
    None, "", "1: FLOCK", "nonsense\n" * 3, "1: FLOCK  ADVISORY  WRITE 0 fe:00:{inode} 0 EOF",
    "1: POSIX  ADVISORY  WRITE 77 fe:00:{inode} 0 EOF", "1: -> FLOCK  ADVISORY  WRITE 77 fe:00:{inode} 0 EOF",
])  # fmt: skip
def test_a_system_that_does_not_tell_the_number_costs_only_the_number(journal, monkeypatch, tmp_path, told):
    locks = tmp_path / "locks"
    monkeypatch.setattr(writing, "LOCKS", locks)
    if told is not None:
        locks.write_text(told.format(inode=journal.stat().st_ino))
    with journal.open("r+b") as file:
        claim(file, journal)
        assert written_by(journal) == ""


def test_a_file_that_is_not_there_is_written_by_nobody(tmp_path):
    assert written_by(tmp_path / "none.jsonl") is None
