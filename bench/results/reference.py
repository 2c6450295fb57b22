"""Published figures (`results/reference/*.toml`): what others measured, cited, and the same work as a case here.

Values are in SI base units, as a metric's name says; `as_published` keeps the number as it was printed.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from bench import project
from bench.errors import DefinitionError
from bench.results.record import Positive, Tier
from bench.units import percent, scaled, seconds, three_digits

PATTERN = "reference/*.toml"

Unit = Literal["die", "GPU", "package", "node", "deployment"]
Phase = Literal["prefill", "decode", "serving", "kernel"]
Metric = Literal[
    "prompt_tokens_per_s", "output_tokens_per_s", "total_tokens_per_s", "step_s", "layer_s", "tpot_s", "ttft_s",
    "latency_s", "bytes_per_s", "flops_per_s", "utilization",
]  # fmt: skip
# What a modelled row can be compared with.
PRICED: tuple[Metric, ...] = ("prompt_tokens_per_s", "output_tokens_per_s", "step_s", "layer_s", "tpot_s", "ttft_s")
# A figure of these is of one torch device or one package, as modelled rows are.
PRICED_UNITS: tuple[Unit, ...] = ("die", "GPU", "package")

Text = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]

WORDS = {
    "prompt_tokens_per_s": "prompt tok/s", "output_tokens_per_s": "output tok/s", "total_tokens_per_s": "tok/s in all",
    "step_s": "a step", "layer_s": "a layer", "tpot_s": "TPOT", "ttft_s": "TTFT", "latency_s": "latency",
    "utilization": "of peak",
}  # fmt: skip


class Configuration(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a source states of how a figure came about; keys are described in results/reference/README.md."""

    operation: Text | None = None
    batch: Count | None = None
    tokens: Count | None = None
    context: Count | None = None
    input_len: Count | None = None
    output_len: Count | None = None
    tp: Count | None = None
    dp: Count | None = None
    ep: Count | None = None
    units: Count | None = None
    dtype: Text | None = None
    concurrency: Count | None = None
    prompts: Count | None = None
    hidden: Count | None = None
    top_k: Count | None = None
    speculative: Text | None = None
    engine: Text | None = None
    mode: Text | None = None

    def __str__(self) -> str:
        stated = ((name, getattr(self, name)) for name in self.__struct_fields__)
        bare = ("operation", "dtype", "engine", "mode")
        return ", ".join(str(value) if name in bare else f"{name} {value}" for name, value in stated if value)


class Reproduce(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The same work as a case here: a workload and the values that replace its own; batch is per torch device."""

    workload: Text
    dtype: Text
    model: Text | None = None
    batch: Count | None = None
    input_len: Count | None = None
    prefix: Count | None = None
    context: Count | None = None
    deployment: dict[str, Any] = {}

    @property
    def overrides(self) -> dict[str, Any]:
        """Return axis -> value, as the workloads' sweeps take them."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "workload"}
        return {name: value for name, value in values.items() if value}


class Reference(msgspec.Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One published figure. Keys are described in results/reference/README.md."""

    id: Text
    citation: Text
    secondary: bool = False
    model_name: Text
    models: list[Text] = []
    device_name: Text
    devices: list[Text] = []
    unit: Unit
    phase: Phase
    kernel: Text | None = None
    metric: Metric
    value: Positive
    as_published: Text
    also: dict[Metric, Positive] = {}
    caveats: list[Text] = []
    configuration: Configuration
    reproduce: Reproduce | None = None

    def __post_init__(self) -> None:
        if self.reproduce is None and not self.caveats:
            raise ValueError(
                f"'{self.id}' has neither a caveat nor a [entry.reproduce] table; say why it is not priced"
            )
        if (self.kernel is not None) != (self.phase == "kernel"):
            raise ValueError(
                f"'{self.id}': a kernel belongs to phase 'kernel', and only there; phase is '{self.phase}'"
            )
        if self.reproduce is None:
            return
        if self.metric not in PRICED or self.unit not in PRICED_UNITS:
            raise ValueError(
                f"'{self.id}': {self.metric} per {self.unit} cannot be priced; "
                f"metrics: {', '.join(PRICED)}, per {', '.join(PRICED_UNITS)}"
            )
        if not self.devices:
            raise ValueError(f"'{self.id}' names no device to price it on")

    @property
    def caveat(self) -> str:
        """The first caveat, which is short."""
        return self.caveats[0] if self.caveats else ""


class References(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One file of published figures."""

    entry: list[Reference]


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """A published figure beside the model's for the same configuration; `deviation` is modelled / published - 1."""

    reference: Reference
    device: str
    case_id: str
    modelled: float | None = None
    interval: tuple[float, float] | None = None
    deviation: float | None = None
    inside: bool | None = None
    tier: Tier | None = None
    reason: str | None = None


def load_references() -> list[Reference]:
    """Return every published figure, shipped and own; a person's own file replaces the shipped one of its name.

    Raises: DefinitionError naming the file and the key that is wrong, or an id that stands twice.
    """
    found: dict[str, tuple[str, Reference]] = {}
    for path in project.definitions("results", PATTERN).values():
        where = project.shown(path)
        for reference in _read(path, path.stat().st_mtime_ns).entry:
            if reference.id in found:
                raise DefinitionError(
                    f"{where}: id '{reference.id}' stands in {found[reference.id][0]} too; give each figure its own"
                )
            found[reference.id] = (where, reference)
    return [reference for _, reference in found.values()]


def reference_files() -> dict[str, Path]:
    """Return name -> path of the files of published figures, shipped and own."""
    return project.definitions("results", PATTERN)


def references_in(name: str) -> list[Reference]:
    """Return the figures of one file, named by its stem: cloudmatrix384, sglang."""
    path = reference_files()[name]
    return _read(path, path.stat().st_mtime_ns).entry


@lru_cache(maxsize=64)
def _read(path: Path, changed_ns: int) -> References:  # noqa: ARG001 (a changed file is read again)
    return project.load_toml(path, References)


def matching(device: str, model: str | None, phase: str, kernel: str | None = None) -> list[Reference]:
    """Return the figures of a device, model and phase; of decode also those of served traffic, whose tokens it makes.

    A kernel has no model: there `kernel` decides.
    """
    phases = ("decode", "serving") if phase == "decode" else (phase,)
    return [
        reference
        for reference in load_references()
        if device in reference.devices
        and reference.phase in phases
        and (reference.kernel == kernel if phase == "kernel" else model in reference.models)
    ]


def figure(metric: str, value: float) -> str:
    """Return a value as people read it, without its metric: 2,325, 874 us, 3.00 TB/s, 65%."""
    if metric == "utilization":
        return percent(value)
    if metric in ("bytes_per_s", "flops_per_s"):
        return scaled(value, "B/s" if metric == "bytes_per_s" else "FLOP/s")
    return seconds(value) if metric.endswith("_s") and not metric.endswith("_per_s") else three_digits(value)
