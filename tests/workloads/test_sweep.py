"""From names and flags to cases."""

from __future__ import annotations

import pytest

from bench import project
from bench.errors import DefinitionError
from bench.operators.cost import read_cost
from bench.operators.interface import Step
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing
from bench.workloads.schema import Workload
from bench.workloads.sweep import expand, kernel_case, known_suites, known_workloads, load_workload, select_cases

SHIPPED = sorted(path.stem for path in (project.shelf() / "workloads").glob("*.toml"))


def workload(text="", phase="decode", model="mini-dense"):
    head = f'summary = "s"\nphase = "{phase}"\nmodel = "{model}"\n'
    return project.parse_toml((head + text).encode(), Workload, "mine.toml")


def kernel(text, name="gemm"):
    return project.parse_toml(
        f'summary = "s"\nphase = "kernel"\nkernel = "{name}"\n{text}'.encode(), Workload, "mine.toml"
    )


def refused(action):
    with pytest.raises(DefinitionError) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    return message


# -- what ships ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_workload_expands_to_cases_that_can_be_priced(name):
    cases = select_cases([name])
    assert cases
    first = cases[0]
    assert read_cost(first.program(), first.step(), first.dtype).launches >= 1


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_workload_can_be_found_by_a_suite(name):
    assert load_workload(name).suites


def test_the_full_suite_is_every_workload():
    assert sorted(known_suites()["full"]) == SHIPPED


def test_the_smoke_suite_has_every_phase():
    assert {case.phase for case in select_cases(["smoke"])} == {"prefill", "decode", "moe", "kernel"}


def test_the_smoke_suite_is_small():
    cases = select_cases(["smoke"])
    assert len(cases) < 30
    assert sum(case.time_s for case in cases) < 120


def named(*names, **overrides):
    return [case.case_id for case in select_cases(names, overrides)]


def test_a_single_case_is_named_by_its_id():
    name = "mini-dense-decode[b=1,ctx=1k,bf16]"
    assert named(name) == [name]
    assert named("gemm", name, name) == [*named("gemm"), name]


def test_cases_are_named_by_a_pattern_whose_brackets_are_themselves():
    assert named("mini-dense-decode[b=?,ctx=1k,*") == [
        "mini-dense-decode[b=1,ctx=1k,bf16]", "mini-dense-decode[b=8,ctx=1k,bf16]",
    ]  # fmt: skip
    everywhere = named("*[b=1,ctx=1k,*")
    assert "mini-dense-decode[b=1,ctx=1k,bf16]" in everywhere
    assert all("[b=1,ctx=1k," in one for one in everywhere)
    assert set(named("llama-3.[13]*")) >= set(named("llama-3.1-8b-decode"))  # a class of letters, in a workload's name


def test_a_case_that_only_flags_make_is_found_with_them():
    name = "mini-dense-decode[b=3,ctx=1k,bf16]"
    assert f"no case '{name}'; did you mean" in refused(lambda: named(name))
    assert named(name, batch=[3]) == [name]


def test_a_case_that_only_a_suite_has_is_found(tmp_path, monkeypatch):
    (tmp_path / "workloads").mkdir()
    text = 'summary = "s"\nphase = "decode"\nmodel = "mini-dense"\nbatch = 1\ncontext = 512\ntime_s = 3.0\n'
    (tmp_path / "workloads" / "mine.toml").write_text(f"{text}[suites.quick]\nbatch = 2\ntime_s = 1.0\n")
    monkeypatch.chdir(tmp_path)
    (found,) = select_cases(["mine[*b=2,*"])
    assert (found.batch, found.time_s) == (2, 1.0)


@pytest.mark.parametrize("suite", ["smoke", "prefill", "decode", "moe", "kernels", "collectives", "deepseek", "full"])
def test_a_suite_has_cases(suite):
    assert select_cases([suite])


def test_workloads_are_listed_by_phase():
    phases = [w.phase for w in known_workloads().values()]
    assert phases == sorted(phases, key=["prefill", "decode", "moe", "kernel"].index)


# -- names --------------------------------------------------------------------------------------------------------------


def test_an_unknown_workload_is_refused_with_the_nearest_names():
    message = refused(lambda: select_cases(["mini-dense-decod"]))
    assert message.startswith("unknown workload or suite 'mini-dense-decod'; did you mean 'mini-dense-decode'")
    assert "bench workloads" in message


@pytest.mark.parametrize("name", ["zzzz", "", "[", "a\0b"])
def test_a_name_far_from_all_is_refused_with_the_suites(name):
    assert "suites: " in refused(lambda: select_cases([name]))


