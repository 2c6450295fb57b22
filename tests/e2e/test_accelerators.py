"""The real command on machines with a fake accelerator: found, measured, and told of when something is wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from ..contract.fakes import TOOLS, environment

pytestmark = pytest.mark.slow

# A kernel of 10 ms: far longer than this machine's own hesitations, so that the device's clock is what decides.
SLOW_KERNELS = {"FAKE_OP_SECONDS": "0.01", "FAKE_CACHE_BYTES": "64", "FAKE_MEMORY_BYTES": "64000000000"}
# Where a vendor's torch tells no cache, 192 MB are flushed before each run: kernels then take what the CPU needs, twice.
LARGE_CACHES = {"FAKE_OP_SECONDS": None, "FAKE_CACHE_BYTES": "20000000"}
QUICK = ("--time", "0.05", "--quiet", "--format", "json")

TINY = """
summary = "A tiny product"
phase = "kernel"
kernel = "gemm"
points = [{ m = 4, n = 64, k = 64 }]
"""
DECODE = """
summary = "A tiny model, decode"
phase = "decode"
model = "tiny"
batch = 2
context = 16
"""
MODEL = """
name = "tiny"
source = "a test"
architecture = "test"
layers = 3
hidden = 32
heads = 2
kv_heads = 1
head_dim = 16
intermediate = 32
vocab = 33
"""

# npu-smi where somebody else computes; its process holds 3072 MB.
BUSY = """#!{python}
import subprocess, sys, time
time.sleep({delay_s})
shown = subprocess.run([{tool!r}, *sys.argv[1:]], capture_output=True, text=True, check=True).stdout
row = "| 0       0                 | 4242          | python3                  | 3072                    |"
for line in shown.splitlines():
    print(row if "No running processes" in line else line)
