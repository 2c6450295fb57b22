"""Definitions and cases: names that last, hashes that tell changed work apart, errors that say what would be right."""

from __future__ import annotations

import msgspec
import pytest

from bench import project
from bench.errors import DefinitionError
from bench.operators.interface import Step
from bench.workloads.deployment import Deployment
from bench.workloads.routing import Routing
from bench.workloads.schema import Case, Workload
from bench.workloads.sweep import load_workload, select_cases

MODEL = """\
name = "Small"
source = "a test"
architecture = "test"
layers = 2
hidden = 64
heads = 4
kv_heads = 2
head_dim = 16
intermediate = 96
vocab = 100
"""


def case(**keys):
    return Case(
        **{"workload": "w", "phase": "decode", "dtype": "bf16", "model": "mini-dense", "batch": 1, "context": 8} | keys
    )


# -- names --------------------------------------------------------------------------------------------------------------

# Pinned: results, baselines and history find a case by this name.
IDS = {
    "gemm": "gemm[m=1k,n=1k,k=1k,bf16]",
    "grouped-gemm": "grouped-gemm[m=512,n=1k,k=1k,experts=64,top=8,bf16,zipf1.2]",
    "attention-decode": "attention-decode[b=32,ctx=4k,h=32,kv=8,d=128,bf16]",
    "mla-decode": "mla-decode[b=64,ctx=4k,h=128,rank=512,rope=64,bf16]",
    "all-reduce": "all-reduce[n=1M,ranks=8,bf16]",
    "memory-copy": "memory-copy[n=128M,bf16]",
    "mini-dense-decode": "mini-dense-decode[b=1,ctx=1k,bf16]",
    "mini-dense-prefill": "mini-dense-prefill[b=1,in=512,bf16]",
    "mini-mla-moe-decode": "mini-mla-moe-decode[b=8,ctx=1k,bf16,zipf0.5]",
    "mini-moe-layer": "mini-moe-layer[t=64,bf16,4-hot]",
    "deepseek-r1-decode": "deepseek-r1-decode[b=1,ctx=4k,fp8,dp128,ep128,uniform]",
    "deepseek-r1-moe-layer": "deepseek-r1-moe-layer[t=128,int8,dp32,ep32,lognormal0.5]",
    "deepseek-v3-decode": "deepseek-v3-decode[deepseek-v3.2,b=96,ctx=32k,int8,dp128,ep128,uniform]",
    "qwen3-dense-prefill": "qwen3-dense-prefill[qwen3-32b,b=1,in=4k,bf16,tp2]",
    "llama-3.1-70b-decode": "llama-3.1-70b-decode[b=128,ctx=16k,bf16,tp8]",
    "qwen3-235b-a22b-decode": "qwen3-235b-a22b-decode[b=8,ctx=4k,bf16,tp4,dp4,ep16,uniform]",
}


@pytest.mark.parametrize(("workload", "case_id"), IDS.items(), ids=IDS)
def test_a_shipped_case_keeps_its_name(workload, case_id):
    assert case_id in [c.case_id for c in select_cases([workload])]


@pytest.mark.parametrize(
    ("made", "case_id"),
    [
        (case(workload="mini-dense-decode", context=1000), "mini-dense-decode[b=1,ctx=1000,bf16]"),
        (case(workload="mine"), "mine[mini-dense,b=1,ctx=8,bf16]"),
        (case(workload="mini-dense"), "mini-dense[b=1,ctx=8,bf16]"),
        (case(workload="mini-denser-decode"), "mini-denser-decode[mini-dense,b=1,ctx=8,bf16]"),
        (
            case(workload="deepseek-v3.2-decode", model="deepseek-v3"),
            "deepseek-v3.2-decode[deepseek-v3,b=1,ctx=8,bf16]",
        ),
        (case(phase="prefill", input_len=8), "w[mini-dense,b=1,in=8,bf16]"),
        (case(phase="prefill", input_len=512, context=4608), "w[mini-dense,b=1,in=512,ctx=4608,bf16]"),
        (case(deployment=Deployment(tp=4, dp=2, ep=8, layers=3)), "w[mini-dense,b=1,ctx=8,bf16,tp4,dp2,ep8,layers=3]"),
        (case(routing=Routing(kind="trace", file="a/night.txt")), "w[mini-dense,b=1,ctx=8,bf16,trace:night]"),
        (case(routing=Routing(seed=5)), "w[mini-dense,b=1,ctx=8,bf16,uniform@5]"),
    ],
)
def test_a_case_is_named_by_what_is_not_usual(made, case_id):
    assert made.case_id == case_id


def test_no_two_shipped_cases_share_a_name():
    names = [c.case_id for c in select_cases(["full"])]
    assert len(names) == len(set(names))


# -- hashes -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path, monkeypatch):
    """Write the model `small` of one's own; returns a function that writes it again, changed."""
    folder = tmp_path / "workloads" / "models"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def write(old="", new=""):
        assert old in MODEL
        (folder / "small.toml").write_text(MODEL.replace(old, new) if old else MODEL + new)

    write()
    return write


