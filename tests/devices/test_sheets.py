"""The shipped device sheets: complete, sourced, and consistent with the arithmetic of their cores."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bench import project
from bench.devices.sheet import PATTERNS, Cores, Figure, Link, Memory, Price, Sheet, known_sheets, load_sheet
from bench.errors import DefinitionError

DEVICES = project.shelf() / "devices"
PATHS = sorted(path for pattern in PATTERNS for path in DEVICES.glob(pattern))
IDS = [path.stem for path in PATHS]

VENDORS = {
    "nvidia": "h100-sxm h100-pcie h800-sxm h20 h200-sxm a100-sxm-80 a800-sxm-80 rtx-5090 rtx-4090 l40s b200-sxm gb200",
    "huawei": "ascend-910b1 ascend-910b2 ascend-910b3 ascend-910b4 ascend-910c ascend-310p ascend-950pr ascend-950dt "
    "atlas-350",
    "hygon": "hygon-bw1000 hygon-k100ai hygon-z100",
    "enflame": "enflame-s60 enflame-t20 enflame-t21 enflame-l600",
    "moorethreads": "mtt-s4000 mtt-s5000 mtt-s80",
    "tsingmicro": "tsingmicro-tx81",
    "amd": "mi300x mi325x",
    "intel": "gaudi3 xeon-amx",
    "google": "tpu-v5e tpu-v6e",
    "metax": "metax-c500",
    "iluvatar": "iluvatar-bi150",
    "kunlunxin": "kunlun-p800",
    "cambricon": "mlu370-x8 mlu590",
    "biren": "biren-br104 biren-br166",
}

GOOD = """
name = "Mine"
vendor = "Me"
adapter = "nvidia"
torch_device = "cuda"
checked = "2026-11-21"

[peak_tflops]
bf16 = { value = 100, source = "data sheet", confidence = "A" }
"""


def shipped(path: Path) -> Sheet:
    return project.load_toml(path, Sheet)


def figures(record: object, key: str = "") -> list[tuple[str, Figure]]:
    """Return every figure of a sheet with its dotted key."""
    if isinstance(record, Figure):
        return [(key, record)]
    if isinstance(record, msgspec.Struct):
        parts = {name: getattr(record, name) for name in record.__struct_fields__}
    elif isinstance(record, dict):
        parts = record
    else:
        return []
    return [found for name, part in parts.items() for found in figures(part, f"{key}.{name}".strip("."))]


def recomputed_tflops(sheet: Sheet) -> float | None:
    cores = sheet.cores
    if cores is None or cores.count is None or cores.clock_mhz is None or cores.flops_per_clock is None:
        return None
    factors = (cores.count.value, cores.clock_mhz.value, cores.flops_per_clock.value)
    if None in factors:
        return None
    count, clock_mhz, flops_per_clock = factors
    return count * clock_mhz * flops_per_clock / 1e6


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return a function that writes devices/mine.toml in a project folder of a person's own and loads it."""
    (tmp_path / "devices").mkdir()
    monkeypatch.chdir(tmp_path)

    def load(text: str) -> Sheet:
        (tmp_path / "devices" / "mine.toml").write_text(text, encoding="utf-8")
        return load_sheet("mine")

    return load


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_a_sheet_loads_and_says_when_it_was_checked(path):
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", shipped(path).checked)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_device_of_a_vendor_has_its_sheet_in_the_vendors_folder(vendor):
    found = {path.stem for path in (DEVICES / vendor).glob("*.toml")}
    assert set(VENDORS[vendor].split()) <= found


def test_at_least_45_devices_are_known():
    assert len(set(IDS)) >= 45
    assert set(IDS) <= set(known_sheets())


def test_no_two_sheets_have_the_same_name():
    assert len(IDS) == len(set(IDS))


