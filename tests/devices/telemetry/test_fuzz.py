"""Outputs of tools with bytes, cells and lines lost, doubled and changed: no parser fails, no figure is nonsense."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.devices.telemetry import efsmi, hy_smi, mthreads_gmi, npu_smi, tsm_smi
from bench.devices.telemetry.reading import LARGEST, WORDS, Reading

DATA = Path(__file__).parents[2] / "data" / "telemetry"
PARSERS = {
    "npu_smi": [npu_smi.parse, npu_smi.parse_pairs],
    "mthreads_gmi": [mthreads_gmi.parse],
    "efsmi": [efsmi.parse],
    "hy_smi": [hy_smi.parse, lambda text: hy_smi.parse(text, total_bytes=64 * 2**30)],
    "tsm_smi": [tsm_smi.parse],
}
CASES = [
    pytest.param(parse, path.read_text("utf-8"), id=f"{tool}/{path.name}-{number}")
    for tool, parsers in PARSERS.items()
    for path in sorted((DATA / tool).iterdir())
    for number, parse in enumerate(parsers)
]
# What a figure may be replaced by.
CELLS = [
    "",
    "-",
    "NA",
    "nan",
    "inf",
    "-1",
    "-0.0",
    "1e400",
    "9" * 18,
    "9" * 5000,
    "0x1",
    "٣",
    "½",
    "{",
    "[]",
    "|",
    "null",
]


@st.composite
def damaged(draw, text: str) -> str:
    """Return the text after a few of the accidents that happen to a tool's output."""
    for _ in range(draw(st.integers(1, 4))):
        rows = text.splitlines(keepends=True) or [""]
        row = draw(st.integers(0, len(rows) - 1))
        at = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 40))
        match draw(st.integers(0, 5)):
            case 0:
                text = "".join(rows[:row] + rows[row + 1 :])
            case 1:
                text = text[:at]
            case 2:
                text = text[:at] + draw(st.text(max_size=20)) + text[at + length :]
            case 3:
                text = "".join(rows[:row] + rows[row:] + [rows[row]])
            case 4:
                words = text.split(" ")
                words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(CELLS))
                text = " ".join(words)
            case 5:
                digits = [place for place, letter in enumerate(text) if letter.isdigit()]
                place = draw(st.sampled_from(digits)) if digits else 0
                text = text[:place] + draw(st.sampled_from(CELLS)) + text[place + 1 :]
    return text


def check(readings: list[Reading]) -> None:
    for reading in readings:
        for name, largest in LARGEST.items():
            value = getattr(reading, name)
            assert value is None or (math.isfinite(value) and 0 <= value <= largest), name
        for name in (*LARGEST, *WORDS):
            assert (getattr(reading, name) is None) == (name in reading.missing), name
        for process in reading.processes or ():
            assert process.pid >= 0
            assert process.memory_bytes is None or process.memory_bytes >= 0


@pytest.mark.parametrize(("parse", "text"), CASES)
def test_damaged_output_is_read_or_left_out(parse, text):
    @settings(max_examples=60, deadline=None)
    @given(damaged(text))
    def attempt(changed: str) -> None:
        check(parse(changed))

    attempt()


@pytest.mark.parametrize("parse", [parse for parsers in PARSERS.values() for parse in parsers])
@settings(max_examples=100, deadline=None)
@given(text=st.one_of(st.text(), st.binary().map(lambda raw: raw.decode("utf-8", "replace"))))
def test_any_text_is_read_or_left_out(parse, text):
    check(parse(text))


@pytest.mark.parametrize("parse", [parse for parsers in PARSERS.values() for parse in parsers])
@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"GPU": ' * 100_000, '{"card0": ' * 50_000, '{"card0": [1], "GPU": 3}', '{"GPU": [1, null, {}]}'],
    ids=["brackets", "deep", "deep cards", "other types", "empty cards"],
)
def test_deep_and_strange_json_is_read_or_left_out(parse, text):
    check(parse(text))
