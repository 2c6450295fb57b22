"""From a kernel table to profiles: one per device, and the generic one with its leave-one-device-out evidence."""

from __future__ import annotations

import datetime
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from bench.devices.emulated.fit import FOLDS, Sample, evidence, fit_numbers, fit_rule
from bench.devices.emulated.form import Dims, Peaks
from bench.devices.emulated.forms import FORMS, peaks_of
from bench.devices.emulated.links import OTHER_LINK_FORMS
from bench.devices.emulated.profile import GENERIC, Evidence, Profile, Rule, profiles
from bench.devices.emulated.table import UNPRICED, Timed, dims_of, formula
from bench.devices.sheet import known_sheets, load_sheet
from bench.errors import DefinitionError, nearest

FEW_ROWS = 20


@dataclass(frozen=True)
class Family:
    """Kinds that send alike: where one has few rows, all of a library are fitted together, as the first.

    factors: what each sends, of what the first does. costly: kinds that do something with every byte besides (adding
    up, quantizing); by how much that lengthens the sending is fitted with the rest, as one of `costs`.
    """

    factors: dict[str, float]
    costly: frozenset[str]
    costs: tuple[float, ...]


COLLECTIVES = Family(
    {"all_gather": 1.0, "reduce_scatter": 1.0, "all_reduce": 2.0},
    frozenset({"reduce_scatter", "all_reduce"}),
    (1.0, 1.1, 1.2, 1.3, 1.4, 1.5),
)
EXCHANGES = Family(
    {"ep_combine": 1.0, "ep_dispatch": 1.0}, frozenset({"ep_dispatch"}), (1.0, 1.25, 1.5, 1.75, 2.0, 2.5)
)
FAMILY_OF = {kind: family for family in (COLLECTIVES, EXCHANGES) for kind in family.factors}
# For small messages only, or of one fabric: part of their device's own rules, not of the average device.
SPECIAL_LIBRARIES = frozenset({"trtllm-custom", "UB-exchange"})
FEWEST_ROWS_GENERIC = 30

Group = tuple[str, str, str, str]


def grouped(rows: list[Timed], where: str) -> dict[Group, list[Timed]]:
    """Return (device, kind, dtype, library) -> rows; kinds without a formula are left out.

    Raises: DefinitionError naming the line of a device that has no sheet, or when nothing can be priced.
    """
    known = known_sheets()
    groups: dict[Group, list[Timed]] = defaultdict(list)
    for row in rows:
        if row.device not in known:
            hint = nearest(row.device, known)
            raise DefinitionError(
                f"{where}: line {row.line}: device '{row.device}' has no sheet{hint} (see: bench devices)"
            )
        if row.kind not in UNPRICED:
            kind = formula(row.kind)
            # What only sends or copies bytes is priced without a dtype, whatever was sent.
            groups[row.device, kind, row.dtype if FORMS[kind].matrix else "", row.library].append(row)
    if not groups:
        raise DefinitionError(f"{where}: no row has a kind that a formula prices")
    return dict(groups)


def sample_of(device: str, kind: str, dtype: str, rows: list[Timed]) -> Sample:
    """Return rows of one device, kind and dtype as arrays.

    Raises: Unsupported where the device's sheet lacks a peak.
    """
    peaks = peaks_of(load_sheet(device), kind, dtype, device)
    return Sample(kind, dtype, dims_of(rows), np.array([r.seconds for r in rows]), peaks, np.ones(len(rows)))


def calibrate(rows: list[Timed], where: str, command: str, device: str | None = None) -> list[Profile]:
    """Fit every device of a table (or one), each kind, dtype and library on its own.

    Raises: DefinitionError when the device asked for has no rows or a group with fewer rows than numbers to fit, and
    when every group of a table has.
    """
    groups = grouped(rows, where)
    if device is not None and not any(group[0] == device for group in groups):
        raise DefinitionError(f"{where}: no rows of device '{device}'{nearest(device, {g[0] for g in groups})}")
    found: list[Profile] = []
    for name in dict.fromkeys(group[0] for group in groups):
        if device is not None and name != device:
            continue
        own = {group[1:]: part for group, part in groups.items() if group[0] == name}
        rules = _rules(name, own, where, strict=device is not None)
        if rules:
            found.append(_profile(name, rules, [row for part in own.values() for row in part], command))
    if not found:
        name, kind, dtype, _ = most = max(groups, key=lambda group: len(groups[group]))
        raise DefinitionError(
            f"{where}: too few rows to fit anything; the most are {len(groups[most])} of {name} {kind} {dtype}".rstrip()
            + f", which needs {len(FORMS[kind].numbers) + 1}"
        )
    return found


