"""Architectures: every shipped one loads, impossible ones are refused."""

from __future__ import annotations

import pytest

from bench import project
from bench.errors import DefinitionError
from bench.workloads.model import Model, load_model

SMALL = """\
name = "small"
source = "a test"
architecture = "test"
layers = 4
hidden = 64
heads = 4
kv_heads = 2
head_dim = 16
intermediate = 96
vocab = 100
"""
MLA = """\
[mla]
kv_lora_rank = 24
qk_nope_dim = 16
qk_rope_dim = 8
v_head_dim = 16
"""
MOE = """\
[moe]
experts = 8
top_k = 2
intermediate = 32
"""

SHIPPED = sorted(path.stem for path in (project.shelf() / "workloads" / "models").glob("*.toml"))


def parse(text):
    return project.parse_toml(text.encode(), Model, "small.toml")


def refused(text):
    with pytest.raises(DefinitionError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith("small.toml: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_loads(name):
    assert load_model(name).layers >= 1


@pytest.mark.parametrize("name", [n for n in SHIPPED if not n.startswith("mini")])
def test_a_shipped_model_names_its_source_and_its_published_size(name):
    model = load_model(name)
    assert model.source
    assert model.published_total_params


def test_an_unknown_model_is_refused_with_the_nearest_names():
    with pytest.raises(DefinitionError) as caught:
        load_model("deepsek-r1")
    assert "unknown model 'deepsek-r1'; did you mean 'deepseek-r1'" in str(caught.value)
    assert "bench workloads --models" in str(caught.value)


def test_a_model_far_from_every_name_is_refused_with_the_known_ones():
    with pytest.raises(DefinitionError, match=r"unknown model 'zzz'; known: .*deepseek-r1"):
        load_model("zzz")


def test_a_model_of_ones_own_wins_over_the_shipped_one(tmp_path, monkeypatch):
    (tmp_path / "workloads" / "models").mkdir(parents=True)
    (tmp_path / "workloads" / "models" / "mini-dense.toml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    assert load_model("mini-dense").name == "small"


def test_a_model_without_experts_has_dense_layers_only():
    model = parse(SMALL)
    assert (model.dense_layers, model.moe_layers) == (4, 0)


def test_a_moe_model_has_experts_in_every_layer_but_the_first_dense_ones():
    model = parse(SMALL + MOE + "first_dense_layers = 1\n")
    assert (model.dense_layers, model.moe_layers) == (1, 3)


def test_a_moe_model_without_dense_layers_needs_no_intermediate():
    assert parse(SMALL.replace("intermediate = 96\n", "") + MOE).intermediate is None


def test_a_latent_model_needs_no_kv_heads():
    assert parse(SMALL.replace("kv_heads = 2\nhead_dim = 16\n", "") + MLA).kv_heads is None


REFUSED = {
    "no layers": (("layers = 4", "layers = 0"), "layers is 0; it must lie between 1 and"),
    "negative hidden": (("hidden = 64", "hidden = -64"), "hidden is -64"),
    "no heads": (("heads = 4\nkv", "heads = 0\nkv"), "heads is 0"),
    "no vocabulary": (("vocab = 100", "vocab = 0"), "vocab is 0"),
    "no intermediate": (("intermediate = 96", "intermediate = 0"), "intermediate is 0"),
    "intermediate missing": (("intermediate = 96\n", ""), "intermediate is needed: the model has dense layers"),
    "no head size": (("head_dim = 16", "head_dim = 0"), "head_dim is 0"),
    "odd head size": (("head_dim = 16", "head_dim = 15"), "head_dim is 15; it must be even"),
    "no kv heads": (("kv_heads = 2", "kv_heads = 0"), "kv_heads is 0"),
    "kv heads that do not divide": (("kv_heads = 2", "kv_heads = 3"), "heads = 4 is not a multiple of kv_heads = 3"),
    "kv heads missing": (("kv_heads = 2\n", ""), "kv_heads and head_dim are needed where there is no [mla] table"),
    "a size beyond reason": (("hidden = 64", "hidden = 1" + "0" * 30), "hidden is 1000000000000000000000000000000"),
    "a fraction": (("hidden = 64", "hidden = 64.5"), "Expected `int`, got `float` - at `hidden`"),
    "a text": (("hidden = 64", 'hidden = "64"'), "Expected `int`, got `str` - at `hidden`"),
    "a truth": (("hidden = 64", "hidden = true"), "Expected `int`, got `bool` - at `hidden`"),
    "hidden missing": (("hidden = 64\n", ""), "missing required field `hidden`"),
    "misspelt key": (("hidden = 64", "hiden = 64"), "unknown key 'hiden'; did you mean 'hidden'"),
    "twice the same key": (("hidden = 64", "hidden = 64\nhidden = 32"), "not valid TOML"),
}


@pytest.mark.parametrize(("change", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_an_impossible_model_is_refused(change, problem):
    assert change[0] in SMALL
    assert problem in refused(SMALL.replace(*change))


ADDED = {
    "no window": ("sliding_window = 0\n", "sliding_window is 0"),
    "no context": ("max_context = 0\n", "max_context is 0"),
    "no rotary base": ("rope_theta = 0.0\n", "rope_theta is 0.0; it must be a number above 0"),
    "infinite rotary base": ("rope_theta = inf\n", "rope_theta is inf"),
    "negative epsilon": ("norm_eps = -1e-6\n", "norm_eps is -1e-06"),
    "clamp of nothing": ("activation_clamp = 0.0\n", "activation_clamp is 0.0"),
    "indexer without latents": ("[indexer]\nheads = 2\nhead_dim = 8\ntop_k = 4\n", "it needs an [mla] table"),
    "no indexer heads": (MLA + "[indexer]\nheads = 0\nhead_dim = 8\ntop_k = 4\n", "heads is 0"),
    "odd indexer head": (MLA + "[indexer]\nheads = 2\nhead_dim = 7\ntop_k = 4\n", "head_dim is 7; it must be even"),
    "no rank": (MLA.replace("kv_lora_rank = 24", "kv_lora_rank = 0"), "kv_lora_rank is 0"),
    "odd rotary part": (MLA.replace("qk_rope_dim = 8", "qk_rope_dim = 7"), "qk_rope_dim is 7; it must be even"),
    "value size missing": (MLA.replace("v_head_dim = 16\n", ""), "missing required field `v_head_dim` - at `mla`"),
    "no experts": (MOE.replace("experts = 8", "experts = 0"), "experts is 0"),
    "no top_k": (MOE.replace("top_k = 2", "top_k = 0"), "top_k is 0; it must lie between 1 and experts = 8"),
    "top_k beyond": (MOE.replace("top_k = 2", "top_k = 9"), "top_k is 9; it must lie between 1 and experts = 8"),
    "empty experts": (MOE.replace("intermediate = 32", "intermediate = 0"), "intermediate is 0"),
    "negative shared": (MOE + "shared_experts = -1\n", "shared_experts is -1; it must lie between 0 and"),
    "negative dense": (MOE + "first_dense_layers = -1\n", "first_dense_layers is -1"),
    "too many dense": (MOE + "first_dense_layers = 5\n", "first_dense_layers is 5, more than layers = 4"),
    "groups that do not divide": (MOE + "groups = 3\n", "groups 3 (kept 1) do not divide 8 experts"),
    "no groups": (MOE + "groups = 0\n", "groups 0 (kept 1) do not divide 8 experts"),
    "more groups kept": (MOE + "groups = 2\ngroups_kept = 3\n", "groups 2 (kept 3) do not divide 8 experts"),
    "groups of one": (MOE + "groups = 8\ngroups_kept = 8\n", "a group is scored by its two best"),
    "groups too small": (
        MOE.replace("top_k = 2", "top_k = 3") + "groups = 4\n", "those kept must hold top_k = 3"
    ),
    "unknown scoring": (MOE + 'scoring = "relu"\n', "`moe.scoring` is 'relu'; known: sigmoid, softmax"),
    "scale that is no number": (MOE + "scale = nan\n", "scale is nan"),
    "misspelt key in a table": (MOE + "expert = 3\n", "unknown key 'expert' in [moe]; did you mean 'experts'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "problem"), ADDED.values(), ids=ADDED.keys())
def test_an_impossible_part_of_a_model_is_refused(text, problem):
    assert problem in refused(SMALL + text)
