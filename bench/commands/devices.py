"""bench devices: what is on this machine, every sheet, one sheet with its sources."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from bench import project
from bench.commands import options
from bench.devices.achieved import fingerprint, load_achieved
from bench.devices.adapter import open_device, present_devices, problems
from bench.devices.sheet import CONFIDENCE, Figure, Sheet, known_sheets, load_sheet
from bench.devices.telemetry.reading import Reading
from bench.errors import DefinitionError, listed, nearest
from bench.report.layout import Column, Table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.units import MISSING, scaled

PEAKS = ("bf16", "fp8", "int8")


@click.command(name="devices")
@click.argument("name", required=False, shell_complete=options.complete_device)
@click.option("--vendor", help="Only this vendor's sheets.")
@click.option("--format", "form", type=click.Choice(("table", "md", "json")), default="table", show_default=True)
@options.no_color
def command(name: str | None, vendor: str | None, form: str, no_color: bool) -> None:
    """List the devices of this machine and every sheet; with NAME, one sheet with the source of every figure.

    A figure that nobody published is "-" (null in JSON): what depends on it is never guessed.
    """
    if name is None:
        _list(vendor, form, no_color)
    elif name in present_devices() and name not in known_sheets():
        _here(name, form)
    else:
        if ":" in name:
            open_device(name)  # refuses, with what is here and what keeps the rest from being here
        _one(name, form, no_color)


def _print(tables: list[Table], form: str, no_color: bool) -> None:
    if form == "md":
        emit("\n\n".join(markdown(table) for table in tables))
    else:
        width, bold = width_of(sys.stdout), colored(sys.stdout, no_color)
        emit("\n\n".join(table_text(table, width, bold=bold) for table in tables))


def _list(vendor: str | None, form: str, no_color: bool) -> None:
    sheets = {name: load_sheet(name) for name in known_sheets()}
    if vendor is not None:
        vendors = sorted({sheet.vendor for sheet in sheets.values()})
        hint = nearest(vendor.lower(), [known.lower() for known in vendors]) or "; known: " + listed(vendors, 30)
        chosen = {name: s for name, s in sheets.items() if s.vendor.lower() == vendor.lower()}
        if not chosen:
            raise DefinitionError(f"no sheet of vendor '{vendor}'{hint}")
        sheets = chosen
    if form == "json":
        here = {d: open_device(d).facts() for d in present_devices()}
        content = {"here": here, "problems": problems(), "sheets": sheets}
        emit(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
        return
    tables = [_here_table()] if vendor is None else []
    _print([*tables, _sheet_table(sheets)], form, no_color)


def _here_table() -> Table:
    table = Table([
        Column("on this machine"), Column("name"), Column("memory"), Column("sheet", keep=7),
        Column("runtime", keep=3), Column("state", keep=6), Column("telemetry", keep=4), Column("calibrated", keep=5),
    ])  # fmt: skip
    for device in present_devices():
        adapter = open_device(device)
        facts, told = adapter.facts(), adapter.read()
        roof = load_achieved(fingerprint(facts))
        software = [f"driver {told.driver}"] if told.driver else []
        software += [facts["runtime"]] if "runtime" in facts else []
        table.rows.append([
            device, facts.get("name", MISSING), facts.get("memory", MISSING),
            facts.get("sheet", "none: its own peaks are measured").split(" (")[0].split(":")[0],
            ", ".join(software) or MISSING,
            _state(told), _telemetry(told), f"no: bench calibrate -d {device}" if roof is None else roof.made[:10],
        ])  # fmt: skip
    table.notes = [f"! {told}" for told in problems()]
    return table


def _state(told: Reading) -> str:
    """Who uses the device, and what it complains of."""
    parts = [told.health] if told.health and told.health.lower() != "ok" else []
    if told.processes:
        parts.append("in use by " + listed([f"pid {p.pid} {p.name}".strip() for p in told.processes], 3))
    if told.throttle:
        parts.append("held back: " + ", ".join(told.throttle))
    return "; ".join(parts) or ("idle" if told.processes is not None else "not told")


def _telemetry(told: Reading) -> str:
    """What the device tells of itself; `bench devices NAME` says why the rest is missing."""
    names = {"power_w": "power", "energy_j": "energy", "clock_hz": "clock", "temperature_c": "temperature",
             "utilization": "utilization"}  # fmt: skip
    found = [name for key, name in names.items() if getattr(told, key) is not None]
    return ", ".join(found) or "none"


def _sheet_table(sheets: dict[str, Sheet]) -> Table:
    table = Table(
        [Column("sheet"), Column("vendor", keep=6), Column("device", keep=6), Column("a device is", keep=5),
         *(Column(f"{dtype}", right=True, keep=7) for dtype in PEAKS),
         Column("memory", right=True, keep=8), Column("bandwidth", right=True, keep=8),
         Column("link", right=True, keep=4)]
    )  # fmt: skip
    for name, sheet in sorted(sheets.items(), key=lambda item: (item[1].vendor, item[0])):
        unit = f"1 of {sheet.devices_per_package} dies" if sheet.devices_per_package > 1 else f"a {sheet.unit}"
        table.rows.append([
            name, sheet.vendor, sheet.name, unit, *(_flops(sheet, dtype) for dtype in PEAKS),
            scaled(sheet.memory_bytes, "B"), scaled(sheet.memory_bytes_per_s, "B/s"),
            scaled(sheet.link_bytes_per_s, "B/s"),
        ])  # fmt: skip
    published = sum(not name.startswith("this-") for name in sheets)
    table.notes = [
        f"{published} sheets of published figures: dense peaks of the matrix unit, per device. - = not published",
        "bench devices NAME shows where each figure comes from.",
    ]
    return table


def _flops(sheet: Sheet, dtype: str) -> str:
    return scaled(sheet.peak_flops(dtype), "OP/s" if dtype == "int8" else "FLOP/s")


def _here(name: str, form: str) -> None:
    adapter = open_device(name)
    facts, told = adapter.facts(), adapter.read()
    roof = load_achieved(fingerprint(facts))
    if form == "json":
        content = {"device": name, "facts": facts, "reading": dataclasses.asdict(told), "achieved": roof}
        emit(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
        return
    emit(f"{name}: on this machine, measured")
    for key, value in facts.items():
        emit(f"  {key:<12} {value}")
    emit(f"  state        {_state(told)}")
    for key, value in dataclasses.asdict(told).items():
        if isinstance(value, float):
            emit(f"  {key:<12} {value:.4g} (now, {told.source})")
    for reason, keys in _reasons(told).items():
        emit(f"  not told     {', '.join(keys)}: {reason}")
    if roof is None and adapter.sheet() is not None:
        return
    if roof is None:
        emit(f"  peaks        not known; find them with: bench calibrate -d {name}")
        return
    for dtype, rate in roof.gemm_flops.items():
        emit(f"  gemm {dtype:<7} {scaled(rate, 'FLOP/s')} (measured {roof.made[:10]})")
    emit(f"  memory       {scaled(roof.bytes_per_s, 'B/s')} (measured {roof.made[:10]})")


def _reasons(told: Reading) -> dict[str, list[str]]:
    """Reason -> the figures that are missing for it."""
    found: dict[str, list[str]] = {}
    for key, reason in told.missing.items():
        found.setdefault(reason, []).append(key)
    return found


def _one(name: str, form: str, no_color: bool) -> None:
    sheet = load_sheet(name)
    path = known_sheets()[name]
    if form == "json":
        content = {"id": name, "file": project.shown(path), **msgspec.to_builtins(sheet)}
        emit(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
        return
    _print(_sheet_tables(name, sheet, path), form, no_color)


def _sheet_tables(name: str, sheet: Sheet, path: Path) -> list[Table]:
    table = Table([Column("figure"), Column("value", right=True), Column("conf"), Column("source", wrap=True)])
    table.title = f"{name}: {sheet.name} ({sheet.vendor}), one torch device is one {sheet.unit}"
    for key, figure in _figures(sheet):
        value = MISSING if figure.value is None else f"{figure.value:g}"
        text = "; ".join(part for part in (figure.source, figure.date, figure.note) if part)
        table.rows.append([key, value, figure.confidence, text])
    for price in sheet.prices:
        span = f"{price.low:g}" if price.high is None else f"{price.low:g}-{price.high:g}"
        label = f"price {price.kind.replace('_', ' ')} {price.currency}"
        table.rows.append([label, span, "", "; ".join(p for p in (price.source, price.date) if p) + " (indication)"])
    used = sorted({row[2] for row in table.rows if row[2]})
    table.notes = [f"{letter} = {CONFIDENCE[letter]}" for letter in used]
    table.notes += ["", *sheet.notes] if sheet.notes else []
    table.notes += [f"measured elsewhere: {text}" for text in sheet.measured_elsewhere]
    table.notes += ["", f"file: {project.shown(path)}, checked {sheet.checked}"]
    return [table]


def _figures(sheet: Sheet) -> list[tuple[str, Figure]]:
    found: list[tuple[str, Figure]] = [(f"{dtype} peak, TFLOP/s dense", f) for dtype, f in sheet.peak_tflops.items()]
    parts: list[tuple[str, Any]] = [("memory", sheet.memory), ("cores", sheet.cores), ("link", sheet.link)]
    for part, record in parts:
        for field in record.__struct_fields__ if record is not None else ():
            value = getattr(record, field)
            if isinstance(value, Figure):
                found.append((f"{part} {field.replace('_per_', '/').replace('_', ' ')}", value))
    if sheet.tdp_w is not None:
        found.append(("design power, W", sheet.tdp_w))
    return found
