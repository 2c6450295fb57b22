"""The fixture `bench`: times a person's own kernels, and the operators of the vocabulary, on a device's own clock."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bench.pytest_plugin.recorder import DeviceClock, Recorder
    from bench.results.record import Row

TIME_S = 1.0
# What an operator of the vocabulary is called as a kernel that can be run alone.
KERNEL_OF = {
    "linear": "gemm", "head_linear": "batched_gemm", "grouped_linear": "grouped_gemm", "mla_attention": "mla_decode",
    "copy": "memory_copy",
}  # fmt: skip


@pytest.fixture
def bench_clock(request: pytest.FixtureRequest) -> DeviceClock:
    """Let pytest-benchmark take its time from a device's clock in this test; for the plugin's own use."""
    from bench.pytest_plugin.recorder import DeviceClock

    if "benchmark" in inspect.signature(request.function).parameters:
        pytest.fail("a test asks for `bench` or for `benchmark`, not for both: they have one timer", pytrace=False)
    clock = DeviceClock()
    given = request.node.get_closest_marker("benchmark")
    settings = {**(given.kwargs if given else {}), "timer": clock}
    # In front: pytest-benchmark takes the first mark it finds.
    request.node.add_marker(pytest.mark.benchmark(**settings), append=False)
    return clock


@pytest.fixture
def bench_recorder(request: pytest.FixtureRequest, bench_clock: DeviceClock, benchmark: Any) -> Recorder:
    """Give rows to pytest-benchmark; for the plugin's own use."""
    from bench.pytest_plugin.machine import machine_of
    from bench.pytest_plugin.recorder import Recorder

    return Recorder(benchmark, bench_clock, machine_of(request.config), request.config.getoption("bench_time"))


@pytest.fixture
def bench(request: pytest.FixtureRequest, bench_recorder: Recorder) -> Bench:
    """Time your own kernel, or an operator of the vocabulary, by a device's own clock: see docs/pytest.md."""
    return Bench(bench_recorder, request.node.nodeid)


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Say in what pytest-benchmark saves what our numbers were made on, so that it can be read as a run."""
    if any("fingerprint" in each.extra_info for each in benchmarks):
        from bench.pytest_plugin.machine import machine_of
        from bench.results.pytest_benchmark.write import head

        output_json["bench"] = head(machine_of(config).environment)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Fail a test with our errors' one line, which needs no traceback."""
    from bench.errors import BenchError

    __tracebackhide__ = True
    try:
        yield
    except BenchError as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def _check(**numbers: float | None) -> None:
    """Raise DefinitionError for what cannot be a size or a time; what is not known is left out."""
    from bench.errors import DefinitionError

    for name, value in numbers.items():
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
        if value is not None and not (0 <= number < math.inf and (number or name != "time_s")):
            least = "above 0" if name == "time_s" else "0 or more"
            raise DefinitionError(f"bench.time: {name} is {value!r}; a number is needed, {least}, or leave it out")


class Bench:
    """Times one thing a test. `row` holds what was measured afterwards: time, samples, utilization, launch, power."""

    def __init__(self, recorder: Recorder, test: str) -> None:
        self._recorder, self._test = recorder, test
        self._used = False
        self.row: Row | None = None

    @cached_property
    def device(self) -> str:
        """The device's name as torch has it (cpu, cuda:0, npu:0): where operands belong. Its plugin is loaded."""
        from bench.devices.adapter import open_device

        name = self._recorder.machine.devices[0]
        _ = getattr(open_device(name), "api", None)
        return name

    @property
    def extra_info(self) -> dict[str, Any]:
        """What is saved beside the timings; a test may add its own."""
        return self._recorder.extra_info

    def __call__(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Time `function(*args, **kwargs)`; return what its first call gave."""
        __tracebackhide__ = True
        return self.time(partial(function, *args, **kwargs))

    def time(
        self, step: Callable[[], Any], *, flops: float | None = None, read_bytes: float | None = None,
        written_bytes: float | None = None, dtype: str | None = None, time_s: float | None = None, graph: bool = True,
    ) -> Any:  # fmt: skip
        """Time a step without arguments; return what its first call gave.

        flops, read_bytes, written_bytes: of one call; with them, and the dtype whose peak counts (bf16, fp8), the row
        has MFU and MBU. graph: launch the step as one captured graph where the device can. It runs in this process.
        """
        from bench.devices.adapter import open_device
        from bench.measure.own_step import measure_step

        __tracebackhide__ = True
        with _told():
            _check(flops=flops, read_bytes=read_bytes, written_bytes=written_bytes, time_s=time_s)
        self._once()
        self.row = row = self._own_row(flops=flops, read_bytes=read_bytes, written_bytes=written_bytes, dtype=dtype)
        if not self._recorder.enabled:
            row.status, row.reason = "skipped", "timings are switched off"
            return self._recorder.once(step)
        with _told():
            seconds = time_s or self._recorder.time_s or TIME_S
            busy = self._recorder.machine.busy(self.device)
            answer = measure_step(step, row, open_device(self.device), seconds, graph=graph)
        row.flags += ["busy"] if busy else []
        self._recorder.record(row)
        return answer

    def operator(self, name: str, *, dtype: str = "bf16", routing: str | None = None, time_s: float | None = None,
                 **dims: int | str) -> Row:  # fmt: skip
        """Measure an operator or kernel of the vocabulary in a worker, checked against its reference; return its row.

        name: linear, attention_decode, rms_norm, moe, ... with the dimensions that workloads/README.md names, numbers
        or "4k". routing: of experts, such as "zipf:1.2". The same case as in `bench run`, so that both are comparable.
        """
        from bench.errors import DefinitionError, nearest
        from bench.measure.runner import Planned
        from bench.units import parse_count
        from bench.workloads.kernels import KERNELS
        from bench.workloads.routing import Routing, parse_routing
        from bench.workloads.sweep import kernel_case

        __tracebackhide__ = True
        self._once()
        with _told():
            kernel = KERNEL_OF.get(name, name)
            if kernel not in KERNELS:
                known = [*KERNEL_OF, *KERNELS]
                raise DefinitionError(f"no operator '{name}'{nearest(name, known) or '; known: ' + ', '.join(known)}")
            sizes = {key: parse_count(str(value), f"{name}: {key}") for key, value in dims.items()}
            drawn = parse_routing(routing) if routing else Routing()
            case = kernel_case(kernel, sizes, dtype, drawn, time_s or self._recorder.time_s or TIME_S)
            self.row = row = self._recorder.measure(Planned(self.device, case, True))
        return row

    kernel = operator

    def _once(self) -> None:
        __tracebackhide__ = True
        if self._used:
            pytest.fail("`bench` times one thing a test; parametrize the test, or write another", pytrace=False)
        self._used = True

    def _own_row(self, **told: Any) -> Row:
        """A row of a person's own step: named by its test, defined by that and by the work it is said to do."""
        from bench.devices.adapter import open_device
        from bench.results.pytest_benchmark.read import NO_DTYPE, definition_hash
        from bench.results.record import Row

        adapter: Any = open_device(self.device)
        definition = {"test": self._test, **{key: value for key, value in told.items() if value is not None}}
        dtype = told.pop("dtype") or NO_DTYPE
        return Row(
            case_id=self._test, workload=self._test.partition("[")[0], phase="kernel", dtype=dtype,
            definition=definition, definition_hash=definition_hash(definition),
            device=adapter.name, device_name=adapter.facts()["name"], unit=adapter.unit,
            source="measured", status="error", **told,
        )  # fmt: skip
