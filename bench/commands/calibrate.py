"""bench calibrate: what this machine reaches, kept so that utilization can be told."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from bench import project
from bench.commands import options
from bench.devices.achieved import Achieved, achieved_path, fingerprint, load_achieved
from bench.devices.adapter import Adapter, open_device, present_devices
from bench.devices.emulated.profile import ENGINE, Profile
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError, listed
from bench.measure.own_kernels import OwnKernel
from bench.measure.own_model import achieved_of, model_name, profile_of, sheet_of
from bench.measure.processes import in_worker
from bench.report.layout import Column, Table
from bench.report.terminal import emit, table_text, width_of
from bench.results.environment import command_line
from bench.units import MISSING, counted, percent, scaled


@click.command(name="calibrate")
@click.option(
    "-d", "--device", metavar="DEVICE", help="A device of this machine; with --from: only its rows.  [default: cpu]"
)
@click.option("--from", "table_file", metavar="FILE", help="Fit profiles to a table of measured kernels (CSV).")
@click.option("--serving", "serving_file", metavar="FILE", help="Fit an engine's step to served configurations (CSV).")
@click.option("--generic", is_flag=True, help="With --from: also fit the average that uncalibrated devices get.")
@click.option("--if-missing", is_flag=True, help="Do nothing where this machine is already calibrated.")
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
@options.quiet
def command(
    device: str | None, table_file: str | None, serving_file: str | None, generic: bool, if_missing: bool, form: str,
    quiet: bool,
) -> int:  # fmt: skip
    """Measure the peaks this machine reaches, or fit the cost model to a table of kernels that anyone measured.

    Without --from: products, experts, attention and copies are timed on the device itself, within a minute. The best
    rates are kept in devices/calibrations/here/ (MFU and MBU of later runs are told of them where no sheet describes
    the device), the fit of the model in devices/calibrations/DEVICE/.

    With --from: a profile per device in devices/calibrations/DEVICE/, with the error on rows left out of the fit. The
    table's columns: device, kind, dtype, the kind's dimensions, seconds, software, note, source.
    """
    if generic and table_file is None:
        raise click.UsageError("--generic averages over the devices of a table: name it with --from FILE")
    if table_file is not None:
        return _from_table(Path(table_file), device, generic, form)
    if serving_file is not None:
        return _from_serving(Path(serving_file), form)
    if device in known_sheets() and device not in present_devices():
        raise DefinitionError(
            f"'{device}' is a sheet and no device of this machine ({listed(present_devices())});"
            f" fit it to measured kernels: bench calibrate --from FILE --device {device}"
        )
    adapter = open_device(device or "cpu")
    mark = fingerprint(adapter.facts())
    found = load_achieved(mark) if if_missing else None
    if found is None:
        found = _measured(adapter, quiet)
    elif not quiet:
        emit(f"already calibrated on {found.made}", sys.stderr)
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    elif not if_missing:
        emit(table_text(roof_table(found), width_of(sys.stdout)))
    return 0


def _measured(adapter: Adapter, quiet: bool) -> Achieved:
    """Measure a device's peaks and kernels, and keep both; a CPU's peaks are found by sweeping threads as well."""
    if adapter.name == "cpu":
        found = measure_roofs(quiet)
        kernels = measure_kernels(adapter.name, quiet)
    else:
        kernels = measure_kernels(adapter.name, quiet)
        found = achieved_of(kernels, adapter, command_line())
    for path in (save(found), *save_model(found, kernels, adapter)):
        emit(f"Saved {project.shown(path)}", sys.stderr)
    return found


def _from_table(path: Path, device: str | None, generic: bool, form: str) -> int:
    """Fit and save profiles; nothing is written unless every fit succeeded."""
    from bench.devices.emulated.assumed import assumed_rules
    from bench.devices.emulated.calibrate import calibrate, calibrate_generic
    from bench.devices.emulated.table import read_table

    rows = read_table(path)
    line = f"bench calibrate --from {path.name}" + (f" --device {device}" if device else "")
    found = [calibrate_generic(rows, str(path), f"{line} --generic", assumed_rules())] if generic else []
    found += calibrate(rows, str(path), line, device)
    for profile in found:
        emit(f"Saved {project.shown(save_profile(profile))}", sys.stderr)
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        emit(table_text(profile_table(found), width_of(sys.stdout)))
    return 0


def _from_serving(path: Path, form: str) -> int:
    from bench.measure.engine import fit_engine
    from bench.measure.serving import read_serving

    found = fit_engine(read_serving(path), f"bench calibrate --serving {path.name}")
    target = Path.cwd() / "devices" / "calibrations" / ENGINE / "serving.toml"
    head = "# What an engine's step adds to its kernels and hides of them.\n"
    head += f"# Made by `{found.command}`, not by hand.\n"
    plain = _without_nulls(msgspec.to_builtins(found))
    project.write_atomically(target, head.encode() + msgspec.toml.encode(plain))
    emit(f"Saved {project.shown(target)}", sys.stderr)
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return 0
    e = found.evidence
    emit(f"host {found.step_overhead_us:.0f} us a step, launch share {found.launch_share:.2f},"
         f" pointwise x{found.pointwise_factor:.2f}, prompt share {found.prefill_share:.2f}")  # fmt: skip
    emit(
        f"TPOT of {counted(e.n, 'configuration')} left out: MAPE {percent(e.mape)}, median {percent(e.median)},"
        f" bias {e.bias:.2f}"
    )
    return 0


def save_profile(profile: Profile) -> Path:
    """Write a profile below the current folder's `devices/calibrations/`."""
    path = Path.cwd() / "devices" / "calibrations" / profile.device / f"{_file_name(profile.software)}.toml"
    head = f"# {profile.summary}.\n# Made by `{profile.command}`, not by hand: change the table and make it again.\n"
    plain = _without_nulls(msgspec.to_builtins(profile))
    project.write_atomically(path, head.encode() + msgspec.toml.encode(plain))
    return path


