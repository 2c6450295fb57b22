"""docs/gate.md: its rates are those of the simulation, and its figures those of the code.

After a change of the rule: `python tests/results/gate/test_page.py` simulates 1,000 checks per noise and writes them anew.
The test simulates fewer: it asks whether both could come from one rule, not whether digits agree.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path

import pytest

from bench.results.gate.look import Rule, student_t
from bench.results.gate.noise_model import (
    ALONE,
    CONFIRMED,
    FIRST_LOOK,
    NOISES,
    SEED,
    Plan,
    Rates,
    alarms_after_accepting,
    coverage,
    simulate,
)

sys.path.insert(0, str(Path(__file__).parent))
import recorded

PAGE = Path(__file__).parents[3] / "docs" / "gate.md"
CHECKS = 1000
FEWER = 160
TRIALS = 4000
RECORDED_CHECKS = 200


@cache
def rates(checks: int) -> tuple[Rates, ...]:
    return tuple(simulate(noise, checks) for noise in NOISES)


def number(value: float) -> str:
    """A rate with the digits that its count of checks bears."""
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def rates_lines() -> list[str]:
    found, plan = rates(CHECKS), Plan()
    kinds = []
    for noise in NOISES:
        kind = f"{noise.name} {noise.within:.1%} / {noise.between:.1%}"
        kind += f", each session {noise.drift:.2%} slower than the last" if noise.drift else ""
        kind += (
            f", every session slower by {noise.slow_by:.0%} with probability {noise.slow_share}"
            if noise.slow_share
            else ""
        )
        kind += ", pairs share nothing" if not noise.common else ""
        kind += ", the candidate's sessions in one sitting" if noise.one_sitting else ""
        kinds.append(f"- {kind}")
    lines = [
        f"{plan.metrics} metrics, {plan.baseline} baseline and {plan.candidate} candidate sessions of {plan.samples} samples,"
        f" {plan.pairs} pairs; log-normal noise within / between sessions;",
        f"half of the variance between sessions is shared by two that run in turns. Seed {SEED}.",
        "",
        *kinds,
        "",
        "A cell: alarms per check when nothing has changed / share of injected slowdowns of"
        f" {plan.slowdown:.0%} that raise one.",
        "",
        "| rule | " + " | ".join(noise.name for noise in NOISES) + " |",
        "| --- |" + " --- |" * len(NOISES),
    ]
    for rule in found[0].rules:
        cells = [f"{number(one.rules[rule][0])} / {one.rules[rule][1]:.0%}" for one in found]
        name = f"**{rule}**" if rule == CONFIRMED else rule
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "| slowed, in the end \"same\" / \"cannot tell\" | "
        + " | ".join(f"{one.slowed_same:.0%} / {one.slowed_open:.0%}" for one in found) + " |",
        "| unchanged metrics run again per check | " + " | ".join(number(one.second_looks) for one in found) + " |",
    ]  # fmt: skip
    return lines


def coverage_lines() -> list[str]:
    bootstrap, student = coverage(TRIALS)
    plan = Plan()
    return [
        f"On typical noise with {plan.baseline} and {plan.candidate} sessions, an interval that claims 95 % holds the true"
        f" change in {bootstrap:.0%} of {TRIALS:,} simulated comparisons",
        f"when it comes from a hierarchical bootstrap (sessions, then samples), and in {student:.0%} from Student's t.",
    ]


def recorded_lines() -> list[str]:
    names = recorded.records()
    found = {name: recorded.outcome(name, RECORDED_CHECKS) for name in names}
    lines = []
    for name in names:
        one = recorded.load(name)
        rounds = one.logs["same"].shape[1]
        lines.append(
            f"- {name}: {one.machine}, {one.made[:10]}, {len(one.cases)} cases, {rounds} rounds of three sessions; {one.note}."
            f" Typical spread between sessions {one.spread:.1%}, of a pair's difference {one.paired_spread:.1%}."
        )
    lines += ["", "| rule | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    for rule in found[names[0]].rules:
        cells = [f"{number(one.rules[rule][0])} / {one.rules[rule][1]:.0%}" for one in found.values()]
        lines.append(f"| {f'**{rule}**' if rule == CONFIRMED else rule} | {' | '.join(cells)} |")
    lines += [
        "| of the slowed: the last look detects 5 % / confirmed of these | "
        + " | ".join(f"{one.allowed:.0%} / {one.allowed_seen:.0%}" for one in found.values()) + " |",
        "| slowed, in the end \"same\" / \"cannot tell\" | "
        + " | ".join(f"{one.called_same:.0%} / {one.left_open:.0%}" for one in found.values()) + " |",
        "| unchanged metrics run again per check | " + " | ".join(number(one.again) for one in found.values()) + " |",
    ]  # fmt: skip
    return lines


def accepted_lines() -> list[str]:
    noises = [noise for noise in NOISES if not (noise.drift or noise.one_sitting)]
    found = [alarms_after_accepting(noise, CHECKS) for noise in noises]
    lines = [
        "| level moved by | " + " | ".join(noise.name for noise in noises) + " |",
        "| --- |" + " --- |" * len(noises),
    ]
    for name, words in (("first look", "the first look's ratio"), ("pairs", "**the pairs' ratio**")):
        lines.append(f"| {words} | {' | '.join(f'{one[name]:.1%}' for one in found)} |")
    return lines


BLOCKS = {"rates": rates_lines, "recorded": recorded_lines, "coverage": coverage_lines, "accepted": accepted_lines}


def block(name: str, text: str) -> str:
    """The lines between a block's marks."""
    found = re.search(rf"<!-- {name}: [^\n]* -->\n(.*?)<!-- end of {name} -->", text, re.DOTALL)
    assert found is not None, f"{PAGE}: no block '{name}'"
    return found.group(1)


