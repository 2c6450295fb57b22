"""A workload definition (`workloads/*.toml`) and a case, one fully resolved point of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from bench.errors import DefinitionError
from bench.operators.interface import Phase, Step
from bench.operators.kernel import BYTES
from bench.units import parse_share, short_count
from bench.workloads.decoder import decoder_step, moe_layer
from bench.workloads.deployment import Deployment
from bench.workloads.kernels import KERNELS, kernel_step
from bench.workloads.model import check_positive, load_model
from bench.workloads.routing import Routing, trace_hash

# Raised when a program changes what it computes, so that older results no longer claim to be the same case.
PROGRAM_VERSION = 1

DTYPES = tuple(d for d in BYTES if d not in ("fp64", "tf32"))
PHASES: tuple[Phase, ...] = ("prefill", "decode", "moe", "kernel")

# How dimensions are written in a case id.
SHORT = {
    "batch": "b", "context": "ctx", "heads": "h", "kv_heads": "kv", "head_dim": "d",
    "experts": "experts", "top_k": "top", "kv_lora_rank": "rank", "qk_rope_dim": "rope",
}  # fmt: skip

Count = int | str  # 8, "4k", or a range "1k:32k:x2"
OneOrMore = Count | list[Count]


def _check_dtypes(dtypes: list[str]) -> None:
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ValueError(f"dtype is {dtype!r}; known: {', '.join(DTYPES)}")


class Suite(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How a suite narrows the sweep; an axis that is absent keeps the workload's own values."""

    model: list[str] | None = None
    dtype: list[str] | None = None
    batch: OneOrMore | None = None
    input_len: OneOrMore | None = None
    prefix: OneOrMore | None = None
    context: OneOrMore | None = None
    tokens: OneOrMore | None = None
    routing: list[Routing] | None = None
    points: list[dict[str, int]] | None = None
    time_s: float | None = None

    def __post_init__(self) -> None:
        _check_dtypes(self.dtype or [])
        check_positive(self, "time_s")


class Gate(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How `bench check` judges a workload, where it differs from the command's own limits. No part of what is run."""

    budget: str | None = None
    floor: str | None = None
    metrics: list[str] | None = None

    def __post_init__(self) -> None:
        for key in ("budget", "floor"):
            text = getattr(self, key)
            if text is not None:
                try:
                    parse_share(text, f"gate.{key}")
                except DefinitionError as error:
                    raise ValueError(str(error)) from None


class Workload(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One definition file. Keys are described in workloads/README.md."""

    summary: str
    phase: Phase
    suites: dict[str, Suite] = {}
    kernel: str | None = None
    model: str | list[str] | None = None
    dtype: str | list[str] = "bf16"
    batch: OneOrMore = 1
    input_len: OneOrMore = 512
    prefix: OneOrMore | None = None
    context: OneOrMore = 1024
    tokens: OneOrMore = 512
    points: list[dict[str, int]] = []
    dims: dict[str, OneOrMore] = {}
    routing: Routing | list[Routing] = Routing()
    deployment: Deployment | list[Deployment] = Deployment()
    time_s: float = 5.0
    memory_gb: float | None = None
    gate: Gate = Gate()

    def __post_init__(self) -> None:
        _check_dtypes([self.dtype] if isinstance(self.dtype, str) else self.dtype)
        check_positive(self, "time_s", "memory_gb")
        if self.phase == "kernel":
            self._check_kernel()
        elif not self.model:
            raise ValueError(f"phase '{self.phase}' needs model = an id from `bench workloads --models`")
        elif self.kernel or self.points or self.dims:
            raise ValueError(f"kernel, points and dims belong to phase 'kernel', not to '{self.phase}'")

    def _check_kernel(self) -> None:
        if self.kernel not in KERNELS:
            raise ValueError(f"kernel is {self.kernel!r}; known: {', '.join(KERNELS)}")
        if self.model:
            raise ValueError("model belongs to the phases prefill, decode and moe, not to 'kernel'")
        if bool(self.points) == bool(self.dims):
            raise ValueError("a kernel needs either points = [{...}] or a [dims] table")
        needed = set(KERNELS[self.kernel].dims)
        narrowed = [p for suite in self.suites.values() for p in suite.points or []]
        points: list[dict[str, Any]] = [*self.points, *narrowed, *([self.dims] if self.dims else [])]
        for point in points:
            if set(point) != needed:
                raise ValueError(f"kernel '{self.kernel}' needs the dims {sorted(needed)}, found {sorted(point)}")
            if any(isinstance(v, int) and v < 1 for v in point.values()):
                raise ValueError(f"dims of kernel '{self.kernel}' must be 1 or more, found {point}")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One point: everything needed to run it, price it, or find it again."""

    workload: str
    phase: Phase
    dtype: str
    kernel: str | None = None
    model: str | None = None
    batch: int | None = None
    input_len: int | None = None
    context: int | None = None
    dims: dict[str, int] = {}
    routing: Routing | None = None
    deployment: Deployment = Deployment()
    time_s: float = 5.0
    memory_gb: float | None = None

    @property
    def case_id(self) -> str:
        """Stable name: workload[model?, sizes, dtype, deployment?, routing?]; what is 1 or default is left out."""
        parts: list[str] = []
        if self.model is not None and not f"{self.workload}-".startswith(f"{self.model}-"):
            parts.append(self.model)
        if self.phase == "kernel":
            parts += [f"{SHORT.get(key, key)}={short_count(value)}" for key, value in self.dims.items()]
        elif self.phase == "moe":
            parts.append(f"t={short_count(self.input_len or 0)}")
        else:
            parts.append(f"b={self.batch}")
            if self.phase == "prefill":
                parts.append(f"in={short_count(self.input_len or 0)}")
            if self.phase == "decode" or self.context != self.input_len:
                parts.append(f"ctx={short_count(self.context or 0)}")
        parts.append(self.dtype)
        d = self.deployment
        parts += [f"{key}{getattr(d, key)}" for key in ("tp", "dp", "ep") if getattr(d, key) > 1]
        if d.layers is not None:
            parts.append(f"layers={d.layers}")
        if self.routing is not None:
            parts.append(self.routing.label)
        return f"{self.workload}[{','.join(parts)}]"

    @property
    def definition_hash(self) -> str:
        """Hash of all that decides the work: the case without its limits, the model's numbers, the program version."""
        identity = msgspec.structs.replace(self, time_s=0.0, memory_gb=None)
        model = None if self.model is None else load_model(self.model)
        if model is not None:
            model = msgspec.structs.replace(model, source="", notes=[])
        decisive: list[Any] = [PROGRAM_VERSION, identity, model]
        if self.routing is not None and self.routing.kind == "trace":
            decisive.append(trace_hash(self.routing))
        content = msgspec.json.encode(decisive, order="deterministic")
        return hashlib.sha256(content).hexdigest()[:16]

    def step(self) -> Step:
        """Return the forward step of this case."""
        if self.phase == "kernel":
            return KERNELS[self.kernel or ""].step(self.dims)
        return Step(self.phase, self.batch or 1, self.input_len or 1, self.context or 1)

    def program(self) -> Callable[[Any], Any]:
        """Return the function that runs this case against an operator set."""
        routing, deployment, dims = self.routing or Routing(), self.deployment, self.dims
        if self.phase == "kernel":
            kernel = self.kernel or ""
            return lambda ops: kernel_step(ops, kernel, dims, routing)
        model = load_model(self.model or "")
        if self.phase == "moe":
            return lambda ops: moe_layer(ops, model, deployment, routing)
        return lambda ops: decoder_step(ops, model, deployment, routing)
