"""pytest-benchmark's documents as runs: of three of its versions, our own there and back, and what cannot be read."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import ResultError
from bench.results.machine import fingerprint
from bench.results.pytest_benchmark.write import document
from bench.results.record import Run
from bench.results.store import load_run

RECORDED = Path(__file__).parents[2] / "data" / "pytest_benchmark"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inside: st.lists(inside, max_size=2) | st.dictionaries(st.text(max_size=3), inside, max_size=2),
    max_leaves=4,
)
VERSIONS = ("4.0.0", "5.0.0", "5.3.1")


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Return a function that writes a document to a file and reads it as a run."""
    monkeypatch.chdir(tmp_path)

    def go(content):
        text = content if isinstance(content, str | bytes) else json.dumps(content)
        path = Path("saved.json")
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return load_run(path)

    return go


@pytest.fixture
def foreign():
    """A document of another project, as pytest-benchmark 5.3.1 wrote it."""
    return json.loads((RECORDED / "5.3.1.json").read_text())


@pytest.mark.parametrize("version", VERSIONS)
def test_another_projects_tests_are_measured_rows(version):
    run = load_run(RECORDED / f"{version}.json")
    assert [row.case_id for row in run.rows] == [
        "test_sorting.py::test_sort[10]", "test_sorting.py::test_sort[1000]", "test_sorting.py::test_thing[thing]",
    ]  # fmt: skip
    first, _, thing = run.rows
    saved = json.loads((RECORDED / f"{version}.json").read_text())["benchmarks"][0]
    assert (first.source, first.status, first.phase, first.device, first.session) == (
        "measured",
        "ok",
        "kernel",
        "cpu",
        1,
    )
    assert first.workload == "test_sorting.py::test_sort"
    assert first.samples_s == saved["stats"]["data"]
    assert first.step_s == saved["stats"]["median"]
    assert first.calls_per_sample == 10
    assert first.interval == (min(first.samples_s), max(first.samples_s))  # seven samples: the outer ones hold 98 %
    assert (first.dtype, thing.dtype) == ("-", "fp32")
    assert run.complete
    assert run.id.startswith("2026-11-22T02-27-0")
    environment = run.environment
    assert (environment.host, environment.cpu, environment.cores) == ("here", "AMD EPYC", 2)
    assert environment.commit == "17821e3b69b4"
    assert environment.created == f"2026-11-22T02:27:0{environment.created[18]}+00:00"
    assert environment.bench_version == f"pytest-benchmark {version}"


def test_one_test_has_one_definition_in_every_version_and_process():
    runs = [load_run(RECORDED / f"{version}.json") for version in VERSIONS]
    hashes = {tuple(row.definition_hash for row in run.rows) for run in runs}
    # The third test's parameter is an object, which is saved with its address.
    assert len(hashes) == 1
    assert len(set(hashes.pop())) == 3


def test_the_machine_is_the_same_whatever_it_is_called_and_whatever_its_clock_was(read, foreign):
    other = copy.deepcopy(foreign)
    other["machine_info"]["node"] = "another"
    other["machine_info"]["cpu"]["hz_actual"] = [1, 0]
    marks = {fingerprint(read(each).environment, "cpu") for each in (foreign, other)}
    assert len(marks) == 1
    other["machine_info"]["cpu"]["count"] = 64
    assert fingerprint(read(other).environment, "cpu") not in marks


@pytest.mark.parametrize("what", ["params", "timer"])
def test_what_decides_the_work_decides_the_definition(read, foreign, what):
    before = read(foreign).rows[0].definition_hash
    first = foreign["benchmarks"][0]
    first["options"]["min_rounds"] = 99
    assert read(foreign).rows[0].definition_hash == before
    if what == "params":
        first["params"]["n"] = 11
    else:
        first["options"]["timer"] = "process_time"
    assert read(foreign).rows[0].definition_hash != before


def test_without_samples_the_median_stands_for_them_and_a_note_says_so(read, foreign):
    del foreign["benchmarks"][0]["stats"]["data"]
    row = read(foreign).rows[0]
    assert row.samples_s == [row.step_s] == [foreign["benchmarks"][0]["stats"]["median"]]
    assert row.interval is None
    assert row.notes == ["saved without samples (--benchmark-save-data keeps them): the median stands for 7 rounds"]


