"""What every torch accelerator has in common: found without importing torch, described by its sheet, timed by events."""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace

import pytest

from bench.devices.accelerator import UNKNOWN_CACHE_BYTES, Accelerator
from bench.errors import DeviceError, Unsupported
from bench.operators.interface import Step

STEP = Step("decode", 1, 1, 8)


class Chip(Accelerator):
    """A vendor with a plugin, a driver and graphs."""

    adapter = "nvidia"
    vendor = "Vendor"
    family = "chip"
    plugin = "torch_chip"
    drivers = ("chip[0-9]*",)
    visible = "CHIP_VISIBLE_DEVICES"
    graph = "ChipGraph"
    advice = "load the toolkit"


class Plain(Chip):
    """A vendor whose devices come with torch itself, and no graphs."""

    plugin = ""
    graph = ""


# -- what is here ----------------------------------------------------------------------------------------------------


def test_devices_are_named_by_family_and_number(pretend):
    pretend({}, {}, installed=("torch_chip",))
    assert Chip.available() == ["chip:0", "chip:1"]
    assert Chip.problem() is None


def test_devices_that_the_vendor_does_not_claim_are_not_its_own(pretend):
    class Picky(Chip):
        @classmethod
        def claims(cls, seen, present):
            return present.name == "Mine"

    pretend({"name": "Other"}, {"name": "Mine"}, installed=("torch_chip",))
    assert Picky.available() == ["chip:1"]


def test_torch_is_not_asked_where_neither_plugin_nor_driver_is_here(pretend):
    pretend({}, {})  # torch would show two
    assert Chip.available() == []
    assert Plain.available() == []
    assert (Chip.problem(), Plain.problem()) == (None, None)


def test_devices_that_come_with_torch_are_asked_for_where_a_driver_is(pretend):
    pretend({}, drivers=("chip[0-9]*",))
    assert Plain.available() == ["chip:0"]


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        ({"drivers": ("chip[0-9]*",)}, "Vendor: a driver is here, torch_chip is not installed; load the toolkit"),
        ({"installed": ("torch_chip",)}, "Vendor: torch_chip is installed and shows no device; load the toolkit"),
        (
            {"installed": ("torch_chip",), "drivers": ("chip[0-9]*",)},
            "Vendor: a driver is here and torch shows no device; load the toolkit",
        ),
        (
            {"installed": ("torch_chip",), "error": "ImportError: libchip.so"},
            "Vendor: ImportError: libchip.so; load the toolkit",
        ),
        ({}, None),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(pretend, machine, problem):
    pretend(**machine)
    assert Chip.problem() == problem
    assert Chip.available() == []


def test_a_device_that_went_away_is_an_error(pretend):
    pretend({}, installed=("torch_chip",))
    with pytest.raises(DeviceError, match="chip:3 is not here any more"):
        _ = Chip(3).present


# -- its sheet -------------------------------------------------------------------------------------------------------

H200 = {"name": "NVIDIA H200", "memory_bytes": 150_754_820_096, "cores": 132, "arch": "9.0"}


def test_facts_tell_the_sheet_and_why_it_is_the_right_one(pretend):
    pretend(H200, installed=("torch_chip",), cuda="12.8")
    device = Chip(0)
    assert device.facts() == {
        "name": "NVIDIA H200", "vendor": "Vendor", "memory": "150.8 GB", "cores": "132", "arch": "9.0",
        "sheet": "h200-sxm (by the name 'NVIDIA H200' and 151 GB and 132 cores)", "runtime": "cuda 12.8",
        "graphs": "ChipGraph", "collectives": "none known",
    }  # fmt: skip
    assert (device.sheet(), device.unit) == ("h200-sxm", "package")


def test_a_device_without_a_sheet_says_why_and_goes_on(pretend):
    pretend({"name": "A chip"}, installed=("torch_chip",))
    facts = Chip(0).facts()
    assert facts["sheet"] == "none: no sheet of adapter 'nvidia' lists the name 'A chip' in torch_names"
    assert facts["runtime"] == "not told"
    assert "memory" not in facts
    assert Chip(0).unit == "package"


def test_the_unit_is_the_sheets(pretend):
    class Ascend(Chip):
        adapter = "ascend"

    pretend({"name": "Ascend910_9392", "memory_bytes": 64 * 10**9, "cores": 24}, installed=("torch_chip",))
    assert Ascend(0).unit == "die"


@pytest.mark.parametrize(
    ("told", "size"),
    [
        (H200 | {"cache_bytes": 63_000_000}, 63_000_000),  # torch's own word first
        (H200, 50_000_000),  # the sheet's 50 MB
        ({"name": "A chip"}, UNKNOWN_CACHE_BYTES),
    ],
)
def test_the_cache_is_torchs_word_else_the_sheets_else_a_large_one(pretend, told, size):
    pretend(told, installed=("torch_chip",))
    assert Chip(0).cache_bytes() == size


@pytest.mark.parametrize(
    ("visible", "index", "physical"),
    [(None, 1, 1), ("4,6", 1, 6), ("4, 6", 0, 4), ("4", 1, 1), ("GPU-abc,6", 0, 0), ("", 2, 2)],
)
def test_the_tools_number_follows_what_is_visible(monkeypatch, visible, index, physical):
    monkeypatch.delenv("CHIP_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CHIP_VISIBLE_DEVICES", visible)
    assert Chip(index).physical() == physical


