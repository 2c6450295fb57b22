"""The pytest plugin: a suite's cases as tests, and the fixture `bench` for a person's own kernels (docs/pytest.md).

Every pytest of an environment loads this module, so it imports nothing but pytest; the rest comes when it is asked for.
"""

from __future__ import annotations

from typing import NoReturn

import pytest

NEEDED = "needs pytest-benchmark, which is not installed or switched off: pip install pytest-benchmark"
SHORTEST_S, LONGEST_S = 0.05, 3600.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options; pytest calls it."""
    group = parser.getgroup("bench", "accelbench: suites and kernels on this machine's devices, by pytest-benchmark")
    group.addoption(
        "--bench-suite", action="append", default=[], metavar="NAMES",
        help="Measure suites or workloads (smoke, 'gemm,llama*'), one test a case; without paths nothing else is run.",
    )  # fmt: skip
    group.addoption(
        "--bench-device", action="append", default=[], metavar="DEVICE",
        help="A device of this machine: cpu, cuda:0, npu:0.  Repeatable for suites.  Default: the first accelerator",
    )  # fmt: skip
    group.addoption(
        "--bench-time", type=float, metavar="SECONDS",
        help="Warm-up and timing of a test together.  Default: a case's own; 1 for the fixture `bench`",
    )  # fmt: skip
    group.addoption(
        "--bench-sweep", action="append", default=[], metavar="AXIS=LIST",
        help="Replace the suite's own values, as flags of bench run do: batch=1,8 context=1k:32k:x2 dtype=fp32",
    )  # fmt: skip
    group.addoption(
        "--bench-allow-busy", action="store_true", help="Measure although others use the device; every row is marked."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load what is asked for; pytest calls it.

    Raises: pytest.UsageError for options that cannot be met, before anything is collected.
    """
    # pytest-benchmark's own options tell that it is here, whatever name it was loaded by.
    if not hasattr(config.option, "benchmark_storage"):
        if config.getoption("bench_suite"):
            raise pytest.UsageError(f"--bench-suite {NEEDED}")
        config.pluginmanager.register(Without(), "bench-fixture")
        return
    seconds = config.getoption("bench_time")
    if seconds is not None and not SHORTEST_S <= seconds <= LONGEST_S:
        raise pytest.UsageError(f"--bench-time: {seconds} s is not between {SHORTEST_S} and {LONGEST_S:.0f}")
    from bench.pytest_plugin import fixture

    config.pluginmanager.register(fixture, "bench-fixture")
    if config.getoption("bench_suite"):
        from bench.pytest_plugin.suite import SuitePlugin

        config.pluginmanager.register(SuitePlugin(config), "bench-suite")
    elif config.getoption("bench_device"):
        from bench.pytest_plugin.machine import machine_of

        machine_of(config)


class Without:
    """What stands in for the fixture where pytest-benchmark is missing: a reason in place of a riddle."""

    @pytest.fixture
    def bench(self) -> NoReturn:
        """Time kernels on an accelerator's own clock; needs pytest-benchmark."""
        pytest.fail(f"the fixture `bench` {NEEDED}", pytrace=False)