def test_no_commit_is_no_commit(read, foreign):
    foreign["commit_info"] = {"id": "unversioned", "dirty": False}
    assert read(foreign).environment.commit is None
    foreign["commit_info"] = {"id": "0123456789abcdef", "dirty": True}
    assert read(foreign).environment.commit == "0123456789ab+"
    del foreign["commit_info"]
    assert read(foreign).environment.commit is None


def test_a_machine_that_does_not_tell_its_cores_says_so(read, foreign):
    foreign["machine_info"]["cpu"] = {}
    assert read(foreign).environment.warnings == ["machine_info does not tell how many cores; one is assumed"]


def test_a_newer_version_is_read_with_a_warning(read, foreign):
    foreign["version"] = "6.1.0"
    run = read(foreign)
    assert len(run.rows) == 3
    assert run.environment.warnings == ["written by pytest-benchmark 6.1.0; the newest form known here is 5"]


def test_a_name_that_stands_twice_is_another_session(read, foreign):
    foreign["benchmarks"].append(foreign["benchmarks"][0])
    run = read(foreign)
    assert [row.session for row in run.rows] == [1, 1, 1, 2]
    assert run.environment.sessions == 2


# -- our own, there and back ----------------------------------------------------------------------------------------------


@pytest.fixture
def own(row, environment):
    """A run of two sessions of one case and one of another, with all that a row may carry."""
    full = {
        "flops": 2e9, "read_bytes": 1e6, "written_bytes": 1e3, "mfu": 0.4, "warmup_s": 0.1, "operators": {"linear": "x"},
        "interval": (0.9, 1.1), "interval_kind": "95 %", "flags": ["two levels"], "power_w": 30.0,
    }  # fmt: skip
    rows = [
        row(step_s=1.0, samples_s=[1.0, 1.25, 0.75], **full),
        row(step_s=2.0, samples_s=[2.0, 2.0], session=2, memory_peak_bytes=1e9),
        row(case_id="other", step_s=0.1, samples_s=[0.1], kernel="gemm", batch=None),
    ]
    devices = {"cpu": {"name": "A CPU", "memory": "8.4 GB", "driver": "1"}}
    return Run(id="r", environment=environment(sessions=2, devices=devices, commit="0123+"), rows=rows)


def test_what_was_exported_is_read_as_it_was(own, read):
    again = read(document(own))
    assert sorted(again.rows, key=lambda row: (row.case_id, row.session)) == sorted(
        own.rows, key=lambda row: (row.case_id, row.session)
    )
    assert again.environment == own.environment
    assert fingerprint(again.environment, "cpu") == fingerprint(own.environment, "cpu")


def test_without_samples_each_session_keeps_its_own_median(own, read):
    saved = document(own)
    for each in saved["benchmarks"]:
        del each["stats"]["data"]
    rows = read(saved).rows
    assert [row.samples_s for row in rows] == [[1.0], [2.0], [0.1]]
    assert all("saved without samples" in row.notes[0] for row in rows)


def test_a_run_file_that_speaks_of_machine_info_is_still_a_run_file(own, read):
    own.environment.command = '"machine_info" "benchmarks"'
    own.rows[0].notes = ["machine_info", "benchmarks"]
    assert read(msgspec.json.encode(own)).id == "r"


# -- what cannot be read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", [float("nan"), float("inf"), 0, -1e-9])
def test_a_time_that_no_clock_gave_is_told_with_its_test(read, foreign, sample):
    foreign["benchmarks"][1]["stats"]["data"][3] = sample
    with pytest.raises(ResultError, match=r"^saved.json: benchmark 'test_sorting.py::test_sort\[1000\]': sample "):
        read(foreign)


def _without(key, of):
    def change(content):
        del of(content)[key]

    return change


def _with(key, value, of):
    def change(content):
        of(content)[key] = value

    return change


def _first(content):
    return content["benchmarks"][0]


