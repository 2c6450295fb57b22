"""Published figures as people read them: beside the model's numbers for the same work, or listed one by one."""

from __future__ import annotations

import textwrap

from bench.report.layout import Column, Table
from bench.results.reference import WORDS, Anchor, Reference, figure
from bench.units import MISSING, percent

TITLE = "Published beside modelled (each at its own published configuration):"


def published_table(anchors: list[Anchor]) -> Table:
    """Return one line an anchor; citations are numbered and stand below."""
    table = Table([
        Column("figure"), Column("on", keep=4), Column("per"), Column("published", right=True),
        Column("modelled", right=True), Column("deviation", right=True), Column("inside"), Column("tier", keep=2),
        Column("cited"), Column("priced as", keep=3), Column("caveat", wrap=True),
    ])  # fmt: skip
    table.title = TITLE
    cited = list(dict.fromkeys(anchor.reference.citation for anchor in anchors))
    for anchor in anchors:
        reference = anchor.reference
        number = f"[{cited.index(reference.citation) + 1}]"
        table.rows.append([
            reference.id, anchor.device, reference.unit,
            _worded(reference.metric, reference.value),
            MISSING if anchor.modelled is None else f"~{figure(reference.metric, anchor.modelled)}",
            MISSING if anchor.deviation is None else deviation(anchor.deviation),
            {True: "yes", False: "no", None: MISSING}[anchor.inside], anchor.tier or "",
            f"{number} secondary" if reference.secondary else number, anchor.case_id,
            anchor.reason or reference.caveat,
        ])  # fmt: skip
    table.notes = [f"[{number}] {citation}" for number, citation in enumerate(cited, 1)]
    table.notes += [
        "^ published by others, not measured here. deviation: modelled over published, less 1 (of times, + is slower).",
        *_overlaps(anchors),
        "inside: the published figure lies in the model's interval, P10 to P90.",
        "secondary: read in, or worked out by, somebody other than who measured it.",
    ]
    return table


def deviation(value: float) -> str:
    """Return a deviation with its sign, for example +8.7%."""
    return f"{'+' if value >= 0 else '-'}{percent(abs(value))}"


def published_lines(references: list[Reference], width: int) -> list[str]:
    """Return figures one by one: value, citation, then configuration and caveats."""
    lines: list[str] = []
    for reference in references:
        second = "  (secondary)" if reference.secondary else ""
        value = _worded(reference.metric, reference.value)
        lines.append(f"  {value} per {reference.unit}, {reference.device_name}, {reference.model_name}")
        also = ", ".join(_worded(metric, value) for metric, value in reference.also.items())
        for name, text in (
            ("also", also),
            ("at", str(reference.configuration)),
            ("cited", reference.citation + second),
            ("caveat", " ".join(_sentence(caveat) for caveat in reference.caveats)),
        ):
            lines += _wrapped(name, text, width)
    return lines


def _overlaps(anchors: list[Anchor]) -> list[str]:
    """What of the exchange the priced rows hide, which their names do not tell."""
    hiding: dict[float, list[str]] = {}
    for anchor in anchors:
        deployment = {} if anchor.reference.reproduce is None else anchor.reference.reproduce.deployment
        if deployment.get("overlap") == "partial":
            hiding.setdefault(deployment["overlap_share"], []).append(anchor.reference.id)
    return [
        f"priced with {percent(share)} of the exchange hidden, worked out from published gains (docs/cost-model.md),"
        f" where a row of a sheet hides none unless its deployment says so: {', '.join(names)}"
        for share, names in hiding.items()
    ]


def _worded(metric: str, value: float) -> str:
    return f"^{figure(metric, value)} {WORDS.get(metric, '')}".rstrip()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].removesuffix(".") + "."


def _wrapped(name: str, text: str, width: int) -> list[str]:
    if not text:
        return []
    return textwrap.wrap(
        text, max(40, width), initial_indent=f"      {name:<8}", subsequent_indent=" " * 14,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