def _rules(device: str, groups: dict[tuple[str, str, str], list[Timed]], where: str, *, strict: bool) -> list[Rule]:
    """Fit each group; what has too few rows is fitted with its like, left to the generic rules, or (strict) refused."""
    rules: list[Rule] = []
    small: dict[tuple[str, str], list[Timed]] = defaultdict(list)
    for (kind, dtype, library), part in groups.items():
        if kind in FAMILY_OF and len(part) < FEW_ROWS:
            small[library, next(iter(FAMILY_OF[kind].factors))] += part
        elif strict or len(part) > len(FORMS[kind].numbers):
            rule = _best_form(sample_of(device, kind, dtype, part), library, _sources(part), where)
            rules.append(msgspec.structs.replace(rule, includes_quantize=_quantizes(part)))
    for (library, first), part in small.items():
        if len(part) > len(FORMS[first].numbers):
            rules += _together(device, library, part, where)
        elif strict:
            fit_rule(sample_of(device, part[0].kind, "", part), library, "", where)  # refuses, and says how many
    return rules


def _best_form(sample: Sample, library: str, source: str, where: str) -> Rule:
    """The rule by the formula, of those that libraries of this kind follow, that misses unseen rows least."""
    others = ("", *(name for name, form in OTHER_LINK_FORMS.items() if form.name == sample.kind))
    usual = _usual(sample.kind, sample.dtype)
    fitted = [fit_rule(replace(sample, other=other), library, source, where, usual) for other in others]
    return min(fitted, key=lambda rule: rule.evidence.mape)


def _together(device: str, library: str, part: list[Timed], where: str) -> list[Rule]:
    """One fit for all kinds of a family and library, each with its factor of the message."""
    family = FAMILY_OF[part[0].kind]
    first, kinds = next(iter(family.factors)), {row.kind for row in part}
    best, cost = None, 1.0
    for tried in family.costs if kinds & family.costly else (1.0,):
        joined = _joined(first, "", _alike(device, part, family, tried))
        rule = fit_rule(joined, library, _sources(part), where, _usual(first, ""))
        if best is None or rule.evidence.mape < best.evidence.mape:
            best, cost = rule, tried
    assert best is not None
    return [_for_kind(best, kind, cost if kind in family.costly else 1.0) for kind in family.factors if kind in kinds]


def _alike(device: str, part: list[Timed], family: Family, cost: float) -> list[Sample]:
    """Rows of all kinds as if they were of the family's first."""
    samples = []
    for kind, factor in family.factors.items():
        rows = [row for row in part if row.kind == kind]
        if rows:
            sample = sample_of(device, kind, "", rows)
            scale = factor * (cost if kind in family.costly else 1.0)
            dims = {**sample.dims, "message_bytes": sample.dims["message_bytes"] * scale}
            samples.append(replace(sample, kind=next(iter(family.factors)), dims=dims))
    return samples


def _for_kind(rule: Rule, kind: str, cost: float) -> Rule:
    shares = ("link_quick", "link_bulk", "near", "far")
    numbers = {name: value / cost if name in shares else value for name, value in rule.numbers.items()}
    return msgspec.structs.replace(rule, kind=kind, numbers=numbers, correction=None)


def _usual(kind: str, dtype: str) -> dict[str, float] | None:
    """Numbers of the generic profile, which a fit to few rows is pulled towards; None where there are none yet."""
    generic = profiles().get(GENERIC)
    rules = generic.rules_for(kind, dtype) if generic is not None else []
    return rules[0].numbers if rules else None


def _profile(device: str, rules: list[Rule], rows: list[Timed], command: str) -> Profile:
    named = sorted({row.software for row in rows if row.software})
    # The engine that most kernels were timed in gives the profile its name.
    software = max(named, key=lambda name: sum(row.software == name for row in rows), default="measured")
    return Profile(
        device=device,
        software=software,
        libraries=named,
        summary=f"{load_sheet(device).name} with {software}",
        made=datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        command=command,
        rules=rules,
    )


def _quantizes(rows: list[Timed]) -> bool:
    return all("includes dynamic quantization" in row.note for row in rows)


def _sources(rows: list[Timed]) -> str:
    return "; ".join(sorted({row.source for row in rows if row.source}))


