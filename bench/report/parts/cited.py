"""What others published of these devices, beside the model's number for exactly their configuration."""

from __future__ import annotations

from typing import Any

from bench.report.document import Cell, Chart, Column, Section, Table
from bench.results.reference import Anchor, Reference

UNITS = {"_tokens_per_s": "tok/s", "_s": "s"}


def cited(anchors: list[Anchor], not_priced: list[Reference], citations: list[str]) -> Section:
    """Return published figures; their citations are appended to the report's, each once."""
    section = Section(id="published", title="What others published")
    if not anchors and not not_priced:
        section.text = ["No published figure of these devices and models is on file."]
        return section
    table = Table(id="published", title="Published beside modelled, each at its own published configuration", columns=[
        Column(name="figure"), Column(name="on"), Column(name="per"), Column(name="published", number=True),
        Column(name="modelled", number=True), Column(name="modelled over published", number=True),
        Column(name="inside the interval"), Column(name="configuration"), Column(name="caveat"),
    ])  # fmt: skip
    rows: list[dict[str, Any]] = []
    for anchor in anchors:
        reference = anchor.reference
        unit = _unit(reference.metric)
        figure = Cell(value=reference.value, unit=unit, source="published", cite=number(citations, reference))
        source = f"modelled:{anchor.tier}" if anchor.tier else "missing"
        modelled = Cell(
            value=anchor.modelled, unit=unit, source=source, interval=anchor.interval, note=anchor.reason or ""
        )
        ratio = None if anchor.modelled is None else anchor.modelled / reference.value
        over = Cell(value=ratio, unit="x", source=source, interval=_over(anchor), note=anchor.reason or "")
        inside = {True: "yes", False: "no", None: "-"}[anchor.inside]
        table.rows.append([
            reference.id, anchor.device, reference.unit, figure, modelled, over, inside, str(reference.configuration),
            reference.caveat,
        ])  # fmt: skip
        if ratio is not None:
            low, high = over.interval or (None, None)
            rows.append({
                "row": reference.id, "series": anchor.device, "ratio": ratio, "low": low, "high": high,
                "source": source, "reading": f"inside: {inside}", "axis": "",
                "label": f"{reference.id} on {anchor.device}: modelled over published {ratio:.2f}x",
            })  # fmt: skip
    if rows:
        section.charts.append(Chart(
            id="anchors", title="How the model does against published figures", kind="forest", rows=rows,
            marks=len(rows), table=table, options={"x_title": "modelled over published"},
            alt="; ".join(row["label"] for row in rows[:8]),
            caption="1x is what was published. Right of it the model's number is larger (of times: slower).",
        ))  # fmt: skip
    elif anchors:
        section.tables.append(table)
    if not_priced:
        section.tables.append(_others(not_priced, citations))
    return section


def _over(anchor: Anchor) -> tuple[float, float] | None:
    if anchor.interval is None:
        return None
    return (anchor.interval[0] / anchor.reference.value, anchor.interval[1] / anchor.reference.value)


def _others(references: list[Reference], citations: list[str]) -> Table:
    table = Table(id="published-only", title="Published, but not to be priced", columns=[
        Column(name="figure"), Column(name="device"), Column(name="model"), Column(name="per"), Column(name="metric"),
        Column(name="published", number=True), Column(name="configuration"), Column(name="why it is not priced"),
    ])  # fmt: skip
    for reference in references:
        cell = Cell(
            value=reference.value, unit=_unit(reference.metric), source="published", cite=number(citations, reference)
        )
        table.rows.append([
            reference.id, reference.device_name, reference.model_name, reference.unit, reference.metric, cell,
            str(reference.configuration), " ".join(reference.caveats),
        ])  # fmt: skip
    return table


def number(citations: list[str], reference: Reference) -> int:
    """Return the number of a citation, from 1; it is added where it is new."""
    text = reference.citation + (" (secondary)" if reference.secondary else "")
    if text not in citations:
        citations.append(text)
    return citations.index(text) + 1


def _unit(metric: str) -> str:
    if metric == "utilization":
        return "share"
    if metric in ("bytes_per_s", "flops_per_s"):
        return "B/s" if metric == "bytes_per_s" else "FLOP/s"
    return next(unit for ending, unit in UNITS.items() if metric.endswith(ending))
