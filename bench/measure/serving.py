"""Served configurations: a table of time per output token that engines reached, against the model's.

With continuous batching a token waits for one decode step and, now and then, for a prompt: a batch of c requests of
input I and output O admits c / O prompts per step, so TPOT = step(c) + (c - 1) / O x prefill(I).
Queueing is not modelled.
"""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.devices.emulated.pricing import Priced
from bench.devices.emulated.profile import engine
from bench.devices.emulated.validate import WORST, Validated, Worst
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError, Unsupported, nearest
from bench.measure.rows import price_step
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.units import counted
from bench.workloads.deployment import Deployment, check_deployment
from bench.workloads.model import load_model
from bench.workloads.routing import Routing
from bench.workloads.schema import DTYPES, Case

NEEDED = ("model", "device", "dtype", "input_len", "output_len", "concurrency", "tp", "tpot_s")
LONGEST_S = 60.0
# Up to this many requests at once, prompts that come together are served together and hardly queue.
FEW_CONCURRENT = 4
SHOWN = ("input_len", "output_len", "concurrency", "tp", "ep")
# Name parts of served models, and the model here whose shapes they have.
SHAPES = (
    ("deepseek-r1-distill-qwen-32b", "deepseek-r1-distill-qwen-32b"),
    ("deepseek-r1-distill-qwen-7b", "deepseek-r1-distill-qwen-7b"),
    ("deepseek-v3.2", "deepseek-v3.2"),
    ("deepseek-v3", "deepseek-v3"),
    ("deepseek-r1", "deepseek-r1"),
    ("deepseek-v2-lite", "deepseek-v2-lite"),
    ("llama-3.1-8b", "llama-3.1-8b"),
    ("llama-3.1-70b", "llama-3.1-70b"),
    ("llama-3.3-70b", "llama-3.1-70b"),
    ("qwen3-235b-a22b", "qwen3-235b-a22b"),
    ("qwen3-30b-a3b", "qwen3-30b-a3b"),
    ("qwen3-32b", "qwen3-32b"),
    ("qwen3-8b", "qwen3-8b"),
    ("gpt-oss-120b", "gpt-oss-120b"),
    ("kimi-k2-instruct", "kimi-k2"),
    ("mixtral-8x7b", "mixtral-8x7b"),
)
# Kernels that read weights, and those that read the cache.
WEIGHING = ("gemm", "batched_gemm", "grouped_gemm")
ATTENDING = ("attention_decode", "mla_decode", "indexer")
# Routing that served traffic shows, as NVIDIA's own tables assume it for DeepSeek and Qwen.
SERVED_ROUTING = Routing(kind="zipf", s=0.5)


@dataclass(frozen=True)
class Served:
    """One served configuration and the times that were measured on it."""

    line: int
    name: str
    device: str
    dtype: str
    input_len: int
    output_len: int
    concurrency: int
    tp: int
    attention_dp: int
    moe_tp: int
    ep: int
    tpot_s: float
    ttft_s: float | None
    engine: str
    source: str


