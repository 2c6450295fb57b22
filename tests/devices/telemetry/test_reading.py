"""A reading holds figures that can be true; everything else is None with its reason."""

from __future__ import annotations

import math

import pytest

from bench.devices.telemetry.reading import (
    LARGEST,
    WORDS,
    Missing,
    Reading,
    figure,
    mebibytes,
    nothing,
    process,
    sensed,
)


def test_every_field_without_a_value_has_a_reason():
    reading = Reading(source="x-smi", power_w=100.0)
    assert set(reading.missing) == {*LARGEST, *WORDS} - {"power_w"}
    assert reading.missing["energy_j"] == "x-smi does not show it"


@pytest.mark.parametrize("power_w", [math.nan, math.inf, -math.inf, -1.0, 1e6])
def test_a_power_that_cannot_be_is_dropped(power_w):
    reading = Reading(source="x-smi", power_w=power_w)
    assert reading.power_w is None
    assert reading.missing["power_w"] == f"x-smi shows {power_w:g}, which cannot be"


def test_a_utilization_above_one_is_dropped():
    assert Reading(utilization=1.01).utilization is None
    assert Reading(utilization=1.0).utilization == 1.0


def test_more_memory_in_use_than_there_is_is_dropped():
    reading = Reading(source="x-smi", memory_used_bytes=11, memory_total_bytes=10)
    assert (reading.memory_used_bytes, reading.memory_total_bytes) == (None, 10)
    assert reading.missing["memory_used_bytes"] == "x-smi shows more than there is"


def test_zero_is_a_value_and_not_missing():
    reading = Reading(utilization=0.0, memory_used_bytes=0, throttle=())
    assert (reading.utilization, reading.memory_used_bytes, reading.throttle) == (0.0, 0, ())
    assert not {"utilization", "memory_used_bytes", "throttle"} & set(reading.missing)


def test_a_reason_begins_with_who_was_asked():
    reading = sensed("x-smi", power_w=Missing("shows '-'"), name="X1")
    assert (reading.name, reading.power_w, reading.missing["power_w"]) == ("X1", None, "x-smi shows '-'")


def test_nothing_has_one_reason_for_all():
    assert set(nothing("x-smi", Missing("is not on PATH")).missing.values()) == {"x-smi is not on PATH"}


@pytest.mark.parametrize(
    ("cell", "value"),
    [("42C", 42.0), (" 96.5W ", 96.5), ("0.0%", 0.0), ("39 C", 39.0), ("34℃", 34.0), ("-5C", -5.0), ("007", 7.0)],
)
def test_a_cell_begins_with_its_number(cell, value):
    assert figure(cell) == value


@pytest.mark.parametrize("cell", ["", "-", "NA", "N/A", "nan", "inf", "1e30W", "1.2.3", "9" * 5000, "W96"])
def test_a_cell_without_a_number_says_what_it_shows(cell):
    found = figure(cell)
    assert isinstance(found, Missing)
    assert found == f"shows '{cell[:40]}'"


def test_a_megabyte_of_these_tools_is_a_mebibyte():
    assert mebibytes("65536") == 64 * 2**30


def test_a_process_without_an_id_is_none():
    assert process("PID", "python", "1") is None
    assert process("-1", "python", "1") is None
    assert process("12", " python ", "NA").memory_bytes is None
