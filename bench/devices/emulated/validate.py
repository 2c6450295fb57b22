"""Prices every row of a kernel table with the tier it would get, and says how far off that is."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import numpy as np
from numpy.typing import NDArray

from bench.devices.emulated.forms import element_bytes, peaks_of, roofline
from bench.devices.emulated.profile import choose
from bench.devices.emulated.table import UNPRICED, Timed, dims_of, formula
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError, Unsupported, nearest

WORST = 10


class Worst(msgspec.Struct, kw_only=True):
    """A row that is furthest off: where it stands, what was measured and what was priced."""

    line: int
    measured_s: float
    modelled_s: float
    dims: dict[str, float]


class Validated(msgspec.Struct, kw_only=True):
    """Errors of one (device, kind, dtype). inside: share of rows within the stated P10 to P90."""

    device: str
    kind: str
    dtype: str
    tier: str | None
    n: int
    mape: float | None = None
    median: float | None = None
    bias: float | None = None
    inside: float | None = None
    roofline_mape: float | None = None
    reason: str
    worst: list[Worst] = []


def validate(rows: list[Timed], where: str, device: str | None = None) -> list[Validated]:
    """Compare a table's times with the model's, per device, kind and dtype.

    Raises: DefinitionError for a device without a sheet.
    """
    known = known_sheets()
    groups: dict[tuple[str, str, str], list[Timed]] = defaultdict(list)
    for row in rows:
        if row.device not in known:
            hint = nearest(row.device, known)
            raise DefinitionError(
                f"{where}: line {row.line}: device '{row.device}' has no sheet{hint} (see: bench devices)"
            )
        if device is None or row.device == device:
            groups[row.device, row.kind, row.dtype].append(row)
    if not groups:
        raise DefinitionError(f"{where}: no rows of device '{device}'{nearest(device or '', {r.device for r in rows})}")
    return [_compared(name, kind, dtype, part) for (name, kind, dtype), part in sorted(groups.items())]


def _compared(device: str, kind: str, dtype: str, rows: list[Timed]) -> Validated:
    if kind in UNPRICED:
        return Validated(
            device=device, kind=kind, dtype=dtype, tier=None, n=len(rows), reason="no formula for this kind"
        )
    measured: list[NDArray[np.float64]] = []
    ratios: list[NDArray[np.float64]] = []
    naive: list[NDArray[np.float64]] = []
    inside: list[NDArray[np.bool_]] = []
    ordered: list[Timed] = []
    reasons: dict[str, None] = {}
    tiers: dict[str, None] = {}
    for library in dict.fromkeys(row.library for row in rows):
        part = [row for row in rows if row.library == library]
        try:
            sheet = load_sheet(device)
            chosen = choose(device, sheet, formula(kind), dtype, library)
            peaks = peaks_of(sheet, formula(kind), dtype, device)
        except Unsupported as error:
            return Validated(device=device, kind=kind, dtype=dtype, tier=None, n=len(rows), reason=str(error))
        dims = dims_of(part)
        seconds = np.array([row.seconds for row in part])
        modelled = np.asarray(chosen.price(dims, peaks, dtype).seconds, dtype=np.float64)
        low, high = chosen.band
        inside.append((seconds >= low * modelled) & (seconds <= high * modelled))
        ratios.append(modelled / seconds)
        measured.append(seconds)
        naive.append(np.asarray(roofline(formula(kind), dims, peaks, element_bytes(dtype or "bf16"))) / seconds)
        ordered += part
        reasons[chosen.reason] = None
        tiers[chosen.tier] = None
    ratio, seconds = np.concatenate(ratios), np.concatenate(measured)
    missed = np.abs(ratio - 1)
    worst = np.argsort(-np.abs(np.log(ratio)), kind="stable")[:WORST]
    return Validated(
        device=device, kind=kind, dtype=dtype, tier=", ".join(tiers), n=len(ratio), mape=float(missed.mean()),
        median=float(np.median(missed)), bias=float(np.exp(np.log(ratio).mean())),
        inside=float(np.concatenate(inside).mean()),
        roofline_mape=float(np.abs(np.concatenate(naive) - 1).mean()), reason="; ".join(reasons),
        worst=[
            Worst(line=ordered[i].line, measured_s=float(seconds[i]), modelled_s=float(seconds[i] * ratio[i]),
                  dims=ordered[i].dims)
            for i in worst
        ],
    )  # fmt: skip