def test_cores_times_flop_per_clock_times_clock_gives_the_peak():
    ratios = {}
    for path in PATHS:
        sheet = shipped(path)
        recomputed = recomputed_tflops(sheet)
        if recomputed is not None:
            ratios[path.stem] = recomputed / sheet.peak_tflops[sheet.cores.dtype].value
    assert {device: ratio for device, ratio in ratios.items() if not 0.985 <= ratio <= 1.015} == {}
    assert len(ratios) >= 12


def test_132_cores_of_4096_flop_at_1830_mhz_are_989_tflops():
    assert recomputed_tflops(load_sheet("h100-sxm")) == pytest.approx(989.43, abs=0.01)


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_every_figure_with_a_value_has_a_source(path):
    given = [(key, figure) for key, figure in figures(shipped(path)) if figure.value is not None]
    assert [key for key, figure in given if not figure.source.strip()] == []


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_every_absent_value_says_why(path):
    absent = [(key, figure) for key, figure in figures(shipped(path)) if figure.value is None]
    assert [key for key, figure in absent if not (figure.note or "").strip()] == []
    assert [key for key, figure in absent if figure.confidence != "U"] == []


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_a_figure_called_unverified_or_derived_is_not_called_certain(path):
    doubtful = [
        key
        for key, figure in figures(shipped(path))
        if figure.value is not None
        and (figure.note or "").startswith(("unverified", "derived"))
        and figure.confidence != "C"
    ]
    assert doubtful == []


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_every_price_has_a_source_and_a_range_in_order(path):
    for price in shipped(path).prices:
        assert price.source.strip()
        assert price.currency in ("USD", "RMB", "EUR")
        assert 0 < price.low <= (price.high or price.low)


@pytest.mark.parametrize("path", PATHS, ids=IDS)
def test_a_sheet_begins_with_a_sentence_and_cites_only_what_a_stranger_can_look_up(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# ")
    assert text.splitlines()[0].endswith(".")
    for private in ("devices.csv", "devices.md"):
        assert private not in text


@pytest.mark.parametrize("record", [Sheet, Figure, Memory, Cores, Link, Price], ids=lambda record: record.__name__)
def test_the_readme_describes_every_key(record):
    words = set(re.findall(r"[a-z0-9_]+", (DEVICES / "README.md").read_text(encoding="utf-8")))
    assert set(record.__struct_fields__) - words == set()


def test_the_readmes_own_sheet_loads(mine):
    example = (DEVICES / "README.md").read_text(encoding="utf-8").split("```toml\n")[2].split("```")[0]
    sheet = mine(example)
    assert sheet.peak_flops("bf16") == 100e12
    assert sheet.memory_bytes_per_s is None


def test_the_figure_walker_sees_figures_at_every_depth():
    keys = [key for key, _ in figures(load_sheet("ascend-910c"))]
    assert {"tdp_w", "peak_tflops.bf16", "memory.size_gb", "cores.count", "link.die_to_die_gb_per_s"} <= set(keys)


def test_h100_sxm_has_the_dense_figures():
    sheet = load_sheet("h100-sxm")
    assert sheet.peak_flops("bf16") == 989.4e12
    assert sheet.peak_flops("fp8") == 1978.9e12
    assert sheet.memory_bytes == 80e9
    assert sheet.memory_bytes_per_s == 3350e9
    assert sheet.link_bytes_per_s == 450e9
    assert sheet.link.domain_devices.value == 8
    assert sheet.tdp_w.value == 700


def test_the_h800_link_is_200_per_direction():
    assert load_sheet("h800-sxm").link.peer_gb_per_s.value == 200


def test_ascend_910c_is_one_die_of_two_with_the_cube_peak():
    sheet = load_sheet("ascend-910c")
    assert sheet.unit == "die"
    assert sheet.devices_per_package == 2
    assert sheet.peak_tflops["bf16"].value == 353.9
    assert sheet.peak_tflops["fp16"].value == 353.9
    assert "fp8" not in sheet.peak_tflops
    assert sheet.memory.size_gb.value == 64
    assert sheet.memory.bandwidth_gb_per_s.value == 1600
    assert sheet.link.die_to_die_gb_per_s.value == 224
    assert sheet.link.domain_devices.value == 768


def test_b200_has_the_hgx_memory_not_the_press_figures():
    sheet = load_sheet("b200-sxm")
    assert sheet.memory_bytes == 180e9
    assert sheet.memory_bytes_per_s == 7.7e12


def test_rtx_5090_is_stated_with_fp32_accumulation():
    assert load_sheet("rtx-5090").peak_tflops["bf16"].value == 209.5


def test_h20_has_full_bandwidth_and_little_compute():
    sheet = load_sheet("h20")
    assert sheet.peak_tflops["bf16"].value == 148
    assert sheet.memory.bandwidth_gb_per_s.value == 4000
    assert sheet.memory.size_gb.value == 96


def test_a100_has_no_fp8():
    assert "fp8" not in load_sheet("a100-sxm-80").peak_tflops


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "bf16", "int8"])
def test_s60_supports_a_dtype_but_publishes_no_peak(dtype):
    sheet = load_sheet("enflame-s60")
    assert sheet.peak_tflops[dtype].value is None
    assert sheet.peak_flops(dtype) is None
    assert sheet.peak_tflops[dtype].note == "supported; peak not published by the vendor"


