"""Comparisons: joined on the case, a ratio with its interval by hand, and a verdict from the table of words."""

from __future__ import annotations

from math import exp

import pytest

from bench.results.compare import Operand, basis_of, compare, differences, one_sided, ratio_of, source_of
from bench.results.reading import Basis, reading
from bench.results.target import ACROSS

NAMES = ("A", "B")


@pytest.fixture
def decode(row):
    """Return a function that makes a decode row: tokens per second, and how far its time's interval reaches in logs."""

    def make(rate=100.0, below=0.001, above=0.001, **changes):
        interval = None if below is None else (exp(-below), exp(above))
        return row(**{"output_tokens_per_s": rate, "step_s": 1.0, "interval": interval, **changes})

    return make


def only(comparison):
    (line,) = comparison.lines
    return line


# -- words -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "interval", "words"),
    [
        (1.00, (0.98, 1.02), "equal within 2%"),
        (1.01, (1.005, 1.015), "equal within 2%"),
        (1.25, (1.2, 1.3), "A better by 1.25x"),
        (0.8, (0.75, 0.85), "B better by 1.25x"),
        (1.03, (1.021, 1.04), "A better by 1.03x"),
        (1.03, (1.019, 1.04), "cannot tell apart"),
        (0.97, (0.96, 0.979), "B better by 1.03x"),
        (1.0, (0.97, 1.03), "cannot tell apart"),
        (1.0, (0.5, 2.0), "cannot tell apart"),
        (1.5, None, "cannot tell: no interval"),
    ],
)
def test_the_verdict_comes_from_the_table(ratio, interval, words):
    assert reading(ratio, interval, NAMES, higher=True, basis=Basis()) == words


def test_a_ratio_at_a_target_is_of_what_both_sides_may_yield_there(decode):
    # 100 tok/s (50 to 200) over 50 (25 to 100): logs of 2 both ways on both sides, sqrt(2) ln 2 together.
    a, b = decode(rate=100.0, rate_interval=(50.0, 200.0)), decode(rate=50.0, rate_interval=(25.0, 100.0))
    ratio, interval = ratio_of(a, b, "output_tokens_per_s")
    assert (ratio, interval) == (2.0, pytest.approx((2 * 2 ** -(2**0.5), 2 * 2 ** (2**0.5))))
    # Times at that batch keep their own interval.
    assert ratio_of(a, b, "step_s")[1] == pytest.approx((exp(-0.001 * 2**0.5), exp(0.001 * 2**0.5)))


def test_a_ratio_to_what_may_yield_nothing_in_time_has_no_interval(decode):
    sure, late = decode(rate_interval=(90.0, 110.0)), decode(rate_interval=(0.0, 110.0), flags=[ACROSS])
    assert ratio_of(sure, late, "output_tokens_per_s") == (1.0, None)
    assert ratio_of(late, sure, "output_tokens_per_s")[1] == (0, pytest.approx(1.15266, abs=1e-5))
    assert one_sided(sure, late, "output_tokens_per_s") is None
    assert basis_of(sure, late).late == {1}
    assert basis_of(late, sure).late == {0}


def test_a_cited_figure_without_an_interval_is_called_so(row):
    cited = row(source="published", step_s=0.02, interval=None, output_tokens_per_s=50.0)
    modelled = row(source="modelled", tier="sheet", step_s=0.01, interval=(0.008, 0.0125), output_tokens_per_s=100.0)
    basis = basis_of(modelled, cited)
    assert reading(2.0, None, NAMES, higher=True, basis=basis) == "estimated: cannot tell: cited, no interval published"
    # The model's own interval alone: 100 / 1.25 to 100 / 0.8 tok/s over 50, and the other way round.
    assert one_sided(modelled, cited, "output_tokens_per_s") == pytest.approx((1.6, 2.5))
    assert one_sided(cited, modelled, "output_tokens_per_s") == pytest.approx((0.4, 0.625))
    assert one_sided(modelled, modelled, "output_tokens_per_s") is None
    assert one_sided(cited, cited, "output_tokens_per_s") is None


def test_of_a_time_the_smaller_one_is_better():
    assert reading(2.0, (1.9, 2.1), NAMES, higher=False, basis=Basis()) == "B better by 2.00x"


@pytest.mark.parametrize("interval", [(0.99, 1.01), (1.2, 1.3), (0.9, 1.3), None])
def test_every_verdict_on_an_estimate_says_so(interval):
    assert reading(1.25, interval, NAMES, higher=True, basis=Basis(estimated=True)).startswith("estimated: ")


