"""What sides are called, and what is added where two would have the same name."""

import pytest

from bench.commands.naming import device_name, named
from bench.results.compare import Operand


@pytest.fixture
def side(row, environment):
    """Return a function that makes a side of one row: its label, and what its environment differs in."""

    def make(label="A CPU", file="results/runs/a.json", device="cpu", **fields):
        return Operand(label, [row(device=device)], environment(**fields), file)

    return make


def labels(*sides):
    return [each.label for each in named(list(sides))]


@pytest.mark.parametrize(
    ("told", "cores", "name"),
    [
        ("AMD EPYC", "2", "AMD EPYC (2 cores)"), ("AMD EPYC 9654 96-Core Processor", "96", "AMD EPYC 9654 (96 cores)"),
        ("Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.00GHz", "1", "Intel Xeon Platinum 8480+ (1 core)"),
        ("(R)", "many", "cpu (2 cores)"),
    ],
)  # fmt: skip
def test_a_cpu_is_called_by_its_name_and_cores_without_what_tells_nobody_apart(told, cores, name, row, environment):
    made = environment(devices={"cpu": {"cores": cores}})
    assert device_name(Operand("x", [row(device_name=told)], made)) == name


def test_an_accelerator_is_called_by_its_name_and_a_modelled_one_by_its_sheet(row, environment):
    measured = row(device="cuda:0", device_name="NVIDIA H200", unit="package")
    assert device_name(Operand("x", [measured], environment())) == "NVIDIA H200"
    modelled = row(device="h200-sxm", device_name="H200 SXM 141GB", unit="package", source="modelled")
    assert device_name(Operand("x", [modelled], environment())) == "h200-sxm"


def test_a_name_of_its_own_stays_as_it_is(side):
    assert labels(side("A CPU", commit="aaaa"), side("Another", commit="bbbb")) == ["A CPU", "Another"]


@pytest.mark.parametrize(
    ("first", "second", "added"),
    [
        ({"commit": "bf0dbaf72c1d", "created": "2026-11-20"}, {"commit": "031cfa7c0ffe+", "created": "2026-11-21"},
         ("at commit bf0dbaf", "at commit 031cfa7+")),
        ({"packages": {"torch": "2.9.0"}}, {"packages": {"torch": "2.9.1"}}, ("with torch 2.9.0", "with torch 2.9.1")),
        ({"devices": {"cpu": {"driver": "550"}}}, {"devices": {"cpu": {"driver": "560"}}},
         ("with driver 550", "with driver 560")),
        ({"device": "cuda:0"}, {"device": "cuda:1"}, ("cuda:0", "cuda:1")),
        ({"created": "2026-11-20T10:00:00"}, {"created": "2026-11-21T10:00:00"}, ("of 2026-11-20", "of 2026-11-21")),
        ({"created": "2026-11-20T10:00:00"}, {"created": "2026-11-20T10:09:00"},
         ("of 2026-11-20 10:00", "of 2026-11-20 10:09")),
        ({"file": "x/a.json"}, {"file": "x/b.json"}, ("in a", "in b")),
        ({"file": "x/a.json"}, {"file": "y/a.json"}, ("in x/a.json", "in y/a.json")),
        ({}, {}, ("(1)", "(2)")),
    ],
)  # fmt: skip
def test_the_first_thing_that_differs_tells_namesakes_apart(first, second, added, side):
    assert labels(side(**first), side(**second)) == [f"A CPU {each}" for each in added]


def test_one_that_lacks_a_commit_is_told_by_something_that_both_have(side):
    days = ("2026-11-20T10:00:00", "2026-11-21T10:00:00")
    assert labels(side(commit="aaaa", created=days[0]), side(created=days[1])) == [
        "A CPU of 2026-11-20", "A CPU of 2026-11-21",
    ]  # fmt: skip


def test_what_is_modelled_now_is_told_from_a_file_by_that(side, row):
    now = Operand("h20", [row(source="modelled")])
    assert labels(side("h20", commit="aaaa"), now) == ["h20 of 2026-11-21", "h20 modelled now"]
