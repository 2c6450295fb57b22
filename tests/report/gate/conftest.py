"""Checks to write forms of: judged by the gate itself, from sessions worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.results.gate.check import check, confirm
from bench.results.gate.conclude import conclude, exit_code
from bench.results.gate.document import Checked, Finding, LeftOut, Side
from bench.results.gate.verdict import Judged, Series, Session

MADE_OF = {"source": "measured", "fingerprint": "abcdef012345", "definition_hash": "0123456789abcdef", "dtype": "bf16"}
# Log times around the typical one: the spread of eight quiet sessions, and that of noisy ones.
QUIET = (-0.004, -0.003, -0.002, -0.001, 0.001, 0.002, 0.003, 0.004)
NOISY = tuple(value * 10 for value in QUIET)


def sessions(base: float, logs: tuple[float, ...], name: str, **changes: Any) -> list[Session]:
    """One session of five samples for each log, spread by 0.1 %."""
    return [
        Session(
            label=f"{name}/{index}", samples=[base * math.exp(log + 0.001 * step) for step in (-2, -1, 0, 1, 2)],
            **{**MADE_OF, **changes},
        )
        for index, log in enumerate(logs, 1)
    ]  # fmt: skip


def judged(
    case_id: str, base: float, change: float = 0.0, *, logs: tuple[float, ...] = QUIET,
    after: tuple[float, ...] = (-0.001, 0.0, 0.001), device: str = "cpu", metric: str = "step_s",
    old: dict[str, Any] | None = None, new: dict[str, Any] | None = None,
) -> Judged:  # fmt: skip
    """A first look at a case whose candidate is slower by `change` on log time."""
    key = {"device": device, "case_id": case_id, "metric": metric}
    baseline = Series(**key, sessions=sessions(base, logs, "run-a", **old or {}))
    candidate = Series(**key, sessions=sessions(base * math.exp(change), after, "run-b", **new or {}))
    return check([baseline], [candidate])[0]


def again(first: Judged, base: float, change: float) -> Any:
    """A second look of six pairs, slower by `change`, whose states wander by 2 %."""
    states = (-0.02, 0.02, -0.01, 0.01, 0.0, 0.0)
    steps = tuple(state + change + 0.002 * (-1) ** index for index, state in enumerate(states))
    return confirm(
        first, baseline=sessions(base, states, "pair-a"), candidate=sessions(base, steps, "pair-b"), looked_at=3
    )


def document(findings: list[Finding], **changes: Any) -> Checked:
    """A check of these findings."""
    fields: dict[str, Any] = {
        "bench_version": "0.1.0",
        "created": "2026-11-22T10:00:00+00:00",
        "command": "bench check results/runs/run-b.json --baseline main",
        "baseline": Side(
            label="main", files=["results/baselines/main.json"], sessions=8, sittings=8, commits=["0a1b2c3", "4d5e6f7"],
            created=("2026-11-01T08:00:00+00:00", "2026-11-20T08:00:00+00:00"), hosts=["lab-3"],
        ),
        "candidate": Side(
            label="run-b", files=["results/runs/run-b.json"], sessions=3, sittings=1, commits=["89abcde"],
            created=("2026-11-22T09:30:00+00:00", "2026-11-22T09:40:00+00:00"), hosts=["lab-3"],
        ),
        "rule": {"budget": 0.05, "floor": 0.01, "floor_s": 5e-7, "confidence": 0.95, "false_alarms": 0.05},
        "metrics": len(findings),
        "findings": findings,
    }  # fmt: skip
    found = Checked(**{**fields, **changes})
    found.exit_code = exit_code(found)
    return found


def everything() -> Checked:
    """A check in which everything happens that can happen."""
    slower = judged("r1-decode[b=32,ctx=8k,bf16]", 2.43e-3, 0.06)
    chance = judged("r1-decode[b=1,ctx=1k,bf16]", 1.1e-3, 0.05)
    unsure = judged("moe[t=64,bf16]", 5e-4, 0.03, logs=NOISY)
    decided = judged("moe[t=8,bf16]", 2e-4, 0.03, logs=NOISY)
    modelled = {"source": "modelled"}
    model = {"logs": (0.0,), "after": (0.0,), "device": "h100-sxm", "old": modelled, "new": modelled}
    findings = [
        conclude(slower, again(slower, 2.43e-3, 0.052)),
        conclude(judged("r1-decode[b=32,ctx=8k,bf16]", 3.2e9, 0.2, metric="memory_peak_bytes"), not_run="--no-confirm"),
        conclude(judged("r1-prefill[in=2k,bf16]", 0.031, -0.1)),
        conclude(chance, again(chance, 1.1e-3, 0.001)),
        conclude(unsure),
        conclude(decided, again(decided, 2e-4, 0.003)),
        *(conclude(judged(f"gemm[m={m},bf16]", 1e-4 * m, 0.002)) for m in (1, 2, 4)),
        conclude(judged("gemm[m=8,bf16]", 8e-4, 0.002, **model)),
        conclude(judged("gemm[m=16,bf16]", 1.6e-3, 0.2, **model)),
        conclude(judged("copy[n=1M,bf16]", 1e-5, 0.1, logs=QUIET[:3])),
        conclude(judged("rms-norm[t=64,bf16]", 1e-5, logs=())),
        conclude(judged("rope[t=64,bf16]", 1e-5, after=())),
        conclude(judged("embed[t=64]", 1e-5, new={"dtype": "fp16"})),
        conclude(
            judged("swiglu[t=64,bf16]", 1e-5, 0.002), accepted="+8.0% accepted on 2026-11-03: a more accurate softmax"
        ),
    ]
    return document(
        findings, looked_again=4,
        left_out=[
            LeftOut(side="candidate", device="cpu", case_id="huge[b=1]", status="oom", reason="needs 1.40 TB of memory"),
            LeftOut(side="baseline", device="cpu", case_id="old[b=1]", status="skipped", reason=""),
        ],
        changed=["torch 2.9.0 -> 2.9.1", "cpu threads 2 -> 1"], notes=["the baseline's sessions are 33 days old"],
    )  # fmt: skip


def many(count: int) -> Checked:
    """A check with this many findings, a tenth of them alarms; none of its text is short."""
    same = conclude(judged("a-rather-long-workload-name[b=1]", 1e-3, 0.002))
    slower = conclude(judged("a-rather-long-workload-name[b=1]", 1e-3, 0.2))
    found = []
    for index in range(count):
        one = Finding(
            **{name: getattr(slower if index % 10 == 0 else same, name) for name in Finding.__struct_fields__}
        )
        one.case_id = f"a-rather-long-workload-name[b={index},ctx=128k,bf16,zipf=1.2,tp=8,ep=64]"
        found.append(one)
    return document(found)


@pytest.fixture
def checked() -> Checked:
    """Return a check in which everything happens that can happen."""
    return everything()


@pytest.fixture
def make() -> Callable[..., Checked]:
    """Return a function that makes a check of findings, with fields changed as named."""
    return document


@pytest.fixture
def found() -> Callable[..., Finding]:
    """Return a function that makes a finding from a first look alone; see `judged`."""
    return lambda *words, accepted=None, not_run="", fail_on=("regressed",), **how: conclude(
        judged(*words, **how), accepted=accepted, not_run=not_run, fail_on=fail_on
    )


@pytest.fixture
def confirmed() -> Callable[..., Finding]:
    """Return a function that makes a finding of two looks: (case, first change, second change)."""

    def both(case_id: str, change: float, second: float, **how: Any) -> Finding:
        first = judged(case_id, 1e-3, change, **how)
        return conclude(first, again(first, 1e-3, second))

    return both


@pytest.fixture
def crowd() -> Callable[[int], Checked]:
    """Return a function that makes a check with so many findings."""
    return many


@pytest.fixture
def golden() -> Callable[[str], str]:
    """Return a function that reads what a form must be, to the letter."""
    folder = Path(__file__).parents[2] / "golden" / "report" / "gate"
    return lambda name: (folder / name).read_text(encoding="utf-8").removesuffix("\n")