@pytest.mark.parametrize(
    ("a", "b", "estimated"),
    [
        ("measured", "measured", False), ("measured", "modelled", True), ("modelled", "measured", True),
        ("modelled", "modelled", True), ("published", "measured", True), ("measured", "published", True),
    ],
)  # fmt: skip
def test_a_modelled_or_published_number_on_a_side_makes_the_verdict_an_estimate(a, b, estimated, decode):
    line = only(compare([Operand("A", [decode(source=a)]), Operand("B", [decode(source=b)])]))
    assert line.reading == ("estimated: " if estimated else "") + "equal within 2%"


def test_what_neither_side_can_is_told_once(decode):
    none = {"status": "unsupported", "reason": "no fp8 path"}
    both = compare([Operand("A", [decode(case_id="x", **none)]), Operand("B", [decode(case_id="x", **none)])])
    assert both.apart == ["x: both unsupported: no fp8 path"]


@pytest.mark.parametrize(("a", "b"), [(["disturbed"], []), ([], ["disturbed"])])
def test_a_number_in_doubt_on_a_side_makes_no_verdict_and_keeps_its_ratio(a, b, decode):
    line = only(compare([Operand("A", [decode(15849.0, flags=a)]), Operand("B", [decode(100.0, flags=b)])]))
    assert (line.ratio, line.reading) == (158.49, "cannot tell: disturbed")
    assert (line.a_doubt, line.b_doubt) == ("disturbed" if a else "", "disturbed" if b else "")


def test_a_time_that_did_not_settle_says_so_before_the_verdict(decode):
    line = only(
        compare(
            [
                Operand("A", [decode(200.0, flags=["unstable"], others_cores=0.0)]),
                Operand("B", [decode(source="modelled")]),
            ]
        )
    )
    assert line.reading == "estimated: unstable: A better by 2.00x"


# -- ratio and interval ------------------------------------------------------------------------------------------------


def test_the_ratio_is_the_first_over_the_other(decode):
    line = only(compare([Operand("A", [decode(125.0)]), Operand("B", [decode(100.0)])]))
    assert line.ratio == 1.25
    assert line.reading == "A better by 1.25x"


def test_independent_errors_add_up_in_squares(decode):
    # 3 % and 4 % as logarithms make 5 %: 3 * 3 + 4 * 4 = 5 * 5.
    line = only(compare([Operand("A", [decode(200.0, 0.03, 0.03)]), Operand("B", [decode(100.0, 0.04, 0.04)])]))
    assert line.interval == pytest.approx((2 * 0.9512294, 2 * 1.0512711))


def test_a_time_that_may_be_longer_makes_the_rate_smaller(decode):
    line = only(compare([Operand("A", [decode(200.0, 0.0, 0.1)]), Operand("B", [decode(100.0, 0.0, 0.0)])]))
    assert line.interval == pytest.approx((2 * 0.9048374, 2.0))


def test_the_others_time_that_may_be_longer_makes_the_ratio_larger(decode):
    line = only(compare([Operand("A", [decode(200.0, 0.0, 0.0)]), Operand("B", [decode(100.0, 0.0, 0.1)])]))
    assert line.interval == pytest.approx((2.0, 2 * 1.1051709))


def test_a_kernel_is_compared_by_its_time(row):
    a = row(phase="kernel", step_s=2.0, interval=(1.8, 2.0))
    b = row(phase="kernel", step_s=1.0, interval=(1.0, 1.0))
    line = only(compare([Operand("A", [a]), Operand("B", [b])]))
    assert line.metric == "step_s"
    assert line.interval == pytest.approx((1.8, 2.0))
    assert line.reading == "B better by 2.00x"


def test_prefill_is_compared_by_prompt_tokens(row):
    a = row(phase="prefill", prompt_tokens_per_s=300.0, step_s=1.0, interval=(1.0, 1.0))
    b = row(phase="prefill", prompt_tokens_per_s=100.0, step_s=3.0, interval=(3.0, 3.0))
    line = only(compare([Operand("A", [a]), Operand("B", [b])]))
    assert (line.metric, line.ratio) == ("prompt_tokens_per_s", 3.0)


