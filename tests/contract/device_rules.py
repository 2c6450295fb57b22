"""The rules of a fake device, one function each: `device_rules.py PACKAGE DEVICE`.

Prints JSON: rule -> empty, or what is wrong. Wants FAKE_OP_SECONDS, so that the device's clock can be worked out by hand.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

RULES: dict[str, Callable[[Any, str], None]] = {}


def rule(function: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    RULES[function.__name__] = function
    return function


def refused(words: str, call: Callable[[], Any]) -> None:
    """Assert that a call raises RuntimeError with these words."""
    said = None
    try:
        call()
    except RuntimeError as error:
        said = str(error)
    assert said is not None, f"nothing was raised; wanted {words!r}"
    assert words in said, f"{words!r} not in {said!r}"


def graph_class(module: Any) -> Any:
    found = [getattr(module, name) for name in dir(module) if name.endswith("Graph")]
    return found[0] if found else None


@rule
def operators_give_what_the_cpu_gives(module: Any, device: str) -> None:
    x, w = torch.randn(8, 16), torch.randn(16, 16)
    a, b = x.to(device), w.to(device)
    assert torch.equal((a @ b).softmax(-1).cpu(), (x @ w).softmax(-1))
    assert torch.equal(torch.cat([a, a])[3:9, ::2].cpu(), torch.cat([x, x])[3:9, ::2])
    y, c = x.clone(), a.clone()
    y[:, 2:5] = 1
    c[:, 2:5] = 1
    c[torch.tensor([1, 3], device=device)] += 2
    y[torch.tensor([1, 3])] += 2
    view = c.view(-1)
    view.mul_(3)
    assert torch.equal(c.cpu(), y * 3)
    assert a.device == torch.device(device, 0)
    assert torch.tensor([1.5, 2], device=device).sum().item() == 3.5
    assert torch.arange(5, device=device).tolist() == [0, 1, 2, 3, 4]


@rule
def tensors_of_two_devices_do_not_mix(module: Any, device: str) -> None:
    a = torch.ones(4, device=device)
    refused("same device", lambda: a + torch.ones(4))
    assert (a + torch.tensor(1.0)).sum().item() == 8  # a number is fine


@rule
def elapsed_time_wants_recorded_and_completed_events_with_timing(module: Any, device: str) -> None:
    a, b, c = module.Event(enable_timing=True), module.Event(enable_timing=True), module.Event()
    refused("recorded", lambda: a.elapsed_time(b))
    x = torch.ones(4, device=device)
    a.record()
    x + 1
    b.record()
    c.record()
    refused("completed", lambda: a.elapsed_time(b))
    module.synchronize()
    assert a.elapsed_time(b) > 0
    refused("enable_timing", lambda: a.elapsed_time(c))


@rule
def the_device_takes_the_time_of_its_kernels_and_the_host_waits_for_it(module: Any, device: str) -> None:
    each = float(os.environ["FAKE_OP_SECONDS"])
    x = torch.ones(4, device=device)
    module.synchronize()
    a, b = module.Event(enable_timing=True), module.Event(enable_timing=True)
    start = time.perf_counter()
    a.record()
    for _ in range(4):
        x.view(2, 2).add_(1)  # a view is no kernel
    b.record()
    b.synchronize()
    wall = time.perf_counter() - start
    assert a.elapsed_time(b) >= 4e3 * each * 0.999
    assert wall >= a.elapsed_time(b) / 1e3


@rule
def reading_a_number_waits_for_the_device(module: Any, device: str) -> None:
    x = torch.ones(4, device=device)
    module.synchronize()
    start = time.perf_counter()
    x.add_(1)
    x.sum().item()
    assert time.perf_counter() - start >= 2 * float(os.environ["FAKE_OP_SECONDS"])


@rule
def streams_have_queues_of_their_own_and_wait_for_each_other_when_told(module: Any, device: str) -> None:
    x, side = torch.ones(4, device=device), module.Stream()
    module.synchronize()
    with module.stream(side):
        assert module.current_stream() == side
        x + 1
        told = side.record_event()
    assert module.current_stream() == module.default_stream()
    assert not side.query()
    before = module.default_stream().ready_s
    module.current_stream().wait_event(told)
    assert module.default_stream().ready_s > before
    side.synchronize()
    assert side.query()
    assert told.query()


@rule
def a_capture_runs_nothing_and_a_replay_runs_it_on_the_same_storages(module: Any, device: str) -> None:
    if graph_class(module) is None:
        assert not hasattr(module, "graph")
        assert module.is_current_stream_capturing() is False
        return
    source, cache = torch.ones(4, device=device), torch.zeros(4, device=device)
    graph = graph_class(module)()
    refused("without a preceding", graph.replay)
    with module.graph(graph, pool=module.graph_pool_handle()):
        assert module.is_current_stream_capturing()
        cache[1:] = source[1:] * 2
        answer = cache.sum() + source.sum()
    assert cache.tolist() == [0, 0, 0, 0]
    assert answer.isnan().item()
    source.copy_(torch.full((4,), 3.0))
    graph.replay()
    assert cache.tolist() == [0, 6, 6, 6]
    assert answer.item() == 30
    assert not module.is_current_stream_capturing()


@rule
def nothing_may_wait_or_read_while_a_stream_captures(module: Any, device: str) -> None:
    if graph_class(module) is None:
        return
    x, event = torch.ones(4, device=device), module.Event()
    event.record()
    for forbidden in (
        module.synchronize, event.synchronize, lambda: x.sum().item(), x.cpu, x.nonzero, x.tolist,
        lambda: torch.ones(3).to(device), lambda: x.copy_(torch.ones(4)), lambda: x[torch.tensor([0])],
    ):  # fmt: skip
        graph = graph_class(module)()

        def capture(graph: Any = graph, forbidden: Any = forbidden) -> None:
            with module.graph(graph):
                x.add_(1)
                try:
                    forbidden()
                except RuntimeError:
                    pass
                else:
                    raise AssertionError("nothing was raised")

        refused("previous error during capture", capture)
        refused("without a preceding", graph.replay)
    assert x.tolist() == [1, 1, 1, 1]
    refused("non-default stream", lambda: graph_class(module)().capture_begin())


@rule
def memory_is_counted_from_living_tensors(module: Any, device: str) -> None:
    if not hasattr(module, "mem_get_info"):
        assert not hasattr(module, "memory_allocated")
        module.empty_cache()
        return
    gc.collect()
    module.empty_cache()
    module.reset_peak_memory_stats()
    before, total = module.memory_allocated(), module.mem_get_info()[1]
    mib = 2**20
    x = torch.empty(4 * mib, dtype=torch.int8, device=device)
    view = x[: 2 * mib].view(2, -1)
    assert module.memory_allocated() == before + 4 * mib
    y = x + 1
    del x
    assert module.memory_allocated() == before + 8 * mib  # the view keeps it
    del view, y
    assert module.memory_allocated() == before
    assert module.max_memory_allocated() == before + 8 * mib
    assert module.memory_stats()["allocated_bytes.all.peak"] == before + 8 * mib
    assert module.mem_get_info()[0] <= total - 8 * mib  # kept by the allocator
    module.empty_cache()
    assert module.mem_get_info()[0] > total - 8 * mib
    module.reset_peak_memory_stats()
    assert module.max_memory_allocated() == before


@rule
def memory_ends(module: Any, device: str) -> None:
    total = module.get_device_properties(0).total_memory
    message = "out of memory. Tried to allocate"
    refused(message, lambda: torch.empty(total + 1, dtype=torch.int8, device=device))
    held = [torch.empty(total * 2 // 3, dtype=torch.int8, device=device)]
    refused(message, lambda: held[0] + 1)
    held.clear()
    torch.empty(total * 2 // 3, dtype=torch.int8, device=device)


@rule
def the_device_says_who_it_is(module: Any, device: str) -> None:
    assert module.is_available()
    assert (module.device_count(), module.current_device()) == (1, 0)
    assert module.get_device_properties(0).name
    if hasattr(module, "get_device_name"):
        assert module.get_device_properties(0).name == module.get_device_name(0)
    refused("invalid device ordinal", lambda: module.set_device(1))


def main(package: str, device: str) -> None:
    torch.set_num_threads(1)
    importlib.import_module(package)
    module, found = getattr(torch, device), {}
    for name, check in RULES.items():
        try:
            check(module, device)
            found[name] = ""
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error} (line {error.__traceback__.tb_next.tb_lineno})"
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
