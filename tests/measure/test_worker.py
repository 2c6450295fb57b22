"""The worker's last line of defence: every exception becomes a status and a reason."""

from __future__ import annotations

import pytest
import torch

from bench.errors import DefinitionError, DeviceError, Unsupported
from bench.measure import worker
from bench.measure.worker import classify, guarded
from bench.operators.torch_operators import TorchOperators
from bench.workloads.schema import Case

CASE = Case(workload="tiny", phase="kernel", kernel="gemm", dtype="fp32", dims={"m": 4, "n": 8, "k": 16}, time_s=10.0)


def raised(error: Exception) -> Exception:
    """The error as it arrives: with the place it came from."""
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "oom"),
        (RuntimeError("NPU Out Of Memory"), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "oom"),
        (torch.OutOfMemoryError("no more"), "oom"),
        (NotImplementedError("no kernel"), "unsupported"),
        (NotImplementedError("Could not run 'aten::_grouped_mm' with arguments from the 'X' backend"), "unsupported"),
        (RuntimeError("Could not run 'aten::mm' with arguments from the 'X' backend"), "unsupported"),
        (ValueError("a shape"), "error"),
        (KeyError("missing"), "error"),
        (ZeroDivisionError("division by zero"), "error"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "error"),
    ],
)
def test_an_exception_has_a_status(error, status):
    assert classify(raised(error))[0] == status


def test_an_error_names_its_kind_and_its_place():
    _, reason = classify(raised(ValueError("a shape")))
    assert reason.startswith("ValueError: a shape (test_worker.py:")


def test_the_place_is_where_it_was_raised_not_where_it_was_caught():
    def deep() -> None:
        raise ValueError("deep down")

    with pytest.raises(ValueError, match="deep down") as caught:
        deep()
    assert f"(test_worker.py:{deep.__code__.co_firstlineno + 1})" in classify(caught.value)[1]


def test_a_reason_is_one_line_of_bounded_length():
    _, reason = classify(raised(RuntimeError("first\n\n  second\t" + "x" * 1000)))
    assert reason.startswith("RuntimeError: first second xxx")
    assert "\n" not in reason
    assert len(reason) < 400


def test_torch_that_is_not_installed_says_how_to_get_it():
    assert "pip install" in classify(raised(ModuleNotFoundError("No module named 'torch'", name="torch")))[1]


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (MemoryError(), "oom", "the machine gave no more memory"),
        (Unsupported("dtype fp8 has no path"), "unsupported", "dtype fp8 has no path"),
        (DeviceError("the driver is gone"), "error", "the driver is gone"),
        (DefinitionError("unknown model"), "error", "unknown model"),
        (NotImplementedError("no kernel"), "unsupported", "an operator is missing here: no kernel"),
    ],
)
def test_a_case_that_raises_is_a_row_that_says_why(error, status, reason, fake, monkeypatch):
    class Raising(TorchOperators):
        def linear(self, x, weight, bias=None, *, name):
            raise error

    adapter = fake()
    adapter.operator_class = Raising
    monkeypatch.setattr(worker, "open_device", lambda _: adapter)
    row = guarded(CASE, "fake:0", lambda _: None)
    assert (row.status, row.reason) == (status, reason)
    assert (row.device, row.device_name, row.case_id) == ("fake:0", "A fake device", "tiny[m=4,n=8,k=16,fp32]")
    assert row.step_s is None


def test_a_case_that_goes_well_is_its_row(fake, monkeypatch):
    adapter = fake()
    monkeypatch.setattr(worker, "open_device", lambda _: adapter)
    assert guarded(CASE, "fake:0", lambda _: None).status == "ok"
