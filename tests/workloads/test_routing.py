"""Where tokens go: deterministic, without repeats, as skewed as asked for."""

from __future__ import annotations

import hashlib

import msgspec
import numpy as np
import pytest

from bench.errors import DefinitionError
from bench.workloads.expert_plan import plan_experts
from bench.workloads.routing import Routing, assign, inclusion, parse_routing, popularity

UNIFORM = Routing()
ZIPF = Routing(kind="zipf", s=1.2)
LOGNORMAL = Routing(kind="lognormal", sigma=1.0)
FOUR_HOT = Routing(kind="k-hot", hot=4)


def digest(ids):
    assert ids.dtype == np.int64
    return hashlib.sha256(np.ascontiguousarray(ids).tobytes()).hexdigest()[:16]


# -- drawn plans ------------------------------------------------------------------------------------------------------

# Pinned when this was written, with NumPy 2.4 on x86-64. A change here means that a case now does other work than
# before: raise PROGRAM_VERSION in bench/workloads/schema.py rather than let old and new results look alike.
PINNED = [
    (UNIFORM, 64, 64, 8, "b0105bd246e78105"),
    (ZIPF, 64, 64, 8, "588bae7f63c826b3"),
    (LOGNORMAL, 64, 256, 8, "a5b96045b334a61d"),
    (FOUR_HOT, 64, 32, 4, "a5e4390d0da6470b"),
    (Routing(kind="zipf", s=0.5, seed=7), 100, 30, 3, "6c7f6b751c2da1bf"),
]


@pytest.mark.parametrize(
    ("routing", "tokens", "experts", "top_k", "expected"), PINNED, ids=lambda v: getattr(v, "label", v)
)
def test_a_drawn_plan_is_the_same_everywhere(routing, tokens, experts, top_k, expected):
    assert digest(assign(routing, tokens, experts, top_k)) == expected


def test_the_first_tokens_of_a_plan_read_as_they_were_pinned():
    assert assign(UNIFORM, 3, 8, 2).tolist() == [[0, 4], [0, 4], [5, 6]]


@pytest.mark.parametrize("routing", [UNIFORM, ZIPF, LOGNORMAL, FOUR_HOT], ids=lambda r: r.label)
def test_a_tokens_experts_do_not_depend_on_how_many_tokens_there_are(routing):
    assert np.array_equal(assign(routing, 10, 32, 4), assign(routing, 1000, 32, 4)[:10])


def test_a_tokens_experts_do_not_depend_on_the_block_they_are_drawn_in():
    # 4,000,000 / 60,000 experts: blocks of 66 tokens; the second block goes on where the first ended.
    ids = assign(UNIFORM, 70, 60_000, 2)
    assert np.array_equal(ids[:66], assign(UNIFORM, 66, 60_000, 2))
    assert not np.array_equal(ids[66:], ids[:4])


@pytest.mark.parametrize("routing", [UNIFORM, ZIPF, LOGNORMAL, FOUR_HOT], ids=lambda r: r.label)
def test_no_token_goes_to_an_expert_twice(routing):
    ids = assign(routing, 2000, 32, 4)
    assert ids.shape == (2000, 4)
    assert (np.diff(ids, axis=1) > 0).all()
    assert ids.min() >= 0
    assert ids.max() <= 31


def test_a_seed_changes_the_draw():
    assert not np.array_equal(assign(UNIFORM, 50, 32, 4), assign(Routing(seed=1), 50, 32, 4))


def test_every_expert_is_taken_where_top_k_is_all():
    assert assign(ZIPF, 2, 3, 3).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_no_tokens_need_no_experts():
    assert assign(UNIFORM, 0, 8, 2).shape == (0, 2)


# -- distributions --------------------------------------------------------------------------------------------------


def loads(routing, tokens=40_000, experts=32, top_k=1):
    return np.bincount(assign(routing, tokens, experts, top_k).ravel(), minlength=experts)


def test_uniform_gives_every_expert_its_share():
    # 1250 each; four standard deviations are 4 x sqrt(1250) = 141.
    assert np.abs(loads(UNIFORM) - 1250).max() < 160


