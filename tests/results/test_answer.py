"""The answer to what was asked, in one sentence, from the verdicts that count."""

from typing import Any

import pytest

from bench.results.answer import answers, other_pairs, worth
from bench.results.verdict import EqualPrice, Verdict


def verdict(**changes: Any) -> Verdict:
    given = {
        "axis": "throughput", "metric": "decode in time", "a": "A", "b": "B", "model": "r1", "phase": "decode",
        "precision": "8-bit", "limits": "tpot<=50ms,ttft<=2s", "target": "r1-decode[tpot<=50ms,ttft<=2s,8-bit]",
        "ratio": 1.01, "interval": (0.71, 1.42), "reading": "estimated: cannot tell apart", "source": "modelled:sheet",
    }  # fmt: skip
    return Verdict(**(given | changes))


def price(value: float | None = None, way: str = "rented", **changes: Any) -> Verdict:
    equal = None
    if value is not None:
        equal = EqualPrice(of="A", way=way, per="package", unit="USD/h" if way == "rented" else "USD", value=value,
                           interval=(value * 0.7, value * 1.4))  # fmt: skip
    given = {"axis": "price/performance", "metric": f"cost, {way}", "ratio": None, "interval": None, "equal": equal,
             "reading": "cannot tell: a number is missing", "source": "assumed"}  # fmt: skip
    return verdict(**(given | changes))


def test_one_sentence_says_who_by_how_much_how_sure_and_what_it_is_worth():
    (one,) = answers([verdict(), price(3.0)])
    assert one.text == (
        "r1, 8-bit, at 50 ms per token, first token within 2 s: cannot tell which is faster, A at 1.01x of B "
        "(0.71x to 1.42x), estimated; A is worth renting up to about 3.00 USD/h a package (2.10 to 4.20)"
    )
    assert one.text == f"{one.of}: {one.words}; {one.price}"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        # 1 / 0.5 and 1 / 0.4: how much better B is.
        ({"ratio": 0.45, "interval": (0.4, 0.5), "reading": "estimated: B better by 2.22x"},
         "B better by 2.22x (2.00x to 2.50x), estimated"),
        ({"ratio": 2.0, "interval": (1.6, 2.5), "reading": "A better by 2.00x"}, "A better by 2.00x (1.60x to 2.50x)"),
        ({"ratio": 1.0, "interval": (0.99, 1.01), "reading": "unstable: equal within 2%"},
         "equal within 2%, A at 1.00x of B (0.99x to 1.01x), unstable"),
        ({"ratio": None, "interval": None, "reading": "estimated: only B can", "why": "A: takes 60 ms"},
         "only B can (A: takes 60 ms), estimated"),
        # What may yield nothing in time is worse without end.
        ({"ratio": 0.45, "interval": (0.0, 0.5), "reading": "estimated: B better by 2.22x"},
         "B better by 2.22x (2.00x or more), estimated"),
        ({"a_doubt": "disturbed", "reading": "cannot tell: disturbed"}, "cannot tell: disturbed"),
        ({"interval": None, "reading": "cannot tell: no interval"}, "cannot tell: no interval, A at 1.01x of B"),
    ],
)  # fmt: skip
def test_the_words_are_those_of_the_rule_table(changes, words):
    (one,) = answers([verdict(**changes)])
    assert (one.words, one.price) == (words, "")


def test_several_contexts_of_one_question_are_one_answer_in_the_words_of_an_axis():
    better = {"ratio": 0.45, "interval": (0.4, 0.5), "reading": "estimated: B better by 2.22x"}
    (one,) = answers([verdict(**better), verdict(), price(3.0), price(1.5)])
    assert one.words == "B better on 1 of 2 readings, cannot tell or equal on 1, estimated"
    assert one.price == "A is worth renting up to about 1.50 to 3.00 USD/h a package"


def test_what_stands_beside_its_axis_answers_nothing_and_each_target_has_its_own_answer():
    beside = verdict(precision="bf16", beside="8-bit counts in its place")
    found = answers([verdict(), beside, verdict(limits="tpot<=30ms"), verdict(phase="prefill", limits="ttft<=2s"),
                     verdict(limits="")])  # fmt: skip
    assert [each.of for each in found] == [
        "r1, 8-bit, at 50 ms per token, first token within 2 s", "r1, 8-bit, at 30 ms per token",
        "r1 prompts, 8-bit, first token within 2 s", "r1, 8-bit, at the same batch per device",
    ]  # fmt: skip


def test_with_all_prices_the_verdict_on_price_is_told_and_a_price_in_doubt_is_not():
    known = {"ratio": 0.5, "interval": (0.4, 0.6), "better": "lower", "reading": "estimated: A better by 2.00x"}
    assert worth([price(**known)]) == "on price, estimated: A better by 2.00x"
    assert worth([price(3.0), price(60000.0, "bought")]) == (
        "A is worth renting up to about 3.00 USD/h a package (2.10 to 4.20)"
        " or buying up to about 60,000 USD a package (42,000 to 84,000)"
    )
    assert worth([price(3.0, a_doubt="disturbed")]) == worth([price()]) == worth([]) == ""


def test_pairs_that_are_not_read_are_named_with_how_to_get_them():
    assert other_pairs(["a", "b"]) == ""
    assert other_pairs(["a", "b", "c", "d"]) == (
        "a is read against each of the others, and those not against each other; for b against c, d, name b first"
    )
