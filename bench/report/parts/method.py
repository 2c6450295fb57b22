"""How the numbers came about: systems, what was not run, run rules, commands to repeat, limits, glossary."""

from __future__ import annotations

from collections.abc import Iterable

from bench.report.cells import kind
from bench.report.document import Cell, NotRun, Report, System, Term, every_cell
from bench.report.sides import Side
from bench.results.compare import differences, source_of
from bench.results.metrics import METRICS
from bench.units import data_size

LIMITS = [
    "A modelled number says what a device should do by its sheet and a calibration; it is no measurement of it.",
    "One step of one replica is timed or priced. Queueing, networks outside the deployment, scheduling, preemption and "
    "failures are not in it; nor is the quality of the answers.",
    "Throughput is of steady prefill or decode alone. A service mixes both; see published figures of whole services.",
    "Intervals of modelled numbers are P10 to P90 of what the calibration missed, so one in five lies outside.",
    "Intervals of measured numbers hold inside one process; between processes, machines and days noise is larger.",
    "Nothing here is an offer. Prices, where there are any, are assumptions with their date and source.",
]
MEASURED_RULES = [
    "Each case runs in a process of its own, on random inputs from a fixed seed, checked against a float32 reference.",
    "Warm-up goes on until a block's median is within 3 % of the one before, and is not part of any sample.",
    "A case stops when the 95 % interval of its median is within 1 %, or when its time is up; the row says which.",
    "Every case runs as shipped, tuned for no device. A window is seconds long: a rate held that long, not for hours.",
    "No sample is thrown out; a trend, two levels or throttling are marked on the row.",
    "A number that was measured while others took the cores or the device has the mark ? and is in no verdict.",
]
MODELLED_RULES = [
    "A modelled step is the sum of its kernels, read from the program that is measured, each priced by the device's "
    "peaks and the nearest calibration, plus the host's overhead (docs/cost-model.md). No noise is added.",
    "Tiers: calibrated on this device; transferred from another of its kind; sheet, from peaks and usual efficiencies.",
    "At a service target the batch is solved that yields the most of those in time and within 90 % of the memory.",
]
ALWAYS = [
    "Cases are joined by their id and the hash of their definition; where definitions differ they are shown apart and "
    "no ratio is formed. Prompt and output tokens are never added up.",
    "Ratios of several cases are shown as a geometric mean with its list, per workload and precision, with the widest "
    "interval: as if all errors went the same way.",
]


def system(side: Side) -> System:
    """Return one side as the systems table shows it."""
    env, facts = side.operand.environment, dict(side.paper.facts)
    if env is not None:
        facts |= {
            "run file": side.operand.origin, "host": env.host, "machine": env.fingerprint,
            "cpu": env.cpu, "cores": str(env.cores), "os": env.os,
            "memory of the host": data_size(env.memory_bytes) if env.memory_bytes else "",
            "container": env.container or "", "governor": env.governor or "not shown", "python": env.python,
            "accelbench": env.bench_version, "commit": env.commit or "", "measured": env.created,
            **env.packages, **{f"warning {n}": text for n, text in enumerate(env.warnings, 1)},
        }  # fmt: skip
    name = side.paper.name or (side.rows[0].device_name if side.rows else side.label)
    sources = list(dict.fromkeys(source_of(row) for row in side.rows if row.status == "ok"))
    return System(
        label=side.label, device=side.device, name=name, unit=side.unit, sources=sources,
        facts={key: value for key, value in facts.items() if value},
    )  # fmt: skip


def differing(sides: list[Side]) -> list[list[str]]:
    """Return what is not the same on all sides: the setting, then its value on each."""
    found = []
    for line in differences([side.operand for side in sides]):
        key, _, values = line.partition(": ")
        found.append([key, *values.split(" | ")])
    return found


def not_run(sides: list[Side]) -> list[NotRun]:
    """Return what has no number, by side and reason; cases that a side lacks altogether included."""
    found: list[NotRun] = []
    every = list(dict.fromkeys(row.case_id for side in sides for row in side.rows))
    for side in sides:
        reasons: dict[str, dict[str, None]] = {}
        for row in (*side.rows, *side.at_targets):
            if row.status != "ok":
                reasons.setdefault(f"{row.status}: {row.reason or 'no reason given'}", {})[row.case_id] = None
        own = {row.case_id for row in side.rows}
        for case_id in every:
            if case_id not in own:
                reasons.setdefault("not run on this side", {})[case_id] = None
        found += [NotRun(system=side.label, reason=reason, cases=list(cases)) for reason, cases in reasons.items()]
    return found


def rules(sides: list[Side]) -> list[str]:
    """Return the rules that the numbers of these sides were made by."""
    sources = {row.source for side in sides for row in side.rows}
    told = MEASURED_RULES if "measured" in sources else []
    told = told + (MODELLED_RULES if "modelled" in sources else [])
    return told + ALWAYS


def repeat(sides: list[Side], command: str) -> list[str]:
    """Return the commands that make the numbers again."""
    runs = dict.fromkeys(side.operand.environment.command for side in sides if side.operand.environment is not None)
    return [*runs, command]


def glossary() -> list[Term]:
    """Return the metrics of bench.results.metrics, each with its formula."""
    return [
        Term(name=m.name, definition=m.definition, formula=m.formula, unit=m.unit, source=m.source)
        for m in METRICS.values()
    ]


def counts(report: Report) -> dict[str, int]:
    """Return how many numbers of the report's tables come from where; a number without a value is missing."""
    return _counted(every_cell(report))


def _counted(cells: Iterable[Cell]) -> dict[str, int]:
    found: dict[str, int] = {}
    for cell in cells:
        key = "missing" if cell.value is None else "in doubt" if cell.doubt else kind(cell.source)
        found[key] = found.get(key, 0) + 1
    return dict(sorted(found.items()))