def test_zipf_makes_the_first_expert_twice_as_popular_as_the_second():
    # s = 1: shares 1, 1/2, 1/3 .. over H(32) = 4.0585; 40,000 tokens: 9856, 4928, 3285.
    ranked = np.sort(loads(Routing(kind="zipf", s=1.0)))[::-1]
    assert ranked[:3].tolist() == pytest.approx([9856, 4928, 3285], rel=0.04)


def test_zipf_of_zero_is_uniform():
    assert popularity(Routing(kind="zipf", s=0), 8).tolist() == [0.125] * 8


def test_zipf_shares_are_powers_of_the_rank():
    # 1, 1/4, 1/9, 1/16 over their sum 205/144.
    shares = np.sort(popularity(Routing(kind="zipf", s=2), 4))[::-1]
    assert shares.tolist() == pytest.approx([144 / 205, 36 / 205, 16 / 205, 9 / 205])


def test_lognormal_shares_have_the_deviation_that_was_asked_for():
    logs = np.log(popularity(Routing(kind="lognormal", sigma=0.5), 20_000))
    assert logs.std() == pytest.approx(0.5, rel=0.03)


def test_lognormal_of_zero_is_uniform():
    assert popularity(Routing(kind="lognormal", sigma=0), 8).tolist() == pytest.approx([0.125] * 8)


def test_popular_experts_do_not_all_come_first():
    # Sorted by popularity, 256 experts stand in shuffled order: about half of all neighbours are swapped.
    order = np.argsort(-popularity(ZIPF, 256))
    assert 90 < int((np.diff(order) < 0).sum()) < 165


def test_k_hot_uses_exactly_so_many_experts():
    assert np.count_nonzero(loads(Routing(kind="k-hot", hot=5), top_k=2)) == 5


def test_k_hot_beyond_all_experts_uses_all():
    assert np.count_nonzero(loads(Routing(kind="k-hot", hot=99), tokens=2000, experts=8, top_k=2)) == 8


def test_k_hot_with_too_few_experts_says_how_many_are_needed():
    with pytest.raises(DefinitionError, match="k-hot uses 2 experts but every token needs 4; set hot to 4 or more"):
        assign(Routing(kind="k-hot", hot=2), 10, 32, 4)


@pytest.mark.parametrize("routing", [UNIFORM, ZIPF, LOGNORMAL, Routing(kind="k-hot", hot=16)], ids=lambda r: r.label)
def test_the_chances_of_all_experts_add_up_to_top_k(routing):
    chances = inclusion(routing, 128, 8)
    assert chances.sum() == pytest.approx(8)
    assert chances.max() <= 1
    assert chances.min() >= 0


def test_a_uniform_experts_chance_is_its_share():
    # 8 of 128
    assert inclusion(UNIFORM, 128, 8).tolist() == pytest.approx([0.0625] * 128)


def test_the_chances_are_how_often_experts_are_drawn():
    counts = loads(ZIPF, tokens=20_000, experts=64, top_k=8) / 20_000
    assert np.abs(counts - inclusion(ZIPF, 64, 8)).max() < 0.02


def test_a_traces_chances_are_its_counts(trace):
    routing = trace("0 1\n0 2\n0 3\n0 1\n")
    assert inclusion(routing, 4, 2).tolist() == [1, 0.5, 0.25, 0.25]


# -- traces -------------------------------------------------------------------------------------------------------------


def test_a_trace_repeats_from_its_start(trace):
    ids = assign(trace("# a comment\n1 0\n\n3,2\n"), 5, 4, 2)
    assert ids.tolist() == [[0, 1], [2, 3], [0, 1], [2, 3], [0, 1]]


def test_a_wider_trace_is_cut_to_top_k(trace):
    assert assign(trace("5 1 2 2\n"), 1, 8, 2).tolist() == [[1, 5]]


BAD_TRACES = {
    "empty": ("", "holds no expert ids"),
    "comments only": ("# nothing\n\n", "holds no expert ids"),
    "ragged": ("1 2\n\n3\n", "line 3 is '3'"),
    "a word": ("1 2\n3 x\n", "line 2 is '3 x'"),
    "negative": ("1 -2\n", "line 1 is '1 -2'"),
    "a fraction": ("1 2.5\n", "line 1 is '1 2.5'"),
    "a superscript digit": ("1 2\n3 ²\n", "line 2 is '3 ²'"),
    "too large for 64 bits": ("1 99999999999999999999\n", "line 1"),
    "thousands of digits": ("9" * 5000 + " 1\n", "line 1"),
    "out of range": ("# top\n0 1\n2 8\n", "line 3 names expert 8; the model has 0 to 7"),
    "twice in a line": ("# top\n\n0 1\n3 3\n", "line 4 names an expert twice"),
    "too narrow": ("1\n2\n", "1 experts a line, but the model chooses 2"),
}


