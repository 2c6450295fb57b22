"""What an axis is measured by, and what a measure says of cases that two sides have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.results.compare import Operand, basis_of, one_sided, ratio_of, source_of
from bench.results.doubt import doubt
from bench.results.pairs import EIGHT_BIT, bought, precision, question
from bench.results.reading import Interval, reading, reading_of_many, together
from bench.results.record import Row
from bench.results.verdict import Axis, Verdict, worst
from bench.units import times

# A package of two devices has twice the users at the same batch per device, each of whom may wait longer for a token.
SAME_BATCH = "same batch per device, not the same service"


@dataclass(frozen=True)
class Measure:
    """A metric of rows of one phase, as it stands for an axis. note: what two rows of one case do not share."""

    axis: Axis
    metric: str
    phase: str
    title: str
    unit: str
    better: Literal["higher", "lower"]
    note: str = ""


MEASURES = (
    Measure("throughput", "prompt_tokens_per_s", "prefill", "prefill at equal batch per device, prompt tokens", "tok/s",
            "higher", SAME_BATCH),
    Measure("throughput", "output_tokens_per_s", "decode", "decode at equal batch per device, output tokens", "tok/s",
            "higher", SAME_BATCH),
    Measure("latency", "ttft_s", "prefill", "time to first token", "s", "lower"),
    Measure("latency", "tpot_s", "decode", "time per output token at equal batch per device", "s", "lower"),
    Measure("latency", "step_s", "moe", "time of a MoE layer", "s", "lower"),
    Measure("latency", "step_s", "kernel", "time of a kernel", "s", "lower"),
    Measure("utilization", "mfu", "prefill", "share of peak FLOP/s in prefill (MFU)", "share", "higher"),
    Measure("utilization", "mbu", "decode", "share of peak bandwidth in decode (MBU)", "share", "higher"),
    Measure("energy", "joules_per_token", "prefill", "energy per prompt token", "J/token", "lower"),
    Measure("energy", "joules_per_token", "decode", "energy per output token", "J/token", "lower"),
)  # fmt: skip
AT_TARGET = {
    "decode": Measure(
        "throughput", "output_tokens_per_s", "decode", "decode in time, output tokens", "tok/s", "higher"
    ),
    "prefill": Measure(
        "throughput", "prompt_tokens_per_s", "prefill", "prefill in time, prompt tokens", "tok/s", "higher"
    ),
}


def read(
    measure: Measure, target: str, pairs: Sequence[tuple[Row, Row]], a: Operand, b: Operand
) -> Verdict | None:  # fmt: skip
    """Return the verdict of a measure on pairs of rows; None where no pair has it."""
    found = [(x, y, *ratio_of(x, y, _metric(measure, x, y))) for x, y in pairs]
    known = [(x, y, ratio, interval) for x, y, ratio, interval in found if ratio is not None]
    if not known:
        return None
    # Beside cases that are sure, those in doubt are left out of the mean, and told.
    sure = [each for each in known if not doubt(*each[:2])] or known
    ratios = {x.case_id: ratio for x, _, ratio, _ in sure}
    intervals: list[Interval | None] = [interval for *_, interval in sure]
    used = [(x, y) for x, y, *_ in sure]
    names, higher = (a.label, b.label), measure.better == "higher"
    basis = basis_of(*(row for pair in used for row in pair))
    verdict = Verdict(
        axis=measure.axis, metric=measure.title, a=a.label, b=b.label, unit=measure.unit, better=measure.better,
        **subject(*used[0], target),
        source=worst(*(source_of(row) for pair in used for row in pair)), reading="", per=per(a, b),
        a_source=worst(*(source_of(x) for x, _ in used)), b_source=worst(*(source_of(y) for _, y in used)),
        a_doubt=doubt(*(x for x, _ in used)), b_doubt=doubt(*(y for _, y in used)), unstable=basis.unstable,
        left_out={x.case_id: (ratio, doubt(x, y)) for x, y, ratio, _ in known if x.case_id not in ratios},
    )  # fmt: skip
    verdict.note = "; ".join(filter(None, (measure.note, verdict.note)))
    verdict.late = [names[side] for side in sorted(basis.late)]
    if len(used) == 1:
        x, y = used[0]
        metric = _metric(measure, x, y)
        verdict.a_value, verdict.b_value = getattr(x, metric), getattr(y, metric)
        verdict.ratio, verdict.interval = ratios[x.case_id], intervals[0]
        verdict.reading = reading(verdict.ratio, verdict.interval, names, higher=higher, basis=basis)
        ends = one_sided(x, y, metric)
        if ends is not None:
            verdict.why = (
                f"{times(ends[0])} to {times(ends[1])} by the interval of {a.label if x.interval else b.label} alone"
            )
        return verdict
    values = list(ratios.values())
    verdict.ratio, verdict.interval = together(values, intervals)
    verdict.cases = ratios
    verdict.reading = reading_of_many(values, intervals, names, higher=higher, basis=basis)
    return verdict


def subject(x: Row, y: Row, target: str) -> dict[str, Any]:
    """Return what a reading of two rows at a target is of, as fields of a Verdict."""
    own = EIGHT_BIT if EIGHT_BIT in question(target, "") else precision(x)
    limits = ",".join(part for part in question(target, "") if "<=" in part)
    return {"target": target, "model": x.model or x.workload, "phase": x.phase, "precision": own, "limits": limits,
            "note": "" if x.dtype == y.dtype else f"{x.dtype} | {y.dtype}"}  # fmt: skip


def _metric(measure: Measure, x: Row, y: Row) -> str:
    """Utilization is of published peaks where both sides have them, else of those that both reached; never mixed."""
    own = all(getattr(row, measure.metric) is not None for row in (x, y))
    return measure.metric if own or measure.axis != "utilization" else f"{measure.metric}_achieved"


def per(a: Operand, b: Operand) -> str:
    """Return what yields a reading on both sides."""
    return bought(a) if bought(a) == bought(b) else f"{bought(a)} | {bought(b)}"