def test_a_vendor_without_a_tool_tells_nothing_and_says_so():
    told = Chip(0).read()
    assert told.power_w is None
    assert told.missing["power_w"] == "no telemetry tool of Vendor is known"
    assert told.missing["energy_j"]


# -- with torch ------------------------------------------------------------------------------------------------------


class Api:
    """A torch.<family> whose events follow a script of milliseconds and write down what was called."""

    def __init__(self, *milliseconds):
        self.calls, self.milliseconds = [], list(milliseconds)

    def set_device(self, index):
        self.calls.append(f"set {index}")

    def synchronize(self):
        self.calls.append("synchronize")

    def Event(self, enable_timing=False):
        assert enable_timing
        record = lambda: self.calls.append("record")  # noqa: E731
        return SimpleNamespace(record=record, elapsed_time=lambda end: self.milliseconds.pop(0))


@pytest.fixture
def chip(monkeypatch):
    """Return a function that gives a device whose torch.<family> is this one."""
    torch = pytest.importorskip("torch")
    monkeypatch.setitem(sys.modules, "torch_chip", SimpleNamespace())

    def make(api, kind=Chip):
        monkeypatch.setattr(torch, "chip", api, raising=False)
        device = kind(0)
        monkeypatch.setattr(device, "flush", lambda: api.calls.append("flush"))
        return device

    return make


def test_each_run_is_timed_between_two_events_with_the_cache_flushed_before(chip):
    api = Api(2.5, 3.0)
    seconds = chip(api).time(lambda: api.calls.append("step"), 2)
    assert seconds == [0.0025, 0.003]
    once = ["flush", "record", "step", "record"]
    assert api.calls == ["set 0", *once, *once, "synchronize"]


def test_the_device_is_made_current_once(chip):
    api = Api()
    device = chip(api)
    _ = device.api, device.api
    assert api.calls == ["set 0"]


def test_a_vendor_without_graphs_runs_launch_by_launch(chip):
    launch = chip(Api(), Plain).capture(int)
    assert (launch.run, launch.how, launch.why) == (int, "eager", "torch.chip captures no graphs")
    older = chip(Api()).capture(int)  # the installed plugin has no such class
    assert (older.how, older.why) == ("eager", "torch.chip has no ChipGraph")


class Graphs(Api):
    """An interface with streams and graphs, whose capture may fail."""

    def __init__(self, failure=None):
        super().__init__()
        api, self.failure = self, failure

        class ChipGraph:
            def replay(self):
                api.calls.append("replay")

        self.ChipGraph = ChipGraph

    def Stream(self):
        return SimpleNamespace(wait_stream=lambda other: None)

    current_stream = Stream

    @contextlib.contextmanager
    def stream(self, stream):
        self.calls.append("side")
        yield

    @contextlib.contextmanager
    def graph(self, graph):
        self.calls.append("capture")
        yield
        if self.failure is not None:
            raise self.failure


def test_a_step_is_run_before_it_is_captured_and_replayed_before_it_is_timed(chip):
    api = Graphs()
    launch = chip(api).capture(lambda: api.calls.append("step"))
    assert (launch.how, launch.why) == ("graph", None)
    assert api.calls == ["set 0", "side", "step", "step", "synchronize", "capture", "step", "replay", "synchronize"]
    launch.run()
    assert api.calls[-1] == "replay"


@pytest.mark.parametrize("failure", [RuntimeError("operation not permitted\nmore"), NotImplementedError("no such op")])
def test_a_capture_that_fails_leaves_the_step_as_it_is_with_the_reason(chip, failure):
    api = Graphs(failure)
    launch = chip(api).capture(int)
    assert (launch.run, launch.how) == (int, "eager")
    assert launch.why == f"a graph could not be captured: {str(failure).splitlines()[0]}"


def test_what_is_no_fault_of_a_capture_is_not_swallowed(chip):
    with pytest.raises(MemoryError):
        chip(Graphs(MemoryError())).capture(int)


def test_room_is_what_is_free_less_a_part_for_the_allocator(chip, pretend):
    pretend(H200, installed=("torch_chip",))
    api = Api()
    api.mem_get_info = lambda index: (100_000, 200_000)
    assert chip(api).memory_room() == 92_000
    assert chip(Api()).memory_room() == int(150_754_820_096 * 0.92)  # of torch's total
    pretend({"name": "NVIDIA H200"}, installed=("torch_chip",))
    assert chip(Api()).memory_room() == int(141e9 * 0.92)  # of the sheet's 141 GB


def test_a_device_of_which_nobody_knows_the_memory_is_refused(chip, pretend):
    pretend({"name": "A chip"}, installed=("torch_chip",))
    with pytest.raises(DeviceError, match=r"chip:0: neither torch\.chip nor a sheet says how much memory it has"):
        chip(Api()).memory_room()


def test_the_peak_is_none_where_the_plugin_does_not_count(chip):
    assert chip(Api()).memory_peak() is None
    api = Api()
    api.max_memory_allocated = lambda index: 12
    assert chip(api).memory_peak() == 12


def test_a_dtype_without_a_path_is_refused_with_those_that_have_one(chip, pretend):
    pretend(H200, installed=("torch_chip",))
    with pytest.raises(Unsupported, match="Vendor NVIDIA H200 has no fp8 path here; it runs bf16, fp16, fp32"):
        chip(Api()).operators(STEP, "fp8", 1, None)