def test_load_workload_names_the_nearest_as_well():
    assert "unknown workload 'gem'; did you mean 'gemm'" in refused(lambda: load_workload("gem"))


def test_a_pattern_means_all_that_match():
    names = {case.workload for case in select_cases(["mini-moe*"])}
    assert names == {"mini-moe-decode", "mini-moe-layer", "mini-moe-prefill"}


def test_a_case_named_twice_runs_once():
    assert len(select_cases(["gemm", "gemm"])) == len(select_cases(["gemm"]))


def test_a_workload_of_ones_own_wins_over_the_shipped_one(tmp_path, monkeypatch):
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "gemm.toml").write_text(
        'summary = "mine"\nphase = "kernel"\nkernel = "gemm"\npoints = [{m = 2, n = 3, k = 5}]\n'
    )
    monkeypatch.chdir(tmp_path)
    assert [case.case_id for case in select_cases(["gemm"])] == ["gemm[m=2,n=3,k=5,bf16]"]
    assert len(select_cases(["rms-norm"])) == 3


# -- expansion ----------------------------------------------------------------------------------------------------------


def ids(made, suite=None, **overrides):
    return [case.case_id for case in expand("mine", made, suite, overrides)]


def test_every_combination_is_a_case_in_order():
    made = workload('batch = [1, 8]\ncontext = "1k:4k:x2"\n')
    assert ids(made) == [
        "mine[mini-dense,b=1,ctx=1k,bf16]",
        "mine[mini-dense,b=1,ctx=2k,bf16]",
        "mine[mini-dense,b=1,ctx=4k,bf16]",
        "mine[mini-dense,b=8,ctx=1k,bf16]",
        "mine[mini-dense,b=8,ctx=2k,bf16]",
        "mine[mini-dense,b=8,ctx=4k,bf16]",
    ]


def test_lists_may_hold_numbers_and_ranges():
    made = workload('batch = [1, "8:24:+8", "4k"]\ncontext = 8\n')
    assert [case.batch for case in expand("mine", made)] == [1, 8, 16, 24, 4096]


def test_a_repeated_value_is_one_case():
    assert len(ids(workload("batch = [4, 4]\n"))) == 1


def test_a_dense_model_has_no_routing():
    assert expand("mine", workload())[0].routing is None


def test_a_moe_model_takes_every_routing():
    made = workload('routing = [{ kind = "uniform" }, { kind = "zipf", s = 2 }]\n', model="mini-moe")
    assert [case.routing.label for case in expand("mine", made)] == ["uniform", "zipf2"]


def test_a_mixed_list_of_models_routes_only_those_with_experts():
    made = workload('routing = [{ kind = "uniform" }, { kind = "zipf" }]\n')
    cases = expand("mine", made, None, {"model": ["mini-dense", "mini-moe"]})
    assert [(case.model, case.routing and case.routing.label) for case in cases] == [
        ("mini-dense", None),
        ("mini-moe", "uniform"),
        ("mini-moe", "zipf1"),
    ]


def test_a_suite_narrows_the_sweep():
    made = workload("batch = [1, 8]\ncontext = [8, 16]\n[suites.smoke]\nbatch = 2\ntime_s = 1.5\n")
    cases = expand("mine", made, "smoke")
    assert [(case.batch, case.context, case.time_s) for case in cases] == [(2, 8, 1.5), (2, 16, 1.5)]


def test_a_flag_wins_over_the_suite():
    made = workload("[suites.smoke]\nbatch = 2\n")
    assert [case.batch for case in expand("mine", made, "smoke", {"batch": [5, 6]})] == [5, 6]


def test_a_kernel_sweeps_its_dims():
    made = kernel('[dims]\nm = [1, 2]\nn = "8"\nk = 4\n')
    assert [case.dims for case in expand("mine", made)] == [{"m": 1, "n": 8, "k": 4}, {"m": 2, "n": 8, "k": 4}]


def test_a_kernel_without_experts_ignores_routing():
    made = kernel('points = [{ m = 1, n = 1, k = 1 }]\nrouting = { kind = "zipf" }\n')
    assert [case.routing for case in expand("mine", made)] == [None]


def test_a_deployment_flag_changes_only_what_it_names():
    made = workload("[deployment]\ntp = 2\nscale_out_gb_per_s = 50\n")
    assert expand("mine", made, None, {"deployment": {"layers": 1}})[0].deployment == Deployment(
        tp=2, layers=1, scale_out_gb_per_s=50
    )


