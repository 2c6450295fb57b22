"""The energy section: what a device drew idle and while it was timed, each number there or with its reason."""

import pytest

from bench.report.parts.utilization import energy
from bench.report.sides import Paper, Side
from bench.results.compare import Operand

BASIS = "GPU with its memory"


@pytest.fixture
def lines(row, environment):
    """Return a function that makes the power table's lines of one side, by column."""

    def make(facts=None, modelled=False, **changes):
        given = {"device": "cuda:0", "power_w": 400.0, "power_basis": BASIS, "power_samples": 50, "step_s": 0.02, "interval": (0.018, 0.022),
                 "joules_per_token": 0.4, "temperature_c": 61.0, "output_tokens_per_s": 1000.0}  # fmt: skip
        devices = {"cuda:0": {"idle power": f"85.5 W ({BASIS})"} if facts is None else facts}
        operand = Operand("run", [row(**(given | changes))], None if modelled else environment(devices=devices))
        (table,) = energy([Side(operand, "cuda:0", Paper())]).tables
        return [dict(zip([column.name for column in table.columns], line, strict=True)) for line in table.rows]

    return make


def test_idle_power_and_the_mean_stand_beside_each_other(lines):
    (line,) = lines()
    assert (line["idle"].value, line["while timed, mean"].value, line["above idle"].value) == (85.5, 400.0, 314.5)
    assert (line["J per token"].value, line["readings"].value, line["the sensor covers"]) == (0.4, 50, BASIS)
    assert line["warmest, \u00b0C"].value == 61.0
    assert {cell.source for cell in line.values() if not isinstance(cell, str)} == {"measured"}


def test_power_has_no_interval_of_the_step_s_time(lines):
    (line,) = lines()
    assert line["while timed, mean"].interval is None
    assert line["J per token"].interval is not None


def test_a_run_without_idle_power_says_so(lines):
    (line,) = lines(facts={})
    assert (line["idle"].value, line["idle"].note) == (None, "the run file has no idle power")
    assert (line["above idle"].value, line["above idle"].note) == (None, "the run file has no idle power")


def test_idle_power_of_another_sensor_is_not_subtracted(lines):
    (line,) = lines(facts={"idle power": "85.5 W (board)"})
    assert (line["idle"].value, line["idle"].note) == (85.5, "board")
    assert line["above idle"].value is None


def test_a_device_whose_sensor_told_nothing_has_one_line_with_the_reason(lines):
    (line,) = lines(facts={}, power_w=None, power_samples=0, joules_per_token=None, power_basis=None,
                    temperature_c=None, telemetry_missing={"power_w": "RAPL is not here"})  # fmt: skip
    assert line["case"] == "every case"
    cells = [cell for cell in line.values() if not isinstance(cell, str)]
    assert {cell.value for cell in cells} == {None}
    assert line["while timed, mean"].note == line["J per token"].note == "RAPL is not here"


def test_a_modelled_device_has_no_sensor(lines):
    (line,) = lines(modelled=True, source="modelled", tier="sheet", power_w=None, joules_per_token=None)
    assert line["idle"].note == line["J per token"].note == "modelled: no sensor"
