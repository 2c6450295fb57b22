"""`pytest --bench-suite`: each case of a suite is a test, `bench/<device>::<case>`, that no file holds."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, DefinitionError, listed, nearest
from bench.measure.runner import Planned
from bench.measure.worker import NO_TORCH
from bench.pytest_plugin.machine import machine_of
from bench.pytest_plugin.recorder import Recorder
from bench.results.pytest_benchmark.write import FOLDER
from bench.units import counted, parse_count, seconds

LISTS = ("batch", "input_len", "prefix", "context", "tokens", "dtype", "model")
NUMBERS = ("tp", "dp", "ep", "layers")
AXES = (*LISTS, "routing", *NUMBERS)


class SuitePlugin:
    """Collects the cases that the options name.

    Raises: pytest.UsageError for a suite, device or axis that there is not.
    """

    def __init__(self, config: pytest.Config) -> None:
        from bench.commands.planning import Request, plan

        self.names = []
        for text in config.getoption("bench_suite"):
            named = [part.strip() for part in text.split(",") if part.strip()]
            if not named:
                raise pytest.UsageError(
                    f"--bench-suite '{text}': names nothing; write suites or workloads: smoke, or 'gemm,llama*'"
                )
            self.names += named
        machine = machine_of(config)
        try:
            overrides = _overrides(config.getoption("bench_sweep"))
            asked = Request(tuple(self.names), tuple(machine.devices), overrides, config.getoption("bench_time"))
            self.planned = plan(asked)
        except BenchError as error:
            raise pytest.UsageError(str(error)) from None
        if config.args_source != pytest.Config.ArgsSource.ARGS:
            # Nobody named a path: the suite is what was asked for, and not the tests that lie about.
            config.args.clear()

    def pytest_report_header(self) -> str:
        """Say what will be measured."""
        devices = listed(dict.fromkeys(each.device for each in self.planned))
        about = seconds(sum(each.case.time_s for each in self.planned))
        return f"bench: {listed(self.names)} on {devices}, {counted(len(self.planned), 'case')}, {about} of timing"

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Put the cases behind the tests of the paths that were named."""
        for device in dict.fromkeys(each.device for each in self.planned):
            cases = Cases.from_parent(session, path=session.config.rootpath / FOLDER / device)
            cases.obj = sys.modules[__name__]
            cases.planned = [each for each in self.planned if each.device == device]
            items.extend(session.genitems(cases))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Refuse before the first test what every test would fail for."""
        if session.config.option.collectonly or not session.items:
            return
        if importlib.util.find_spec("torch") is None:
            raise pytest.UsageError(NO_TORCH)
        machine = machine_of(session.config)
        try:
            for device in machine.devices:
                machine.busy(device)
        except BenchError as error:
            raise pytest.UsageError(str(error)) from None


class Cases(pytest.Module):
    """The cases on one device. Its path names them; there is no file."""

    planned: list[Planned]

    def collect(self) -> Iterator[pytest.Item]:
        """Yield a test for each case."""
        for planned in self.planned:
            item = CaseTest.from_parent(self, name=planned.case.case_id, callobj=_test(planned))
            # One table a workload: how much slower one is than another says nothing.
            item.add_marker(pytest.mark.benchmark(group=planned.case.workload))
            # A case that gives no time fails or skips before it gets there, with its reason.
            item.add_marker(pytest.mark.filterwarnings("ignore:Benchmark fixture was not used"))
            yield item


class CaseTest(pytest.Function):
    """One case; it lies where its name says, not in this file."""

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return where pytest says that it is; a warning needs a line."""
        return self.path, 0, self.name


def _test(planned: Planned) -> Callable[[Recorder], None]:
    def measured(bench_recorder: Recorder) -> None:
        bench_recorder.measure(planned)

    return measured


def _overrides(words: list[str]) -> dict[str, Any]:
    """Return the axes that --bench-sweep replaces, as the flags of `bench run` do."""
    from bench.commands.options import overrides

    given: dict[str, Any] = {"routing": []}
    for word in words:
        name, _, value = word.partition("=")
        axis = name.replace("-", "_")
        if axis not in AXES:
            hint = nearest(axis, AXES) or f"; these are: {listed(AXES)}"
            raise DefinitionError(f"--bench-sweep: '{name}' is no axis{hint} (write batch=1,8)")
        if axis == "routing":
            given[axis].append(value)
        else:
            given[axis] = parse_count(value, f"--bench-sweep {name}") if axis in NUMBERS else value
    try:
        return overrides(given)
    except DefinitionError as error:
        raise DefinitionError(f"--bench-sweep {str(error).removeprefix('--')}") from None
