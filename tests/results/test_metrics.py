"""Every quantity that a row can show is explained, with all that an explanation needs."""

from __future__ import annotations

import types
import typing

import pytest

from bench.results.metrics import METRICS
from bench.results.record import Row

# What the case is, not how it went: these say themselves in the case id.
IDENTITY = {"session", "sessions", "batch", "input_len", "context", "devices"}


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_has_a_definition_a_formula_and_a_source(name):
    metric = METRICS[name]
    assert metric.name == name
    assert metric.definition[0].isupper()
    assert metric.definition.endswith(".")
    assert metric.formula
    assert metric.source


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_better_higher_or_lower_or_says_nothing(name):
    assert METRICS[name].better in ("higher", "lower", "")


def test_a_metric_without_a_unit_is_a_word():
    assert [name for name, metric in METRICS.items() if not metric.unit] == ["bound"]


def test_every_metric_is_a_field_of_a_row():
    assert set(METRICS) <= set(Row.__struct_fields__)


def test_every_number_of_a_row_is_explained():
    numbers = set()
    for name, kind in typing.get_type_hints(Row).items():
        kinds = typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)
        if {int, float} & set(kinds):
            numbers.add(name)
    assert {"step_s", "link_bytes", "power_w", "p99_s"} <= numbers
    assert numbers - IDENTITY - set(METRICS) == set()


@pytest.mark.parametrize("name", ["mfu", "mbu", "output_tokens_per_s"])
def test_more_is_better_of_rates_and_utilization(name):
    assert METRICS[name].better == "higher"


@pytest.mark.parametrize("name", ["step_s", "ttft_s", "tpot_s", "joules_per_token", "p99_s"])
def test_less_is_better_of_times_and_energy(name):
    assert METRICS[name].better == "lower"


@pytest.mark.parametrize("name", [name for name in METRICS if name.endswith(("_s", "_bytes", "_w"))])
def test_a_name_that_ends_in_a_unit_has_that_unit(name):
    endings = {"_tokens_per_s": "tokens/s", "_s": "s", "_bytes": "B", "_w": "W"}
    ending = next(ending for ending in endings if name.endswith(ending))
    assert METRICS[name].unit.endswith(endings[ending])