def test_without_an_interval_on_one_side_there_is_none_of_the_ratio(decode):
    line = only(compare([Operand("A", [decode(200.0)]), Operand("B", [decode(100.0, None)])]))
    assert (line.ratio, line.interval) == (2.0, None)
    assert line.reading == "cannot tell: no interval"


def test_a_missing_number_is_not_0(decode):
    line = only(compare([Operand("A", [decode(None)]), Operand("B", [decode(100.0)])]))
    assert (line.a, line.ratio, line.interval) == (None, None, None)
    assert line.reading == "cannot tell: a number is missing"


@pytest.mark.parametrize("interval", [(0.0, 1.0), (-0.1, 1.2), (2.0, -1.0), (1e-300, 1e300)])
def test_an_interval_that_no_clock_measured_is_none(interval, decode):
    line = only(compare([Operand("A", [decode(interval=interval)]), Operand("B", [decode()])]))
    assert line.interval is None


# -- units -----------------------------------------------------------------------------------------------------------


def test_a_package_of_dies_is_compared_per_die_and_per_package(decode):
    dies = [decode(100.0, unit="die"), decode(200.0, unit="package")]
    lines = compare([Operand("910c", dies), Operand("h100", [decode(160.0, unit="package")])]).lines
    assert [(line.a_unit, line.b_unit, line.ratio) for line in lines] == [
        ("die", "package", 0.625),
        ("package", "package", 1.25),
    ]


def test_a_verdict_between_different_units_names_them(decode):
    dies = [decode(100.0, unit="die"), decode(200.0, unit="package")]
    lines = compare([Operand("910c", dies), Operand("h100", [decode(160.0, unit="package")])]).lines
    assert [line.reading for line in lines] == ["h100 (package) better by 1.60x", "910c better by 1.25x"]


def test_two_packages_of_dies_are_compared_unit_by_unit(decode):
    sides = [[decode(rate, unit="die"), decode(2 * rate, unit="package")] for rate in (100.0, 50.0)]
    lines = compare([Operand("A", sides[0]), Operand("B", sides[1])]).lines
    assert [(line.a_unit, line.b_unit) for line in lines] == [("die", "die"), ("package", "package")]


# -- what is kept apart --------------------------------------------------------------------------------------------------


def test_a_case_that_one_side_lacks_is_named_and_not_compared(decode):
    comparison = compare([Operand("A", [decode(), decode(case_id="x[b=2]")]), Operand("B", [decode()])])
    assert len(comparison.lines) == 1
    assert comparison.apart == ["x[b=2]: B has no such case"]


@pytest.mark.parametrize("status", ["skipped", "unsupported", "oom", "timeout", "error", "invalid"])
def test_a_case_without_a_result_is_named_with_its_reason(status, decode):
    failed = decode(status=status, reason="why it is so")
    comparison = compare([Operand("A", [failed]), Operand("B", [decode()])])
    assert comparison.lines == []
    assert comparison.apart == [f"tiny-decode[b=1,ctx=1k,bf16]: A {status}: why it is so"]


def test_when_both_sides_failed_both_are_named(decode):
    a, b = decode(status="oom", reason="too big"), decode(status="timeout", reason="too slow")
    assert compare([Operand("A", [a]), Operand("B", [b])]).apart == [
        "tiny-decode[b=1,ctx=1k,bf16]: A oom: too big; B timeout: too slow"
    ]


def test_different_work_under_one_name_is_not_compared(decode):
    comparison = compare([Operand("A", [decode()]), Operand("B", [decode(definition_hash="f" * 16)])])
    assert comparison.lines == []
    assert comparison.apart == [
        "tiny-decode[b=1,ctx=1k,bf16]: the definition differs between the two sides; run both again with the same files"
    ]


def test_what_is_apart_is_said_once_for_all_units(decode):
    dies = [decode(unit="die", case_id="x"), decode(unit="package", case_id="x")]
    assert compare([Operand("A", dies), Operand("B", [decode(unit="package", case_id="y")])]).apart == [
        "x: B has no such case",
        "y: A has no such case",
    ]


# -- several sides ---------------------------------------------------------------------------------------------------------


def test_of_three_sides_the_first_is_compared_with_each_other_one(decode):
    operands = [Operand(name, [decode(rate)]) for name, rate in (("A", 100.0), ("B", 50.0), ("C", 200.0))]
    lines = compare(operands).lines
    assert [(line.a_label, line.b_label, line.ratio) for line in lines] == [("A", "B", 2.0), ("A", "C", 0.5)]