"""
# Device files cannot be made here: this machine's kernel shows those that are named.
WITH_DRIVERS = """
import sys
from bench.devices import accelerator
accelerator.nodes = lambda *patterns: bool({shown!r} & set(patterns))
from bench.cli import main
sys.exit(main())
"""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def row(self) -> dict[str, Any]:
        (row,) = self.json["rows"]
        return row


class Machine:
    """A folder with workloads, the plugins that are installed, and the vendors' tools that are on the path."""

    def __init__(self, folder: Path, *packages: str, tools: tuple[str, ...] = (), installed: bool = False) -> None:
        self.folder = folder
        (folder / "workloads" / "models").mkdir(parents=True)
        (folder / "workloads" / "tiny.toml").write_text(TINY)
        (folder / "workloads" / "tiny-decode.toml").write_text(DECODE)
        (folder / "workloads" / "models" / "tiny.toml").write_text(MODEL)
        self.tools = folder / "tools"
        self.tools.mkdir()
        for tool in tools:
            (self.tools / tool).symlink_to(TOOLS / tool)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("FAKE_", "BENCH_"))}
        for package in packages:
            self.env = environment(package, folder / "plugins", installed=installed)
        self.env |= {"PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
        self.env |= SLOW_KERNELS if packages else {}

    def start(self, *words: str, drivers: set[str] | None = None, **env: str | None) -> subprocess.Popen[str]:
        given = {key: value for key, value in (self.env | env).items() if value is not None}
        code = ["-m", "bench"] if drivers is None else ["-c", WITH_DRIVERS.format(shown=drivers)]
        return subprocess.Popen(
            [sys.executable, *code, *words], cwd=self.folder, env=given, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def bench(self, *words: str, drivers: set[str] | None = None, **env: str | None) -> Done:
        process = self.start(*words, drivers=drivers, **env)
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err, err
        return Done(process.returncode, out, err)


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Callable[..., Machine]:
    return lambda *packages, **given: Machine(tmp_path_factory.mktemp("machine"), *packages, **given)


@pytest.fixture(scope="module")
def npu(machine) -> Machine:
    """A machine with one Ascend 910B3 and its tool."""
    return machine("torch_npu", tools=("npu-smi",))


@pytest.fixture(scope="module", autouse=True)
def hanging(machine):
    """A run beside a tool that never answers, begun before the other tests: it waits, and computes hardly anything."""
    started = time.monotonic()
    here = machine("torch_npu", tools=("npu-smi",))
    process = here.start("run", "tiny", "-d", "npu:0", *QUICK, FAKE_TOOL="hang")

    def ended() -> tuple[Done, float]:
        out, err = process.communicate(timeout=120)
        return Done(process.returncode, out, err), time.monotonic() - started

    yield ended
    if process.poll() is None:
        process.kill()
        process.communicate()


# -- a machine with an accelerator -----------------------------------------------------------------------------------


def test_devices_lists_the_accelerator_first_with_its_facts_and_no_problem(npu):
    listed = npu.bench("devices", "--format", "json").json
    assert next(iter(listed["here"])) == "npu:0"
    facts = listed["here"]["npu:0"]
    assert facts["sheet"] == "ascend-910b3 (by the name 'Ascend910B3' and 64.0 GB and 20 cores)"
    assert facts["runtime"] == "torch_npu 2.13.0, cann 8.5.0"
    assert [told for told in listed["problems"] if "Huawei" in told] == []


def test_devices_tells_of_one_what_it_says_of_itself_and_why_the_rest_is_missing(npu):
    told = npu.bench("devices", "npu:0").out
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines[0] == "npu:0: on this machine, measured"
    assert "name Ascend910B3" in lines
    assert "graphs NPUGraph" in lines
    assert "state idle" in lines
    assert any(line.startswith("power_w 101.8 (now, npu-smi") for line in lines)
    assert any(
        line.startswith("not told power_limit_w, energy_j") and "npu-smi does not show it" in line for line in lines
    )


def test_the_accelerator_is_measured_where_no_device_is_named(npu):
    done = npu.bench("run", "tiny-decode", "--layers", "1", *QUICK, FAKE_OP_SECONDS="0.005")
    row = done.row
    assert done.code == 0, row
    assert (row["device"], row["device_name"], row["unit"]) == ("npu:0", "Ascend910B3", "package")
    assert (row["status"], row["source"], row["correct"]) == ("ok", "measured", True)
    assert row["scope"] == "1 of 3 dense layers run, scaled"
    # Three layers of 12 kernels or more, each 5 ms long, as a graph and launch by launch.
    assert row["launch"] == "graph"
    assert row["step_s"] > 36 * 0.005
    assert row["eager_step_s"] == pytest.approx(row["step_s"], rel=0.2)
    assert row["operators"]["attention_decode"] == "torch_npu.npu_fused_infer_attention_score"
    assert 0 < row["mfu"] < 1
    assert row["memory_peak_bytes"] > 0
    # Power needs half a second of readings; the temperature only one.
    assert row["temperature_c"] == 43
    assert (row["power_w"] is None) == ("power_w" in row["telemetry_missing"])
    assert row["clock_hz"] is None
    assert row["telemetry_missing"]["clock_hz"] == "npu-smi does not show it"
    device = json.loads(next((npu.folder / "results" / "runs").glob("*.json")).read_text())["environment"]["devices"]
    assert device["npu:0"]["idle power"] == "101.8 W (NPU)"
    assert device["npu:0"]["driver"] == "25.5.1"


def test_two_accelerators_of_different_vendors_are_measured_side_by_side_though_their_tools_fail(machine):
    both = machine("torch_npu", "torch_musa", tools=("npu-smi", "mthreads-gmi"))
    done = both.bench("run", "tiny", "-d", "npu:0", "-d", "musa:0", *QUICK, FAKE_TOOL="fail", **LARGE_CACHES)
    rows = {row["device"]: row for row in done.json["rows"]}
    assert done.code == 0, rows
    assert {name: (row["status"], row["launch"]) for name, row in rows.items()} == {
        "npu:0": ("ok", "graph"), "musa:0": ("ok", "graph"),
    }  # fmt: skip
    assert [rows[name]["power_w"] for name in rows] == [None, None]
    missing = {name: row["telemetry_missing"]["power_w"] for name, row in rows.items()}
    assert "npu-smi failed (exit 1): dcmi module initialize failed. ret is -8005" in missing["npu:0"]
    assert missing["musa:0"] == "mthreads-gmi failed (exit 1): Error: failed to initialize MTML"


def test_a_device_that_is_lost_in_one_case_is_a_row_and_the_run_goes_on_to_the_next(npu):
    # A model's operands alone take more kernels than the whole of a product; each case has a process of its own.
    words = ("run", "tiny-decode", "tiny", "-d", "npu:0", *QUICK)
    done = npu.bench(*words, FAKE_LOST_AFTER="150")
    lost, fine = sorted(done.json["rows"], key=lambda row: row["status"])
    assert (done.code, lost["workload"], lost["status"], lost["step_s"]) == (4, "tiny-decode", "error", None)
    assert lost["reason"].startswith("RuntimeError: npuSynchronizeDevice: NPU function error")
    assert (fine["workload"], fine["status"]) == ("tiny", "ok")


# -- a machine with something wrong ----------------------------------------------------------------------------------


def test_a_machine_without_a_driver_has_nothing_to_complain_of(machine):
    listed = machine().bench("devices", "--format", "json").json
    assert "cpu" in listed["here"]
    assert [told for told in listed["problems"] if told.startswith(("Huawei", "Moore Threads", "Enflame"))] == []


@pytest.mark.parametrize(
    ("drivers", "told"),
    [
        ({"davinci[0-9]*"}, "Huawei: a driver is here, torch_npu is not installed; load CANN"),
        ({"mtgpu*"}, "Moore Threads: a driver is here, torch_musa is not installed; compare with mthreads-gmi"),
    ],
)
def test_a_driver_without_the_vendors_plugin_is_told_with_what_to_do(machine, drivers, told):
    problems = machine().bench("devices", "--format", "json", drivers=drivers).json["problems"]
    assert [problem.startswith(told) for problem in problems] == [True]


def test_a_driver_and_a_plugin_without_a_device_are_told_with_what_to_do(machine):
    done = machine("torch_npu").bench("run", "tiny", "-d", "npu:0", drivers={"davinci[0-9]*"}, FAKE_NO_DEVICE="1")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: device 'npu:0' is not on this machine; here: cpu")
    assert "Huawei: a driver is here and torch shows no device; load CANN (source /usr/local/Ascend/" in done.err


def test_a_plugin_without_its_runtime_takes_nothing_else_down(machine):
    # With the metadata of a real package: torch would import the plugin by itself and fail with it.
    broken = machine("torch_npu", installed=True)
    why = "Huawei: ImportError: libhccl.so: cannot open shared object file"
    fault = {"FAKE_IMPORT_ERROR": "1"}
    listed = broken.bench("devices", "--format", "json", **fault).json
    assert "npu:0" not in listed["here"]
    assert [told.startswith(why) for told in listed["problems"]] == [True]
    refused = broken.bench("run", "tiny", "-d", "npu:0", **fault)
    assert (refused.code, refused.out) == (3, "")
    assert why in refused.err
    assert "source /usr/local/Ascend/ascend-toolkit/set_env.sh" in refused.err
    measured = broken.bench("run", "tiny", "-d", "cpu", *QUICK, **fault)
    assert (measured.code, measured.row["status"]) == (0, "ok")


def test_a_device_in_use_is_refused_with_who_uses_it_and_measured_only_when_allowed(machine):
    here = machine("torch_npu")
    tool = here.tools / "npu-smi"
    tool.write_text(BUSY.format(python=sys.executable, tool=str(TOOLS / "npu-smi"), delay_s=0.2))
    tool.chmod(0o755)
    refused = here.bench("run", "tiny", "-d", "npu:0", *QUICK)
    assert (refused.code, refused.out) == (3, "")
    assert refused.err == (
        "error: npu:0 is in use by pid 4242 python3 (3.22 GB); stop it, or run with --allow-busy, which marks every row\n"
    )
    assert not (here.folder / "results").exists()
    allowed = here.bench("run", "tiny", "-d", "npu:0", "--allow-busy", *QUICK)
    row = allowed.row
    assert (allowed.code, row["status"]) == (0, "ok")
    assert "busy" in row["flags"]
    assert "the device was in use by others: pid 4242 python3 (3.22 GB)" in row["notes"]
    # The tool is slow as well: what its few readings cannot tell has a reason.
    assert (row["power_w"] is None) == ("power_w" in row["telemetry_missing"])


def test_a_tool_that_prints_garbage_leaves_its_reason(npu):
    told = npu.bench("devices", "npu:0", "--format", "json", FAKE_TOOL="garbage").json["reading"]
    assert (told["power_w"], told["temperature_c"], told["utilization"]) == (None, None, None)
    assert "npu-smi printed no device" in told["missing"]["power_w"]


def test_a_run_beside_a_tool_that_hangs_ends_in_time_with_the_reason(hanging):
    done, seconds = hanging()
    row = done.row
    assert (done.code, row["status"]) == (0, "ok"), done.err
    assert row["power_w"] is None
    assert "gave no answer in 5 s" in row["telemetry_missing"]["power_w"]
    # Once before the run and once beside the case, five seconds each, and what else the test machine does meanwhile.
    assert row["wall_s"] < 60
    assert seconds < 120
