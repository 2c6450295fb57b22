"""A person's own step, timed in this process by a device's clock."""

from __future__ import annotations

import pytest

from bench.devices.adapter import Launch
from bench.errors import DeviceError
from bench.measure.own_step import measure_step

pytest.importorskip("torch")


@pytest.fixture
def device(fake):
    """A fake device whose steps take 2 ms; what it launches as a graph takes 1 ms."""

    def cost(_):
        return 0.001 if adapter.captured else 0.002

    adapter = fake(cost)
    adapter.captured = False
    adapter.made.append(None)

    def capture(step):
        adapter.captured = True
        return Launch(step)

    adapter.capture = capture
    adapter.sheet_id = "h100-sxm"
    return adapter


def test_a_step_is_timed_by_the_devices_clock_and_its_first_answer_given_back(device, row):
    answers = iter(range(10_000))
    made = row(status="error", phase="kernel", batch=None, step_s=None)
    assert measure_step(lambda: next(answers), made, device, 0.1) == 0
    assert (made.status, made.step_s) == ("ok", 0.001)
    assert made.samples_s == [0.001] * len(made.samples_s)
    assert made.stop_reason == "median known within 1%"
    assert (made.flops, made.mfu, made.mbu, made.bound) == (None, None, None, None)


def test_a_step_may_be_launched_as_it_is(device, row, monkeypatch):
    # Nobody waits for this device, so that its clock would not be believed.
    monkeypatch.setattr("bench.measure.launch.check_clock", lambda *_: None)
    made = row(phase="kernel")
    measure_step(lambda: None, made, device, 0.1, graph=False)
    assert (made.step_s, made.launch) == (0.002, "eager")


def test_utilization_is_of_what_its_author_says_it_computes_and_moves(device, row):
    # An H100 SXM: 989.4 TFLOP/s in bf16, 3.35 TB/s.
    made = row(phase="kernel", flops=989.4e12 * 0.001 / 2)
    measure_step(lambda: None, made, device, 0.1)
    assert made.mfu == pytest.approx(0.5, rel=1e-3)
    assert made.mbu is None
    made = row(phase="kernel", read_bytes=3.35e12 * 0.001 / 4, dtype="-")
    measure_step(lambda: None, made, device, 0.1)
    assert (made.mfu, made.mbu) == (None, pytest.approx(0.25, rel=1e-3))


def test_what_a_step_raises_is_its_authors(device, row):
    with pytest.raises(ZeroDivisionError):
        measure_step(lambda: 1 / 0, row(), device, 0.1)


def test_a_clock_that_gives_no_time_is_an_error_of_the_device(device, row):
    device.cost = lambda _: float("nan")
    with pytest.raises(DeviceError, match="gave nan s for a step"):
        measure_step(lambda: None, row(), device, 0.1)
