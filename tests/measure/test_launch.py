"""What one sample is: graphs or launches, short steps repeated, layers scaled, and a device's clock held against ours."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from bench.devices.adapter import Launch
from bench.errors import DeviceError
from bench.measure import launch as launch_module
from bench.measure.launch import check_clock, clocked, prepare


class Clock:
    """The host's clock; it moves when a test says so."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def host(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(launch_module, "time", clock)
    return clock


class Device:
    """A scripted device. seconds: of each launch of a step; share: what its clock tells of the time it takes.

    waits: whether the host's clock moves on with the work; aside_s: what each timing costs the host besides.
    """

    name = "fake:0"

    def __init__(self, host, seconds=0.004, *, share=1.0, waits=True, aside_s=0.0, graphs=True):
        self.host, self.seconds, self.share, self.waits, self.aside_s = host, seconds, share, waits, aside_s
        self.graphs, self.captured, self.pending, self.timings = graphs, 0, 0.0, 0

    def work(self):
        self.pending += self.seconds

    def time(self, step, repeats):
        told = []
        for _ in range(repeats):
            self.timings += 1
            self.pending = 0.0
            step()
            told.append(self.pending * self.share)
            self.host.now += self.aside_s + (self.pending if self.waits else 0.0)
        return told

    def capture(self, step):
        if not self.graphs:
            return Launch(step, "eager", "no graphs here")
        self.captured += 1
        return Launch(step, "graph")


def operators(device, *, copies=1, layers=None, kinds=None):
    """Operators whose program works once outside its layers, and once for each layer that runs."""
    ops = SimpleNamespace(copies=copies, layers=layers, only=None, repeated=dict(kinds or {}), device=device, ran=[])

    def program(ops):
        ops.ran.append(ops.only)
        device.work()
        for kind, (_, runs) in ops.repeated.items():
            for _ in range(runs if ops.only in (None, kind) else 0):
                device.work()

    return program, ops


# -- the clock -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["graph", "eager"])
def test_a_clock_that_agrees_with_the_hosts_is_believed(host, how):
    device = Device(host)
    check_clock(device, Launch(device.work, how))


@pytest.mark.parametrize("share", [0.1, 0.4, 1.2, 10.0])
def test_a_clock_that_tells_another_time_than_passed_is_refused(host, share):
    device = Device(host, share=share)
    with pytest.raises(DeviceError, match=r"the clock of fake:0 says .* ms for what took .* ms by the host's"):
        check_clock(device, Launch(device.work, "graph"))


def test_a_clock_that_stands_still_is_refused(host):
    device = Device(host, share=0.0)
    with pytest.raises(DeviceError, match=r"the clock of fake:0 gave 0\.0 s for a step; its adapter needs repair"):
        check_clock(device, Launch(device.work, "graph"))


def test_a_device_that_does_not_wait_for_its_work_is_refused(host):
    device = Device(host, waits=False)
    with pytest.raises(DeviceError, match="its events or its synchronization are wrong"):
        check_clock(device, Launch(device.work, "graph"))


def test_what_a_timing_costs_besides_its_step_is_not_held_against_the_clock(host):
    # 20 ms of work and 60 ms to flush the cache: without taking it off, the clock would seem to tell a quarter.
    device = Device(host, seconds=0.02, aside_s=0.06)
    check_clock(device, Launch(device.work, "graph"))


def test_a_hosts_hesitation_is_tried_again(host):
    device = Device(host)
    hesitations = [0.0, 0.0, 0.5, 0.0, 0.0]  # the first run, then twice nothing and the whole

    def time(step, repeats, timed=device.time):
        told = timed(step, repeats)
        host.now += hesitations.pop(0)
        return told

    device.time = time
    check_clock(device, Launch(device.work, "eager"))
    assert hesitations == []


def test_a_long_step_is_checked_once_and_a_short_one_often(host):
    ran = []
    slow, fast = Device(host, seconds=1.0), Device(host, seconds=0.001)
    check_clock(slow, Launch(lambda: (ran.append("slow"), slow.work()), "graph"))
    check_clock(fast, Launch(lambda: (ran.append("fast"), fast.work()), "graph"))
    assert ran.count("slow") == 2
    assert ran.count("fast") == 1 + 20  # 20 ms of it


def test_a_device_that_the_hosts_clock_times_needs_no_check(host):
    device = Device(host, share=0.1)
    check_clock(device, Launch(device.work, None))
    assert device.timings == 0