def _file_name(software: str) -> str:
    """A software's name as a file name: "trtllm 1.3.0rc20" as trtllm-1.3.0rc20."""
    return "".join(c if c.isalnum() or c in ".-" else "-" for c in software.lower()).strip("-") or "measured"


def profile_table(found: list[Profile]) -> Table:
    """Return what was fitted and what it misses on rows left out."""
    table = Table([
        Column("device"), Column("kind"), Column("dtype"), Column("library", keep=5), Column("rows", right=True),
        Column("MAPE", right=True), Column("median", right=True), Column("bias", right=True),
        Column("P10 - P90", right=True),
        Column("roofline MAPE", right=True, keep=6), Column("errors are of", keep=4, wrap=True),
    ])  # fmt: skip
    for profile in found:
        for rule in profile.rules:
            e = rule.evidence
            table.rows.append([
                profile.device, rule.kind, rule.dtype, rule.library, str(e.n), percent(e.mape) if e.n else MISSING,
                percent(e.median) if e.n else MISSING, f"{e.bias:.2f}", f"{e.low:.2f} - {e.high:.2f}",
                percent(e.roofline_mape), e.method,
            ])  # fmt: skip
    return table


def measure_roofs(quiet: bool) -> Achieved:
    """Measure in a process of its own, as cases are measured."""

    def report(text: str) -> None:
        if not quiet:
            emit(text, sys.stderr)

    content = in_worker("bench.measure.roofs", "roofs_json", command_line(), report)
    return msgspec.json.decode(content, type=Achieved)


def measure_kernels(device: str, quiet: bool) -> list[OwnKernel]:
    """Time the kernels that this machine's own model is fitted to."""

    def report(text: str) -> None:
        if not quiet:
            emit(text, sys.stderr)

    content = in_worker("bench.measure.own_kernels", "kernels_json", device, report)
    return msgspec.json.decode(content, type=list[OwnKernel])


def save_model(found: Achieved, kernels: list[OwnKernel], adapter: Adapter) -> list[Path]:
    """Write this device's profile below the current folder's `devices/`, and its sheet where none describes it."""
    name, saved = model_name(adapter), []
    if adapter.sheet() is None:
        sheet = sheet_of(found, adapter)
        path = Path.cwd() / "devices" / sheet.torch_device / f"{name}.toml"
        head = f"# {sheet.name}. Made by `{found.command}`, not by hand.\n"
        project.write_atomically(path, head.encode() + msgspec.toml.encode(_without_nulls(msgspec.to_builtins(sheet))))
        saved.append(path)
    return [*saved, save_profile(profile_of(kernels, found, load_sheet(name), name))]


def _without_nulls(value: Any) -> Any:
    """TOML has no null: what is not there is left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def save(found: Achieved) -> Path:
    """Write the achieved peaks below the current folder's `devices/`."""
    path = achieved_path(Path.cwd() / "devices", found.fingerprint)
    head = "# Best rates this machine was seen to reach; made by `bench calibrate`, not by hand.\n"
    project.write_atomically(path, head.encode() + msgspec.toml.encode(found))
    return path


def roof_table(found: Achieved) -> Table:
    """Return the achieved peaks as a table."""
    table = Table([Column("roof"), Column("reached", right=True), Column("how")])
    for dtype, rate in found.gemm_flops.items():
        table.rows.append(
            [f"gemm {dtype}", scaled(rate, "FLOP/s"), f"{found.gemm_sizes[dtype]} x {found.gemm_sizes[dtype]}"]
        )
    cpu = found.device == "cpu"
    thin = "best of a sum and of packed weights" if cpu else "a product of one row, weights from memory"
    table.rows.append(["memory read", scaled(found.read_bytes_per_s, "B/s"), thin])
    table.rows.append(["memory copy", scaled(found.copy_bytes_per_s or None, "B/s"), "read plus written"])
    threads = f"; fastest with {counted(found.threads, 'thread')}" if cpu else ""
    table.notes = [f"measured on {found.made}, {found.software}{threads}"]
    return table
