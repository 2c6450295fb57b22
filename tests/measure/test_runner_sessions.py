"""Sessions of a run: the order of their cases, a server of their own, and what is left of a run that was cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.measure import runner
from bench.measure.runner import Event, Planned, in_order, run_cases, to_do
from bench.results.record import Row, Run
from bench.results.store import Journal
from bench.workloads.schema import Case


def case(m: int) -> Case:
    return Case(workload="tiny", phase="kernel", kernel="gemm", dtype="bf16", dims={"m": m, "n": 64, "k": 64})


def planned(count: int, **changes: Any) -> list[Planned]:
    return [Planned(**{"device": "cpu", "case": case(m + 1), "present": True, **changes}) for m in range(count)]


MODELLED = Planned("ascend-910c", case(1), False)


def orders(count: int, sessions: int) -> list[list[int]]:
    """Return the numbers of the cases, session by session."""
    found: list[list[int]] = [[] for _ in range(sessions)]
    for each in in_order(planned(count), sessions):
        found[each.session - 1].append(each.case.dims["m"])
    return found


# -- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "sessions", "expected"),
    [
        (4, 1, [[1, 2, 3, 4]]),
        (4, 2, [[1, 2, 3, 4], [3, 4, 1, 2]]),
        (4, 3, [[1, 2, 3, 4], [2, 3, 4, 1], [3, 4, 1, 2]]),
        (6, 3, [[1, 2, 3, 4, 5, 6], [3, 4, 5, 6, 1, 2], [5, 6, 1, 2, 3, 4]]),
        (2, 4, [[1, 2], [2, 1], [1, 2], [2, 1]]),
        (1, 3, [[1], [1], [1]]),
        (0, 3, [[], [], []]),
    ],
)
def test_each_session_begins_elsewhere(count, sessions, expected):
    assert orders(count, sessions) == expected


@pytest.mark.parametrize(("count", "sessions"), [(3, 3), (5, 3), (7, 5), (30, 8), (100, 10)])
def test_no_case_takes_a_place_twice_where_there_are_places_enough(count, sessions):
    for places in zip(*([order.index(n + 1) for n in range(count)] for order in orders(count, sessions)), strict=True):
        assert len(set(places)) == sessions


def test_modelled_cases_are_in_the_first_session_only():
    order = in_order([MODELLED, *planned(2)], 3)
    assert [(each.device, each.session) for each in order] == [
        ("ascend-910c", 1), ("cpu", 1), ("cpu", 1), ("cpu", 2), ("cpu", 2), ("cpu", 3), ("cpu", 3),
    ]  # fmt: skip
    assert len(in_order([MODELLED], 5)) == 1


# -- running ---------------------------------------------------------------------------------------------------------


class Told:
    """What a run did, in its order: "server" for a new one, else (session, case)."""

    def __init__(self) -> None:
        self.did: list[Any] = []
        self.events: list[Event] = []
        self.stop_at: int | None = None

    def measure(self, each: Planned, limits: Any, told: Callable[[str], object]) -> Row:
        if self.stop_at is not None and len(self.cases()) == self.stop_at:
            raise KeyboardInterrupt
        self.did.append((each.session, each.case.dims["m"]))
        told("timing")
        return Row(
            case_id=each.case.case_id, workload="tiny", phase="kernel", dtype="bf16", definition_hash="0" * 16, definition={},
            device="cpu", device_name="A CPU", unit="machine", source="measured", status="ok", step_s=1.0, session=each.session,
        )  # fmt: skip

    def cases(self) -> list[tuple[int, int]]:
        return [each for each in self.did if each != "server"]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    found = Told()
    monkeypatch.setattr(runner, "measure_once", found.measure)
    monkeypatch.setattr(runner, "new_server", lambda: found.did.append("server"))
    return found


@pytest.fixture
def journal(tmp_path, environment) -> Iterator[Callable[..., Journal]]:
    """Return a function that starts the journal of a run of so many sessions."""
    made: list[Journal] = []

    def make(sessions: int) -> Journal:
        made.append(Journal.create(tmp_path, Run(id="run", environment=environment(sessions=sessions))))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_every_session_has_a_server_of_its_own(told, journal):
    run_cases(planned(2), journal(2), told.events.append)
    assert told.did == ["server", (1, 1), (1, 2), "server", (2, 2), (2, 1)]


def test_one_session_asks_for_no_new_server(told, journal):
    run_cases(planned(2), journal(1), told.events.append)
    assert told.did == [(1, 1), (1, 2)]


def test_events_count_the_cases_of_all_sessions(told, journal):
    run_cases(planned(2), journal(2), told.events.append)
    assert [(event.kind, event.index, event.total, event.planned.session) for event in told.events[3:8]] == [
        ("start", 1, 4, 1), ("phase", 1, 4, 1), ("rows", 1, 4, 1), ("start", 2, 4, 2), ("phase", 2, 4, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("stop_at", range(6))
def test_a_run_cut_off_anywhere_goes_on_in_the_right_session_and_measures_nothing_twice(stop_at, told, journal):
    growing = journal(3)
    told.stop_at = stop_at
    with pytest.raises(KeyboardInterrupt):
        run_cases(planned(2), growing, told.events.append)
    growing.close()
    told.stop_at = None
    again = Journal.reopen(growing.path)
    assert len(to_do(in_order(planned(2), 3), again.run.rows)) == 6 - stop_at
    run_cases(planned(2), again, told.events.append)
    assert told.cases() == [(1, 1), (1, 2), (2, 2), (2, 1), (3, 1), (3, 2)]
    assert [(row.session, row.case_id) for row in again.run.rows] == [
        (session, case(m).case_id) for session, m in told.cases()
    ]
    again.close()


def test_a_session_that_is_done_costs_a_resumed_run_no_server(told, journal):
    growing = journal(2)
    told.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        run_cases(planned(2), growing, told.events.append)
    told.stop_at = None
    told.did.clear()
    run_cases(planned(2), growing, told.events.append)
    assert told.did == ["server", (2, 2), (2, 1)]


def test_rows_of_a_journal_before_sessions_are_of_the_first(told, journal):
    growing = journal(1)
    run_cases(planned(2), growing, told.events.append)
    growing.close()
    lines = growing.path.read_text().splitlines()
    older = [line.replace('"session":1,', "").replace('"schema":3', '"schema":2') for line in lines[:2]]
    assert older[1] != lines[1]
    growing.path.write_text("\n".join([older[0].replace('"sessions":1,', ""), older[1], ""]))
    again = Journal.reopen(growing.path)
    assert (again.run.schema, again.run.environment.sessions) == (2, 1)
    assert [each.case.dims["m"] for each in to_do(in_order(planned(2), 1), again.run.rows)] == [2]
    again.close()


def test_a_modelled_package_cut_off_between_its_rows_is_still_to_do(told, journal):
    growing = journal(2)
    run_cases([MODELLED], growing, told.events.append)
    die, package = growing.run.rows
    assert (die.unit, package.unit, die.session) == ("die", "package", 1)
    order = in_order([MODELLED], 2)
    assert (to_do(order, [die]), to_do(order, [die, package])) == (order, [])
