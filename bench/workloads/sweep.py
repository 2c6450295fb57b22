"""From definitions to cases: which workloads are meant, which points each has."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from bench import project
from bench.errors import DefinitionError, listed, nearest
from bench.project import matches
from bench.units import parse_counts
from bench.workloads.deployment import Deployment, check_deployment
from bench.workloads.kernels import KERNELS, check_dims
from bench.workloads.model import LARGEST_SIZE, load_model
from bench.workloads.routing import Routing
from bench.workloads.schema import DTYPES, PHASES, Case, Count, OneOrMore, Suite, Workload

AXES = {
    "prefill": ("model", "dtype", "batch", "input_len", "prefix", "routing", "deployment"),
    "decode": ("model", "dtype", "batch", "context", "routing", "deployment"),
    "moe": ("model", "dtype", "tokens", "routing", "deployment"),
    "kernel": ("dtype", "routing"),
}
MOST_CASES = 5000

Overrides = Mapping[str, Any]


def load_workload(name: str) -> Workload:
    """Return a workload by name.

    Raises: DefinitionError with the nearest names, or naming the file and the key that is wrong.
    """
    path = project.find("workloads", name, noun="workload", command="bench workloads")
    return project.load_toml(path, Workload)


def known_workloads() -> dict[str, Workload]:
    """Return every workload by name, in the order phases are read: prefill, decode, MoE, kernels."""
    every = {name: load_workload(name) for name in project.definitions("workloads")}
    return dict(sorted(every.items(), key=lambda item: (PHASES.index(item[1].phase), item[0])))


def known_suites() -> dict[str, list[str]]:
    """Return suite -> its workloads. `full` is every workload, whether or not it says so."""
    suites: dict[str, list[str]] = {}
    workloads = known_workloads()
    for name, workload in workloads.items():
        for suite in workload.suites:
            suites.setdefault(suite, []).append(name)
    suites["full"] = list(workloads)
    return suites


def select_cases(names: Iterable[str], overrides: Overrides | None = None) -> list[Case]:
    """Return the cases of the named workloads, suites or patterns such as "llama*", and single cases, each once.

    A single case is named by its id or a pattern of ids ("gemm[m=1,*"), among those its workload or a suite gives it.

    overrides: axis -> values that replace the workload's own ("batch", "context", "input_len", "prefix", "tokens",
    "dtype", "model", "routing", "deployment"; the last is a dict of deployment keys).
    Raises: DefinitionError for an unknown name, or an axis that none of the workloads has.
    """
    overrides = dict(overrides or {})
    cases: dict[str, Case] = {}
    used: set[str] = set()
    for name in names:
        # A workload or suite means all of its cases.
        whole = _meant(name)
        every: dict[str, Case] = {}
        for workload_name, suite in whole or _around(name):
            workload = load_workload(workload_name)
            used |= set(overrides) & set(AXES[workload.phase])
            for case in expand(workload_name, workload, suite, overrides):
                every.setdefault(case.case_id, case)
        for case_id in every if whole else _matching(every, name):
            cases.setdefault(case_id, every[case_id])
    unused = sorted(set(overrides) - used)
    if unused:
        flag = unused[0].replace("_", "-")
        raise DefinitionError(f"--{flag}: none of the chosen workloads has it; see `bench workloads NAME`")
    if len(cases) > MOST_CASES:
        raise DefinitionError(f"{len(cases)} cases are more than {MOST_CASES}; narrow the sweep")
    return list(cases.values())


def _meant(name: str) -> list[tuple[str, str | None]]:
    """Return each (workload, suite) that a name means, whole; none where it may be a case's."""
    workloads = project.definitions("workloads")
    if name in workloads:
        return [(name, None)]
    suites = known_suites()
    if name in suites:
        return [(workload, name) for workload in suites[name]]
    if "=" in name:
        return []  # brackets of a case, and no class of letters
    return [(workload, None) for workload in known_workloads() if fnmatch.fnmatchcase(workload, name)]


def _around(name: str) -> list[tuple[str, str | None]]:
    """Return each (workload, suite) that may have a case of this name.

    Raises: DefinitionError where it cannot be a case's either.
    """
    workloads, begin = project.definitions("workloads"), name.partition("[")[0]
    may = [workload for workload in workloads if fnmatch.fnmatchcase(workload, begin)]
    if "[" not in name and any(sign in name for sign in "*?"):
        may = list(workloads)
    if not may:
        suites = known_suites()
        hint = nearest(begin, [*workloads, *suites]) or f"; suites: {listed(suites)}"
        raise DefinitionError(f"unknown workload or suite '{name}'{hint} (see: bench workloads)")
    return [(workload, suite) for workload in may for suite in (None, *load_workload(workload).suites)]


def _matching(case_ids: Collection[str], name: str) -> list[str]:
    """Return the ids that a name means.

    Raises: DefinitionError where it means none, with the nearest.
    """
    found = [case_id for case_id in case_ids if matches(case_id, name)]
    if not found:
        begun = [case_id for case_id in case_ids if case_id.startswith(name)]
        workload = name.partition("[")[0]
        see = f"bench workloads {workload}" if workload in project.definitions("workloads") else "bench workloads"
        raise DefinitionError(
            f"no case '{name}'{nearest(name, begun or case_ids)} (see: {see}; sweep flags such as --batch make others)"
        )
    return found


