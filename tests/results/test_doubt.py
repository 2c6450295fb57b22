"""Which flags put a number in doubt, alone and in sessions; words and footnotes."""

import pytest

from bench.results.doubt import doubt, explained, left_out, of_sessions, unstable


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ([], ""), (["unstable", "trend +12%", "two levels", "interpolated"], ""), (["disturbed"], "disturbed"),
        (["unstable", "busy"], "busy"), (["busy", "disturbed"], "disturbed"),
        (["disturbed 1/2"], "disturbed"), (["disturbed 4/8"], "disturbed"), (["disturbed 3/8"], ""),
    ],
)  # fmt: skip
def test_others_at_work_in_half_of_the_sessions_are_a_doubt_and_an_unsettled_time_is_none(flags, word, row):
    assert doubt(row(flags=flags, others_cores=0.5)) == word


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({}, "unstable"), ({"others_cores": 0.0}, ""), ({"unit": "package"}, ""), ({"source": "modelled"}, ""),
        ({"flags": ["unstable 1/3"]}, ""),
    ],
)  # fmt: skip
def test_a_time_that_did_not_settle_is_in_doubt_where_nobody_knows_what_others_took(fields, word, row):
    assert doubt(row(**({"flags": ["unstable"]} | fields))) == word


def test_one_row_in_doubt_puts_what_rests_on_two_in_doubt(row):
    assert doubt(row(), row(flags=["disturbed"])) == "disturbed"
    assert doubt() == ""


@pytest.mark.parametrize(
    ("flags", "told"), [(["unstable"], True), (["unstable 1/3"], False), (["unstable 2/3"], True), ([], False)]
)
def test_a_time_is_unstable_where_it_did_not_settle_in_half_of_the_sessions(flags, told, row):
    assert unstable(row(), row(flags=flags)) is told


def test_each_kind_of_doubt_has_one_footnote():
    (note,) = explained(["disturbed", "disturbed", ""])
    assert note.startswith("? disturbed: others took cores")
    assert note.endswith("measure again on a quiet machine")


def test_what_is_left_out_is_counted_and_named():
    assert left_out(["disturbed"]) == "1 reading left out: disturbed"
    assert left_out(["busy", "disturbed", "busy"]) == "3 readings left out: disturbed, busy"


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ([""], ""), (["busy"], "busy"), (["disturbed", ""], "disturbed"), (["disturbed", "", ""], ""), ([], ""),
        (["disturbed", "busy", "", ""], ""),
    ],
)  # fmt: skip
def test_half_of_its_sessions_decide_about_a_run(words, word):
    assert of_sessions(words) == word
