"""What one device does of a demand while its targets hold: priced by the cost model, or read from measured rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from math import lcm

import msgspec
import numpy as np

from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError, Unsupported, listed
from bench.measure.rows import case_of, modelled_rows
from bench.measure.targets import EIGHT_BIT, own_eight_bit, solved_rows, sweep
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.results import cost
from bench.results.compare import source_of
from bench.results.fleet import Capacity
from bench.results.interpolate import bracket, families, measured_at_targets
from bench.results.prices import Prices
from bench.results.record import Row
from bench.results.target import Target
from bench.units import GIGA, as_given, seconds
from bench.workloads import demand as demands
from bench.workloads.demand import Demand
from bench.workloads.deployment import Deployment
from bench.workloads.schema import Case
from bench.workloads.sweep import load_workload, select_cases


@dataclass(frozen=True)
class Supply:
    """A kind of device: its measured rows, or none, and then it is modelled from its sheet."""

    label: str
    device: str
    rows: list[Row] | None = None


@dataclass(frozen=True)
class Solved:
    """One kind of request at its target: tokens and share of requests, and the row that serves it."""

    tokens: float
    share: float
    row: Row
    limit: str
    target_share: float | None


@dataclass
class Sums:
    """Device-seconds of a mean request, added up over its kinds."""

    seconds: float = 0.0
    low: float = 0.0
    high: float = 0.0
    joules: float = 0.0
    weighted: dict[str, float] = field(default_factory=dict)


def prefill_capacity(demand: Demand, supply: Supply, prices: Prices | None = None) -> Capacity:
    """Return what a device takes for the prompts of a mean request; each prompt length has a batch of its own.

    A prompt must be processed, and its KV cache have reached the device that decodes, within the TTFT.
    Raises: Unsupported with the reason where a length cannot be served in time, or nothing is known of it.
    """
    solved = []
    for length in demand.inputs:
        moved_s = transfer_s(demand, length.tokens)
        budget_s = demand.ttft_s - moved_s
        if budget_s <= 0:
            raise Unsupported(
                f"the KV cache of {length.tokens} tokens takes {seconds(moved_s)} to move, more than the TTFT"
            )
        find = _modelled if supply.rows is None else partial(_measured, rows=supply.rows)
        row, limit, share = find(demand, supply.device, "prefill", length.tokens, budget_s)
        solved.append(Solved(length.tokens, length.share, row, limit, share))
    return _paced(demand, _capacity("prefill", solved, prices))


def decode_capacity(demand: Demand, supply: Supply, prices: Prices | None = None) -> Capacity:
    """Return what a device takes for the output tokens of a mean request, at the mean context.

    Raises: Unsupported with the reason where not even one sequence is in time, or nothing is known of it.
    """
    find = _modelled if supply.rows is None else partial(_measured, rows=supply.rows)
    row, limit, share = find(demand, supply.device, "decode", round(demand.mean_context), demand.tpot_s)
    return _paced(demand, _capacity("decode", [Solved(demand.mean_output, 1.0, row, limit, share)], prices))


def case_for(demand: Demand, phase: str, device: str | None, tokens: int) -> Case:
    """Return the case of one step of a demand's workload: a prompt, or a token at a context, of so many tokens.

    Raises: DefinitionError where the workload is of another phase, or gives more than one case.
    """
    name = demand.prefill if phase == "prefill" else demand.decode
    axes: dict[str, list[object]] = {"batch": [1], "input_len" if phase == "prefill" else "context": [tokens]}
    if demand.model is not None:
        axes["model"] = [demand.model]
    if demand.dtype is not None:
        # Where no device is asked for, either 8-bit precision stands for both: the cache is the same.
        eight_bit = own_eight_bit(device) if device is not None and device in known_sheets() else EIGHT_BIT[0]
        axes["dtype"] = [eight_bit if demand.dtype == demands.EIGHT_BIT else demand.dtype]
    if load_workload(name).phase != phase:
        raise DefinitionError(
            f"demand: workload '{name}' is not one of {phase}; name one that is (see: bench workloads)"
        )
    cases = select_cases([name], axes)
    if len(cases) > 1:
        raise DefinitionError(
            f"demand: workload '{name}' has {len(cases)} cases; add `model` and `dtype` to the demand, or name a"
            " workload with one deployment and routing"
        )
    return cases[0]


def cache_bytes(case: Case, tokens: int) -> float:
    """Return the bytes of a prompt's KV cache on one device that holds it."""
    return float(read_cost(case.program(), Step("prefill", 1, tokens, tokens), case.dtype).cache_bytes)


def request_bytes(demand: Demand) -> float:
    """Return the bytes of a mean prompt's whole KV cache, however it is spread."""
    found = 0.0
    for each in demand.inputs:
        whole = msgspec.structs.replace(case_for(demand, "prefill", None, each.tokens), deployment=Deployment())
        found += each.share * cache_bytes(whole, each.tokens)
    return found


def transfer_s(demand: Demand, tokens: int) -> float:
    """Return the time in which a prompt's KV cache crosses the link: the slower of sending and receiving."""
    sent = cache_bytes(case_for(demand, "prefill", None, tokens), tokens)
    received = cache_bytes(case_for(demand, "decode", None, tokens), tokens)
    return max(sent, received) / (demand.link_gb_per_s * GIGA)


def link_seconds(demand: Demand) -> float:
    """Return the time that a device's link is taken by the KV cache of a mean request."""
    return sum(each.share * transfer_s(demand, each.tokens) for each in demand.inputs)


