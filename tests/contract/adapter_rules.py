"""The contract of an adapter, one function a rule: `adapter_rules.py ADAPTER`, with the vendor's fake plugin to import.

Prints JSON: the rules kept, and what every program answered.
"""

from __future__ import annotations

import dataclasses
import gc
import shutil
import sys
import time
from typing import Any

import adapter_rows  # noqa: F401
import torch
from adapter_programs import answers, as_json, grouped_in_fp8, operands
from adapter_setup import CPU, case_of, changed, faulty, kept, machine, opened, rule, stand_in_a_project

from bench.devices.telemetry.reading import LARGEST, WORDS
from bench.measure.launch import clocked, prepare
from bench.measure.timer import sample

EACH_S = 2e-3
NO_FAULTS = "the CPU's clock is the host's"


def step_of(device: Any, kernels: int) -> Any:
    """A step of so many kernels, of the same size each."""
    size = 64 if device.name == CPU else 4
    x = torch.ones(size, size, device=device.name)
    y = torch.ones(size, size, device=device.name)

    def step() -> None:
        for _ in range(kernels):
            torch.mm(x, x, out=y) if device.name == CPU else y.add_(1)

    return step


@rule
def a_device_is_found_and_says_who_it_is(device: Any) -> None:
    assert type(device).available() == [device.name], type(device).available()
    facts = device.facts()
    assert facts["name"]
    assert all(isinstance(value, str) and value for value in facts.values()), facts
    assert device.unit in ("package", "die", "machine")
    assert getattr(type(device), "problem", lambda: None)() is None
    assert device.cache_bytes() > 0
    assert device.memory_room() > 0


@rule
def twice_the_work_takes_twice_the_time(device: Any) -> None:
    def least(kernels: int) -> float:
        return min(device.time(step_of(device, kernels), 5))

    if device.name == CPU:
        ratio = min(least(40) / least(20) for _ in range(3))
    else:
        with faulty(op_seconds=EACH_S):
            ratio = least(8) / least(4)
    assert 1.6 < ratio < 2.5, f"twice the work took {ratio:.2f} times as long"


@rule
def timing_waits_for_the_work(device: Any) -> str | None:
    if device.name == CPU:
        return NO_FAULTS
    with faulty(op_seconds=EACH_S):
        start = time.perf_counter()
        told = device.time(step_of(device, 5), 2)
        waited = time.perf_counter() - start
    assert len(told) == 2
    assert all(seconds >= 5 * EACH_S * 0.999 for seconds in told), told
    assert waited >= sum(told)
    return None


@rule
def a_run_finds_none_of_its_operands_in_the_cache(device: Any) -> str | None:
    if device.name == CPU:
        return "the CPU's operands are rotated instead"
    written: list[int] = []

    def zeroed(scratch: Any) -> Any:
        written.append(scratch.nbytes)
        return scratch

    device.time(lambda: None, 1)
    with changed(torch.Tensor, "zero_", zeroed):
        device.time(lambda: None, 3)
    assert len(written) == 3, written
    assert min(written) > device.cache_bytes(), (written, device.cache_bytes())
    return None


@rule
def slow_first_runs_are_not_among_the_samples(device: Any) -> None:
    done, short, long = [], step_of(device, 2), step_of(device, 60)

    def step() -> None:
        done.append(1)
        (long if len(done) <= 5 else short)()

    found = sample(lambda: clocked(device, step), 0.2)
    slow = min(device.time(long, 3))
    assert found.warmup_samples >= 5, found.warmup_samples
    assert len(found.seconds) >= 6
    assert sorted(found.seconds)[len(found.seconds) // 2] < slow / 3


@rule
def memory_is_given_back_when_the_operators_are_dropped(device: Any) -> str | None:
    peak = device.memory_peak()
    assert peak is None or peak > 0
    if device.name == CPU:
        assert peak is not None
        return None
    case = case_of("experts")
    gc.collect()
    held = machine().memories[0]
    device.time(lambda: None, 1)  # the flushed scratch stays
    before = held.allocated
    # Without the collector: a case's operators must go before the next ones are made.
    gc.disable()
    try:
        operators = device.operators(case.step(), "bf16", 1, None)
        with torch.inference_mode():
            case.program()(operators)
        during = held.allocated
        del operators
        assert during > before
        assert held.allocated == before, f"{held.allocated - before} bytes are held"
    finally:
        gc.enable()
    assert (device.memory_peak() is None) == (not hasattr(getattr(torch, device.family), "max_memory_allocated"))
    return None


@rule
def memory_is_given_back_after_a_graph(device: Any) -> str | None:
    if device.name == CPU:
        return "the CPU has no graphs"
    case = case_of("decode")
    held = machine().memories[0]
    gc.collect()
    device.time(lambda: None, 1)
    before = held.allocated
    operators = device.operators(case.step(), "bf16", 1, None)
    with torch.inference_mode():
        timed = prepare(case.program(), operators, device)
        timed.once()
    del operators, timed
    gc.collect()
    assert held.allocated == before, f"{held.allocated - before} bytes are held"
    return None


@rule
def what_telemetry_does_not_tell_is_none_with_its_reason(device: Any) -> None:
    with changed(shutil, "which", lambda *_, **__: None):
        told = dataclasses.asdict(device.read())
    for name in (*LARGEST, *WORDS):
        assert told[name] is not None or told["missing"][name].strip(), f"{name} is missing without a reason"
    # Nothing draws no power and has no temperature: a zero would be a figure that is missing.
    zeros = [name for name in LARGEST if told[name] == 0 and name != "utilization"]
    assert zeros == [], zeros


@rule
def a_graph_replays_what_was_captured(device: Any) -> str | None:
    source, target = torch.ones(4, device=device.name), torch.zeros(4, device=device.name)

    def step() -> None:
        target.copy_(source * 2 + 1)

    launch = device.capture(step)
    if device.name == CPU:
        assert (launch.how, launch.run) == (None, step)
        return "the CPU has no graphs"
    if not device.graph:
        assert launch.how == "eager"
        assert "captures no graphs" in launch.why
    else:
        assert (launch.how, launch.why) == ("graph", None)
        assert launch.run is not step
    source.fill_(4)
    launch.run()
    getattr(torch, device.family).synchronize()
    assert target.tolist() == [9, 9, 9, 9], target.tolist()
    return None


@rule
def a_step_that_cannot_be_captured_runs_eagerly_with_the_reason(device: Any) -> str | None:
    if device.name == CPU or not device.graph:
        return "there are no graphs"
    x = torch.ones(4, device=device.name)
    launch = device.capture(lambda: x.add_(1).sum().item())
    assert launch.how == "eager"
    assert launch.why.startswith("a graph could not be captured: "), launch.why
    assert "captur" in launch.why
    before = x.sum().item()
    launch.run()
    assert x.sum().item() == before + 4, "the device does not go on after a capture that failed"
    again = device.capture(lambda: x.add_(1))
    assert again.how == "graph"
    with changed(getattr(torch, device.family), device.graph, ...):
        told = device.capture(lambda: x.add_(1))
    assert (told.how, told.why) == ("eager", f"torch.{device.family} has no {device.graph}")
    return None


def main(name: str) -> None:
    stand_in_a_project()
    device = opened(name)
    if name == "nvidia":
        torch._scaled_grouped_mm = grouped_in_fp8
    found = {"rules": kept(device), "operands": operands(device), "programs": answers(device)}
    print("\n" + as_json(found).decode())


if __name__ == "__main__":
    main(sys.argv[1])
