"""The trend of a case: one value a run over time on one machine, its change points, and what they coincide with."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import msgspec

from bench.results.history.memo import Memo
from bench.results.history.split import Split, exact_splits
from bench.results.metrics import METRICS
from bench.results.record import Source


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One run: the geometric mean of its sessions' medians, since they share the machine's state of that hour.

    doubt: why it is in doubt (a word of bench.results.doubt), "" where it is not.
    """

    run: str
    created: str
    commit: str | None
    value: float
    sessions: int
    doubt: str = ""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of level between two neighbouring runs, `before` and `after` (their ids); at: position of `after`.

    share: of the level before (0.05: 5 % more), with its 95 % interval; null where values are modelled, without noise.
    changed: settings that differ between the two runs, one line each.
    """

    at: int
    created: str
    before: str
    after: str
    commits: tuple[str | None, str | None]
    level_before: float
    level_after: float
    share: float
    interval: tuple[float, float] | None
    worse: bool
    changed: list[str]


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of one case on one device of one machine, measured or modelled, in order of time.

    best, changes: of the runs that are not in doubt; best of all where every one is.
    """

    device: str
    device_name: str
    machine: str
    unit: str
    case_id: str
    workload: str
    definition: str
    source: Source
    metric: str
    points: list[Point]
    best: float
    changes: list[Change]


@dataclass(frozen=True)
class Series:
    """What a trend is of; `case_id` and `workload` as they are called now."""

    device: str
    device_name: str
    machine: str
    unit: str
    case_id: str
    workload: str
    definition: str
    source: Source


class Taken(NamedTuple):
    """What one run has of a series: the medians of its sessions.

    at: milliseconds since 1970. settings: numbers that stand for what may have moved it.
    own: what a series that was joined from several tells of itself: an older name or definition. doubt: see `Point`.
    """

    run: str
    at: int
    commit: str | None
    settings: tuple[int, ...]
    medians: Sequence[float]
    own: Mapping[str, str]
    doubt: str = ""


def trend(
    series: Series, metric: str, taken: Sequence[Taken], settings: Callable[[int], dict[str, str]], memo: Memo
) -> Trend:  # fmt: skip
    """Return the trend of runs that are in order of time. settings: what a number of them stands for."""
    values = [_typical(one.medians) for one in taken]
    lower = METRICS[metric].better == "lower"
    # A run that others slowed down is no news of the code: it neither makes nor hides a change of level.
    sure = [at for at, one in enumerate(taken) if not one.doubt]
    known = [values[at] for at in sure]
    return Trend(
        device=series.device, device_name=series.device_name, machine=series.machine, unit=series.unit,
        case_id=series.case_id, workload=series.workload, definition=series.definition, source=series.source,
        metric=metric, best=(min if lower else max)(known or values),
        points=[
            Point(run=one.run, created=date(one.at), commit=one.commit, value=value, sessions=len(one.medians),
                  doubt=one.doubt)
            for one, value in zip(taken, values, strict=True)
        ],
        changes=[
            _change(series.device, taken[sure[one.at - 1]], taken[sure[one.at]], sure[one.at], one, lower, settings)
            for one in (memo.splits(known) if series.source == "measured" else exact_splits(known))
        ],
    )  # fmt: skip


def _typical(medians: Sequence[float]) -> float:
    """Return the geometric mean; of one value that value, to the last digit."""
    return medians[0] if len(medians) == 1 else math.exp(math.fsum(map(math.log, medians)) / len(medians))


def _change(
    device: str, before: Taken, after: Taken, at: int, split: Split, lower: bool,
    settings: Callable[[int], dict[str, str]],
) -> Change:  # fmt: skip
    from bench.results.environment import changes

    def told(one: Taken) -> dict[str, str]:
        every = [*map(settings, one.settings), one.own]
        return {key: value for each in every for key, value in each.items() if _concerns(key, device)}

    return Change(
        at=at, created=date(after.at), before=before.run, after=after.run, commits=(before.commit, after.commit),
        level_before=split.before, level_after=split.after, share=split.share, interval=split.interval,
        worse=(split.share > 0) == lower, changed=changes(told(before), told(after)),
    )  # fmt: skip


def _concerns(key: str, device: str) -> bool:
    """Whether a setting is this device's or its machine's; those of a device begin with its name."""
    return " " not in key or key.startswith(f"{device} ")


@cache
def date(at: int) -> str:
    """Return milliseconds since 1970 as a date in UTC."""
    return datetime.datetime.fromtimestamp(at / 1000, datetime.timezone.utc).isoformat(timespec="seconds")
