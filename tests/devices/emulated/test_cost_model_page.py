"""docs/cost-model.md: its tables are those of the shipped profiles, and its rules those of the code.

After a calibration: `python tests/devices/emulated/test_cost_model_page.py` writes the tables anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.devices.emulated import profile as profiles_module
from bench.devices.emulated.fit import SEED
from bench.devices.emulated.forms import FORMS
from bench.devices.emulated.profile import GENERIC, Evidence, engine, profiles
from bench.devices.emulated.table import DIMENSIONS, read_table
from bench.units import percent

PAGE = Path(__file__).parents[3] / "docs" / "cost-model.md"
# What `bench calibrate -d cpu` leaves in a working copy; not shipped.
LOCAL = "this-cpu"
# A second library of a kind: a line of its own.
SECOND = frozenset({"trtllm-custom"})
# A second average of a kind, over the devices of one vendor.
ONE_VENDOR = "generic, NVIDIA alone"


def cell(found: Evidence) -> str:
    """MAPE / median, P10 - P90, the roofline's MAPE, rows."""
    band = f"{found.low:.2f} - {found.high:.2f}"
    return f"{percent(found.mape)} / {percent(found.median)}, {band} [{percent(found.roofline_mape)}] {found.n}"


def evidence_table() -> list[str]:
    """A line per kind, dtype and library, a column per device, the average last."""
    shipped = {name: found for name, found in profiles().items() if name != LOCAL}
    devices = [
        *sorted(set(shipped) - {GENERIC}, key=lambda name: (-len(shipped[name].rules), name)),
        GENERIC,
        ONE_VENDOR,
    ]
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for device, found in shipped.items():
        for rule in found.rules:
            if rule.evidence.n:
                key = (rule.kind, rule.dtype, rule.library if rule.library in SECOND else "")
                row = cells.setdefault(key, {})
                row[ONE_VENDOR if device == GENERIC and GENERIC in row else device] = cell(rule.evidence)
    order = list(FORMS)
    lines = [f"| kind | {' | '.join(devices)} |", f"| --- |{' --- |' * len(devices)}"]
    for key in sorted(cells, key=lambda key: (order.index(key[0]), key[1:])):
        name = " ".join(part for part in (f"`{key[0]}`", *key[1:]) if part)
        lines.append(f"| {name} | {' | '.join(cells[key].get(device, '') for device in devices)} |")
    return lines


def legend() -> list[str]:
    """What a cell holds, and the range of the biases, which have no room in the table."""
    biases = [
        rule.evidence.bias
        for found in profiles().values()
        for rule in found.rules
        if rule.evidence.n and found.device != LOCAL
    ]
    return [
        "A cell: MAPE / median, P10 - P90 of measured over modelled [MAPE of a roofline with the sheet's peaks] rows. The bias,",
        f"the geometric mean of modelled over measured, lies between {min(biases):.2f} and {max(biases):.2f}.",
    ]


def engine_lines() -> list[str]:
    """The engine's numbers with the error on the half left out."""
    found = engine()
    assert found is not None
    e = found.evidence
    return [
        f"Shipped: host {found.step_overhead_us:.0f} us, launch share {found.launch_share:.2f}, pointwise factor"
        f" {found.pointwise_factor:.2f}, prefill share {found.prefill_share:.2f}. On the {e.n} rows left out: MAPE",
        f"{percent(e.mape)}, median {percent(e.median)}, bias {e.bias:.2f}, P10 - P90 {e.low:.2f} - {e.high:.2f}.",
    ]


BLOCKS = {"evidence": lambda: [*legend(), "", *evidence_table()], "engine": engine_lines}


def block(name: str, text: str) -> str:
    """The lines between a block's marks."""
    found = re.search(rf"<!-- {name}: [^\n]* -->\n(.*?)<!-- end of {name} -->", text, re.DOTALL)
    assert found is not None, f"{PAGE}: no block '{name}'"
    return found.group(1)


def written(text: str) -> str:
    """The page with its blocks made anew."""
    for name, make in BLOCKS.items():
        old = block(name, text)
        end = f"<!-- end of {name} -->"
        text = text.replace(f"{old}{end}", "\n".join([*make(), end]))
    return text


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text("utf-8")


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_the_pages_tables_are_those_of_the_shipped_profiles(name, page):
    shown = block(name, page).strip().splitlines()
    assert shown == BLOCKS[name](), f"out of date; run: python {Path(__file__).name}"


def test_the_page_shows_every_rule_that_was_measured(page):
    measured = [
        rule for found in profiles().values() if found.device != LOCAL for rule in found.rules if rule.evidence.n
    ]
    table = [line for line in block("evidence", page).splitlines() if line.startswith("| `")]
    assert sum(len(re.findall(r"\[\d", line)) for line in table) == len(measured)


def test_the_page_cites_every_source_of_the_profiles(page):
    for found in profiles().values():
        for rule in found.rules:
            for source in re.findall(r"[\w.-]+/[\w.-]+@[0-9a-f]{7}", rule.evidence.source):
                assert source in page, (found.device, rule.kind)
            if "DeepGEMM" in rule.evidence.source:
                assert "DeepGEMM README @7a70b43" in page


def test_the_page_names_every_kind_with_its_formula(page):
    formulas = page.split("## Formulas")[1].split("## Evidence")[0]
    for kind in FORMS:
        assert f"`{kind}`" in formulas, kind


def test_the_page_lists_the_columns_of_every_kind(page):
    lines = [line for line in page.split("## Your own device")[1].splitlines() if line.startswith("| `")]
    listed = {}
    for line in lines:
        kinds, columns = line.strip("|").split("|")
        for kind in re.findall(r"`(\w+)`", kinds):
            listed[kind] = tuple(re.findall(r"`(\w+)`", columns.split(";")[0]))
    assert listed == DIMENSIONS


def test_the_page_states_the_seed_and_the_powers_of_the_code(page):
    assert f"fixed seed ({SEED})" in page
    tiers = page.split("## Which numbers price what")[1].split("## Whole steps")[0]
    rows = [line for line in tiers.splitlines() if line.startswith("| ") and "power" in line]
    powers = [float(line.rsplit("power", 1)[1].strip(" |")) for line in rows]
    assert powers == [
        profiles_module.WIDER_SAME_CHIP, profiles_module.WIDER_SAME_VENDOR, profiles_module.WIDER_OTHER_VENDOR,
        profiles_module.WIDER_OTHER_CLASS,
    ]  # fmt: skip


def test_the_page_calls_assumed_what_is_assumed(page):
    assumed = {rule.kind for rule in profiles()[GENERIC].rules if rule.evidence.n == 0}
    sentence = page.split("Assumed, with no measurement at all")[1].split("\n\n")[0]
    for kind, word in {"pointwise": "`pointwise`", "batched_gemm": "`batched_gemm`", "indexer": "`indexer`",
                       "gemm": "products", "moe": "experts"}.items():  # fmt: skip
        assert kind in assumed
        assert word in sentence


def test_the_grouped_products_that_could_be_checked_are_as_far_off_as_the_page_says(page, kernels_csv):
    from bench.devices.emulated.validate import validate

    rows = [row for row in read_table(kernels_csv) if row.kind == "grouped_gemm"]
    (found,) = validate(rows, "sample")
    assert f"that could be checked were {found.mape:.0%} off".replace("%", " %") in page
    assert found.n == 2


def test_the_page_is_short(page):
    assert len(page.splitlines()) < 175


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
