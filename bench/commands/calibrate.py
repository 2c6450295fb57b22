"""bench calibrate: what this machine reaches, kept so that utilization can be told."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from bench import project
from bench.commands import options
from bench.devices.achieved import Achieved, achieved_path, fingerprint, load_achieved
from bench.devices.cpu import CpuAdapter
from bench.errors import DefinitionError
from bench.measure.runner import in_worker
from bench.report.layout import Column, Table
from bench.report.terminal import emit, table_text, width_of
from bench.results.environment import command_line
from bench.units import scaled


@click.command(name="calibrate")
@click.option("-d", "--device", default="cpu", show_default=True, help="A device of this machine.")
@click.option("--if-missing", is_flag=True, help="Do nothing where this machine is already calibrated.")
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
@options.quiet
def command(device: str, if_missing: bool, form: str, quiet: bool) -> int:
    """Measure the peaks this machine reaches and keep them in devices/calibrations/cpu/.

    Matrix products per dtype and size, reading and copying memory, threads swept: about half a minute. MFU and MBU of
    later runs are told of these, because no sheet knows a CPU in a virtual machine.
    """
    if device != "cpu":
        raise DefinitionError(f"calibrating '{device}' on the device itself is not built yet; only cpu is")
    mark = fingerprint(CpuAdapter().facts())
    found = load_achieved(mark) if if_missing else None
    if found is None:
        found = measure_roofs(quiet)
        path = save(found)
        emit(f"Saved {project.shown(path)}", sys.stderr)
    elif not quiet:
        emit(f"already calibrated on {found.made}", sys.stderr)
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif not if_missing:
        emit(table_text(roof_table(found), width_of(sys.stdout)))
    return 0


def measure_roofs(quiet: bool) -> Achieved:
    """Measure in a process of its own, as cases are measured."""

    def report(text: str) -> None:
        if not quiet:
            emit(text, sys.stderr)

    content = in_worker("bench.measure.roofs", "roofs_json", " ".join(command_line()), report)
    return msgspec.json.decode(content, type=Achieved)


def save(found: Achieved) -> Path:
    """Write the achieved peaks below the current folder's `devices/`."""
    path = achieved_path(Path.cwd() / "devices", found.fingerprint)
    head = "# Best rates this machine was seen to reach; made by `bench calibrate -d cpu`, not by hand.\n"
    project.write_atomically(path, head.encode() + msgspec.toml.encode(found))
    return path


def roof_table(found: Achieved) -> Table:
    """Return the achieved peaks as a table."""
    table = Table([Column("roof"), Column("reached", right=True), Column("how")])
    for dtype, rate in found.gemm_flops.items():
        table.rows.append(
            [f"gemm {dtype}", scaled(rate, "FLOP/s"), f"{found.gemm_sizes[dtype]} x {found.gemm_sizes[dtype]}"]
        )
    table.rows.append(["memory read", scaled(found.read_bytes_per_s, "B/s"), "best of a sum and of packed weights"])
    table.rows.append(["memory copy", scaled(found.copy_bytes_per_s, "B/s"), "read plus written"])
    table.notes = [f"measured on {found.made}, {found.software}; fastest with {found.threads} threads"]
    return table
