"""What one `bench history` found: the document that its JSON is, and that every other form is made from."""

from __future__ import annotations

import msgspec

import bench
from bench.results.history.trend import Trend

# 1 (2026-11): first form.
SCHEMA_VERSION = 1


class History(msgspec.Struct, kw_only=True):
    """Trends of one metric: what got worse first (by its last change, the newest first), then better, then the rest.

    origin: where it was read. machines: fingerprint -> the facts behind it. unreadable: run file -> reason; journals:
    runs that are being written or were interrupted, which are left out.
    """

    schema: int = SCHEMA_VERSION
    bench_version: str = bench.__version__
    origin: str
    metric: str
    unit: str
    better: str
    last: int
    trends: list[Trend]
    machines: dict[str, dict[str, str]] = {}
    unreadable: dict[str, str] = {}
    journals: list[str] = []


def in_order(trends: list[Trend]) -> list[Trend]:
    """Return trends with what got worse first, then what got better, each the newest change first, then the rest."""

    def key(one: Trend) -> tuple[int, str, float]:
        if not one.changes:
            return 2, "", 0.0
        change = one.changes[-1]
        return (0 if change.worse else 1), change.created, abs(change.share)

    newest_first = sorted(trends, key=lambda one: key(one)[1:], reverse=True)
    return sorted(newest_first, key=lambda one: key(one)[0])