@pytest.mark.parametrize("seconds", [0.0, -1e-6, math.nan, math.inf])
def test_a_time_that_cannot_be_is_refused(seconds):
    device = SimpleNamespace(name="fake:0", time=lambda step, repeats: [seconds])
    with pytest.raises(DeviceError, match="the clock of fake:0 gave"):
        clocked(device, int)


# -- one sample ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("told", [[], [0.1, 0.2]])
def test_a_clock_that_gives_no_time_for_a_step_or_several_is_refused(told):
    silent = SimpleNamespace(name="fake:0", time=lambda step, repeats: told)
    with pytest.raises(DeviceError, match=f"the clock of fake:0 gave {len(told)} times for one step"):
        clocked(silent, lambda: None)


def test_a_step_is_captured_once_and_timed_as_a_graph(host):
    device = Device(host)
    program, ops = operators(device)
    timed = prepare(program, ops, device)
    assert (timed.launch.how, timed.calls, device.captured) == ("graph", 1, 1)
    assert timed.once() == pytest.approx(0.004)


def test_a_device_without_graphs_says_why(host):
    device = Device(host, graphs=False)
    timed = prepare(*operators(device), device)
    assert (timed.launch.how, timed.launch.why) == ("eager", "no graphs here")


def test_launches_one_by_one_are_asked_for_without_a_capture(host):
    device = Device(host)
    timed = prepare(*operators(device), device, eager=True)
    assert (timed.launch.how, timed.launch.why, device.captured) == ("eager", None, 0)
    assert timed.once() == pytest.approx(0.004)


def test_a_step_too_short_for_a_clock_is_repeated_inside_a_sample(host):
    device = Device(host, seconds=2e-4)
    timed = prepare(*operators(device), device)
    # 0.5 ms hold two and a half of them: three.
    assert timed.calls == 3
    assert timed.once() == pytest.approx(2e-4)


def test_a_kernels_copies_share_its_time(host):
    device = Device(host, seconds=0.008)
    timed = prepare(*operators(device, copies=4), device)
    assert timed.calls == 4
    assert timed.once() == pytest.approx(0.002)


@pytest.mark.parametrize("layers", [None, 1])
def test_a_clock_that_lies_stops_the_case_before_it_is_timed(host, layers):
    device = Device(host, share=0.1)
    with pytest.raises(DeviceError, match="the clock of fake:0"):
        prepare(*operators(device, layers=layers, kinds={"dense": (4, 1)} if layers else None), device)


# -- layers that are scaled ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eager", [False, True])
def test_each_kind_of_layer_is_timed_alone_and_scaled_to_all(host, eager):
    device = Device(host)
    program, ops = operators(device, layers=2, kinds={"dense": (3, 1), "moe": (58, 2)})
    timed = prepare(program, ops, device, eager=eager)
    # 4 ms outside the layers, 3 dense ones and 58 with experts of 4 ms each.
    assert timed.once() == pytest.approx(0.004 * (1 + 3 + 58))
    assert timed.calls == 1
    assert timed.launch.how == ("eager" if eager else "graph")
    assert device.captured == (0 if eager else 3)
    assert ops.only is None


def test_a_kind_that_does_not_run_is_not_timed(host):
    device = Device(host)
    program, ops = operators(device, layers=1, kinds={"dense": (4, 1), "moe": (3, 0)})
    assert prepare(program, ops, device).once() == pytest.approx(0.004 * (1 + 4))
    assert "moe" not in ops.ran


def test_one_part_that_could_not_be_captured_makes_the_row_an_eager_one(host):
    device = Device(host)

    def capture(step, whole=device.capture):
        return Launch(step, "eager", "this part cannot be captured") if device.captured == 1 else whole(step)

    device.capture = capture
    program, ops = operators(device, layers=1, kinds={"dense": (4, 1)})
    timed = prepare(program, ops, device)
    assert (timed.launch.how, timed.launch.why) == ("eager", "this part cannot be captured")


def test_a_part_that_fails_leaves_the_operators_as_they_were(host):
    device = Device(host)

    def capture(step):
        raise RuntimeError("lost")

    device.capture = capture
    program, ops = operators(device, layers=1, kinds={"dense": (4, 1)})
    with pytest.raises(RuntimeError, match="lost"):
        prepare(program, ops, device)
    assert ops.only is None
