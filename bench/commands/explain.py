"""bench explain: a metric in words, or one row: its inputs, where each comes from, its kernels."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from bench import project
from bench.commands import options
from bench.commands.published import published_text
from bench.errors import DefinitionError, nearest
from bench.measure.rows import modelled_rows
from bench.report.layout import Column, Table
from bench.report.rows import energy, launch, mark, plus_minus, rate, utilization
from bench.report.terminal import emit, table_text, width_of
from bench.results.compare import source_of
from bench.results.doubt import MARK, doubt, explained
from bench.results.metrics import METRICS, Metric
from bench.results.record import KernelCost, Row
from bench.results.sessions import fold, key_of
from bench.results.store import list_runs, load_run, newest_run
from bench.units import MISSING, counted, data_size, percent, plus_or_ends, scaled, seconds
from bench.workloads.sweep import select_cases


@click.command(name="explain")
@click.argument("what", required=False)
@click.option("--run", "run_file", metavar="FILE", help="The run file of the row.  [default: the newest]")
@click.option("-d", "--device", metavar="DEVICE", shell_complete=options.complete_device,
              help="Model the case on this sheet instead of reading a run file.")  # fmt: skip
@click.option("--format", "form", type=click.Choice(("table", "json")), default="table", show_default=True)
def command(what: str | None, run_file: str | None, device: str | None, form: str) -> None:
    """Explain WHAT: a metric (mfu, tpot_s, ...), or a row by its case id or a part of it.

    \b
    bench explain mfu
    bench explain 'mini-dense-decode[b=1,ctx=1k,bf16]'
    bench explain 'deepseek-r1-decode[b=64' -d ascend-910c
    """
    if what is None:
        _all_metrics(form)
    elif what in METRICS and device is None:
        _metric(METRICS[what], form)
    else:
        rows = _modelled(what, device) if device else _from_run(what, run_file)
        if form == "json":
            emit(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
        else:
            shown = fold(rows)
            texts = [_row_text(row, [each for each in rows if key_of(each) == key_of(row)]) for row in shown]
            emit("\n\n".join([*texts, *filter(None, [published_text(shown)])]))


def _all_metrics(form: str) -> None:
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode(list(METRICS.values())), indent=2).decode())
        return
    table = Table([Column("metric"), Column("unit", keep=7), Column("better", keep=6), Column("what it is", wrap=True)])
    table.rows = [[m.name, m.unit, m.better, m.definition] for m in METRICS.values()]
    emit(table_text(table, width_of(sys.stdout)))


def _metric(metric: Metric, form: str) -> None:
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode(metric), indent=2).decode())
        return
    emit(f"{metric.name}: {metric.definition}")
    emit(f"  formula   {metric.formula}")
    emit(f"  unit      {metric.unit or MISSING}" + (f", {metric.better} is better" if metric.better else ""))
    emit(f"  source    {metric.source}")


def _modelled(what: str, device: str) -> list[Row]:
    workload = what.partition("[")[0]
    cases = [case for case in select_cases([workload]) if what in case.case_id]
    if not cases:
        ids = [case.case_id for case in select_cases([workload])]
        raise DefinitionError(f"no case '{what}'{nearest(what, ids, 2)} (see: bench workloads {workload})")
    # The first that can be priced says more than the first.
    priced = [modelled_rows(case, device) for case in cases]
    return next((rows for rows in priced if rows[0].status == "ok"), priced[0])


def _from_run(what: str, run_file: str | None) -> list[Row]:
    path = Path(run_file) if run_file else _newest(what)
    run = load_run(path)
    exact = [row for row in run.rows if row.case_id == what]
    rows = exact or [row for row in run.rows if what in row.case_id]
    if not rows:
        known = [*METRICS, *(row.case_id for row in run.rows)]
        raise DefinitionError(
            f"'{what}' is neither a metric nor a row of {project.shown(path)}{nearest(what, known, 2)}"
            " (see: bench explain)"
        )
    return rows if exact else [row for row in rows if key_of(row) == key_of(rows[0])]


def _newest(what: str) -> Path:
    folder = project.runs_folder()
    if next(list_runs(folder), None) is None:
        hint = nearest(what, METRICS, 2) or "; a row needs a run file (bench run) or a device to model (-d h100-sxm)"
        raise DefinitionError(f"'{what}' is not a metric, and {folder} holds no run{hint} (see: bench explain)")
    return newest_run(folder)


def _row_text(row: Row, sessions: list[Row]) -> str:
    head = [f"{row.case_id} on {row.device_name} ({row.device}), per {row.unit}"]
    head += [f"  {name:<13}{value}" for name, value in _facts(row, sessions) if value]
    if not row.kernels:
        return "\n".join(head)
    return "\n".join([*head, "", table_text(_kernel_table(row), width_of(sys.stdout))])


def _facts(row: Row, sessions: list[Row]) -> list[tuple[str, str]]:
    how = "measured here" if row.source == "measured" else "modelled from the sheet's peaks and a calibration"
    samples = (
        f"median of {counted(len(row.samples_s), 'sample')}"
        if row.samples_s
        else "sum of its kernels and host overhead"
    )
    if row.sessions > 1:
        samples = f"geometric mean of {row.sessions} sessions' medians"
    warm = f"; warm-up {row.warmup_samples} runs, {seconds(row.warmup_s)}" if row.warmup_s is not None else ""
    return [
        ("status", row.status + (f": {row.reason}" if row.reason else "")),
        ("source", f"{source_of(row)} ({how})"),
        ("priced by", ", ".join(f"{percent(share)} {tier}" for tier, share in row.tier_shares.items())),
        ("covers", row.scope or "the whole model on one device"),
        (
            "step",
            ""
            if row.step_s is None
            else f"{mark(row)}{seconds(row.step_s)} {plus_or_ends(plus_minus(row))}, {samples}{warm}",
        ),
        ("sessions", ", ".join(map(_session, sessions)) if len(sessions) > 1 else ""),
        ("launched", launch(row) + (f": {row.launch_reason}" if row.launch_reason else "")),
        ("interval", row.interval_kind or ""),
        ("odd", _odd(row)),
        ("stopped", row.stop_reason or ""),
        ("rate", "" if row.step_s is None else mark(row) + rate(row)),
        ("work", _work(row)),
        ("utilization", f"MFU {utilization(row, 'mfu')}, MBU {utilization(row, 'mbu')}, bound {row.bound or MISSING}"),
        ("memory", f"needs {data_size(row.memory_bytes)}" + _peak(row)),
        ("power", _power(row)),
        ("imbalance", "" if row.imbalance is None else f"{row.imbalance:.2f} (largest over mean load of an expert)"),
        ("correct", "" if row.correct is None else f"{row.correct}: {row.correct_detail}"),
        ("operators", "; ".join(f"{name}: {used}" for name, used in row.operators.items())),
        ("notes", "; ".join(row.notes)),
        ("definition", f"{row.definition_hash} {msgspec.json.encode(row.definition).decode()}"),
    ]


def _odd(row: Row) -> str:
    """What is odd about the samples, and how many cores others took where that puts the number in doubt."""
    told = [*row.flags, *(note.removeprefix(f"{MARK} ") for note in explained([doubt(row)]))]
    if row.others_cores is not None and doubt(row) == "disturbed":
        told.append(f"{row.others_cores:.2f} cores taken by others")
    return "; ".join(told)


def _session(row: Row) -> str:
    """One session: its median, or why it has none."""
    return f"{row.session}: {seconds(row.step_s) if row.status == 'ok' else f'{row.status} ({row.reason})'}"


def _work(row: Row) -> str:
    if row.flops is None and row.read_bytes is None and row.written_bytes is None:
        return ""
    moved = f"reads {data_size(row.read_bytes)}, writes {data_size(row.written_bytes)}"
    told = "told by the test" if "test" in row.definition else "counted by the cost operators"
    return f"{scaled(row.flops, 'FLOP')}, {moved} ({told})"


def _power(row: Row) -> str:
    """Measured power with what it rests on, or why there is none."""
    if row.power_validity is None:
        return ""
    if row.power_w is None:
        return f"not shown ({row.power_validity}): {row.telemetry_missing.get('power_w', 'no reason told')}"
    basis = row.power_basis or "what the sensor covers is not told"
    return f"{energy(row)}, {row.power_w:.4g} W on average of {row.power_samples} readings ({basis})"


def _peak(row: Row) -> str:
    return "" if row.memory_peak_bytes is None else f", process used {data_size(row.memory_peak_bytes)}"


def _kernel_table(row: Row) -> Table:
    """One line a kernel: what it computes and moves; time and bound where they are modelled."""
    modelled = row.source == "modelled"
    table = Table([
        Column("kernel"), Column("kind", keep=6), Column("dtype", keep=7), Column("times", right=True),
        Column("FLOP each", right=True, keep=8), Column("bytes each", right=True, keep=8),
        Column("FLOP/B", right=True, keep=5), Column("time", right=True), Column("share", right=True), Column("bound"),
    ])  # fmt: skip
    total = row.step_s or 1.0
    flops = row.flops or 1.0
    moved = (row.read_bytes or 0) + (row.written_bytes or 0) or 1.0
    for kernel in sorted(row.kernels, key=lambda k: -_weight(k, modelled)):
        each = kernel.read_bytes + kernel.written_bytes
        if modelled and kernel.seconds is not None:
            share = percent(kernel.seconds * kernel.count / total)
            time = f"~{seconds(kernel.seconds * kernel.count)}"
        else:
            share = f"{percent(kernel.flops * kernel.count / flops)} F, {percent(each * kernel.count / moved)} B"
            time = ""
        table.rows.append([
            kernel.name, kernel.kind, kernel.dtype, str(kernel.count), scaled(kernel.flops, "FLOP"), data_size(each),
            f"{kernel.flops / each:.1f}" if each else MISSING, time, share, kernel.bound or "",
        ])  # fmt: skip
    table.notes = [
        "time, share and bound of kernels are modelled"
        if modelled
        else "share: of the step's FLOPs (F) and bytes (B); kernels are not timed one by one"
    ]
    return table


def _weight(kernel: KernelCost, modelled: bool) -> float:
    if modelled and kernel.seconds is not None:
        return kernel.seconds * kernel.count
    return (kernel.read_bytes + kernel.written_bytes) * kernel.count
