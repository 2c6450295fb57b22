"""Anchors: published figures beside the model's for the same configuration. A miss is shown, never tuned away."""

from __future__ import annotations

import pytest

from bench.devices.sheet import known_sheets
from bench.errors import DefinitionError
from bench.measure.anchors import anchors, case_of_reference, published_rows
from bench.measure.rows import case_of, modelled_rows
from bench.results.reference import load_references, references_in
from bench.workloads.model import load_model

DEVICES = ("h800-sxm", "h100-sxm", "ascend-910c")


@pytest.fixture(scope="module")
def every():
    found = {anchor.reference.id: anchor for anchor in anchors(DEVICES)}
    for name, anchor in found.items():
        print(f"{name}: {anchor.reference.value:g} published, {anchor.modelled:g} modelled, {anchor.deviation:+.1%}")
    return found


def test_every_figure_names_sheets_and_models_that_are_here():
    for reference in load_references():
        assert set(reference.devices) <= set(known_sheets())
        for model in reference.models:
            load_model(model)


def test_every_figure_with_a_case_is_priced(every):
    assert len(every) == 11
    assert [anchor.reason for anchor in every.values() if anchor.modelled is None] == []


# Production prefill is half of what its own profile is, for reasons that the model leaves out.
@pytest.mark.parametrize(
    "name",
    [
        "deepseek-h800-decode-profile", "deepseek-h800-decode-production", "deepseek-h800-prefill-profile",
        "sglang-h100-decode-2k", "sglang-h100-prefill-4k", "cloudmatrix-910c-prefill", "cloudmatrix-910c-decode-layer",
    ],
)  # fmt: skip
def test_a_plain_step_is_met_within_a_fifth(name, every):
    anchor = every[name]
    assert abs(anchor.deviation) < 0.2, f"{anchor.modelled:g} modelled, {anchor.reference.value:g} published"


def test_the_deviation_is_modelled_over_published_less_one(every):
    anchor = every["sglang-h100-prefill-4k"]
    assert anchor.deviation == pytest.approx(anchor.modelled / 6287.75 - 1)
    assert anchor.inside == (anchor.interval[0] <= 6287.75 <= anchor.interval[1])
    assert anchor.interval[0] < anchor.modelled < anchor.interval[1]


def test_the_case_is_the_published_configuration(every):
    assert every["deepseek-h800-decode-profile"].case_id == "deepseek-r1-decode[b=128,ctx=4k,fp8,dp128,ep128,uniform]"
    assert every["deepseek-h800-decode-production"].case_id == (
        "deepseek-r1-decode[b=128,ctx=4989,fp8,dp128,ep128,uniform]"
    )
    assert every["sglang-h100-prefill-4k"].case_id == "deepseek-r1-prefill[b=4,in=4k,fp8,dp32,ep32,uniform]"
    for anchor in every.values():
        # One policy a phase: what published gains from two batches come to in decode, turns taken in prefill.
        deployment = case_of_reference(anchor.reference).deployment
        expected = ("partial", 0.45) if anchor.reference.phase == "decode" else ("two-micro-batches", 0.0)
        assert (deployment.overlap, deployment.overlap_share) == expected


def test_a_package_s_figure_is_compared_with_a_package_s_row(every):
    anchor = every["cloudmatrix-910c-prefill"]
    die, package = modelled_rows(case_of_reference(anchor.reference), "ascend-910c")
    assert (die.unit, package.unit) == ("die", "package")
    # 2 prompts of 4096 on each of two dies.
    assert anchor.modelled == pytest.approx(2 * 2 * 4096 / die.step_s)


def test_a_layer_is_a_61st_of_a_step_and_its_interval_is_of_time(every):
    anchor = every["cloudmatrix-910c-decode-layer"]
    row = modelled_rows(case_of_reference(anchor.reference), "ascend-910c")[0]
    assert anchor.modelled == pytest.approx(row.step_s / 61)
    assert anchor.interval == pytest.approx((row.interval[0] / 61, row.interval[1] / 61))


def test_a_rate_s_interval_is_turned_over(every):
    anchor = every["deepseek-h800-decode-profile"]
    row = modelled_rows(case_of_reference(anchor.reference), "h800-sxm")[0]
    assert anchor.interval == pytest.approx((128 / row.interval[1], 128 / row.interval[0]))


