"""Service targets: how long a first token and each further one may take, written as limits or by name.

A target of both holds where prompts get their first token within `ttft_s` and every sequence its next one within
`tpot_s`; throughput while both hold is goodput (DistServe, arXiv:2401.09670). Queueing is not in these times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench import project
from bench.errors import DefinitionError, listed, nearest
from bench.results import reading
from bench.results.record import Positive, Row
from bench.units import as_given

PATTERN = "targets/*.toml"
HOW = "write tpot=50ms, ttft=2s, 30tok/s/user, several with commas, or a name such as mlperf-interactive"
# Flags of rows of which it is open whether they keep a target, with the words of a verdict that would rest on it.
ACROSS, UNBRACKETED = "across the target", "not measured far enough"
# The flag of a row whose model a named target says nothing of.
NO_LIMITS = "no limits"
OPEN = {ACROSS: reading.ACROSS, UNBRACKETED: UNBRACKETED}
_LIMIT = re.compile(r"^(?:(tpot|ttft)=)?(\d{1,9}(?:\.\d{1,9})?)(ms|s|tok/s/user|tok/s)$")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Limits in seconds, None for no limit; a named target has its own for each model."""

    tpot_s: float | None = None
    ttft_s: float | None = None
    name: str = ""
    source: str = ""

    def __str__(self) -> str:
        limits = [("tpot", self.tpot_s), ("ttft", self.ttft_s)]
        text = ",".join(f"{key}<={as_given(value)}".replace(" ", "") for key, value in limits if value is not None)
        return text or self.name

    def limit_s(self, phase: str) -> float | None:
        """Return the limit of a step of this phase."""
        return {"decode": self.tpot_s, "prefill": self.ttft_s}.get(phase)