def test_mtt_s5000_has_an_fp8_peak_and_none_for_bf16():
    sheet = load_sheet("mtt-s5000")
    assert sheet.peak_tflops["fp8"].value == 1000
    assert sheet.peak_flops("bf16") is None
    assert sheet.link_bytes_per_s is None


def test_bw1000_gives_no_bf16_number_for_its_fp16_number():
    sheet = load_sheet("hygon-bw1000")
    assert sheet.peak_tflops["fp16"].value == 480
    assert sheet.peak_flops("bf16") is None


def test_310p_is_half_of_its_card_in_every_figure():
    sheet = load_sheet("ascend-310p")
    assert "bf16" not in sheet.peak_tflops
    assert sheet.peak_tflops["int8"].value == 140
    assert sheet.memory.bandwidth_gb_per_s.value == 204
    assert sheet.tdp_w.value == 75


def test_a_persons_own_sheet_is_found_beside_the_shipped_ones(mine):
    assert mine(GOOD).peak_flops("bf16") == 100e12
    assert load_sheet("h100-sxm").name == "H100 SXM5 80GB"


BAD = {
    "unknown key": (
        'vendor = "Me"',
        'vendor = "Me"\ntorch_devise = "cuda"',
        "'torch_devise'; did you mean 'torch_device'",
    ),
    "unknown key in a figure": ('confidence = "A"', 'confidence = "A", units = "TFLOPS"', "'units' in [peak_tflops"),
    "negative value": ("value = 100", "value = -1", "peak_tflops.bf16 is -1"),
    "zero instead of an absent value": ("value = 100", "value = 0", "leave the value out where it is not published"),
    "unknown dtype": ("bf16 =", "bf61 =", "peak_tflops has 'bf61'"),
    "text instead of a number": ("value = 100", 'value = "100"', "peak_tflops"),
    "number without its source": ("{ value", "100 # { value", "peak_tflops"),
    "unknown confidence letter": ('confidence = "A"', 'confidence = "D"', "confidence"),
    "figure without a source": ('source = "data sheet", ', "", "`source`"),
    "missing key": ('adapter = "nvidia"\n', "", "`adapter`"),
    "broken file": ("[peak_tflops]", "[peak_tflops", "not valid TOML"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_sheet_is_refused_with_its_file_and_key(case, mine):
    before, after, named = BAD[case]
    assert before in GOOD
    with pytest.raises(DefinitionError) as refusal:
        mine(GOOD.replace(before, after))
    message = str(refusal.value)
    assert message.startswith("devices/mine.toml: ")
    assert named in message
    assert "\n" not in message


def test_an_unknown_device_is_refused_with_the_nearest_names():
    with pytest.raises(DefinitionError, match="unknown device 'h100-sxn'; did you mean 'h100-sxm'"):
        load_sheet("h100-sxn")
