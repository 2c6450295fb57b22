"""The command line's last line of defence: a fault of ours is one line and no regression."""

from __future__ import annotations

import click
import pytest

from bench import cli


@click.command()
def broken() -> None:
    raise ZeroDivisionError("division by zero")


@pytest.fixture
def faulty(monkeypatch):
    monkeypatch.setattr(cli.cli, "get_command", lambda ctx, name: broken)


def test_a_fault_of_ours_is_one_line_with_its_place_and_no_regression(faulty, capsys):
    assert cli.run(["doctor"]) == 70
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ZeroDivisionError: division by zero (test_cli.py:")
    assert "BENCH_TRACEBACK=1" in line


@pytest.mark.parametrize("words", [["compare"], ["report"], ["push"], ["history", "--html"]])
def test_a_word_that_is_too_long_for_a_file_is_no_fault_of_ours(words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_STORE", f"sqlite:///{tmp_path}/store.db")
    assert cli.run([*words, "x" * 3000]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"error: '{'x' * 60}...' is too long for the name of a file"


def test_its_traceback_can_be_had(faulty, monkeypatch):
    monkeypatch.setenv("BENCH_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        cli.run(["doctor"])