def test_a_shorter_run_keeps_the_cases_name():
    assert ids(workload("time_s = 9\n")) == ids(workload("time_s = 1\n"))


# -- impossible sweeps --------------------------------------------------------------------------------------------------

BAD_VALUES = {
    "batch of 0": ("batch = 0\n", "batch: 0 is not a positive whole number such as 8 or 512"),
    "negative batch": ("batch = -4\n", "batch: -4 is not a positive whole number"),
    "batch beyond reason": ("batch = 99999999999999\n", "batch: 99999999999999 is not"),
    "batch of 0 as text": ('batch = "0"\n', "batch: '0' is not a positive whole number such as 8, 512 or 4k"),
    "a word": ('batch = "many"\n', "batch: 'many' is not"),
    "no batch": ("batch = []\n", "batch: an empty list; give at least one value"),
    "no context": ("context = []\n", "context: an empty list"),
    "no dtype": ("dtype = []\n", "dtype: an empty list"),
    "no routing": ("routing = []\n", "routing: an empty list"),
    "no deployment": ("deployment = []\n", "deployment: an empty list"),
    "half a range": ('context = "1k:2k"\n', "'1k:2k' is not a range; write FIRST:LAST:xFACTOR or FIRST:LAST:+STEP"),
    "a range that stands still": ('context = "1k:2k:x1"\n', "step 'x1' in '1k:2k:x1' is neither x2 or more nor +1"),
    "a range without a sign": ('context = "1k:2k:64"\n', "neither x2 or more nor +1 or more"),
    "a range that ends first": ('context = "2k:1k:x2"\n', "range '2k:1k:x2' ends below its start"),
    "an unfinished list": ('context = "1k,"\n', "'' is not a positive whole number"),
    "tp that does not divide heads": (
        "[deployment]\ntp = 3\n", "tp = 3 does not divide the 16 heads of mini-dense"
    ),
    "experts of a dense model": ("[deployment]\ndp = 2\nep = 2\n", "ep = 2, but mini-dense has no experts"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), BAD_VALUES.values(), ids=BAD_VALUES.keys())
def test_an_impossible_value_is_refused_with_the_workload_and_the_value(text, problem):
    message = refused(lambda: expand("mine", workload(text)))
    assert message.startswith("workload 'mine': ")
    assert problem in message


def test_an_unknown_model_is_refused_with_the_nearest_names():
    message = refused(lambda: expand("mine", workload(model="mini-dens")))
    assert "unknown model 'mini-dens'; did you mean 'mini-dense'" in message


def test_an_unknown_dtype_of_a_flag_is_refused_with_the_nearest_names():
    message = refused(lambda: select_cases(["gemm"], {"dtype": ["bf17"]}))
    assert "dtype 'bf17'; did you mean 'bf16'" in message


def test_a_negative_prefix_is_refused_but_none_is_fine():
    assert "prefix: -1 is not a whole number" in refused(lambda: expand("mine", workload("prefix = -1\n", "prefill")))
    assert expand("mine", workload("prefix = 0\n", "prefill"))[0].context == 512


def test_a_moe_layer_of_a_dense_model_is_refused():
    message = refused(lambda: expand("mine", workload(phase="moe")))
    assert "model 'mini-dense' has no experts; phase 'moe' needs some" in message


BAD_CUTS = {
    "ep beyond experts": ("mini-moe", {"dp": 3, "ep": 3}, "ep = 3 does not divide the 32 experts of mini-moe"),
    "kv heads": (
        "deepseek-r1-distill-qwen-7b",
        {"tp": 7},
        "tp = 7 neither divides nor is a multiple of the 4 kv heads",
    ),
    "dense width": ("deepseek-r1-distill-qwen-7b", {"tp": 28}, "tp = 28 does not divide the intermediate size 18944"),
    "latent heads": ("deepseek-r1", {"tp": 3}, "tp = 3 does not divide the 128 heads"),
}


@pytest.mark.parametrize(("model", "deployment", "problem"), BAD_CUTS.values(), ids=BAD_CUTS.keys())
def test_a_model_that_cannot_be_cut_so_is_refused(model, deployment, problem):
    message = refused(lambda: select_cases(["mini-dense-decode"], {"model": [model], "deployment": deployment}))
    assert problem in message


def test_a_kernel_of_heads_that_do_not_divide_is_refused():
    made = kernel(
        "points = [{ batch = 1, context = 8, heads = 5, kv_heads = 2, head_dim = 8 }]\n", "attention_decode"
    )  # fmt: skip
    assert "heads = 5 is not a multiple of kv_heads = 2" in refused(lambda: expand("mine", made))