def expand(name: str, workload: Workload, suite: str | None = None, overrides: Overrides | None = None) -> list[Case]:
    """Return the cases of one workload, narrowed by a suite, then replaced by overrides.

    Raises: DefinitionError where a value is not positive, a model is unknown, or a deployment does not fit.
    """
    where = f"workload '{name}'"
    narrowed = workload.suites.get(suite or "") or Suite()
    axes = _axes(workload, narrowed, dict(overrides or {}), where)
    time_s = narrowed.time_s or workload.time_s
    if workload.phase == "kernel":
        points = _kernel_points(workload, narrowed, where)
        for point in points:
            check_dims(point, where)
        routed = "experts" in KERNELS[workload.kernel or ""].dims
        routings = axes["routing"] if routed else [None]
        cases = [
            Case(
                workload=name, phase="kernel", kernel=workload.kernel, dtype=dtype, dims=dims, routing=routing,
                batch=dims.get("batch"), context=dims.get("context"), time_s=time_s, memory_gb=workload.memory_gb,
            )
            for dims, dtype, routing in itertools.product(points, axes["dtype"], routings)
        ]  # fmt: skip
    else:
        keys = list(axes)
        cases = [
            _decoder_case(name, workload, dict(zip(keys, values, strict=True)), time_s, where)
            for values in itertools.product(*axes.values())
        ]
    return _each_once(cases, where)


def kernel_case(kernel: str, dims: Mapping[str, int], dtype: str, routing: Routing, time_s: float) -> Case:
    """Return the case of one kernel at one point, as a workload named after it would have it.

    Raises: DefinitionError for an unknown kernel or dtype, or dimensions that it does not have or that do not fit.
    """
    try:
        workload = Workload(
            summary="", phase="kernel", kernel=kernel, dtype=dtype, points=[dict(dims)], routing=routing, time_s=time_s
        )
    except ValueError as error:
        raise DefinitionError(str(error)) from None
    return expand(kernel.replace("_", "-"), workload)[0]


def _each_once(cases: list[Case], where: str) -> list[Case]:
    """Drop repeated points; refuse two different cases that would go by one name."""
    every: dict[str, Case] = {}
    for case in cases:
        if every.setdefault(case.case_id, case) != case:
            raise DefinitionError(f"{where}: two different cases are both named {case.case_id}; sweep them one by one")
    return list(every.values())


def _axes(workload: Workload, suite: Suite, overrides: dict[str, Any], where: str) -> dict[str, list[Any]]:
    axes: dict[str, list[Any]] = {}
    for axis in AXES[workload.phase]:
        own = getattr(workload, axis)
        value = overrides.get(axis)
        if value is None:
            value = getattr(suite, axis, None)
        value = own if value is None else value
        if axis == "deployment":
            axes[axis] = _deployments(own, overrides.get(axis))
        elif axis in ("model", "dtype", "routing"):
            axes[axis] = value if isinstance(value, list) else [value]
        else:
            axes[axis] = _counts(0 if value is None else value, f"{where}: {axis}", zero=axis == "prefix")
    empty = [axis for axis, values in axes.items() if not values]
    if empty:
        raise DefinitionError(f"{where}: {empty[0]}: an empty list; give at least one value")
    for dtype in axes["dtype"]:
        if dtype not in DTYPES:
            raise DefinitionError(f"{where}: dtype '{dtype}'{nearest(dtype, DTYPES) or '; known: ' + listed(DTYPES)}")
    return axes


def _deployments(own: Deployment | list[Deployment], override: dict[str, Any] | None) -> list[Deployment]:
    each = own if isinstance(own, list) else [own]
    if not override:
        return each
    try:
        return [msgspec.convert({**msgspec.to_builtins(d), **override}, Deployment) for d in each]
    except msgspec.ValidationError as error:
        raise DefinitionError(str(error)) from None


def _counts(value: OneOrMore, where: str, *, zero: bool = False) -> list[int]:
    values: list[int] = []
    for part in value if isinstance(value, list) else [value]:
        values += _count(part, where, zero=zero)
    if not values:
        raise DefinitionError(f"{where}: an empty list; give at least one value")
    return values


def _count(part: Count, where: str, *, zero: bool) -> list[int]:
    if isinstance(part, str):
        return parse_counts(part, where)
    if part < (0 if zero else 1) or part > LARGEST_SIZE:
        raise DefinitionError(
            f"{where}: {part} is not a {'whole' if zero else 'positive whole'} number such as 8 or 512"
        )
    return [part]


def _kernel_points(workload: Workload, suite: Suite, where: str) -> list[dict[str, int]]:
    points = suite.points or workload.points
    if points:
        return points
    keys = list(workload.dims)
    swept = [_counts(workload.dims[key], f"{where}: dims.{key}") for key in keys]
    return [dict(zip(keys, values, strict=True)) for values in itertools.product(*swept)]


def _decoder_case(name: str, workload: Workload, at: dict[str, Any], time_s: float, where: str) -> Case:
    try:
        model = load_model(at["model"])
    except DefinitionError as error:
        raise DefinitionError(f"{where}: {error}") from None
    check_deployment(model, at["deployment"], where)
    routing: Routing | None = at["routing"] if model.moe is not None else None
    if workload.phase == "prefill":
        batch, input_len, context = at["batch"], at["input_len"], at["input_len"] + at["prefix"]
    elif workload.phase == "decode":
        batch, input_len, context = at["batch"], 1, at["context"]
    else:
        if model.moe is None:
            raise DefinitionError(f"{where}: model '{at['model']}' has no experts; phase 'moe' needs some")
        batch, input_len, context = 1, at["tokens"], at["tokens"]
    return Case(
        workload=name, phase=workload.phase, dtype=at["dtype"], model=at["model"], batch=batch, input_len=input_len,
        context=context, routing=routing, deployment=at["deployment"], time_s=time_s, memory_gb=workload.memory_gb,
    )  # fmt: skip
