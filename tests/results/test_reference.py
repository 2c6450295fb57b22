"""Published figures: every one is there with its citation, what came second-hand says so, a bad file is told in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import DefinitionError
from bench.results.reference import Configuration, Reference, Reproduce, figure, load_references, matching

# Every figure that was collected, by id, in SI base units.
COLLECTED = {
    # lm-sys blog of 2025-05-05: DeepSeek on H800, SGLang on H100
    "deepseek-h800-prefill-production": 4025.75,
    "sglang-h100-prefill-4k": 6287.75,
    "sglang-h100-prefill-2k": 6817.875,
    "deepseek-h800-decode-profile": 2324.75,
    "deepseek-h800-decode-production": 1850.0,
    # CloudMatrix384, FlashMLA, AMLA
    "cloudmatrix-910c-prefill": 6688.0,
    "cloudmatrix-910c-decode-mtp": 1943.0,
    "cloudmatrix-910c-decode-layer": 874e-6,
    "cloudmatrix-910c-decode-layer-mtp": 1260e-6,
    "cloudmatrix-910c-mla-compute-bound": 0.654,
    "flashmla-h800-memory-bound": 3000e9,
    "amla-910-compute-bound": 614e12,
    "cloudmatrix-910c-int8-gemm": 0.774,
    "cloudmatrix-910c-combine-ep8": 118e-6,
    # MLPerf Inference v4.1
    "mlperf-4.1-h100-llama2-70b-99.9-server": 21605.79,
    "mlperf-4.1-h200-llama2-70b-99-offline": 31302.7,
    "mlperf-4.1-h200-llama2-70b-99-server": 29228.22,
    # TensorRT-LLM's overview
    "trtllm-deepseek-r1-h200-1k-32k": 438.0,
    "trtllm-llama-3.3-70b-h100-1000-1000": 2209.0,
    "trtllm-llama-3.3-70b-h100-8k-1k": 398.0,
    "trtllm-llama-3.3-70b-h200-32k-1k": 120.0,
    "trtllm-qwen3-235b-h200-8k-1k": 627.0,
    "trtllm-gpt-oss-120b-h200-1000-1000": 6868.0,
    "trtllm-gpt-oss-120b-h100-1000-1000": 4685.0,
    "trtllm-llama-3.3-70b-rtx-pro-6000-1000-1000": 1724.0,
    # DeepEP and its Ascend port
    "deepep-h800-low-latency-dispatch-ep32": 155e-6,
    "deepep-h800-low-latency-combine-ep32": 273e-6,
    "deepep-h800-low-latency-dispatch-ep64": 173e-6,
    "deepep-h800-normal-combine-ep8": 158e9,
    "deepep-h800-normal-dispatch-ep16": 43e9,
    "deepep-h800-normal-dispatch-ep32": 58e9,
    "deepep-h800-normal-combine-ep64": 50e9,
    "deepep-ascend-a3-normal-dispatch-ep8": 102e9,
    "deepep-ascend-a3-normal-combine-ep8": 152e9,
    # SGLang on Atlas
    "sglang-ascend-deepseek-r1-32-cards-6k-1.6k": 36.906,
    "sglang-ascend-deepseek-r1-32-cards-3.5k-1k": 36.344,
    "sglang-ascend-deepseek-r1-8-cards-3.5k-1k": 312.077,
    "sglang-ascend-qwen3-32b-4-cards-4k-1.5k": 25.85,
    "sglang-ascend-qwen3-32b-8-cards-18k-4k": 9.955,
    "sglang-ascend-qwen3-32b-a2-8-cards-6k-1.5k": 296.0,
    "sglang-ascend-qwen3-235b-24-cards-3.5k-1.5k": 467.416,
    "sglang-ascend-qwen3-235b-8-cards-3.5k-1.5k": 477.625,
    "sglang-ascend-qwen3-235b-8-cards-2k-2k": 790.071,
    "sglang-ascend-qwen3-235b-16-cards-2k-2k": 519.625,
    "sglang-ascend-qwen3-32b-2-cards-3.5k-1.5k": 707.5,
    "sglang-ascend-qwen3-30b-a3b-1-card-3.5k-1.5k": 3166.03,
    "sglang-ascend-qwen3-480b-24-cards-3.5k-1.5k": 266.25,
    # GPUStack on 910B
    "gpustack-910b-qwen3-8b-32000-100": 2890.64,
    "gpustack-910b-qwen3-8b-4000-200": 7677.41,
    "gpustack-910b-qwen3-8b-2000-100": 9589.0,
    "gpustack-910b-qwen3-30b-a3b-32000-100": 10830.52,
}

TPOT_S = {
    "cloudmatrix-910c-decode-mtp": 0.0494,
    "mlperf-4.1-h100-llama2-70b-99.9-server": 0.155,
    "sglang-ascend-deepseek-r1-32-cards-6k-1.6k": 0.01981,
    "sglang-ascend-qwen3-32b-4-cards-4k-1.5k": 0.00946,
    "sglang-ascend-qwen3-480b-24-cards-3.5k-1.5k": 0.04827,
    "gpustack-910b-qwen3-8b-32000-100": 0.34418,
    "gpustack-910b-qwen3-30b-a3b-32000-100": 0.24208,
}


@pytest.fixture(scope="module")
def every():
    return {reference.id: reference for reference in load_references()}


@pytest.mark.parametrize("name", COLLECTED)
def test_a_collected_figure_is_there_in_base_units(name, every):
    assert every[name].value == pytest.approx(COLLECTED[name], rel=1e-12)


@pytest.mark.parametrize("name", TPOT_S)
def test_a_second_figure_of_the_same_run_stands_beside_it(name, every):
    assert every[name].also["tpot_s"] == TPOT_S[name]


def test_the_count_of_figures(every):
    # 51 collected ones, and 4 more of the lm-sys text.
    assert len(every) == 55
    assert set(every) > set(COLLECTED)


def test_every_figure_has_a_citation_a_unit_and_a_caveat_or_a_case(every):
    for reference in every.values():
        assert "@" in reference.citation or "arXiv:" in reference.citation or "README" in reference.citation
        assert reference.unit
        assert reference.as_published[0].isdigit() or reference.as_published.startswith("up to")
        assert reference.reproduce or reference.caveat


def test_what_came_through_a_third_party_says_so(every):
    assert {name for name, reference in every.items() if reference.secondary} == {
        name
        for name in every
        if name.startswith(("deepseek-h800-", "cloudmatrix-910c-")) or name.startswith("sglang-ascend-")
    }
    for reference in every.values():
        assert ("third party" in reference.citation) <= reference.secondary


def test_a_figure_with_speculation_is_never_priced(every):
    speculative = [reference for reference in every.values() if reference.configuration.speculative]
    assert len(speculative) == 14
    assert [reference.id for reference in speculative if reference.reproduce] == []


def test_no_file_names_a_place_on_somebody_s_machine():
    from bench import project

    for path in project.definitions("results", "reference/*").values():
        assert str(Path.home()) not in path.read_text("utf-8")


def test_a_910b_of_unknown_bin_names_every_bin_and_says_so(every):
    reference = every["gpustack-910b-qwen3-8b-4000-200"]
    assert reference.devices == ["ascend-910b1", "ascend-910b2", "ascend-910b3", "ascend-910b4"]
    assert "bin not stated" in reference.caveat


def test_matching_is_by_device_model_and_phase():
    assert {reference.id for reference in matching("h800-sxm", "deepseek-r1", "decode")} == {
        "deepseek-h800-decode-profile",
        "deepseek-h800-decode-production",
    }
    assert matching("h800-sxm", "qwen3-8b", "decode") == []
    assert matching("h800-sxm", None, "decode") == []


def test_served_traffic_stands_with_decode_and_not_with_prefill():
    served = "sglang-ascend-qwen3-30b-a3b-1-card-3.5k-1.5k"
    assert [reference.id for reference in matching("ascend-910c", "qwen3-30b-a3b", "decode")] == [served]
    assert matching("ascend-910c", "qwen3-30b-a3b", "prefill") == []


def test_a_kernel_matches_by_its_kind():
    found = matching("ascend-910c", None, "kernel", "mla_decode")
    assert [reference.id for reference in found] == ["cloudmatrix-910c-mla-compute-bound", "amla-910-compute-bound"]


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("output_tokens_per_s", 2324.75, "2,325"),
        ("layer_s", 874e-6, "874 us"),
        ("bytes_per_s", 3e12, "3.00 TB/s"),
        ("flops_per_s", 614e12, "614 TFLOP/s"),
        ("utilization", 0.654, "65%"),
    ],
)
def test_a_value_as_people_read_it(metric, value, text):
    assert figure(metric, value) == text


def test_the_page_names_every_key():
    page = (Path(__file__).parents[2] / "results" / "reference" / "README.md").read_text("utf-8")
    for record in (Reference, Configuration, Reproduce):
        for key in record.__struct_fields__:
            assert f"`{key}`" in page or f"`[entry.{key}]`" in page, key


# -- bad files ---------------------------------------------------------------------------------------------------------

ENTRY = """
[[entry]]
id = "mine"
citation = "us/ours@abc README"
model_name = "M"
device_name = "D"
devices = ["h100-sxm"]
unit = "GPU"
phase = "decode"
metric = "output_tokens_per_s"
value = 10.0
as_published = "10 tok/s"
caveats = ["a test"]
[entry.configuration]
batch = 1
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a function that writes a file of one's own figures where one stands."""
    folder = tmp_path / "results" / "reference"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return lambda text, name="mine.toml": (folder / name).write_text(text)