def small(**keys):
    return case(**{"model": "small"} | keys)


def test_a_definitions_hash_is_the_same_everywhere():
    # Pinned: a change says that older results no longer describe this case.
    gemm = Case(workload="gemm", phase="kernel", dtype="bf16", kernel="gemm", dims={"m": 8, "n": 16, "k": 32})
    assert gemm.definition_hash == "bbfd7fc82dcd8a98"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("layers = 2", "layers = 3"),
        ("hidden = 64", "hidden = 128"),
        ("intermediate = 96", "intermediate = 95"),
        ("", "qkv_bias = true\n"),
        ("", "norm_eps = 1e-5\n"),
        ("", "rope_theta = 500000.0\n"),
    ],
)
def test_a_changed_number_of_the_model_changes_the_hash(model, old, new):
    before = small().definition_hash
    model(old, new)
    assert small().definition_hash != before


@pytest.mark.parametrize(("old", "new"), [('source = "a test"', 'source = "a paper"'), ("", 'notes = ["hello"]\n')])
def test_a_changed_note_of_the_model_does_not_change_the_hash(model, old, new):
    before = small().definition_hash
    model(old, new)
    assert small().definition_hash == before


@pytest.mark.parametrize(
    "keys",
    [
        {"batch": 2},
        {"context": 9},
        {"dtype": "fp16"},
        {"phase": "prefill"},
        {"routing": Routing()},
        {"deployment": Deployment(tp=2)},
        {"deployment": Deployment(layers=1)},
    ],
)
def test_other_work_has_another_hash(model, keys):
    assert small(**keys).definition_hash != small().definition_hash


@pytest.mark.parametrize("keys", [{"time_s": 60.0}, {"memory_gb": 1.0}])
def test_limits_do_not_change_the_hash(model, keys):
    assert small(**keys).definition_hash == small().definition_hash


def test_another_seed_has_another_hash(model):
    assert small(routing=Routing(seed=1)).definition_hash != small(routing=Routing(seed=2)).definition_hash


def test_a_changed_trace_has_another_hash(model, tmp_path):
    traced = small(routing=Routing(kind="trace", file=str(tmp_path / "trace.txt")))
    (tmp_path / "trace.txt").write_text("0 1\n")
    before = traced.definition_hash
    (tmp_path / "trace.txt").write_text("0 2\n")
    assert traced.definition_hash != before


def test_a_case_with_a_lost_trace_still_has_a_hash(model):
    assert len(small(routing=Routing(kind="trace", file="/nowhere/trace.txt")).definition_hash) == 16


# -- steps --------------------------------------------------------------------------------------------------------------


def test_a_decode_case_steps_by_one_token():
    assert select_cases(["mini-dense-decode"], {"batch": [8], "context": [4096]})[0].step() == Step(
        "decode", 8, 1, 4096
    )


def test_a_prefill_case_with_a_prefix_sees_both():
    cases = select_cases(["mini-dense-prefill"], {"input_len": [512], "prefix": [1024]})
    assert cases[0].step() == Step("prefill", 1, 512, 1536)


def test_a_moe_case_steps_over_its_tokens():
    assert select_cases(["mini-moe-layer"], {"tokens": [64]})[0].step() == Step("moe", 1, 64, 64)


# -- impossible definitions ---------------------------------------------------------------------------------------------

DECODE = 'summary = "s"\nphase = "decode"\nmodel = "mini-dense"\n'
KERNEL = 'summary = "s"\nphase = "kernel"\n'
GEMM = KERNEL + 'kernel = "gemm"\n'

