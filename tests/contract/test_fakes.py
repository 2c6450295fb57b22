"""The fake devices keep the rules that adapters are tested against; each vendor in a process of its own."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

from .fakes import VENDORS, environment, run_here, run_script

RULES = (
    "operators_give_what_the_cpu_gives",
    "tensors_of_two_devices_do_not_mix",
    "elapsed_time_wants_recorded_and_completed_events_with_timing",
    "the_device_takes_the_time_of_its_kernels_and_the_host_waits_for_it",
    "reading_a_number_waits_for_the_device",
    "streams_have_queues_of_their_own_and_wait_for_each_other_when_told",
    "a_capture_runs_nothing_and_a_replay_runs_it_on_the_same_storages",
    "nothing_may_wait_or_read_while_a_stream_captures",
    "memory_is_counted_from_living_tensors",
    "memory_ends",
    "the_device_says_who_it_is",
)
SLOW = pytest.mark.slow
EACH = [pytest.param(package, marks=() if package == "torch_npu" else SLOW) for package in VENDORS]


def answer(done):
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def machine(tmp_path):
    """Return a function that makes the environment of a machine with faults, and one that runs code in it."""

    def run(code, package="torch_npu", **faults):
        env = environment(package, tmp_path / package, **faults)
        head = f"import json, time, torch, {package}\nD = torch.{VENDORS[package]}\n"
        return run_here(head + code, env)

    return run


@pytest.fixture(scope="module")
def kept_rules(tmp_path_factory):
    """Rules of a vendor's device, run once each."""
    known = {}

    def of(package):
        if package not in known:
            env = environment(package, tmp_path_factory.mktemp(package), FAKE_OP_SECONDS=0.005, FAKE_MEMORY_BYTES=10**8)
            known[package] = answer(run_script("device_rules.py", env, package, VENDORS[package]))
        return known[package]

    return of


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("package", EACH)
def test_the_device_keeps_the_rule(kept_rules, package, rule):
    assert kept_rules(package)[rule] == ""


def test_every_rule_is_asked_for(kept_rules):
    assert set(kept_rules("torch_npu")) == set(RULES)


@pytest.mark.parametrize("package", [pytest.param(package, marks=SLOW) for package in VENDORS])
def test_every_program_of_the_smoke_suite_gives_the_cpus_answer_bit_for_bit(tmp_path, package):
    env = environment(package, tmp_path)
    found = answer(run_script("run_programs.py", env, package, VENDORS[package]))
    assert len(found) >= 10
    assert {case: text for case, text in found.items() if text} == {}


TIMED = """
x = torch.ones(4, device=D.__name__[6:])
a, b = D.Event(enable_timing=True), D.Event(enable_timing=True)
D.synchronize()
a.record()
for _ in range(3): x.add_(1)
b.record()
D.synchronize()
now = time.perf_counter()
print(json.dumps([a.elapsed_time(b), (b.stamp_s - a.stamp_s) * 1e3, now - b.stamp_s]))
"""


@pytest.mark.parametrize(("clock", "share"), [("lies", 0.1), ("stuck", 0.0)])
def test_a_lying_clock_tells_a_share_of_the_truth(machine, clock, share):
    told_ms, true_ms, _ = answer(machine(TIMED, FAKE_CLOCK=clock, FAKE_OP_SECONDS=0.01))
    assert true_ms >= 30 * 0.999
    assert told_ms == pytest.approx(share * true_ms)


def test_an_honest_synchronize_returns_when_the_work_is_done(machine):
    told_ms, true_ms, after_s = answer(machine(TIMED, FAKE_OP_SECONDS=0.01))
    assert told_ms == pytest.approx(true_ms)
    assert after_s >= 0


def test_an_unsynchronized_device_returns_while_work_is_under_way(machine):
    # Three kernels of two seconds: no machine is slow enough to see them done at once.
    told_ms, true_ms, after_s = answer(machine(TIMED, FAKE_CLOCK="unsynchronized", FAKE_OP_SECONDS=2))
    assert told_ms == pytest.approx(true_ms)
    assert after_s < 0


def test_a_lost_device_refuses_every_call(machine):
    code = """
x = torch.ones(4, device="npu")
said = []
for call in (lambda: [x.add_(1) for _ in range(9)], D.synchronize, lambda: x.cpu(), lambda: torch.empty(2, device="npu"), D.mem_get_info):
    try: call()
    except RuntimeError as error: said.append(str(error))
print(json.dumps(said))
"""
    said = answer(machine(code, FAKE_LOST_AFTER=5))
    assert len(said) == 5
    assert all("device is lost" in text for text in said)


def test_a_machine_may_have_several_devices(machine):
    code = """
x = torch.ones(4, device="npu:1")
D.set_device(1)
y = torch.ones(4, device="npu")
try: x + torch.ones(4, device="npu:0"); mixed = ""
except RuntimeError as error: mixed = str(error)
print(json.dumps([D.device_count(), (x + y).tolist(), str(y.device), D.memory_allocated(0), D.memory_allocated(1), mixed]))
"""
    count, summed, place, first, second, mixed = answer(machine(code, FAKE_DEVICES=2))
    assert (count, summed, place, first, second) == (2, [2, 2, 2, 2], "npu:1", 0, 1024)
    assert "npu:0 and npu:1" in mixed


def test_a_plugin_may_find_no_device(machine):
    code = """
try: torch.ones(4, device="npu"); said = ""
except RuntimeError as error: said = str(error)
print(json.dumps([D.is_available(), D.device_count(), said]))
"""
    assert answer(machine(code, FAKE_NO_DEVICE=1)) == [False, 0, "No NPU devices are available"]


def test_a_plugin_may_fail_to_import(machine):
    assert "libhccl.so: cannot open shared object file" in machine("", FAKE_IMPORT_ERROR=1).stderr


def test_an_installed_plugin_that_cannot_be_loaded_takes_torch_with_it(tmp_path):
    env = environment("torch_npu", tmp_path, installed=True)
    assert run_here("import torch; print(torch.ones(2).npu().sum().item())", env).stdout == "2.0\n"
    broken = run_here("import torch", {**env, "FAKE_IMPORT_ERROR": "1"})
    assert "Failed to load the backend extension: torch_npu" in broken.stderr


def test_two_vendors_cannot_share_a_process(tmp_path):
    env = environment("torch_npu", tmp_path)
    environment("torch_musa", tmp_path)
    assert "Two accelerators cannot be used at the same time" in run_here("import torch_npu, torch_musa", env).stderr


def test_a_fused_operator_may_be_missing(machine):
    code = "print(json.dumps([hasattr(torch_npu, n) for n in ('npu_swiglu', 'npu_rms_norm')]))"
    assert answer(machine(code, FAKE_MISSING_OP="npu_swiglu")) == [False, True]


def test_a_function_of_the_plugin_may_be_missing(machine):
    code = "print(json.dumps([hasattr(D, n) for n in ('get_device_name', 'mem_get_info', 'synchronize')]))"
    assert answer(machine(code, "torch_txda")) == [True, False, True]
    assert answer(machine(code, FAKE_MISSING_API="get_device_name,mem_get_info")) == [False, False, True]
