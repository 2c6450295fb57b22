"""The record: missing is null, a row says what it is of, foreign values are refused."""

from __future__ import annotations

import types
import typing

import msgspec
import pytest

from bench.results.record import SCHEMA_VERSION, Environment, Row, Run

# A unit is one device unless its row says otherwise; nothing else may start as a number.
COUNTED = {"session", "sessions", "devices"}


def numbers(record: type) -> list[str]:
    """Names of the fields that hold a number."""
    names = []
    for name, kind in typing.get_type_hints(record).items():
        kinds = typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)
        if {int, float} & set(kinds):
            names.append(name)
    return names


def test_numbers_of_a_row_are_missing_until_they_are_known(row):
    plain = row(batch=None, context=None)
    assert {name: getattr(plain, name) for name in numbers(Row) if name not in COUNTED} == dict.fromkeys(
        set(numbers(Row)) - COUNTED
    )


def test_the_field_walker_finds_the_numbers():
    assert {"step_s", "batch", "mfu", "warmup_samples", "imbalance"} <= set(numbers(Row))
    assert not {"case_id", "stable", "correct", "interval", "samples_s"} & set(numbers(Row))


def test_a_missing_number_is_null_in_the_file_not_0(row):
    assert b'"mfu":null' in msgspec.json.encode(row())


def test_a_row_needs_its_source():
    with pytest.raises(TypeError, match="source"):
        Row(
            case_id="a", workload="a", phase="decode", dtype="bf16", definition_hash="h", definition={}, device="cpu",
            device_name="A CPU", unit="machine", status="ok",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("source", "guessed"),
        ("tier", "exact"),
        ("status", "fine"),
        ("unit", "rack"),
        ("step_s", "0.1"),
        ("flags", "odd"),
    ],
)
def test_a_value_outside_its_vocabulary_is_refused(key, value, row):
    content = {**msgspec.to_builtins(row()), key: value}
    with pytest.raises(msgspec.ValidationError, match=key):
        msgspec.convert(content, Row)


@pytest.mark.parametrize("step_s", [0.0, -0.1])
def test_a_step_that_takes_no_time_is_refused(step_s, row):
    content = {**msgspec.to_builtins(row()), "step_s": step_s}
    with pytest.raises(msgspec.ValidationError, match=r"> 0.*step_s"):
        msgspec.convert(content, Row)


def test_a_key_that_a_later_version_added_is_passed_over(row):
    content = {**msgspec.to_builtins(row()), "colour": "blue"}
    assert msgspec.convert(content, Row) == row()


def test_rows_do_not_share_their_lists(row):
    first, second = row(), row()
    first.flags.append("unstable")
    assert second.flags == []


def test_a_run_carries_the_schema_it_was_written_in(run):
    assert msgspec.json.decode(msgspec.json.encode(run()))["schema"] == SCHEMA_VERSION == 3


def test_an_environment_without_its_machine_is_refused(environment):
    content = msgspec.to_builtins(environment())
    del content["fingerprint"]
    with pytest.raises(msgspec.ValidationError, match="fingerprint"):
        msgspec.convert(content, Environment)


def test_a_run_is_complete_unless_it_says_otherwise(environment):
    assert Run(id="x", environment=environment()).complete is True