def test_a_kernel_of_more_choices_than_experts_is_refused():
    made = kernel("points = [{ m = 1, n = 8, k = 8, experts = 2, top_k = 4 }]\n", "grouped_gemm")
    assert "top_k = 4 is more than experts = 2" in refused(lambda: expand("mine", made))


@pytest.mark.parametrize(
    ("dims", "problem"),
    [
        ("m = []\nn = 1\nk = 1\n", "dims.m: an empty list"),
        ("m = [0]\nn = 1\nk = 1\n", "dims.m: 0 is not"),
        ('m = "0"\nn = 1\nk = 1\n', "dims.m: '0' is not"),
        ("m = 9999999999999\nn = 1\nk = 1\n", "9999999999999"),
    ],
)
def test_an_impossible_dim_is_refused(dims, problem):
    assert problem in refused(lambda: expand("mine", kernel("[dims]\n" + dims)))


def test_a_point_beyond_reason_is_refused():
    made = kernel("points = [{ m = 9999999999999, n = 1, k = 1 }]\n")
    assert "m is 9999999999999; it must lie between 1 and 1099511627776" in refused(lambda: expand("mine", made))


def test_a_flag_that_no_chosen_workload_has_is_refused():
    message = refused(lambda: select_cases(["gemm"], {"input_len": [8]}))
    assert message.startswith("--input-len: none of the chosen workloads has it")


def test_a_flag_that_one_chosen_workload_has_is_fine():
    assert select_cases(["gemm", "mini-dense-decode"], {"context": [8]})


def test_a_deployment_flag_of_no_ranks_is_refused():
    assert "deployment tp is 0" in refused(lambda: select_cases(["mini-dense-decode"], {"deployment": {"tp": 0}}))


def test_too_many_cases_are_refused():
    message = refused(lambda: select_cases(["mini-dense-decode"], {"batch": list(range(1, 3001))}))
    assert message == "6000 cases are more than 5000; narrow the sweep"


def test_two_different_cases_of_one_name_are_refused(tmp_path):
    made = workload(
        'routing = [{ kind = "trace", file = "a/t.txt" }, { kind = "trace", file = "b/t.txt" }]\n', model="mini-moe"
    )
    message = refused(lambda: expand("mine", made))
    assert "two different cases are both named mine[mini-moe,b=1,ctx=1k,bf16,trace:t]" in message


def test_two_models_of_which_one_begins_like_the_other_are_two_cases():
    cases = expand("deepseek-v3.2-decode", workload(), None, {"model": ["deepseek-v3.2", "deepseek-v3"]})
    assert [case.case_id for case in cases] == [
        "deepseek-v3.2-decode[b=1,ctx=1k,bf16,uniform]",
        "deepseek-v3.2-decode[deepseek-v3,b=1,ctx=1k,bf16,uniform]",
    ]


def test_a_routing_flag_replaces_the_workloads_own():
    cases = select_cases(["mini-moe-decode"], {"routing": [Routing(kind="k-hot", hot=8)], "batch": [1], "context": [8]})
    assert [case.case_id for case in cases] == ["mini-moe-decode[b=1,ctx=8,bf16,8-hot]"]


def test_a_cases_step_is_what_its_name_says():
    case = select_cases(["attention-prefill"])[0]
    assert case.case_id == "attention-prefill[b=1,ctx=512,h=32,kv=8,d=64,bf16]"
    assert case.step() == Step("prefill", 1, 512, 512)


def test_one_kernel_alone_is_the_case_of_a_workload_named_after_it():
    made = kernel_case("attention_decode", {"batch": 2, "context": 1024, "heads": 8, "kv_heads": 2, "head_dim": 64},
                       "bf16", Routing(), 1.0)  # fmt: skip
    assert made.case_id == "attention-decode[b=2,ctx=1k,h=8,kv=2,d=64,bf16]"
    assert (made.batch, made.context, made.routing, made.time_s) == (2, 1024, None, 1.0)


@pytest.mark.parametrize(
    ("kernel", "dims", "message"),
    [
        ("gem", {"m": 1}, "kernel is 'gem'; known: gemm, "),
        ("gemm", {"m": 1}, r"kernel 'gemm' needs the dims \['k', 'm', 'n'\], found \['m'\]"),
        ("swiglu", {"m": 2**41, "n": 1}, "workload 'swiglu': m is 2199023255552"),
    ],
)
def test_one_kernel_that_cannot_be_is_told(kernel, dims, message):
    with pytest.raises(DefinitionError, match=message):
        kernel_case(kernel, dims, "bf16", Routing(), 1.0)
