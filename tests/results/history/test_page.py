"""docs/history.md: its rates are those of the search for change points on simulated noise.

After a change of the method: `python tests/results/history/test_page.py` simulates anew and writes them, in a few minutes.
The test simulates fewer: it asks whether both could come from one method, not whether digits agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bench.results.history.changes import SHUFFLES, splits
from bench.results.history.split import FLOOR

PAGE = Path(__file__).parents[3] / "docs" / "history.md"
SEED = 20261122
RUNS = 60
STEP = 0.05
AFTER = (30, 10, 6, 4)
# A change counts as found where it is placed within so many runs.
NEAR = 3
UNCHANGED, CHANGED = 2000, 400


@dataclass(frozen=True)
class Noise:
    """What a run's value does although nothing has changed, on log time: 0.02 is about 2 %."""

    name: str
    said: str
    draw: Callable[[np.random.Generator], np.ndarray]


def outliers(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 0.02, RUNS) + (rng.random(RUNS) < 0.05) * rng.exponential(0.3, RUNS)


def two_modes(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 0.01, RUNS) + (rng.random(RUNS) < 0.25) * 0.06


def moods(rng: np.random.Generator) -> np.ndarray:
    """Each run keeps half of the state of the run before; 2 % in all."""
    state = [rng.normal(0, 0.02)]
    for fresh in rng.normal(0, 0.02 * (1 - 0.5**2) ** 0.5, RUNS - 1):
        state.append(0.5 * state[-1] + fresh)
    return np.array(state)


NOISES = (
    Noise("quiet", "0.5 % between runs", lambda rng: rng.normal(0, 0.005, RUNS)),
    Noise("typical", "2 %", lambda rng: rng.normal(0, 0.02, RUNS)),
    Noise("shared", "8 %", lambda rng: rng.normal(0, 0.08, RUNS)),
    Noise("outliers", "2 %, and one run of twenty slower, by 35 % on average", outliers),
    Noise("two modes", "1 %, and one run of four slower by 6 %", two_modes),
    Noise("moods", "2 %, half of a run's state is that of the run before", moods),
    Noise("drift", "1 %, each run slower than the last by 0.05 %",
          lambda rng: rng.normal(0, 0.01, RUNS) + 0.0005 * np.arange(RUNS)),
)  # fmt: skip


@cache
def false_points(noise: Noise, series: int) -> tuple[float, float]:
    """Return change points per series without a change, by the search and by comparing each run with the last."""
    rng = np.random.default_rng(SEED)
    values = [np.exp(noise.draw(rng)) for _ in range(series)]
    naive = [np.abs(np.diff(np.log(each))) > np.log1p(STEP) for each in values]
    return float(np.mean([len(splits(each)) for each in values])), float(np.mean([each.sum() for each in naive]))


@cache
def found(noise: Noise, after: int, series: int) -> float:
    """Return the share of series in which a step of 5 %, so many runs before the end, is found where it is."""
    rng = np.random.default_rng(SEED + after)
    hits = 0
    for _ in range(series):
        at = RUNS - after
        values = np.exp(noise.draw(rng) + np.where(np.arange(RUNS) >= at, np.log1p(STEP), 0.0))
        hits += any(abs(split.at - at) <= NEAR and split.share > 0 for split in splits(values))
    return hits / series


@cache
def spell(noise: Noise, series: int) -> float:
    """Return the share of series in which a spell of ten runs, slower by 5 %, is found at both of its ends."""
    rng = np.random.default_rng(SEED)
    hits = 0
    for _ in range(series):
        inside = (np.arange(RUNS) >= 30) & (np.arange(RUNS) < 40)
        at = [split.at for split in splits(np.exp(noise.draw(rng) + inside * np.log1p(STEP)))]
        hits += all(any(abs(one - end) <= NEAR for one in at) for end in (30, 40))
    return hits / series


def lines() -> list[str]:
    head = ["noise", "false, by the search", "false, run against run, 5 %"]
    head += [f"5 %, {after} runs ago" for after in AFTER] + ["a spell of 10"]
    table = [f"| {' | '.join(head)} |", "| --- |" + " --- |" * (len(head) - 1)]
    for noise in NOISES:
        wrong, naive = false_points(noise, UNCHANGED)
        cells = [f"{wrong:.3f}", f"{naive:.2g}"]
        cells += [f"{found(noise, after, CHANGED):.0%}" for after in AFTER] + [f"{spell(noise, CHANGED):.0%}"]
        table.append(f"| {noise.name} | {' | '.join(cells)} |")
    return [
        f"Series of {RUNS} runs; {UNCHANGED:,} of each noise without a change, {CHANGED} for each kind of change. Seed"
        f" {SEED}.",
        "",
        *(f"- {noise.name}: {noise.said}" for noise in NOISES),
        "",
        f"False: change points per unchanged series. Then the share of changes that are found within {NEAR} runs of where"
        " they are.",
        "",
        *table,
    ]


def block(text: str) -> str:
    match = re.search(r"<!-- rates: [^\n]* -->\n(.*?)<!-- end of rates -->", text, re.DOTALL)
    assert match is not None, f"{PAGE}: no block 'rates'"
    return match.group(1)


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def shown(page: str) -> dict[str, list[float]]:
    """Noise -> its cells as numbers."""
    rows = {}
    for line in block(page).splitlines():
        if line.startswith("| ") and not line.startswith(("| noise", "| ---")):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            rows[name] = [float(cell.rstrip("%")) / (100 if "%" in cell else 1) for cell in cells]
    return rows


def test_the_page_has_a_line_for_every_noise(shown):
    assert list(shown) == [noise.name for noise in NOISES]


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.name)
def test_the_pages_rates_are_those_of_the_method(shown, noise):
    fewer = {"false": 300, "found": 60}
    wrong, naive = false_points(noise, fewer["false"])
    page_wrong, page_naive, *page_found = shown[noise.name]
    # Five standard errors of a count in so many series, and the rounding of the page.
    assert abs(wrong - page_wrong) < 5 * (max(page_wrong, 0.01) * 1.5 / fewer["false"]) ** 0.5 + 0.001
    assert naive == pytest.approx(page_naive, rel=0.2, abs=0.2)
    rates = [found(noise, after, fewer["found"]) for after in AFTER] + [spell(noise, fewer["found"])]
    for rate, page_rate in zip(rates, page_found, strict=True):
        assert (
            abs(rate - page_rate) < 5 * (max(page_rate * (1 - page_rate), 0.01) * 1.2 / fewer["found"]) ** 0.5 + 0.005
        )


def test_false_change_points_are_rare_where_runs_are_in_no_order(shown):
    assert shown["quiet"][0] <= 0.001
    assert all(shown[name][0] <= 0.015 for name in ("typical", "shared", "outliers", "two modes"))


def test_a_step_of_five_percent_is_found_on_quiet_and_typical_machines(shown):
    assert shown["quiet"][2:5] == [1, 1, 1]
    assert shown["typical"][2] >= 0.95


def test_the_page_states_the_constants_of_the_code(page):
    assert f"{SHUFFLES} shufflings" in page
    assert f"at {1 / (SHUFFLES + 1):.0%}" in page
    assert f"floor of {FLOOR:.0%}" in page


if __name__ == "__main__":
    text, end = PAGE.read_text("utf-8"), "<!-- end of rates -->"
    PAGE.write_text(text.replace(f"{block(text)}{end}", "\n".join([*lines(), end])), "utf-8")
