"""An axis in one sentence, from all readings that stand for it; the least sure input decides how sure it is."""

import pytest

from bench.results.verdict import Verdict, summary, worst

INTERVALS = {2.0: (1.9, 2.1), 1.0: (0.99, 1.01), 0.5: (0.49, 0.51)}


def read(ratio, **fields):
    given = {"axis": "throughput", "metric": "decode", "a": "A", "b": "B", "ratio": ratio, "source": "measured",
             "interval": INTERVALS.get(ratio), "reading": "equal within 2%" if ratio == 1.0 else "better"}  # fmt: skip
    return Verdict(**(given | fields))


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ([2.0, 2.0], "A better on 2 of 2 readings"),
        ([2.0, 0.5], "depends: A better on 1, B on 1 of 2 readings"),
        ([2.0, 1.0], "A better on 1 of 2 readings, cannot tell or equal on 1"),
        ([1.0, 1.0], "equal within 2% on all 2 readings"),
    ],
)
def test_an_axis_is_one_sentence(ratios, words):
    assert summary("throughput", [read(ratio) for ratio in ratios]) == words


def test_where_less_is_better_the_lower_side_is():
    assert summary("throughput", [read(0.5, better="lower")] * 2) == "A better on 2 of 2 readings"


def test_readings_that_do_not_stand_for_the_axis_are_neither_counted_nor_named():
    found = [read(0.5), read(0.5), read(2.0, beside="8-bit", source="modelled:sheet")]
    assert summary("throughput", found) == "B better on 2 of 2 readings"


def test_one_reading_that_was_not_measured_makes_an_estimate_of_all():
    found = [read(2.0), read(2.0, source="interpolated")]
    assert summary("throughput", found) == "estimated: A better on 2 of 2 readings"


def test_readings_without_intervals_tell_nothing_and_say_why():
    found = [read(2.0, interval=None, reading="cannot tell: no interval")] * 2
    assert summary("throughput", found) == "cannot tell: no interval on 2 readings"


def test_a_side_that_alone_can_is_the_better_one():
    found = [read(2.0), read(None, reading="only A can")]
    assert summary("throughput", found) == "A better on 2 of 2 readings"


def test_readings_in_doubt_stand_for_nothing_and_are_counted():
    doubtful = read(0.5, a_doubt="disturbed", reading="cannot tell: disturbed")
    found = [read(2.0), read(2.0), doubtful]
    assert summary("throughput", found) == "A better on 2 of 2 readings; 1 reading left out: disturbed"
    assert summary("throughput", [doubtful]) == "cannot tell: disturbed"
    assert summary("throughput", [doubtful] * 2) == "cannot tell: 2 readings left out: disturbed"
    modelled = read(0.5, a_doubt="disturbed", source="modelled:sheet")
    assert summary("throughput", [doubtful, modelled]) == "estimated: cannot tell: 2 readings left out: disturbed"


def test_cases_that_means_leave_out_are_counted_for_the_axis():
    mean = read(2.0, left_out={"c1": (158.0, "disturbed"), "c2": (0.1, "disturbed")})
    assert summary("throughput", [mean, read(2.0)]) == "A better on 2 of 2 readings; 2 cases left out: disturbed"


def test_a_reading_whose_time_did_not_settle_puts_the_word_before_the_axis():
    assert summary("throughput", [read(2.0), read(2.0, unstable=True)]) == "unstable: A better on 2 of 2 readings"


def test_the_least_sure_input_decides():
    assert worst("measured", "modelled:sheet", "published") == "modelled:sheet"
    assert worst("measured", "assumed") == "assumed"