class NamedTarget(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One name's limits for some models."""

    name: str
    models: list[str]
    ttft_s: Positive
    tpot_s: Positive


class NamedTargets(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One file of named targets and where they stand."""

    source: str
    target: list[NamedTarget]


def named_targets() -> list[tuple[NamedTarget, str]]:
    """Return every named target with its source, shipped and own; an own file replaces the shipped one of its name."""
    files = [_read(path, path.stat().st_mtime_ns) for path in project.definitions("results", PATTERN).values()]
    return [(target, file.source) for file in files for target in file.target]


@lru_cache(maxsize=16)
def _read(path: Path, changed_ns: int) -> NamedTargets:  # noqa: ARG001 (a changed file is read again)
    return project.load_toml(path, NamedTargets)


def parse_targets(text: str) -> list[Target]:
    """Read "tpot=15ms,30ms", "tpot=50ms,ttft=2s", "30tok/s/user" or "mlperf-server" as targets.

    One ttft goes with every tpot beside it. A limit without a key is a tpot.
    Raises: DefinitionError naming the part that cannot be read.
    """
    tpots: list[float] = []
    ttfts: list[float] = []
    found: list[Target] = []
    for part in (each.strip() for each in text.split(",")):
        match = _LIMIT.match(part)
        value = float(match[2]) if match else math.nan
        if match is None or not value > 0 or (match[1] == "ttft" and match[3] not in ("ms", "s")):
            found.append(_by_name(part))
        else:
            value = value / 1000 if match[3] == "ms" else value if match[3] == "s" else 1 / value
            (ttfts if match[1] == "ttft" else tpots).append(value)
    if len(set(ttfts)) > 1:
        raise DefinitionError(f"--at: {text!r} has {len(set(ttfts))} ttft limits; give one, it goes with every tpot")
    ttft_s = ttfts[0] if ttfts else None
    limits = [Target(tpot_s=value, ttft_s=ttft_s) for value in tpots]
    if not tpots and ttft_s is not None:
        limits = [Target(ttft_s=ttft_s)]
    return list(dict.fromkeys([*limits, *found]))


def _by_name(part: str) -> Target:
    known = list(dict.fromkeys(target.name for target, _ in named_targets()))
    if part not in known:
        hint = nearest(part, known) if part[:1].isalpha() else ""
        raise DefinitionError(f"--at: {part!r} is not a target; {HOW}{hint}")
    return Target(name=part)


def of_model(target: Target, model: str | None) -> Target | str:
    """Return a target with its limits for a model, or why it has none."""
    if not target.name or target.tpot_s is not None or target.ttft_s is not None:
        return target
    same = [(each, source) for each, source in named_targets() if each.name == target.name]
    for each, source in same:
        if model in each.models:
            return Target(tpot_s=each.tpot_s, ttft_s=each.ttft_s, name=target.name, source=source)
    models = listed(dict.fromkeys(name for each, _ in same for name in each.models))
    return f"{target.name} sets no limits for {model or 'a kernel'}; it does for {models}"


class Asked(NamedTuple):
    """What one target asks of a phase: its limits for the model and the step's own; `reason` where it has none."""

    limits: Target
    limit_s: float = math.inf
    reason: str = ""


def asked_of(phase: str, model: str | None, targets: Iterable[Target]) -> list[Asked]:
    """Return what targets ask of a phase, each once: a prompt knows no time per output token, so two may ask the same.

    A target without a limit for the phase asks nothing of it; one without limits for the model has the reason.
    """
    found: dict[str, Asked] = {}
    for target in targets:
        limits = of_model(target, model)
        if isinstance(limits, str):
            found.setdefault(str(target), Asked(target, reason=limits))
            continue
        limit_s = limits.limit_s(phase)
        if limit_s is not None:
            found.setdefault(_words(limits, phase), Asked(limits, limit_s))
    return list(found.values())


def _words(target: Target, phase: str) -> str:
    """A target as rows of a phase are named by it."""
    return str(Target(ttft_s=target.ttft_s, name=target.name)) if phase == "prefill" else str(target)


def named_by(row: Row, target: Target, label: str | None = None) -> Row:
    """A row under the name of its target, so that devices are joined on the target and not on the batch.

    label: stands for the row's dtype, where each side has its own ("8-bit").
    """
    head, _, inside = row.case_id.partition("[")
    limits = _words(target, row.phase)
    name = ",".join(
        limits if part.startswith("b=") else label if label is not None and part == row.dtype else part
        for part in inside.rstrip("]").split(",")
    )
    named = msgspec.structs.replace(
        row, case_id=f"{head}[{name}]", definition_hash=f"target:{row.workload}:{label or row.dtype}"
    )
    if target.name and target.source:
        named.notes = [
            *row.notes,
            f"{target.name}: limits of {target.source}; a steady step, no queueing, no result of it",
        ]
    return named


def unsure(times: Iterable[tuple[tuple[float, float] | None, float]]) -> bool:
    """Return whether intervals of times leave open if their limits hold: (interval, limit) of all that must.

    A time without an interval is taken as it stands.
    """
    known = [(interval, limit_s) for interval, limit_s in times if interval is not None]
    return not any(low > limit_s for (low, _), limit_s in known) and any(high > limit_s for (_, high), limit_s in known)


def flagged(row: Row, flag: str) -> Row:
    """A row with one more flag; "" is none."""
    return msgspec.structs.replace(row, flags=[*row.flags, flag]) if flag else row


def missed(row: Row, target: Target, reason: str, label: str | None = None, flag: str = "") -> Row:
    """A row without a number at its target, with the reason; one that failed keeps its own.

    flag: one of OPEN, where it may well keep the target.
    """
    named = named_by(row, target, label)
    if row.status != "ok":
        return named
    return msgspec.structs.replace(
        flagged(named, flag), status="skipped", reason=reason, step_s=None, interval=None, tpot_s=None, ttft_s=None,
        output_tokens_per_s=None, prompt_tokens_per_s=None, tokens_per_s_per_tflops=None, rate_interval=None,
    )  # fmt: skip
