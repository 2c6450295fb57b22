import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DefinitionError
from bench.results.target import Target, asked_of, missed, named_by, named_targets, of_model, parse_targets
from bench.workloads.model import load_model


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("50ms", [(0.05, None)]),
        ("tpot=15ms,30ms", [(0.015, None), (0.03, None)]),
        ("tpot=50ms,ttft=2s", [(0.05, 2.0)]),
        ("ttft=2s,tpot=15ms,30ms", [(0.015, 2.0), (0.03, 2.0)]),
        ("30tok/s/user", [(1 / 30, None)]),
        ("20tok/s, ttft=450ms", [(0.05, 0.45)]),
        ("ttft=2s", [(None, 2.0)]),
        ("0.05s,50ms", [(0.05, None)]),
    ],
)
def test_targets_are_read(text, expected):
    assert [(each.tpot_s, each.ttft_s) for each in parse_targets(text)] == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "tpot=", "tpot=-1ms", "tpot=0ms", "ttft=30tok/s", "30parsecs", "tpot=1e3ms", "nan", "50ms,"]
)
def test_what_is_no_target_is_told(text):
    with pytest.raises(DefinitionError, match="is not a target; write tpot=50ms, ttft=2s, 30tok/s/user"):
        parse_targets(text)


def test_two_first_token_limits_are_refused():
    with pytest.raises(DefinitionError, match="has 2 ttft limits; give one"):
        parse_targets("tpot=50ms,ttft=1s,ttft=2s")


def test_a_misspelt_name_is_told_with_the_nearest():
    with pytest.raises(DefinitionError, match="did you mean 'mlperf-interactive'"):
        parse_targets("mlperf-interactiv")


def test_a_named_target_has_its_models_limits():
    found = of_model(parse_targets("mlperf-interactive")[0], "deepseek-r1")
    assert (found.ttft_s, found.tpot_s) == (1.5, 0.015)
    assert found.source.startswith("mlcommons/inference@001712e loadgen/mlperf.conf")
    assert str(found) == "tpot<=15ms,ttft<=1.5s"


def test_a_named_target_without_limits_for_a_model_says_for_which_it_has_them():
    assert of_model(Target(name="mlperf-server"), "qwen3-8b") == (
        "mlperf-server sets no limits for qwen3-8b; it does for deepseek-r1, llama-3.1-8b, llama-3.1-70b, mixtral-8x7b"
    )


def test_every_named_target_is_of_a_model_that_is_here():
    for target, _ in named_targets():
        assert [load_model(model) for model in target.models]


def test_a_row_is_named_by_its_target_and_not_by_its_batch(row):
    decode = row(case_id="x-decode[b=8,ctx=1k,fp8,tp2]", dtype="fp8", notes=["n"])
    target = Target(tpot_s=0.05, ttft_s=2.0)
    assert named_by(decode, target).case_id == "x-decode[tpot<=50ms,ttft<=2s,ctx=1k,fp8,tp2]"
    assert named_by(decode, target, "8-bit").case_id == "x-decode[tpot<=50ms,ttft<=2s,ctx=1k,8-bit,tp2]"
    prefill = row(case_id="x-prefill[b=8,in=1k,fp8]", dtype="fp8", phase="prefill")
    assert named_by(prefill, target).case_id == "x-prefill[ttft<=2s,in=1k,fp8]"
    assert decode.notes == ["n"]


def test_two_targets_with_one_first_token_limit_ask_prefill_once_and_decode_twice():
    both = parse_targets("tpot=30ms,50ms,ttft=2s")
    assert [each.limit_s for each in asked_of("prefill", "m", both)] == [2.0]
    assert [each.limit_s for each in asked_of("decode", "m", both)] == [0.03, 0.05]
    assert asked_of("prefill", "m", parse_targets("tpot=30ms,50ms")) == []


def test_a_named_target_with_the_limits_of_another_asks_the_same():
    asked = asked_of("decode", "llama-3.1-8b", parse_targets("tpot=30ms,ttft=500ms,mlperf-interactive"))
    named = of_model(Target(name="mlperf-interactive"), "llama-3.1-8b")
    assert (named.tpot_s, named.ttft_s) == (0.03, 0.5)
    assert [each.limit_s for each in asked] == [0.03]


def test_a_target_without_limits_for_a_model_asks_nothing_and_says_why():
    (asked,) = asked_of("decode", "nobody", [Target(name="mlperf-server")])
    assert asked.reason.startswith("mlperf-server sets no limits for nobody")


def test_a_missed_target_has_no_number_and_a_failed_row_keeps_its_reason(row):
    late = missed(row(step_s=0.1, output_tokens_per_s=10.0, tpot_s=0.1), Target(tpot_s=0.05), "too late")
    assert (late.status, late.reason, late.step_s, late.output_tokens_per_s) == ("skipped", "too late", None, None)
    failed = missed(row(status="oom", reason="no room"), Target(tpot_s=0.05), "too late")
    assert (failed.status, failed.reason) == ("oom", "no room")


@given(st.text(max_size=30))
def test_no_text_does_anything_but_give_targets_or_one_line(text):
    try:
        found = parse_targets(text)
    except DefinitionError:
        return
    assert all((each.tpot_s or each.ttft_s or 0) > 0 or each.name for each in found)
