"""npu-smi's tables and pages, each figure read off the recorded output."""

from __future__ import annotations

import pytest

from bench.devices.telemetry import npu_smi
from bench.devices.telemetry.reading import Process

MIB = 2**20


def test_a2_has_one_chip_an_npu(recorded):
    first, second = npu_smi.parse(recorded("npu_smi/a2.txt"))
    assert (first.device, first.name, first.driver, first.health) == ("0", "910B3", "25.5.1", "OK")
    assert (first.power_w, first.power_basis, first.temperature_c) == (101.8, "NPU", 43.0)
    assert (first.utilization, first.memory_used_bytes, first.memory_total_bytes) == (0.0, 3318 * MIB, 65536 * MIB)
    assert first.processes == ()
    assert first.missing["clock_hz"] == "npu-smi does not show it"
    assert (second.health, second.utilization) == ("Alarm", 0.87)


def test_six_digits_leave_no_blank_before_the_slash(recorded):
    assert npu_smi.parse(recorded("npu_smi/a2.txt"))[1].memory_used_bytes == 62449 * MIB


def test_processes_are_their_npus(recorded):
    processes = npu_smi.parse(recorded("npu_smi/a2.txt"))[1].processes
    assert processes == (Process(55115, "python", 30784 * MIB), Process(55116, "", 134 * MIB))


def test_without_the_table_of_processes_nothing_is_said_of_them(recorded):
    text = recorded("npu_smi/a2.txt").partition("| NPU     Chip ")[0]
    reading = npu_smi.parse(text)[0]
    assert reading.processes is None
    assert reading.missing["processes"] == "npu-smi shows no processes"


def test_a3_shows_the_packages_power_on_die_0_only(recorded):
    dies = npu_smi.parse(recorded("npu_smi/a3.txt"))
    assert [die.device for die in dies] == ["0", "1", "2", "3"]
    assert [die.power_w for die in dies] == [166.1, None, 402.5, None]
    assert {die.power_basis for die in dies} == {"package of 2 dies"}
    assert dies[1].missing["power_w"] == "npu-smi shows the package's power on die 0"
    assert [die.memory_used_bytes for die in dies] == [3160 * MIB, 2887 * MIB, 60000 * MIB, 60001 * MIB]
    assert [die.utilization for die in dies] == [0.0, 0.0, 0.98, 0.97]
    assert dies[2].processes == ()
    assert dies[3].processes == (Process(907864, "python3", 57114 * MIB),)


def test_a_dash_without_a_die_0_is_just_a_dash(recorded):
    text = recorded("npu_smi/a2.txt").replace("101.8", "-    ")
    assert npu_smi.parse(text)[0].missing["power_w"] == "npu-smi shows '-'"


def test_atlas_950_has_columns_of_its_own(recorded):
    first, second = npu_smi.parse(recorded("npu_smi/950.txt"))
    assert (first.device, first.name, first.power_w, first.temperature_c) == ("0", "Ascend950PR", 187.1, 46.0)
    assert (first.memory_used_bytes, first.memory_total_bytes) == (6620 * MIB, 131072 * MIB)
    assert first.processes == (Process(2066378, "pytest", 360 * MIB),)
    assert (second.name, second.utilization, second.processes) == ("Ascend950DT", 0.05, ())


def test_310p_has_plain_memory_and_may_have_no_power(recorded):
    first, second = npu_smi.parse(recorded("npu_smi/310p.txt"))
    assert (first.power_w, first.memory_used_bytes, first.memory_total_bytes) == (17.0, 934 * MIB, 23054 * MIB)
    assert (second.device, second.power_w) == ("1", None)
    assert second.missing["power_w"] == "npu-smi shows 'NA'"


def test_npus_come_in_the_drivers_order_however_they_are_printed(recorded):
    rows = recorded("npu_smi/a2.txt").splitlines()
    swapped = "\n".join([*rows[:6], *rows[9:12], *rows[6:9], *rows[12:]])
    assert [reading.device for reading in npu_smi.parse(swapped)] == ["0", "1"]


def test_a_row_that_was_lost_costs_its_own_figures_only(recorded):
    rows = recorded("npu_smi/a2.txt").splitlines()
    first, second = npu_smi.parse("\n".join(rows[:7] + rows[8:]))
    assert (first.power_w, first.utilization) == (101.8, None)
    assert (second.power_w, second.utilization) == (250.1, 0.87)


def test_health_that_is_not_known_is_missing(recorded):
    reading = npu_smi.parse(recorded("npu_smi/310p.txt").replace("| OK  ", "| NA  "))[0]
    assert (reading.health, reading.missing["health"]) == (None, "npu-smi shows 'NA'")


def test_usages_of_two_chips(recorded):
    first, second = npu_smi.parse_pairs(recorded("npu_smi/usages.txt"))
    assert (first.utilization, second.utilization) == (0.92, 0.0)
    assert (first.memory_used_bytes, first.memory_total_bytes) == (32768 * MIB, 65536 * MIB)


def test_pages_without_empty_lines_are_cut_where_keys_come_again(recorded):
    text = "\n".join(line for line in recorded("npu_smi/usages.txt").splitlines() if line.strip())
    assert [page.utilization for page in npu_smi.parse_pairs(text)] == [0.92, 0.0]


@pytest.mark.parametrize("key", ["NPU Real-time Power(W)", "Power Dissipation(W)  "])
def test_power_under_its_new_and_old_name(recorded, key):
    text = recorded("npu_smi/power.txt").replace("NPU Real-time Power(W)", key)
    assert [page.power_w for page in npu_smi.parse_pairs(text)] == [103.5]


def test_common_tells_clocks_and_the_boards_controller_is_no_npu(recorded):
    (page,) = npu_smi.parse_pairs(recorded("npu_smi/common.txt"))
    assert (page.clock_hz, page.max_clock_hz, page.temperature_c) == (960e6, 1080e6, 43.0)
    assert page.power_w is None


def test_read_asks_for_the_table(install, recorded, tmp_path):
    (tmp_path / "table").write_text(recorded("npu_smi/a3.txt"))
    install("npu-smi", f'[ "$*" = info ] && cat {tmp_path}/table')
    assert npu_smi.read(2).power_w == 402.5
    assert npu_smi.read(4).missing["power_w"] == "npu-smi shows 4 devices, none at position 4"