def read_serving(path: Path) -> list[Served]:
    """Read a table of served configurations.

    Raises: DefinitionError naming file, line and column for a missing column or a value that is not a positive number.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise DefinitionError(f"{path}: cannot be read ({reason})") from None
    reader = csv.DictReader(io.StringIO(text))
    names = reader.fieldnames or []
    for name in NEEDED:
        if name not in names:
            raise DefinitionError(f"{path}: no column '{name}'{nearest(name, names)}; it needs {', '.join(NEEDED)}")
    try:
        rows = [_served(f"{path}: line {reader.line_num}", reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise DefinitionError(f"{path}: not valid CSV: {error}") from None
    if not rows:
        raise DefinitionError(f"{path}: holds no rows")
    return rows


def _served(where: str, line: int, row: dict[str, str | None]) -> Served:
    def text(name: str) -> str:
        return (row.get(name) or "").strip()

    def number(name: str, default: float | None = None) -> float:
        if not text(name) and default is not None:
            return default
        try:
            value = float(text(name))
        except ValueError:
            value = math.nan
        if not 0 <= value < 1e9 or (value == 0 and default is None):
            raise DefinitionError(f"{where}: column '{name}' is {text(name)!r}; it must be a positive number")
        return value

    def whole(name: str) -> int:
        if number(name) < 1:
            raise DefinitionError(f"{where}: column '{name}' is {text(name)!r}; it must be 1 or more")
        return int(number(name))

    tpot_s = number("tpot_s")
    if tpot_s > LONGEST_S:
        raise DefinitionError(f"{where}: column 'tpot_s' is {tpot_s:g} s, above a minute; is it in milliseconds?")
    return Served(
        line=line,
        name=text("model"),
        device=text("device"),
        # Tables leave the precision empty where a model runs as it is.
        dtype=text("dtype") or "bf16",
        input_len=whole("input_len"),
        output_len=whole("output_len"),
        concurrency=whole("concurrency"),
        tp=whole("tp"),
        attention_dp=max(1, int(number("attention_dp", 1.0))),
        moe_tp=max(1, int(number("moe_tp", 1.0))),
        ep=max(1, int(number("ep", 1.0))),
        tpot_s=tpot_s,
        ttft_s=number("ttft_s", 0.0) or None,
        engine=text("engine"),
        source=text("source"),
    )


def shapes_of(name: str) -> str:
    """Return the model here that has a served model's shapes.

    Raises: Unsupported where none has.
    """
    low = name.lower()
    for part, model in SHAPES:
        if part in low:
            return model
    raise Unsupported(f"no model here has the shapes of {name}")


def case_of_served(row: Served) -> Case:
    """Return the decode case of a served configuration.

    Raises: Unsupported where the model, its precision or its way of spreading is not known here.
    """
    model = load_model(shapes_of(row.name))
    if row.dtype not in DTYPES:
        raise Unsupported(f"dtype {row.dtype} is not priced here")
    ep = row.ep if model.moe is not None else 1
    try:
        deployment = Deployment(tp=row.tp, dp=row.attention_dp, ep=ep)
        check_deployment(model, deployment, row.name)
    except (ValueError, DefinitionError) as error:
        raise Unsupported(f"its way of spreading is not priced here: {error}") from None
    return Case(
        workload="served", phase="decode", dtype=row.dtype, model=shapes_of(row.name),
        batch=max(1, math.ceil(row.concurrency / row.attention_dp)), input_len=1,
        context=row.input_len + row.output_len // 2, routing=SERVED_ROUTING if model.moe is not None else None,
        deployment=deployment,
    )  # fmt: skip


def check_possible(row: Served) -> None:
    """Raise Unsupported for a time in which a device cannot read its weights and an 8-bit cache even once.

    Such a row is not of the concurrency or the precision that it states.
    """
    case = case_of_served(row)
    work = read_cost(case.program(), case.step(), case.dtype)
    weights, cache = (
        sum(float(one.read_bytes) * one.count for one in work.kernels if one.kind in kinds)
        for kinds in (WEIGHING, ATTENDING)
    )
    least_s = (weights + cache / 2) / (load_sheet(row.device).memory_bytes_per_s or math.inf)
    if row.tpot_s < least_s:
        raise Unsupported(f"{row.tpot_s:.4g} s is less than weights and cache take to read ({least_s:.4g} s)")


def predict(row: Served) -> tuple[float, float, Priced]:
    """Return (TPOT, prefill service time of one prompt, the decode step's price) of a served configuration.

    Raises: Unsupported where it cannot be priced.
    """
    case = case_of_served(row)
    sheet = load_sheet(row.device)
    decode = price_step(case, case.step(), row.device, sheet)
    prefill = price_step(case, Step("prefill", 1, row.input_len, row.input_len), row.device, sheet)
    shipped = engine()
    share = 1.0 if shipped is None else shipped.prefill_share
    return float(decode.step_s) + share * waiting(row) * float(prefill.step_s), float(prefill.step_s), decode


def waiting(row: Served) -> float:
    """Prompts that are admitted per output token of a sequence."""
    return max((row.concurrency / row.attention_dp - 1) / row.output_len, 0.0)


@dataclass(frozen=True)
class Outcome:
    """One served configuration beside the model's time for it."""

    row: Served
    measured_s: float
    modelled_s: float
    step: Priced


def validate_serving(rows: list[Served], where: str, device: str | None = None) -> list[Validated]:
    """Compare served TPOT with the model's, per device, model and dtype; the last line is all rows that were priced.

    Raises: DefinitionError for a device without a sheet.
    """
    groups: dict[tuple[str, str, str], list[Served]] = defaultdict(list)
    for row in rows:
        if row.device not in known_sheets():
            hint = nearest(row.device, known_sheets())
            raise DefinitionError(
                f"{where}: line {row.line}: device '{row.device}' has no sheet{hint} (see: bench devices)"
            )
        if device is None or row.device == device:
            groups[row.device, row.name, row.dtype].append(row)
    if not groups:
        raise DefinitionError(f"{where}: no rows of device '{device}'{nearest(device or '', {r.device for r in rows})}")
    found: list[Validated] = []
    every: list[Outcome] = []
    prompts: list[Outcome] = []
    for (name, model, dtype), part in sorted(groups.items()):
        priced: list[Outcome] = []
        reason = ""
        for row in part:
            try:
                check_possible(row)
                tpot_s, prefill_s, step = predict(row)
                priced.append(Outcome(row, row.tpot_s, tpot_s, step))
                if row.ttft_s is not None and row.concurrency <= FEW_CONCURRENT * row.attention_dp:
                    together = prefill_s * row.concurrency / row.attention_dp
                    prompts.append(Outcome(row, row.ttft_s, together, step))
            except Unsupported as error:
                reason = str(error)
        label = f"tpot {model}"
        found.append(_summary(name, label, dtype, priced, len(part), reason))
        every += priced
    if len(found) > 1 and every:
        found.append(_summary("all", "tpot", "", every, len(every), "every row that was priced"))
    if prompts:
        reason = (
            f"service time of one prompt against TTFT at {FEW_CONCURRENT} concurrent or fewer, which holds queueing"
        )
        found.append(_summary("all", "prefill service", "", prompts, len(prompts), reason))
    return found


def _summary(device: str, kind: str, dtype: str, priced: list[Outcome], total: int, reason: str) -> Validated:
    if not priced:
        return Validated(device=device, kind=kind, dtype=dtype, tier=None, n=total, reason=reason)
    measured = np.array([each.measured_s for each in priced])
    modelled = np.array([each.modelled_s for each in priced])
    bands = np.array([[float(x) / float(each.step.step_s) for x in each.step.interval] for each in priced])
    ratio = modelled / measured
    missed = np.abs(ratio - 1)
    worst = np.argsort(-np.abs(np.log(ratio)), kind="stable")[:WORST]
    left = total - len(priced)
    return Validated(
        device=device, kind=kind, dtype=dtype, tier=", ".join(dict.fromkeys(each.step.tier for each in priced)),
        n=len(priced), mape=float(missed.mean()), median=float(np.median(missed)),
        bias=float(np.exp(np.log(ratio).mean())),
        inside=float(((measured >= modelled * bands[:, 0]) & (measured <= modelled * bands[:, 1])).mean()),
        reason=reason if left == 0 else f"{counted(left, 'row')} not priced: {reason}",
        worst=[
            Worst(line=priced[i].row.line, measured_s=float(measured[i]), modelled_s=float(modelled[i]),
                  dims={name: getattr(priced[i].row, name) for name in SHOWN})
            for i in worst
        ],
    )  # fmt: skip
