"""Measured against modelled, here and now: the smoke suite's models on a device beside the model of that device."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.commands import planning, running
from bench.commands.progress import Progress
from bench.devices.achieved import fingerprint, load_achieved
from bench.devices.adapter import open_device
from bench.devices.emulated.validate import Validated, Worst
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError
from bench.measure.own_model import model_name
from bench.measure.rows import case_of, modelled_rows
from bench.measure.runner import run_cases
from bench.results.record import Row

SUITE = "smoke"
PHASES = ("prefill", "decode")


def validate_here(device: str, quiet: bool) -> list[Validated]:
    """Run the smoke suite's models on a device of this machine and compare each with its model; nothing is fitted.

    Raises: DefinitionError when the device has no model of its own yet, or the one here is of another machine.
    """
    adapter = open_device(device)
    name, mark = model_name(adapter), fingerprint(adapter.facts())
    own_sheet = adapter.sheet() is None
    if load_achieved(mark) is None or (own_sheet and (name not in known_sheets() or load_sheet(name).arch != mark)):
        raise DefinitionError(f"{device} has no model of its own yet; make it with: bench calibrate -d {device}")
    asked = planning.Request(names=(SUITE,), devices=(device,), overrides={})
    planned = [each for each in planning.plan(asked) if each.case.phase in PHASES]
    with tempfile.TemporaryDirectory() as folder:
        started = running.start(asked, Path(folder))
        with Progress(planned, quiet) as progress:
            run_cases(planned, started.journal, progress)
        rows = started.journal.run.rows
        started.journal.close()
    return [_beside(row, name) for row in rows]


def _beside(row: Row, name: str) -> Validated:
    modelled = modelled_rows(case_of(row), name)[0]
    found = Validated(device=row.device, kind=row.case_id, dtype=row.dtype, tier=modelled.tier, n=1, reason="")
    if row.step_s is None or modelled.step_s is None:
        found.reason = row.reason or modelled.reason or "no time"
        return found
    ratio = modelled.step_s / row.step_s
    found.mape = found.median = abs(ratio - 1)
    found.bias = ratio
    low, high = modelled.interval or (0.0, 0.0)
    found.inside = float(low <= row.step_s <= high)
    found.worst = [Worst(line=0, measured_s=row.step_s, modelled_s=modelled.step_s, dims={})]
    return found