def test_only_the_devices_models_and_phases_asked_for():
    assert {anchor.device for anchor in anchors(["h800-sxm"])} == {"h800-sxm"}
    assert len(anchors(["h800-sxm"], ["deepseek-v3"])) == 4
    assert anchors(["h800-sxm"], ["qwen3-8b"]) == []
    assert {anchor.reference.phase for anchor in anchors(DEVICES, phases=["decode"])} == {"decode"}
    assert anchors(["cpu"]) == []


# -- one's own ---------------------------------------------------------------------------------------------------------

OWN = """
[[entry]]
id = "mine"
citation = "us/ours@abc README"
model_name = "Qwen3-8B"
models = ["qwen3-8b"]
device_name = "H100"
devices = ["h100-sxm"]
unit = "GPU"
phase = "decode"
metric = "tpot_s"
value = 0.01
as_published = "10 ms"
[entry.configuration]
batch = 1
[entry.reproduce]
workload = "qwen3-dense-decode"
model = "qwen3-8b"
dtype = "bf16"
batch = 1
context = 1024
deployment = { tp = 1 }
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    folder = tmp_path / "results" / "reference"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return (folder / "mine.toml").write_text


def test_one_s_own_figure_is_priced_too(mine):
    mine(OWN)
    (anchor,) = anchors(["h100-sxm"], ["qwen3-8b"])
    assert (anchor.reference.id, anchor.device) == ("mine", "h100-sxm")
    assert anchor.deviation == pytest.approx(anchor.modelled / 0.01 - 1)


def test_a_figure_that_cannot_be_priced_on_its_device_says_why(mine):
    mine(OWN.replace('metric = "tpot_s"', 'metric = "ttft_s"'))
    (anchor,) = anchors(["h100-sxm"], ["qwen3-8b"])
    assert (anchor.modelled, anchor.deviation, anchor.inside) == (None, None, None)
    assert anchor.reason == "a modelled decode has no ttft_s"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('devices = ["h100-sxm"]', 'devices = ["h100-sxmm"]', "unknown device 'h100-sxmm'; did you mean 'h100-sxm'"),
        ('models = ["qwen3-8b"]', 'models = ["qwen3-8"]', "unknown model 'qwen3-8'; did you mean 'qwen3-8b'"),
        ("context = 1024\n", "", "its [entry.reproduce] describes "),
        ('"qwen3-dense-decode"', '"qwen3-dense-decod"', "unknown workload or suite 'qwen3-dense-decod'; did you mean"),
        ("{ tp = 1 }", "{ tq = 1 }", "tq"),
    ],
)  # fmt: skip
def test_a_figure_without_a_device_a_model_or_one_case_is_told_in_one_line(mine, old, new, message):
    mine(OWN.replace(old, new))
    with pytest.raises(DefinitionError) as error:
        anchors(["h100-sxm"], ["qwen3-8b"])
    assert str(error.value).startswith("published figure 'mine': ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_published_package_is_a_row_of_the_package_and_of_half_of_it():
    """CloudMatrix384: 6,688 prompt tokens a second of a 910C package, batch 2 a die of 4,096: 2 * 4096 * 2 / 6688 s."""
    rows = {(row.phase, row.unit): row for row in published_rows(references_in("cloudmatrix384"))}
    package, die = rows["prefill", "package"], rows["prefill", "die"]
    assert (package.source, package.tier, package.interval) == ("published", None, None)
    assert package.prompt_tokens_per_s == pytest.approx(6688)
    assert die.prompt_tokens_per_s == pytest.approx(3344)
    assert package.step_s == die.step_s == pytest.approx(2 * 4096 * 2 / 6688)
    assert any("2506.12708" in note for note in package.notes)
    assert die.notes[-1] == "published per package, here per die: a package is 2 dies"


def test_a_published_layer_s_time_is_a_step_of_61_layers():
    rows = {(row.phase, row.unit): row for row in published_rows(references_in("cloudmatrix384"))}
    assert rows["decode", "die"].step_s == pytest.approx(874e-6 * 61)
    assert rows["decode", "die"].output_tokens_per_s == pytest.approx(48 / (874e-6 * 61))


def test_every_published_row_is_a_modelled_case_s_twin():
    for row in published_rows(load_references()):
        twin = next(other for other in modelled_rows(case_of(row), row.device) if other.unit == row.unit)
        assert (twin.case_id, twin.definition_hash, twin.flops) == (row.case_id, row.definition_hash, twin.flops)