WRONG = {
    "no stats": (_without("stats", _first), "not as pytest-benchmark writes it: Object missing required field `stats`"),
    "no median": (_without("median", lambda c: _first(c)["stats"]), "missing required field `median`"),
    "no name": (_without("fullname", _first), "missing required field `fullname`"),
    "no time": (_without("datetime", lambda c: c), "missing required field `datetime`"),
    "no version": (_without("version", lambda c: c), "missing required field `version`"),
    "benchmarks is a number": (_with("benchmarks", 3, lambda c: c), "Expected `array`, got `int`"),
    "a benchmark is text": (_with("benchmarks", ["x"], lambda c: c), "Expected `object`, got `str`"),
    "a sample is text": (_with("data", ["fast"], lambda c: _first(c)["stats"]), "Expected `float`, got `str`"),
    "a sample beyond any float": (_with("data", [10**400], lambda c: _first(c)["stats"]), "not as pytest-benchmark writes it"),
    "an old version": (_with("version", "2.5.0", lambda c: c), "version '2.5.0' of pytest-benchmark is not read"),
    "a version in words": (_with("version", "new", lambda c: c), "version 'new' of pytest-benchmark is not read"),
    "a time in words": (_with("datetime", "noon", lambda c: c), "datetime 'noon' is no time"),
    "rows in words": (_with("extra_info", {"case_id": "x", "rows": "y"}, _first), "extra_info.rows is not a list of rows"),
    "a newer row": (_with("bench", {"schema": 99}, lambda c: c), "missing required field `environment`"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_told_in_one_line(read, foreign, wrong):
    change, message = WRONG[wrong]
    change(foreign)
    with pytest.raises(ResultError) as caught:
        read(foreign)
    assert message in str(caught.value)
    assert str(caught.value).startswith("saved.json: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["bench"].update(schema=99), "bench.schema 99 is not one of 1 to 3"),
        (lambda c: c["benchmarks"][0]["stats"]["data"].pop(), "shares out [3, 2] samples, stats.data has 4"),
        (lambda c: c["benchmarks"][0]["extra_info"]["rows"][0].update(samples_s=-1), "shares out [-1, 2] samples"),
        (lambda c: c["benchmarks"][0]["extra_info"]["rows"][0].update(source="modelled"), "calls it modelled, ok"),
        (lambda c: c["benchmarks"][0]["extra_info"]["rows"][0].update(status="oom"), "calls it measured, oom"),
        (lambda c: c["benchmarks"][0]["extra_info"]["rows"][0].pop("phase"), "missing required field `phase`"),
        (
            lambda c: c["benchmarks"][0]["extra_info"]["rows"][0].update(step_s=3.0),
            "a median of 3.0 s, its samples 1.0 s",
        ),
    ],
)
def test_an_exported_file_that_was_changed_is_refused(own, read, change, message):
    saved = document(own)
    change(saved)
    with pytest.raises(ResultError) as caught:
        read(saved)
    assert message in str(caught.value)


def test_a_file_that_is_cut_off_is_told(read, foreign):
    with pytest.raises(ResultError, match="not readable as JSON"):
        read(json.dumps(foreign)[:-40])


def test_a_deep_file_is_told(read):
    with pytest.raises(ResultError, match="not readable as JSON"):
        read('{"machine_info": 1, "benchmarks": ' + "[" * 100_000)


def test_a_name_that_cannot_be_printed_is_made_printable(read, foreign):
    text = json.dumps(foreign).replace("test_sorting.py::test_sort[10]", "\\ud800")
    run = read(text)
    assert run.rows[0].case_id == "?"
    msgspec.json.encode(run)


@given(st.data())
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_in_a_file_it_is_read_or_told_in_one_line(own, tmp_path, data):
    """One value anywhere in a document, ours or another project's, is replaced by another or taken out."""
    path = tmp_path / "saved.json"
    foreign = json.loads((RECORDED / "5.3.1.json").read_text())
    content = data.draw(st.sampled_from([json.loads(json.dumps(document(own))), foreign]))
    place = content
    while True:
        key = data.draw(st.sampled_from(sorted(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        if not place[key] or not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            break
        place = place[key]
    if data.draw(st.booleans()):
        place[key] = data.draw(VALUES)
    else:
        del place[key]
    path.write_text(json.dumps(content))
    try:
        run = load_run(path)
    except ResultError as error:
        told = str(error)
        run = Run(id="none", environment=own.environment)
    else:
        told = ""
    assert "\n" not in told
    msgspec.json.encode(run)
    assert all(0 < sample < float("inf") for row in run.rows for sample in row.samples_s)
