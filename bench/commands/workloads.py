"""bench workloads: what can be run; one definition with its cases, memory and time."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from bench import project
from bench.commands import options
from bench.errors import BenchError
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.report.layout import Column, Table
from bench.report.terminal import colored, emit, markdown, table_text, width_of
from bench.units import counted, data_size, scaled, seconds, three_digits
from bench.workloads.decoder import decoder_step
from bench.workloads.deployment import Deployment
from bench.workloads.model import Model, load_model
from bench.workloads.routing import Routing
from bench.workloads.sweep import expand, known_suites, known_workloads, load_workload, select_cases


@click.command(name="workloads")
@click.argument("name", required=False, shell_complete=options.complete_workload)
@click.option("--models", is_flag=True, help="List the models instead.")
@click.option("--suite", help="Only the workloads of this suite.")
@options.sweep
@click.option("--format", "form", type=click.Choice(("table", "md", "json")), default="table", show_default=True)
@options.no_color
def command(name: str | None, models: bool, suite: str | None, form: str, no_color: bool, **sweep: Any) -> None:
    """List workloads, suites and models; with NAME, one workload or suite with its cases.

    Sweep flags show what they would change.
    """
    if models:
        table, content = _models()
    elif name is not None:
        table, content = _one(name, options.overrides(sweep))
    else:
        table, content = _list(suite)
    if form == "json":
        emit(msgspec.json.format(msgspec.json.encode(content), indent=2).decode())
    elif form == "md":
        emit(markdown(table))
    else:
        emit(table_text(table, width_of(sys.stdout), bold=colored(sys.stdout, no_color)))


def _list(suite: str | None) -> tuple[Table, Any]:
    workloads, suites = known_workloads(), known_suites()
    if suite is not None:
        select_cases([suite])  # an unknown name is an error with the nearest ones
        workloads = {name: w for name, w in workloads.items() if name in suites.get(suite, [])}
    table = Table([
        Column("workload"), Column("what"), Column("cases", right=True), Column("suites", keep=5),
    ])  # fmt: skip
    for name, workload in workloads.items():
        count = len(expand(name, workload, suite))
        table.rows.append([name, workload.summary, str(count), " ".join(workload.suites)])
    table.notes = [
        f"suite {key}: {counted(len(select_cases([key])), 'case')} in {counted(len(names), 'workload')}"
        for key, names in suites.items()
    ]
    table.notes += [
        "",
        "bench workloads NAME shows the cases of one; bench run NAME runs it; no name runs the suite smoke.",
    ]
    return table, {"workloads": workloads, "suites": suites}


def _one(name: str, overrides: dict[str, Any]) -> tuple[Table, Any]:
    cases = select_cases([name], overrides)
    table = Table([
        Column("case"), Column("memory", right=True), Column("FLOP", right=True), Column("read", right=True),
        Column("time", right=True),
    ])  # fmt: skip
    listed: list[dict[str, Any]] = []
    for case in cases:
        work = read_cost(case.program(), case.step(), case.dtype)
        memory, flops, read = (float(x) for x in (work.memory_bytes, work.total("flops"), work.total("read_bytes")))
        table.rows.append(
            [case.case_id, data_size(memory), scaled(flops, "FLOP"), data_size(read), seconds(case.time_s)]
        )
        listed.append({"case_id": case.case_id, "memory_bytes": memory, "flops": flops, "read_bytes": read,
                       "time_s": case.time_s, "case": case})  # fmt: skip
    names = list(dict.fromkeys(case.workload for case in cases))
    if len(names) == 1:
        workload = load_workload(names[0])
        table.title = f"{names[0]}: {workload.summary}"
        path = project.find("workloads", names[0], noun="workload", command="bench workloads")
        table.notes = [f"file: {project.shown(path)}"]
    total = sum(case.time_s for case in cases)
    table.notes += [
        f"{counted(len(cases), 'case')}, about {seconds(total * 1.2)} of measuring; memory is of one device (modelled)."
    ]
    return table, listed


def _models() -> tuple[Table, Any]:
    found: dict[str, Model] = {}
    table = Table([
        Column("model"), Column("architecture", keep=6), Column("attention"), Column("layers", right=True),
        Column("hidden", right=True, keep=5), Column("experts", right=True), Column("parameters", right=True),
        Column("KV cache per token", right=True), Column("own dtype", keep=4),
    ])  # fmt: skip
    for name in project.definitions("workloads", "models/*.toml"):
        model = found[name] = load_model(name)
        try:
            work = read_cost(
                lambda ops, m=model: decoder_step(ops, m, Deployment(), Routing()), Step("decode", 1, 1, 1024), "bf16"
            )
        except BenchError as error:
            table.rows.append([name, str(error), *[""] * 7])
            continue
        attention = "MLA" if model.mla else "GQA"
        experts = f"{model.moe.experts}, top {model.moe.top_k}" if model.moe else ""
        table.rows.append([
            name, model.architecture, attention + (" sparse" if model.indexer else ""), str(model.layers),
            str(model.hidden), experts, three_digits(work.parameters / 1e9) + " B",
            data_size(float(work.cache_bytes) / 1024), model.native_dtype,
        ])  # fmt: skip
    table.notes = ["parameters and cache (bf16) are read from the programs, by the cost operators."]
    return table, found
