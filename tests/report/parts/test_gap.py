"""What a step consists of, worked out by hand: peaks of 100 FLOP/s in bf16 and 10 B/s, so a ridge at 10 FLOP a byte."""

import pytest

from bench.report.parts.gap import HARDWARE, KERNELS, LAUNCH, LINKS, REST, gap, parts
from bench.report.sides import Paper, Side
from bench.results.compare import Operand
from bench.results.record import KernelCost

PAPER = Paper(peak_flops={"bf16": 100.0}, memory_bytes_per_s=10.0)


def kernel(name="k", flops=0.0, moved=0.0, seconds=None, count=1, bound="memory", links=0.0):
    return KernelCost(
        name=name, kind=name, dtype="bf16", count=count, flops=flops, read_bytes=moved, written_bytes=0.0,
        link_bytes=links, seconds=seconds, bound=bound, tier="sheet",
    )  # fmt: skip


@pytest.fixture
def step(row):
    """Return a function that makes a modelled decode row of kernels."""
    return lambda step_s, *kernels, **changes: row(
        source="modelled", tier="sheet", step_s=step_s, kernels=list(kernels), **changes
    )


def test_the_parts_of_a_priced_step_add_up_to_it(step):
    """Memory 20 B: 2 s of 3. Compute 300 FLOP: 3 s of 4. A launch 0.1 s twice, links 1 s, host 0.8 s."""
    row = step(
        9.0, kernel("m", moved=20.0, seconds=3.0), kernel("c", flops=300.0, seconds=4.0, bound="compute"),
        kernel("tiny", seconds=0.1, count=2, bound="launch"), kernel("send", seconds=1.0, links=5.0, bound="link"),
    )  # fmt: skip
    assert parts(row, PAPER) == {
        HARDWARE: pytest.approx(5.0), KERNELS: pytest.approx(2.0), LAUNCH: pytest.approx(1.0), LINKS: pytest.approx(1.0)
    }  # fmt: skip


def test_a_measured_step_does_not_tell_kernels_and_launches_apart(row):
    measured = row(step_s=5.0, kernels=[kernel(moved=20.0)])
    assert parts(measured, PAPER) == {HARDWARE: 2.0, REST: 3.0}


def test_without_peaks_there_are_no_parts(step):
    assert parts(step(1.0, kernel(seconds=1.0)), Paper()) == {}


def test_the_gap_says_what_it_consists_of(step):
    """A takes 6 s and B 3 s; of the 3 s between, hardware makes 1 and kernels 2."""
    slow = step(6.0, kernel(moved=20.0, seconds=6.0))
    fast = step(3.0, kernel(moved=20.0, seconds=3.0))
    sides = [
        Side(Operand("A", [slow]), "a", PAPER),
        Side(Operand("B", [fast]), "b", Paper(peak_flops={"bf16": 100.0}, memory_bytes_per_s=20.0)),
    ]
    section = gap(sides)
    assert section.text == [
        "estimated: decode: a step of A takes 3.00 s longer than one of B (one device, before overlap). "
        "Of that: kernels +67%, hardware +33%, links +0%, launch +0%."
    ]
    assert [chart.id for chart in section.charts] == ["gap-decode", "kernels-decode"]


def test_no_kernels_no_chart_but_a_sentence(row):
    section = gap([Side(Operand("A", [row(step_s=1.0)]), "a", PAPER)])
    assert section.charts == []
    assert section.text == ["No side has a step whose kernels and peaks are known."]