def written(text: str) -> str:
    """The page with its blocks made anew."""
    for name, make in BLOCKS.items():
        end = f"<!-- end of {name} -->"
        text = text.replace(f"{block(name, text)}{end}", "\n".join([*make(), end]))
    return text


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


def table(page: str) -> dict[str, list[tuple[float, ...]]]:
    """Rule -> its cells, as numbers."""
    found = {}
    for line in block("rates", page).splitlines():
        if line.startswith("| ") and "---" not in line and not line.startswith("| rule"):
            name, *cells = line.strip("|").split("|")
            found[name.strip().strip("*")] = [tuple(map(share, cell.split("/"))) for cell in cells]
    return found


def share(text: str) -> float:
    text = text.strip()
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def test_the_pages_table_has_a_line_for_every_rule_and_a_column_for_every_noise(page):
    lines = block("rates", page).splitlines()
    (head,) = [line for line in lines if line.startswith("| rule")]
    assert [cell.strip() for cell in head.strip("|").split("|")[1:]] == [noise.name for noise in NOISES]
    assert list(table(page))[:-2] == list(rates(FEWER)[0].rules)


def test_the_pages_rates_are_those_of_the_rule(page):
    shown = table(page)
    for index, found in enumerate(rates(FEWER)):
        for rule, (false, seen) in found.rules.items():
            page_false, page_seen = shown[rule][index]
            # Five standard errors of a count in so many checks, and the rounding of the page.
            allowed = 5 * (max(page_false, 0.05) * (1 / FEWER + 1 / CHECKS)) ** 0.5 + 0.005 + 0.05 * page_false
            assert abs(false - page_false) < allowed, (found.noise, rule, false, page_false)
            slowed = FEWER / 4 * Plan().slowed
            spread = max(page_seen * (1 - page_seen), 0.01)
            assert abs(seen - page_seen) < 5 * (spread / slowed * 1.25) ** 0.5 + 0.005, (
                found.noise,
                rule,
                seen,
                page_seen,
            )
        assert shown['slowed, in the end "same" / "cannot tell"'][index][0] == pytest.approx(
            found.slowed_same, abs=0.04
        )


def test_the_pages_own_goals_are_met(page):
    shown = dict(zip((noise.name for noise in NOISES), table(page)[CONFIRMED], strict=True))
    for name in ("quiet", "typical"):
        false, seen = shown[name]
        assert false <= 0.05
        assert seen >= 0.95
    # By design 0.05 on any noise; the count of 1,000 checks has a standard error of 0.007.
    assert all(false <= 0.08 for false, _ in shown.values())
    for same, _ in table(page)['slowed, in the end "same" / "cannot tell"']:
        assert same <= 0.05


def test_the_page_gives_the_intervals_that_were_counted(page):
    bootstrap, student = coverage(500)
    counted = [float(value) / 100 for value in re.findall(r"(\d+)%", block("coverage", page))]
    assert counted == [pytest.approx(bootstrap, abs=0.08), pytest.approx(student, abs=0.05)]


def test_the_page_shows_what_was_recorded(page):
    text = block("recorded", page)
    for name in recorded.records():
        assert f"- {name}: " in text
        rule = next(line for line in text.splitlines() if CONFIRMED in line)
        at = recorded.records().index(name)
        false, seen = (share(part) for part in rule.strip("|").split("|")[1 + at].split("/"))
        found = recorded.outcome(name, 40).confirmed
        assert abs(false - found[0]) < 0.3
        assert abs(seen - found[1]) < 0.08


def test_the_page_shows_what_accepting_by_either_look_leaves_behind(page):
    typical = [noise.name for noise in NOISES].index("typical")
    found = alarms_after_accepting(NOISES[typical], FEWER)
    lines = block("accepted", page).splitlines()
    shown = [float(line.split("|")[2 + typical].strip().rstrip("%")) / 100 for line in lines[2:]]
    # About 1,500 accepted changes: five standard errors of a share of 3 % are 2 %.
    assert shown == [pytest.approx(found["first look"], abs=0.022), pytest.approx(found["pairs"], abs=0.01)]
    assert shown[1] < shown[0] / 3


def test_the_page_states_the_defaults_of_the_code(page):
    rule = Rule()
    assert (rule.budget, rule.floor, rule.floor_s, rule.confidence, rule.false_alarms, rule.power) == (
        0.05, 0.01, 0.5e-6, 0.95, 0.05, 0.95,
    )  # fmt: skip
    assert "the larger of log(1 + 1 %) and log(1 + 0.5 us / time)" in page
    assert "within the budget (5 %)" in page
    assert "fewer than five baseline values" in page
    assert rule.fewest_sessions == 5
    assert "t(1 - 0.05 / metrics)" in page


def test_the_page_gives_k_as_it_is(page):
    factor = (1 / 8 + 1) ** 0.5
    one, many = student_t(0.05, 7) * factor, student_t(0.05 / 200, 7) * factor
    assert f"k s is {one:.1f} s for one metric and {many:.1f} s for\n200" in page


def test_the_first_look_and_the_lone_second_one_are_shown_too(page):
    assert {FIRST_LOOK, CONFIRMED, ALONE} <= set(table(page))


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