REFUSED = {
    "misspelt key": (DECODE + "btach = 1\n", "unknown key 'btach'; did you mean 'batch'"),
    "unknown key": (DECODE + "colour = 1\n", "unknown key 'colour'"),
    "misspelt key of a table": (DECODE + "[deployment]\ntpp = 2\n", "unknown key 'tpp' in [deployment]; did you mean 'tp'"),
    "misspelt key of a suite": (DECODE + "[suites.smoke]\nbtach = 1\n", "unknown key 'btach' in [suites"),
    "no summary": ('phase = "decode"\nmodel = "mini-dense"\n', "missing required field `summary`"),
    "no phase": ('summary = "s"\nmodel = "mini-dense"\n', "missing required field `phase`"),
    "unknown phase": (DECODE.replace("decode", "decod"), "`phase` is 'decod'; did you mean 'decode'?"),
    "no model": ('summary = "s"\nphase = "decode"\n', "phase 'decode' needs model = an id"),
    "empty models": (DECODE.replace('"mini-dense"', "[]"), "phase 'decode' needs model = an id"),
    "wrong type": (DECODE + "batch = 1.5\n", "Expected `int | str | array`, got `float` - at `batch`"),
    "a truth": (DECODE + "batch = true\n", "got `bool` - at `batch`"),
    "a nested list": (DECODE + "batch = [[1]]\n", "Expected `int | str`, got `array` - at `batch[0]`"),
    "unknown dtype": (DECODE + 'dtype = "bf15"\n', "dtype is 'bf15'; known: fp32, fp16, bf16, fp8, int8, fp4"),
    "unknown dtype of several": (DECODE + 'dtype = ["bf16", "x"]\n', "dtype is 'x'; known"),
    "unknown dtype of a suite": (DECODE + '[suites.smoke]\ndtype = ["x"]\n', "dtype is 'x'; known"),
    "no time": (DECODE + "time_s = 0\n", "time_s is 0.0; it must be a number above 0"),
    "negative time": (DECODE + "time_s = -1\n", "time_s is -1.0"),
    "time without end": (DECODE + "time_s = inf\n", "time_s is inf"),
    "time that is no number": (DECODE + "time_s = nan\n", "time_s is nan"),
    "negative time of a suite": (DECODE + "[suites.smoke]\ntime_s = -1\n", "time_s is -1.0"),
    "negative memory": (DECODE + "memory_gb = -1\n", "memory_gb is -1.0"),
    "no ranks": (DECODE + "[deployment]\ntp = 0\n", "deployment tp is 0; it counts devices, so 1 or more"),
    "negative ranks": (DECODE + "[deployment]\ndp = -2\n", "deployment dp is -2"),
    "no layers": (DECODE + "[deployment]\nlayers = 0\n", "deployment layers is 0"),
    "no network": (DECODE + "[deployment]\nscale_out_gb_per_s = 0\n", "scale_out_gb_per_s is 0.0"),
    "ranks that do not fit": (DECODE + "[deployment]\nep = 3\n", "ep = 3 does not divide tp x dp = 1 devices"),
    "ranks across each other": (
        DECODE + "[deployment]\ntp = 4\ndp = 3\nep = 6\n", "ep = 6 and tp = 4: one must be a multiple of the other"
    ),
    "skew below 0": (DECODE + '[routing]\nkind = "zipf"\ns = -1\n', "routing s is -1.0"),
    "unknown routing": (DECODE + '[routing]\nkind = "zopf"\n', "`routing.kind` is 'zopf'; did you mean 'zipf'?"),
    "kernel in a decode": (DECODE + 'kernel = "gemm"\n', "kernel, points and dims belong to phase 'kernel'"),
    "dims in a decode": (DECODE + "[dims]\nm = 1\n", "kernel, points and dims belong to phase 'kernel'"),
    "no kernel": (KERNEL, "kernel is None; known: gemm"),
    "unknown kernel": (KERNEL + 'kernel = "gem"\n', "kernel is 'gem'; known: gemm"),
    "model in a kernel": (GEMM + 'model = "mini-dense"\npoints = [{m = 1, n = 1, k = 1}]\n', "model belongs to the phases"),
    "no dims": (GEMM, "a kernel needs either points"),
    "empty points": (GEMM + "points = []\n", "a kernel needs either points"),
    "points and dims": (GEMM + "points = [{m = 1, n = 1, k = 1}]\n[dims]\nm = 1\nn = 1\nk = 1\n", "either points"),
    "missing dim": (GEMM + "points = [{m = 1, n = 2}]\n", "needs the dims ['k', 'm', 'n'], found ['m', 'n']"),
    "missing dim of a table": (GEMM + "[dims]\nm = 1\nn = 2\n", "needs the dims ['k', 'm', 'n'], found ['m', 'n']"),
    "missing dim of a suite": (
        GEMM + "points = [{m = 1, n = 1, k = 1}]\n[suites.smoke]\npoints = [{m = 1}]\n", "found ['m']"
    ),
    "another dim": (GEMM + "points = [{m = 1, n = 2, k = 3, q = 4}]\n", "found ['k', 'm', 'n', 'q']"),
    "a dim of 0": (GEMM + "points = [{m = 1, n = 2, k = 0}]\n", "must be 1 or more, found {'m': 1, 'n': 2, 'k': 0}"),
    "a dim as text": (GEMM + 'points = [{m = "1", n = 2, k = 3}]\n', "Expected `int`, got `str`"),
    "broken TOML": ("summary = \n", "not valid TOML"),
    "not text": (b"\xff\xfe", "not valid TOML"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_an_impossible_workload_is_refused_in_one_line_that_names_the_file(text, problem):
    with pytest.raises(DefinitionError) as caught:
        project.parse_toml(text if isinstance(text, bytes) else text.encode(), Workload, "workloads/mine.toml")
    message = str(caught.value)
    assert message.startswith("workloads/mine.toml: ")
    assert problem in message
    assert "\n" not in message


def test_a_workload_file_that_is_wrong_is_named(tmp_path, monkeypatch):
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "mine.toml").write_text(DECODE + "btach = 1\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError, match=r"workloads/mine\.toml: unknown key 'btach'"):
        load_workload("mine")


def test_a_case_survives_being_written_and_read():
    for made in select_cases(["smoke"]):
        assert msgspec.json.decode(msgspec.json.encode(made), type=Case) == made
