"""Verdicts that rest on assumptions, as the page's script takes them up when a reader changes one (words.js)."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.report.parts.glance import ratio_id, what_of
from bench.results.doubt import left_out
from bench.results.reading import Basis
from bench.results.verdict import Verdict


def live(verdicts: list[Verdict], names: dict[str, str]) -> str:
    """Return an axis's verdicts as JSON, in the order of its lines; "" where none follows from assumptions.

    beside: those that stand beside the axis, whose readings in the table follow too. Numbers are not in it: `cell`
    names the cell of a table that has the ratio, or the price, with its formulas.
    """
    known = [verdict for verdict in verdicts if verdict.metric and verdict.counted]
    if not known or not all(verdict.equal or ratio_id(verdict) for verdict in known):
        return ""
    doubts = [verdict.doubt for verdict in known if verdict.doubt]
    beside = [verdict for verdict in verdicts if not verdict.counted and ratio_id(verdict)]
    found = {
        "leftOut": left_out(doubts) if doubts else "", "verdicts": [_one(verdict, names) for verdict in known],
        "beside": [_one(verdict, names) for verdict in beside],
    }  # fmt: skip
    return msgspec.json.encode(found).decode()


def _one(verdict: Verdict, names: dict[str, str]) -> dict[str, Any]:
    given = {
        "a": verdict.a, "b": verdict.b, "higher": verdict.better == "higher", "doubt": verdict.doubt,
        "front": Basis(verdict.source != "measured", verdict.unstable).front, "unstable": verdict.unstable,
        "late": verdict.late,
        "without": verdict.reading.rpartition("cannot tell: ")[2], "why": verdict.why,
        "what": what_of(verdict, names), "cell": ratio_id(verdict),
    }  # fmt: skip
    if verdict.equal is not None:
        price = verdict.equal
        given["cell"] = price.id
        given["equal"] = {"of": price.of, "way": price.way, "per": price.per, "unit": price.unit}
    return given
