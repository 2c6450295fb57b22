"""Progress where there is no terminal: one line a case on stderr, nothing on stdout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.commands.progress import Progress, expected_s
from bench.measure.runner import Event, Planned
from bench.results.record import Row
from bench.workloads.schema import Case

Err = pytest.CaptureFixture[str]


def _said(capsys: Err, *events: Event, quiet: bool = False) -> str:
    with Progress([event.planned for event in events], quiet) as progress:
        for event in events:
            progress(event)
    out, err = capsys.readouterr()
    assert out == ""
    return err


def test_a_finished_case_is_a_line_with_its_number_time_interval_and_rate(
    capsys: Err, event: Callable[..., Event], row: Callable[..., Row]
) -> None:
    # 8448 bytes in 4 ms
    assert _said(capsys, event(row())) == (
        " 2/12  ok          tiny[m=1,n=64,k=64,bf16]    4.00 ms  (+- 1.0%)  2.11 MB/s\n"
    )


def test_an_interval_of_two_ends_is_shown_as_these(
    capsys: Err, event: Callable[..., Event], row: Callable[..., Row]
) -> None:
    assert "4.00 ms  (-7% to +31%)  2.11" in _said(capsys, event(row(interval=(0.00372, 0.00524))))
    assert "4.00 ms  (0.962x to 3.22x)  2.11" in _said(capsys, event(row(interval=(0.003848, 0.01288))))


def test_a_case_without_an_interval_shows_none(
    capsys: Err, event: Callable[..., Event], row: Callable[..., Row]
) -> None:
    assert "4.00 ms  2.11 MB/s" in _said(capsys, event(row(interval=None)))


def test_a_case_that_failed_shows_its_reason(capsys: Err, event: Callable[..., Event], row: Callable[..., Row]) -> None:
    failed = row(status="timeout", reason="no result after 9 s; raise it with --limit", step_s=None, interval=None)
    assert _said(capsys, event(failed)) == (
        " 2/12  timeout     tiny[m=1,n=64,k=64,bf16]  no result after 9 s; raise it with --limit\n"
    )


def test_modelled_rows_and_phases_are_not_told_line_by_line(
    capsys: Err, event: Callable[..., Event], row: Callable[..., Row]
) -> None:
    modelled = row(source="modelled", tier="sheet")
    assert _said(capsys, event(kind="start"), event(kind="phase", phase="timing"), event(modelled)) == ""


def test_quiet_says_nothing_and_still_collects_the_rows(
    capsys: Err, event: Callable[..., Event], row: Callable[..., Row]
) -> None:
    progress = Progress([], True)
    with progress:
        progress(event(row()))
    assert capsys.readouterr() == ("", "")
    assert len(progress.rows) == 1


def test_only_what_is_measured_takes_time(case: Callable[..., Case]) -> None:
    planned = [Planned("cpu", case(), True), Planned("h100-sxm", case(), False)]
    # nine tenths of 2 s of timing, and what starting and checking take
    assert 1.8 < expected_s(planned) < 4.8
    assert expected_s(planned[1:]) == 0


def test_of_several_sessions_a_line_says_which(capsys: Err, case: Callable[..., Case], row: Callable[..., Row]) -> None:
    order = [Planned("cpu", case(), True, session=session) for session in (1, 2, 3)]
    with Progress(order, False) as progress:
        progress(Event("rows", order[1], 1, 3, rows=(row(session=2),)))
    assert capsys.readouterr().err.startswith("2/3  session 2/3  ok          tiny[")


def test_an_ascii_stderr_does_not_matter(
    event: Callable[..., Event], row: Callable[..., Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io
    import sys

    stream: Any = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress([], False) as progress:
        progress(event(row(status="error", reason="π is not ASCII", step_s=None)))
    assert b"? is not ASCII" in stream.buffer.getvalue()
