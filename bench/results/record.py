"""The row and the run: what a result file holds.

Missing is null, never 0. Times are in seconds, sizes in bytes, rates per second; a name ends in its unit.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

# 1 (2026-11): first form.
# 2 (2026-11): how a step was launched and its eager time; what the device said of itself over the timed window.
# 3 (2026-11): sessions: a case has one row in each.
SCHEMA_VERSION = 3

Source = Literal["measured", "modelled", "published"]
Tier = Literal["calibrated", "transferred", "sheet"]
Status = Literal["ok", "skipped", "unsupported", "oom", "timeout", "error", "invalid"]
Unit = Literal["die", "package", "machine", "socket"]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class KernelCost(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of launch inside a step: what it computes and moves, and, where modelled, its time and bound."""

    name: str
    kind: str
    dtype: str
    count: int
    flops: float
    read_bytes: float
    written_bytes: float
    link_bytes: float = 0.0
    seconds: float | None = None
    bound: str | None = None
    tier: Tier | None = None


class Row(msgspec.Struct, kw_only=True):
    """One case on one device. Every number is `source`; `scope` says what part of the work it covers."""

    # identity
    case_id: str
    workload: str
    phase: str
    dtype: str
    definition_hash: str
    definition: dict[str, Any]
    model: str | None = None
    kernel: str | None = None
    batch: int | None = None
    input_len: int | None = None
    context: int | None = None
    deployment: dict[str, Any] = {}
    routing: str | None = None
    # where
    device: str
    device_name: str
    unit: Unit
    devices: int = 1
    # Which pass over the cases, in processes of its own; 1 is the first.
    session: Annotated[int, msgspec.Meta(ge=1)] = 1
    # How many sessions its numbers are of: 1 in a run file, more where they were folded into one row to be shown.
    sessions: int = 1
    # provenance
    source: Source
    tier: Tier | None = None
    # Share of a modelled step's kernel time that each tier priced.
    tier_shares: dict[str, float] = {}
    interval: tuple[float, float] | None = None
    interval_kind: str | None = None
    scope: str | None = None
    notes: list[str] = []
    status: Status
    reason: str | None = None
    # time
    step_s: Positive | None = None
    ttft_s: float | None = None
    tpot_s: float | None = None
    p90_s: float | None = None
    p99_s: float | None = None
    samples_s: list[float] | None = None
    warmup_s: float | None = None
    warmup_samples: int | None = None
    calls_per_sample: int | None = None
    stop_reason: str | None = None
    stable: bool | None = None
    flags: list[str] = []
    # How the step was launched: one captured graph, or launch by launch; `eager_step_s` is the second beside the first.
    launch: Literal["graph", "eager"] | None = None
    launch_reason: str | None = None
    eager_step_s: Positive | None = None
    # throughput of the unit (one die, one package, the machine)
    prompt_tokens_per_s: float | None = None
    output_tokens_per_s: float | None = None
    # Tokens per second of the row's kind for each TFLOP/s of the unit's published dense peak in the row's dtype.
    tokens_per_s_per_tflops: float | None = None
    # At a service target: what the throughput is where steps take as long as their interval's ends say, and the batch
    # in time is another one; from 0 where then not even one sequence is in time. Elsewhere it goes with `interval`.
    rate_interval: tuple[float, float] | None = None
    # work of one step on one device
    flops: float | None = None
    read_bytes: float | None = None
    written_bytes: float | None = None
    link_bytes: float | None = None
    kernels: list[KernelCost] = []
    # utilization: of the sheet's peak, and of the peak achieved by calibration
    mfu: float | None = None
    mbu: float | None = None
    mfu_achieved: float | None = None
    mbu_achieved: float | None = None
    bound: str | None = None
    memory_bytes: float | None = None
    memory_peak_bytes: float | None = None
    # What the device said of itself over the timed window. `telemetry_missing` says why a figure is null.
    power_w: float | None = None
    power_basis: str | None = None
    power_samples: int | None = None
    power_validity: str | None = None
    joules_per_token: float | None = None
    device_utilization: float | None = None
    temperature_c: float | None = None
    clock_hz: float | None = None
    lowest_clock_hz: float | None = None
    throttle: list[str] | None = None
    telemetry_missing: dict[str, str] = {}
    # Cores' worth of CPU that others took in the timed window: other processes, and the hypervisor.
    others_cores: float | None = None
    # checks
    correct: bool | None = None
    correct_detail: str | None = None
    imbalance: float | None = None
    operators: dict[str, str] = {}
    wall_s: float | None = None
    timed_s: float | None = None


class Environment(msgspec.Struct, kw_only=True):
    """What the numbers were made with and on."""

    bench_version: str
    created: str
    command: str
    host: str
    fingerprint: str
    python: str
    os: str
    cpu: str
    cores: int
    threads: int | None = None
    memory_bytes: int | None = None
    container: str | None = None
    image: str | None = None
    governor: str | None = None
    load_average: float | None = None
    sessions: int = 1
    packages: dict[str, str] = {}
    torch_build: str | None = None
    commit: str | None = None
    devices: dict[str, dict[str, str]] = {}
    warnings: list[str] = []


class Run(msgspec.Struct, kw_only=True):
    """A run file: its schema, what it was made on, what was planned, and the rows."""

    schema: int = SCHEMA_VERSION
    id: str
    environment: Environment
    planned: list[dict[str, Any]] = []
    complete: bool = True
    rows: list[Row] = []