def test_cases_stay_in_the_order_of_the_first_side(decode):
    names = ["x[b=8]", "x[b=1]", "a[b=4]"]
    a = Operand("A", [decode(case_id=name) for name in names])
    b = Operand("B", [decode(case_id=name) for name in sorted(names)])
    assert [line.case_id for line in compare([a, b]).lines] == names


# -- differences -----------------------------------------------------------------------------------------------------------


def test_only_what_differs_is_listed(row, environment):
    a = Operand("A", [row()], environment(packages={"torch": "2.9.0", "numpy": "2.0"}))
    b = Operand("B", [row()], environment(packages={"torch": "2.9.1", "numpy": "2.0"}))
    assert differences([a, b]) == ["torch: 2.9.0 | 2.9.1"]


def test_alike_sides_have_no_differences(row, environment):
    assert differences([Operand("A", [row()], environment()), Operand("B", [row()], environment())]) == []


def test_device_unit_and_source_come_first(row, environment):
    a = Operand("A", [row()], environment())
    b = Operand("B", [row(device_name="H100", unit="package", source="modelled", tier="sheet")])
    assert differences([a, b])[:3] == [
        "device: A CPU | H100",
        "unit: machine | package",
        "source: measured | modelled:sheet",
    ]


def test_what_one_side_does_not_know_is_a_dash(row, environment):
    a = Operand("A", [row()], environment(governor="performance"))
    b = Operand("B", [row()], environment())
    assert "governor: performance | -" in differences([a, b])


def test_a_model_has_no_machine_that_could_be_another_one(row, environment):
    a, b = Operand("A", [row()], environment(governor="performance")), Operand("B", [row(source="modelled")])
    assert differences([a, b]) == ["source: measured | modelled"]
    c = Operand("C", [row()], environment(governor="powersave"))
    assert "governor: performance | - | powersave" in differences([a, b, c])


def test_another_commit_is_told(row, environment):
    sides = [Operand(name, [row()], environment(commit=commit)) for name, commit in (("A", "aaaa"), ("B", "bbbb+"))]
    assert differences(sides) == ["commit: aaaa | bbbb+"]


def test_a_setting_that_differs_on_one_of_three_sides_is_listed_for_all(row, environment):
    sides = [Operand(name, [row()], environment(cores=cores)) for name, cores in (("A", 2), ("B", 2), ("C", 4))]
    (mark, *others) = differences(sides)
    assert others == ["host cores: 2 | 2 | 4"]
    first, second, third = mark.removeprefix("machine: ").split(" | ")
    assert first == second != third


@pytest.mark.parametrize(
    ("fact", "before", "after"),
    [("driver", "550.1", "560.3"), ("power limit", "700 W", "500 W"), ("highest clock", "1980 MHz", "1600 MHz"), ("threads", "2", "4")],
)  # fmt: skip
def test_what_differs_in_the_machine_of_a_device_is_named_beside_its_fingerprint(fact, before, after, row, environment):
    sides = [Operand(name, [row(device="cuda:0")], environment(devices={"cuda:0": {"name": "A GPU", fact: value}, "cpu": {"name": name}}))
             for name, value in (("A", before), ("B", after))]  # fmt: skip
    mark, line = differences(sides)
    assert mark.startswith("machine: ")
    assert line == f"{fact}: {before} | {after}"


def test_heat_load_and_the_name_of_the_host_make_no_other_machine(row, environment):
    a = environment(devices={"cpu": {"name": "A CPU", "idle power": "12 W"}}, host="a", load_average=0.1)
    b = environment(devices={"cpu": {"name": "A CPU", "idle power": "19 W"}}, host="b", load_average=7.0)
    assert differences([Operand("A", [row()], a), Operand("B", [row()], b)]) == []


def test_another_number_of_sessions_is_told(row, environment):
    sides = [Operand(name, [row(sessions=count)], environment()) for name, count in (("A", 1), ("B", 5))]
    assert differences(sides) == ["sessions: 1 | 5"]


def test_a_comparison_carries_its_differences(decode):
    a, b = Operand("A", [decode()]), Operand("B", [decode(device_name="Another CPU")])
    assert compare([a, b]).differences == ["device: A CPU | Another CPU"]


def test_a_source_is_printed_with_its_tier(row):
    assert source_of(row()) == "measured"
    assert source_of(row(source="modelled", tier="transferred")) == "modelled:transferred"