@pytest.mark.parametrize("tokens", [10, np.array([10, 20])], ids=["drawn", "sweep"])
@pytest.mark.parametrize(("text", "problem"), BAD_TRACES.values(), ids=BAD_TRACES.keys())
def test_a_bad_trace_is_refused_in_one_line_that_names_the_file(tmp_path, text, problem, tokens, trace):
    routing = trace(text)
    with pytest.raises(DefinitionError) as caught:
        plan_experts(routing, tokens, 8, 2)
    message = str(caught.value)
    assert str(tmp_path / "trace.txt") in message
    assert problem in message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("content", [b"\xff\xfe1 2\n", None], ids=["not UTF-8", "missing"])
def test_a_trace_that_cannot_be_read_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "trace.txt").write_bytes(content)
    with pytest.raises(DefinitionError, match=r"trace\.txt': cannot be read"):
        assign(Routing(kind="trace", file=str(tmp_path / "trace.txt")), 10, 8, 2)


def test_a_traces_name_that_is_no_name_is_refused():
    with pytest.raises(DefinitionError, match="cannot be read"):
        assign(Routing(kind="trace", file="a\0b"), 10, 8, 2)


# -- settings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("uniform", Routing()),
        ("zipf:1.2", Routing(kind="zipf", s=1.2)),
        ("zipf", Routing(kind="zipf", s=1.0)),
        ("lognormal:0.5", Routing(kind="lognormal", sigma=0.5)),
        ("k-hot:4", Routing(kind="k-hot", hot=4)),
        ("trace:a:b.txt", Routing(kind="trace", file="a:b.txt")),
    ],
)
def test_a_routing_flag_is_read(text, expected):
    assert parse_routing(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "zopf", "ZIPF:1", "zipf:x", "zipf:nan", "zipf:inf", "zipf:-1", "zipf:11", "zipf:1:2", "lognormal:99",
        "lognormal:nan", "k-hot", "k-hot:", "k-hot:0", "k-hot:-3", "k-hot:1.5", "k-hot:" + "9" * 5000, "uniform:2",
        "trace", "trace:", ":", "a\nb",
    ],
)  # fmt: skip
def test_a_bad_routing_flag_is_refused_in_one_line_with_the_known_forms(text):
    with pytest.raises(DefinitionError) as caught:
        parse_routing(text)
    assert str(caught.value).endswith("write uniform, zipf:1.2, lognormal:0.5, k-hot:4 or trace:FILE")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"kind": "zipf", "s": -0.1}, "s is -0.1; it must lie between 0"),
        ({"kind": "lognormal", "sigma": 10.5}, "sigma is 10.5; it must lie between 0"),
        ({"kind": "k-hot"}, "needs hot = the number of experts in use"),
        ({"kind": "k-hot", "hot": 0}, "needs hot = the number of experts in use"),
        ({"kind": "trace"}, "needs file = a text file"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"kind": "zopf"}, "Invalid enum value 'zopf'"),
        ({"skew": 1}, "unknown field `skew`"),
    ],
)
def test_a_routing_table_with_an_impossible_value_is_refused(table, problem):
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(table, Routing)


def test_the_largest_seed_draws():
    assert assign(Routing(seed=2**63 - 1), 3, 8, 2).shape == (3, 2)


@pytest.mark.parametrize(
    ("routing", "label"),
    [
        (UNIFORM, "uniform"),
        (ZIPF, "zipf1.2"),
        (Routing(kind="zipf", s=1.0), "zipf1"),
        (Routing(kind="lognormal", sigma=0.5), "lognormal0.5"),
        (FOUR_HOT, "4-hot"),
        (Routing(kind="trace", file="traces/night.txt"), "trace:night"),
        (Routing(seed=3), "uniform@3"),
    ],
)
def test_a_routing_has_a_short_name(routing, label):
    assert routing.label == label