def calibrate_generic(rows: list[Timed], where: str, command: str, assumed: list[Rule]) -> Profile:
    """Fit the average device: each kind and dtype over all devices, every device with the same weight.

    Its evidence is of devices left out of the fit where there are two or more, else of rows left out.
    assumed: rules for kinds that no table holds.
    """
    merged: dict[tuple[str, str], dict[str, list[Timed]]] = defaultdict(lambda: defaultdict(list))
    for (device, kind, dtype, library), part in grouped(rows, where).items():
        if library not in SPECIAL_LIBRARIES:
            merged[kind, dtype][device] += part
    rules: list[Rule] = []
    for (kind, dtype), devices in merged.items():
        if sum(len(part) for part in devices.values()) >= FEWEST_ROWS_GENERIC:
            rules.append(_generic_rule(kind, dtype, devices, where))
            rules += [_generic_rule(kind, dtype, own, where) for own in _of_one_vendor(devices)]
    fitted = {(rule.kind, rule.dtype) for rule in rules}
    rules += [rule for rule in assumed if (rule.kind, rule.dtype) not in fitted]
    profile = _profile(next(iter(grouped(rows, where)))[0], rules, rows, command)
    return msgspec.structs.replace(
        profile, device=GENERIC, software="average", summary="average of the calibrated devices"
    )  # fmt: skip


def _of_one_vendor(devices: dict[str, list[Timed]]) -> list[dict[str, list[Timed]]]:
    """Devices of each vendor that has two or more of them, where others have some too: they share their libraries."""
    vendors: dict[str, dict[str, list[Timed]]] = defaultdict(dict)
    for device, part in devices.items():
        vendors[load_sheet(device).vendor][device] = part
    return [own for own in vendors.values() if 1 < len(own) < len(devices)]


def _generic_rule(kind: str, dtype: str, devices: dict[str, list[Timed]], where: str) -> Rule:
    samples = {device: sample_of(device, kind, dtype, part) for device, part in devices.items()}
    joined = _joined(kind, dtype, list(samples.values()))
    source = "; ".join(sorted({_sources(part) for part in devices.values()}))
    # As most of its rows do: eleven rows of a library that quantizes apart do not decide for a thousand others.
    including = sum(len(part) for part in devices.values() if _quantizes(part))
    quantizes = 2 * including > sum(len(part) for part in devices.values())
    if len(samples) == 1:
        rule = fit_rule(joined, "", source, where)
        return msgspec.structs.replace(
            rule,
            correction=None,
            evidence=_wider(rule.evidence),
            includes_quantize=quantizes,
            devices=list(samples),
        )
    predicted = []
    for device, own in samples.items():
        others = _joined(kind, dtype, [s for name, s in samples.items() if name != device])
        parts = FORMS[kind].price(fit_numbers(others), own.dims, own.peaks, own.width)
        predicted.append(np.log(np.asarray(parts.seconds, dtype=np.float64)))
    method = f"each of {', '.join(samples)} predicted from the others"
    return Rule(
        kind=kind,
        dtype=dtype,
        numbers={name: float(f"{value:.6g}") for name, value in fit_numbers(joined).items()},
        includes_quantize=quantizes,
        devices=list(samples),
        evidence=evidence(joined, np.concatenate(predicted), source, method),
    )


def _wider(found: Evidence) -> Evidence:
    """Evidence of one device stands for others with a band half as wide again, and says so."""
    return msgspec.structs.replace(
        found,
        low=min(found.low, 1.0) ** 1.5,
        high=max(found.high, 1.0) ** 1.5,
        method=f"{FOLDS} folds on the only device measured; band widened by half for others",
    )


def _joined(kind: str, dtype: str, samples: list[Sample]) -> Sample:
    """One sample over several devices, each with the same total weight; peaks become arrays."""
    dims: Dims = {name: np.concatenate([np.asarray(s.dims[name]) for s in samples]) for name in samples[0].dims}
    sizes = [len(s.seconds) for s in samples]
    most = max(sizes)
    return Sample(
        kind,
        dtype,
        dims,
        np.concatenate([s.seconds for s in samples]),
        Peaks(**{name: _each(name, samples, sizes) for name in Peaks.__dataclass_fields__}),
        np.concatenate([np.full(n, np.sqrt(most / n)) for n in sizes]),
    )


def _each(name: str, samples: list[Sample], sizes: list[int]) -> Any:
    values = [getattr(s.peaks, name) for s in samples]
    if any(value is None for value in values):
        return None
    return np.concatenate([np.full(n, value) for value, n in zip(values, sizes, strict=True)])
