"""A device of this machine as one that can be modelled: a profile of its kernels, and a sheet where none knows it."""

from __future__ import annotations

import datetime

import msgspec
import numpy as np

from bench.devices.achieved import Achieved, fingerprint
from bench.devices.adapter import Adapter
from bench.devices.emulated.fit import Sample, fit_rule
from bench.devices.emulated.form import Peaks
from bench.devices.emulated.forms import FORMS, OTHER_FORMS, form_of, peaks_of
from bench.devices.emulated.links import LINKED
from bench.devices.emulated.profile import Profile, Rule
from bench.devices.sheet import Figure, Memory, Sheet
from bench.errors import DefinitionError
from bench.measure.own_kernels import DTYPE, EIGHT_BIT, OwnKernel
from bench.results.environment import packages
from bench.units import GIGA, MEGA, TERA, counted

# Kinds that this machine's table lacks, and the kind whose numbers stand for them.
STANDS_FOR = {"attention_prefill": ("mla_prefill", "indexer")}
POINTWISE = frozenset({"rms_norm"})
UNFITTED = frozenset({"copy"})
OWN = "the device's own kernels"


def model_name(adapter: Adapter) -> str:
    """Return the sheet that this device is modelled by: the one that describes it, else one of its reached peaks."""
    return adapter.sheet() or f"this-{adapter.name.partition(':')[0]}"


def achieved_of(kernels: list[OwnKernel], adapter: Adapter, command: str) -> Achieved:
    """Return the best rates among timed kernels: the roofs of a device whose clock timed them.

    Raises: DefinitionError when no product or no copy could be timed.
    """
    gemm: dict[str, float] = {}
    sizes: dict[str, int] = {}
    for each in kernels:
        rate = each.flops / each.seconds
        if each.kernel == "gemm" and rate > gemm.get(each.dtype, 0.0):
            gemm[each.dtype], sizes[each.dtype] = rate, int(each.dims["m"])
    read = max((k.moved_bytes / k.seconds for k in kernels if k.kernel == "gemm" and k.dims["m"] == 1), default=0.0)
    copied = max((k.moved_bytes / k.seconds for k in kernels if k.kernel == "memory_copy"), default=0.0)
    if DTYPE not in gemm or not read:
        raise DefinitionError(f"{adapter.name}: no {DTYPE} product could be timed, so that there is nothing to keep")
    facts = adapter.facts()
    return Achieved(
        device=adapter.name,
        fingerprint=fingerprint(facts),
        made=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        command=command,
        threads=1,
        software=" ".join(f"{name} {number}" for name, number in packages().items()),
        gemm_flops=gemm,
        gemm_sizes=sizes,
        read_bytes_per_s=read,
        copy_bytes_per_s=copied,
        notes=[f"{facts['name']}, {facts.get('runtime', 'runtime not told')}"],
    )


def sheet_of(achieved: Achieved, adapter: Adapter) -> Sheet:
    """Return a sheet of reached peaks, none of them published."""
    source = f"measured here by `{achieved.command}`"
    facts, family = adapter.facts(), adapter.name.partition(":")[0]

    def figure(value: float) -> Figure:
        return Figure(source=source, confidence="A", value=float(f"{value:.4g}"), date=achieved.made[:10])

    memory = facts.get("memory")
    return Sheet(
        name=f"{facts['name']} (this machine, reached peaks)",
        vendor="this machine",
        adapter="cpu" if family == "cpu" else facts.get("vendor", family),
        torch_device=family,
        unit="socket" if family == "cpu" else "package",
        arch=achieved.fingerprint,
        checked=achieved.made[:10],
        software=achieved.software,
        peak_tflops={dtype: figure(rate / TERA) for dtype, rate in achieved.gemm_flops.items()},
        memory=Memory(
            size_gb=None if memory is None else figure(float(memory.split()[0])),
            bandwidth_gb_per_s=figure(achieved.bytes_per_s / GIGA),
            cache_mb=figure(adapter.cache_bytes() / MEGA),
        ),
        notes=[f"Made by `{achieved.command}`; peaks are the best rates reached, so utilization is of those."],
    )


def profile_of(kernels: list[OwnKernel], achieved: Achieved, sheet: Sheet, name: str) -> Profile:
    """Fit a profile to a device's own kernels, each kind and dtype on its own; too few rows leave a kind out."""
    host_clock = achieved.device == "cpu"
    rules: list[Rule] = []
    for kind, dtype in dict.fromkeys((kernel.kind, kernel.dtype) for kernel in kernels):
        part = [kernel for kernel in kernels if (kernel.kind, kernel.dtype) == (kind, dtype)]
        form = "pointwise" if kind in POINTWISE else kind
        if kind in UNFITTED or len(part) <= len(FORMS[form].numbers):
            continue
        rule = _rule(form, dtype if FORMS[form].matrix else "", part, peaks_of(sheet, form, dtype, name), host_clock)
        rules.append(rule)
        for other in STANDS_FOR.get(kind, ()):
            rules.append(Rule(kind=other, dtype=dtype, numbers=rule.numbers, evidence=rule.evidence))
    return Profile(
        device=name,
        software="-".join(achieved.software.split()[:2]) or "torch",
        summary=f"{sheet.name}, kernels timed on the device itself",
        made=achieved.made[:10],
        command=achieved.command,
        eager=host_clock,
        rules=rules,
    )


def _rule(form: str, dtype: str, part: list[OwnKernel], peaks: Peaks, host_clock: bool) -> Rule:
    dims = {name: np.array([kernel.dims[name] for kernel in part]) for name in part[0].dims}
    padded = form != "moe" or not host_clock
    if not padded:
        # A CPU computes the rows there are.
        dims["padded"] = dims["rows"]
    seconds, source = np.array([k.seconds for k in part]), f"{counted(len(part), 'kernel')} timed here"
    others = ("", *(name for name, other in OTHER_FORMS.items() if other.name == form and form not in LINKED))
    tried = [
        fit_rule(Sample(form, dtype, dict(dims), seconds, peaks, np.ones(len(part)), other), "", source, OWN)
        for other in others
        if len(part) > len(form_of(form, other).numbers)
    ]
    rule = min(tried, key=lambda rule: rule.evidence.mape)
    # An 8-bit product was timed with the kernel that quantizes its rows.
    return msgspec.structs.replace(rule, padded=padded, includes_quantize=dtype in EIGHT_BIT)
