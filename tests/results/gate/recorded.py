"""Checks on recorded sessions: real noise, and a real slowdown of 5 % (more work in the step), drawn again and again.

`tests/data/gate/record.py` recorded each file of `tests/data/gate`. A metric of a check is one recorded case: its
baseline are eight sessions from the first half of the record, its candidate three that followed each other in the
second half, its pairs the rest of the second half (at most 24), in the order they were made.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bench.results.gate.look import Rule, from_pairs, from_sessions, in_doubt, look
from bench.results.gate.noise_model import CONFIRMED, FIRST_LOOK, NAIVE

FOLDER = Path(__file__).parents[2] / "data" / "gate"
BASELINE, CANDIDATE, PAIRS, METRICS = 8, 3, 24, 200
SEED = 20261122


@dataclass(frozen=True)
class Recorded:
    """One record, on log time: variant -> medians (cases, sessions), and samples (cases, sessions, 5)."""

    note: str
    machine: str
    made: str
    cases: list[str]
    logs: dict[str, np.ndarray]
    samples: dict[str, np.ndarray]

    @property
    def spread(self) -> float:
        """Typical standard deviation between sessions, as a share."""
        return float(np.median(self.logs["same"].std(axis=1, ddof=1)))

    @property
    def paired_spread(self) -> float:
        return float(np.median((self.logs["again"] - self.logs["same"]).std(axis=1, ddof=1)))


@dataclass(frozen=True)
class Outcome:
    """Rule -> false alarms per check of METRICS metrics, and the share of real slowdowns that it alarms."""

    rules: dict[str, tuple[float, float]]
    # Of the slowed: the share whose last look says that it detects 5 %, and how many of these are confirmed.
    allowed: float
    allowed_seen: float
    # Of the slowed, by the gate with its second look.
    called_same: float
    left_open: float
    again: float

    @property
    def confirmed(self) -> tuple[float, float]:
        return self.rules[CONFIRMED]


@cache
def load(name: str) -> Recorded:
    content = json.loads((FOLDER / f"{name}.json").read_text())
    cases = list(content["sessions"]["same"][0])

    def every(key: str) -> dict[str, np.ndarray]:
        return {
            variant: np.log([[each[case][key] for each in sessions] for case in cases])
            for variant, sessions in content["sessions"].items()
        }

    return Recorded(
        content["note"], content["machine"]["name"], content["made"], cases, every("median_s"), every("samples_s")
    )


def records() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


@cache
def outcome(name: str, checks: int) -> Outcome:
    """Draw checks of METRICS metrics, all unchanged and all slowed in turn, and judge them as `bench check` does."""
    recorded, rng, rule = load(name), np.random.default_rng(SEED), Rule()
    quiet = [_check(recorded, "again", rng, rule) for _ in range(checks)]
    slowed = [_check(recorded, "slower", rng, rule) for _ in range(checks)]
    return Outcome(
        rules={
            each: (float(np.mean([one[each].sum() for one in quiet])), float(np.mean([one[each] for one in slowed])))
            for each in (*NAIVE, FIRST_LOOK, CONFIRMED)
        },
        allowed=float(np.mean([one["allowed"] for one in slowed])),
        allowed_seen=float(
            sum((one["allowed"] & (one[CONFIRMED])).sum() for one in slowed)
            / max(sum(one["allowed"].sum() for one in slowed), 1)
        ),
        called_same=float(np.mean([one["same"] for one in slowed])),
        left_open=float(np.mean([one["open"] for one in slowed])),
        again=float(np.mean([one["again"].sum() for one in quiet])),
    )


def _check(recorded: Recorded, variant: str, rng: np.random.Generator, rule: Rule) -> dict[str, np.ndarray]:
    half = recorded.logs["same"].shape[1] // 2
    rounds = range(half, recorded.logs["same"].shape[1])
    chosen = rng.integers(0, len(recorded.cases), METRICS)
    before = np.stack([rng.choice(half, BASELINE, replace=False) for _ in chosen])
    after, pairs = [], []
    for _ in chosen:
        start = int(rng.integers(half, rounds.stop - CANDIDATE + 1))
        rest = [i for i in rounds if not start <= i < start + CANDIDATE]
        after.append(range(start, start + CANDIDATE))
        pairs.append(sorted(rng.choice(rest, min(PAIRS, len(rest)), replace=False)))
    at, later, turns = chosen[:, None], np.asarray(after), np.asarray(pairs)
    old, new = recorded.logs["same"][at, before], recorded.logs[variant][at, later]
    # The candidate's sessions are one sitting: they count once, by their mean.
    first = look(from_sessions(old, new.mean(axis=1, keepdims=True)), METRICS, rule)
    doubt = in_doubt(first)
    pairs_of = from_pairs(recorded.logs["same"][at, turns], recorded.logs[variant][at, turns])
    second = look(pairs_of, max(int(doubt.sum()), 1), rule)
    last = np.where(doubt, second.verdict, first.verdict)
    detects = np.where(doubt, second.detects, first.detects)
    raw = recorded.samples["same"][at, before], recorded.samples[variant][at, later]
    return {name: naive(*raw) for name, naive in NAIVE.items()} | {
        FIRST_LOOK: first.verdict == "regressed", CONFIRMED: doubt & (second.verdict == "regressed"),
        "open": last == "cannot tell", "same": last == "same", "again": doubt,
        "allowed": detects <= math.log1p(rule.budget),
    }  # fmt: skip
