"""Bisection on a device whose step takes 1 ms and 0.1 ms for each sequence: 2.5 ms hold 15 of them."""

from collections import Counter

import pytest

from bench.measure import bisect as module
from bench.measure.bisect import bisect_cases, next_batch
from bench.measure.rows import new_row
from bench.measure.runner import Planned
from bench.results.interpolate import measured_at_targets
from bench.results.normalize import fill_rates
from bench.results.record import Row
from bench.results.target import Target
from bench.workloads.sweep import select_cases


class Run:
    """A journal that holds rows and nothing else."""

    def __init__(self):
        self.run = self
        self.rows: list[Row] = []


@pytest.fixture
def device(monkeypatch):
    """Return a function that runs batches on a pretended device: batch -> seconds, or None for a failure."""
    order: list[int] = []

    def make(cost, batches, targets, sessions=1):
        journal = Run()

        def run(planned, where, listen, limits):
            for each in planned:
                row = new_row(each.case, device=each.device, device_name="A CPU", unit="machine", source="measured")
                order.append(each.case.batch)
                step_s = cost(each.case.batch)
                row.status = "oom" if step_s is None else "ok"
                row.step_s = step_s
                fill_rates(row)
                where.rows.append(row)

        monkeypatch.setattr(module, "run_cases", run)
        cases = select_cases(["llama-3.1-8b-decode"], {"batch": batches, "context": [1024]})
        planned = [Planned("cpu", case, present=True, busy="someone") for case in cases]
        run(planned, journal, None, None)
        order.clear()
        bisect_cases(planned, targets, journal, lambda _: None)
        return journal.rows, list(order)

    return make


def line(batch):
    return 1e-3 + batch * 1e-4


AT = [Target(tpot_s=2.55e-3)]


def test_a_straight_line_is_found_with_two_measurements(device):
    rows, order = device(line, [1, 32], AT)
    assert order == [15, 16]
    (row,) = measured_at_targets(rows, AT)
    assert (row.batch, row.flags) == (15, [])


def test_a_bent_line_is_closed_in_on_with_four_at_most(device):
    rows, order = device(lambda b: 1e-3 + b * b * 1e-6, [1, 512], [Target(tpot_s=20e-3)])
    assert len(order) == 4
    assert len(set(order)) == 4
    (row,) = measured_at_targets(rows, [Target(tpot_s=20e-3)])
    # 137 is the answer; the measured brackets close in on it from both sides or one.
    assert 100 <= row.batch <= 137


def test_beyond_the_largest_the_batch_is_doubled(device):
    _, order = device(line, [1, 4], AT)
    assert order[:2] == [8, 16]


def test_below_the_smallest_the_batch_is_halved(device):
    _, order = device(line, [64], AT)
    assert order[:2] == [32, 16]


def test_nothing_is_tried_where_not_even_one_sequence_is_in_time(device):
    assert device(line, [1, 8], [Target(tpot_s=1e-4)])[1] == []


def test_a_batch_that_fails_is_not_tried_again(device):
    _, order = device(lambda b: None if b > 4 else line(b), [1, 4], AT)
    assert order == [8]


def test_each_target_is_looked_for_and_a_first_token_limit_not_in_decode(device):
    _, order = device(line, [1, 32], [Target(tpot_s=1.55e-3), Target(tpot_s=2.55e-3), Target(ttft_s=1.0)])
    assert order == [5, 15, 6, 16]


def test_what_is_not_here_is_not_measured(device, monkeypatch):
    cases = select_cases(["llama-3.1-8b-decode"], {"batch": [1], "context": [1024]})
    assert module._next([Planned("h100-sxm", cases[0], present=False)], AT, [], Counter()) == []


def test_the_next_batch_lies_between_the_nearest_two():
    family = {8: Row(**_fields(8, 1.0)), 32: Row(**_fields(32, 2.0))}
    assert next_batch(family, 1.5) == 20
    assert next_batch(family, 1.999999) == 31
    assert next_batch(family, 1.0) == 9
    assert next_batch({4096: Row(**_fields(4096, 1.0))}, 2.0) is None


def _fields(batch, step_s):
    return {
        "case_id": "c", "workload": "w", "phase": "decode", "dtype": "bf16", "definition_hash": "h", "definition": {},
        "batch": batch, "step_s": step_s, "device": "cpu", "device_name": "c", "unit": "machine", "source": "measured",
        "status": "ok",
    }  # fmt: skip