def test_one_s_own_figures_are_found_beside_the_shipped_ones(mine):
    mine(ENTRY)
    assert {"mine", "cloudmatrix-910c-prefill"} <= {reference.id for reference in load_references()}


def test_one_s_own_file_replaces_the_shipped_one_of_its_name(mine):
    mine(ENTRY, "deepseek.toml")
    ids = {reference.id for reference in load_references()}
    assert "mine" in ids
    assert "deepseek-h800-decode-profile" not in ids


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("citation =", "citaton =", "unknown key 'citaton'"),
        ("value = 10.0", "value = -1.0", "Expected `float` > 0.0 - at `entry[0].value`"),
        ("value = 10.0", 'value = "10"', "Expected `float`, got `str` - at `entry[0].value`"),
        ('citation = "us/ours@abc README"', "", "missing required field `citation` - at `entry[0]`"),
        ('unit = "GPU"', 'unit = "card"', "`entry[0].unit` is 'card'; known: GPU"),
        ('caveats = ["a test"]', "", "'mine' has neither a caveat nor a [entry.reproduce] table; say why it is not priced"),
        ('phase = "decode"', 'phase = "kernel"', "a kernel belongs to phase 'kernel', and only there"),
        (
            "[entry.configuration]",
            '[entry.reproduce]\nworkload = "deepseek-r1-decode"\ndtype = "fp8"\n[entry.configuration]\n#',
            None,
        ),
        (
            'unit = "GPU"',
            'unit = "node"\nreproduce = { workload = "deepseek-r1-decode", dtype = "fp8" }',
            "'mine': output_tokens_per_s per node cannot be priced",
        ),
        ("[[entry]]", "[[entry]", "not valid TOML"),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_in_one_line(mine, old, new, message):
    mine(ENTRY.replace(old, new))
    if message is None:
        assert "mine" in {reference.id for reference in load_references()}
        return
    with pytest.raises(DefinitionError) as error:
        load_references()
    assert str(error.value).startswith("results/reference/mine.toml: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_id_that_stands_twice_is_told_with_both_files(mine):
    mine(ENTRY)
    mine(ENTRY, "other.toml")
    with pytest.raises(
        DefinitionError, match=r"^results/reference/other.toml: id 'mine' stands in results/reference/mine"
    ):
        load_references()