def _paced(demand: Demand, capacity: Capacity) -> Capacity:
    """Caches move while others are computed, so the slower of the two is the pace."""
    link_s = link_seconds(demand)
    if capacity.interval is not None:
        ends = (max(capacity.interval[0], link_s), max(capacity.interval[1], link_s))
        capacity = msgspec.structs.replace(capacity, interval=ends)
    if link_s <= capacity.seconds:
        return capacity
    return msgspec.structs.replace(
        capacity, rate=capacity.rate * capacity.seconds / link_s, seconds=link_s, limit="link",
        bound="link", target_share=None, mfu=None, mbu=None,
        notes=[*capacity.notes, f"moving the KV cache takes {seconds(link_s)} a request, longer than computing"],
    )  # fmt: skip


def _modelled(
    demand: Demand, device: str, phase: str, tokens: int, limit_s: float
) -> tuple[Row, str, float | None]:  # fmt: skip
    """Return (row at the best batch in time, what keeps the batch, its rate over that without a target)."""
    case = case_for(demand, phase, device, tokens)
    (first, *_) = modelled_rows(msgspec.structs.replace(case, batch=1), device)
    if first.status != "ok":
        raise Unsupported(f"{first.reason}")
    swept = sweep(case, device)
    found = solved_rows(case, device, swept, limit_s)
    if not found:
        what = "a prompt" if phase == "prefill" else "a token at a context"
        raise Unsupported(f"{what} of {tokens} tokens takes ~{seconds(first.step_s)}, limit {as_given(limit_s)}")
    batch, free = swept.best(limit_s), swept.best(np.inf)
    target_share = (batch / swept.step_s[batch - 1]) / (free / swept.step_s[free - 1])
    return found[0], swept.limit(limit_s), float(target_share)


def _measured(
    demand: Demand, device: str, phase: str, tokens: int, limit_s: float, *, rows: list[Row]
) -> tuple[Row, str, float | None]:  # fmt: skip
    """The same from measured rows: those of the shortest length that is at least as long; never extrapolated."""
    wanted = case_for(demand, phase, None, tokens)
    dtypes = EIGHT_BIT if demand.dtype == demands.EIGHT_BIT else (wanted.dtype,)
    known = [row for row in rows if row.model == wanted.model and row.dtype in dtypes and row.device == device]
    fitting = [f for f in families(known, phase) if _length(next(iter(f.values()))) >= tokens]
    if not fitting:
        longest = max((_length(row) for f in families(known, phase) for row in f.values()), default=None)
        beyond = "" if longest is None else f"; the longest is {longest}, and nothing is extrapolated"
        raise Unsupported(f"no measured {phase} of {wanted.model} in {'/'.join(dtypes)} at {tokens} tokens{beyond}")
    family = min(fitting, key=lambda f: _length(next(iter(f.values()))))
    inside, beyond_it = bracket(family, limit_s)
    if inside is not None and beyond_it is None:
        return family[inside], "largest measured batch", None
    target = Target(tpot_s=limit_s) if phase == "decode" else Target(ttft_s=limit_s)
    (row,) = measured_at_targets(family.values(), [target])
    if row.status != "ok":
        raise Unsupported(f"{row.reason}; limit {as_given(limit_s)}")
    return row, "latency target", None


def _length(row: Row) -> int:
    return int((row.input_len if row.phase == "prefill" else row.context) or 0)


def _capacity(phase: str, solved: list[Solved], prices: Prices | None) -> Capacity:
    """Add up what each kind of request takes of a device."""
    metric = "prompt_tokens_per_s" if phase == "prefill" else "output_tokens_per_s"
    sums, known, watts_known, reason, basis = Sums(), True, True, "", ""
    late = [f"{each.tokens:g}" for each in solved if each.row.rate_interval and each.row.rate_interval[0] <= 0]
    for each in solved:
        rate = getattr(each.row, metric) / each.row.devices
        taken = each.share * each.tokens / rate
        low, high = cost.token_factors(each.row) or (0.0, 0.0)
        known = known and low > 0
        used = cost.energy(each.row, prices)
        watts_known, basis, reason = watts_known and used.watts is not None, used.basis, reason or used.reason
        sums.seconds, sums.low, sums.high = sums.seconds + taken, sums.low + taken * low, sums.high + taken * high
        sums.joules += taken * (used.watts or 0.0) / each.row.devices
    heaviest = max(solved, key=lambda s: s.share * s.tokens)
    row = heaviest.row
    deployment = case_of(row).deployment
    dies = load_sheet(row.device).devices_per_package if row.device in known_sheets() else 1
    return Capacity(
        phase=phase, device=row.device, device_name=row.device_name, source=source_of(row), dtype=row.dtype,
        case_ids=[each.row.case_id for each in solved], seconds=sums.seconds,
        rate=sum(each.share * each.tokens for each in solved) / sums.seconds,
        interval=(sums.low, sums.high) if known else None, batch=row.batch, step_s=row.step_s,
        group=lcm(deployment.devices, dies), devices_per_package=dies, limit=heaviest.limit,
        target_share=heaviest.target_share, bound=row.bound, mfu=row.mfu, mbu=row.mbu,
        watts=sums.joules / sums.seconds if watts_known else None, watts_basis=basis,
        watts_reason="" if watts_known else reason, notes=list(row.notes), open=_may_be_late(phase, late, row),
    )  # fmt: skip


def _may_be_late(phase: str, late: list[str], row: Row) -> str:
    """Why there is no most that a fleet may need, or "": by its interval a device may not keep the target at all."""
    if not late:
        return ""
    what = f"a prompt of {listed(late)} tokens" if phase == "prefill" else "even one sequence"
    return f"by its interval {what} may not be in time on {row.device}, and then no number of devices is enough"
