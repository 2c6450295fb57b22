"""The tables of mthreads-gmi, efsmi, hy-smi and tsm_smi, each figure read off the recorded output."""

from __future__ import annotations

import pytest

from bench.devices.telemetry import efsmi, hy_smi, mthreads_gmi, tsm_smi
from bench.devices.telemetry.reading import Process

MIB = 2**20


# -- mthreads-gmi ------------------------------------------------------------------------------------------------------


def test_moore_threads_table_has_no_power(recorded):
    first, second = mthreads_gmi.parse(recorded("mthreads_gmi/s5000.txt"))
    assert (first.name, first.driver, second.device) == ("MTT S5000", "5.1.0-server", "1")
    assert (first.utilization, first.temperature_c) == (0.0, 48.0)
    assert (first.memory_used_bytes, first.memory_total_bytes) == (0, 81920 * MIB)
    assert (first.power_w, first.missing["power_w"]) == (None, "mthreads-gmi shows no power in its table")
    assert (first.processes, first.missing["processes"]) == (None, "mthreads-gmi shows no processes")


def test_moore_threads_processes(recorded):
    (card,) = mthreads_gmi.parse(recorded("mthreads_gmi/s80.txt"))
    assert card.memory_used_bytes == 662 * MIB
    assert card.processes == (
        Process(1123, "/usr/lib/xorg/Xorg", 134 * MIB),
        Process(1361, "/usr/sbin/unity-greeter", MIB),
    )


def test_moore_threads_json_has_the_power(recorded):
    (card,) = mthreads_gmi.parse(recorded("mthreads_gmi/s5000.json"))
    assert (card.name, card.driver) == ("MTT S5000", "3.3.5-server")
    assert (card.power_w, card.power_limit_w, card.clock_hz) == (96.66, 950.0, 1665e6)
    assert (card.utilization, card.temperature_c, card.memory_total_bytes) == (0.0, 27.0, 81920 * MIB)


def test_moore_threads_table_is_read_where_there_is_no_json(install, recorded, tmp_path):
    (tmp_path / "table").write_text(recorded("mthreads_gmi/s80.txt"))
    install("mthreads-gmi", f"[ $# = 0 ] || exit 1; cat {tmp_path}/table")
    assert mthreads_gmi.read().temperature_c == 41.0


# -- efsmi -------------------------------------------------------------------------------------------------------------


def test_enflame_cards_asleep_and_active(recorded):
    first, second = efsmi.parse(recorded("efsmi/s60.txt"))
    assert (first.device, first.name, first.driver) == ("0", "S60", "1.2.0.301")
    assert (first.power_w, first.power_limit_w, first.temperature_c) == (105.0, 300.0, 39.0)
    assert (second.power_w, second.utilization) == (128.0, 0.0)
    assert (second.memory_total_bytes, second.memory_used_bytes) == (42976 * MIB, None)
    assert second.missing["memory_used_bytes"] == "efsmi shows the capacity only"


def test_a_sleeping_enflame_card_shows_no_sensors(recorded):
    (card,) = efsmi.parse(recorded("efsmi/asleep.txt"))
    assert (card.name, card.power_w, card.temperature_c, card.utilization) == ("Enflame S60", None, None, 0.0)
    assert card.missing["power_w"] == card.missing["temperature_c"] == "efsmi shows none while the card sleeps"


@pytest.mark.parametrize(
    ("case", "power_w", "limit_w", "temperature_c"), [("s60g", None, None, 34.0), ("l300", 68.0, 300.0, 35.0)]
)
def test_newer_enflame_tables(recorded, case, power_w, limit_w, temperature_c):
    (card,) = efsmi.parse(recorded(f"efsmi/{case}.txt"))
    assert (card.power_w, card.power_limit_w, card.temperature_c) == (power_w, limit_w, temperature_c)


def test_an_enflame_card_without_power_shows_what_it_shows(recorded):
    assert efsmi.parse(recorded("efsmi/s60g.txt"))[0].missing["power_w"] == "efsmi shows 'N/A'"


# -- hy-smi ------------------------------------------------------------------------------------------------------------


def test_hygon_table(recorded):
    first, second = hy_smi.parse(recorded("hy_smi/bw1000.txt"))
    assert (first.device, first.power_w, first.power_limit_w, first.temperature_c) == ("0", 80.0, 1000.0, 50.0)
    assert (second.power_w, second.utilization) == (89.0, 0.0)
    assert first.missing["name"] == "hy-smi does not show it"


def test_hygon_memory_is_a_percentage_unless_the_total_is_known(recorded):
    text = recorded("hy_smi/older.txt")
    without, with_total = hy_smi.parse(text)[2], hy_smi.parse(text, total_bytes=64 * 2**30)[2]
    assert (without.memory_used_bytes, without.memory_total_bytes) == (None, None)
    assert without.missing["memory_used_bytes"] == "hy-smi shows memory in percent only"
    assert with_total.memory_used_bytes == 27_487_790_694  # 40 % of 68 719 476 736


def test_hygon_table_without_decoders_and_in_rocm_style(recorded):
    assert [card.utilization for card in hy_smi.parse(recorded("hy_smi/older.txt"))] == [0.0, 0.045, 0.97]
    (card,) = hy_smi.parse(recorded("hy_smi/oldest.txt"))
    assert (card.device, card.power_w, card.temperature_c, card.utilization) == ("1", 25.0, 45.0, 0.75)


def test_hygon_json_takes_the_unit_from_the_key(recorded):
    first, second = hy_smi.parse("warning: old firmware\n" + recorded("hy_smi/cards.json"))
    assert (first.device, first.name, first.power_w, first.temperature_c) == ("0", "BW", 80.0, 41.0)
    assert (first.memory_used_bytes, first.memory_total_bytes) == (2 * MIB, 65520 * MIB)
    assert (second.utilization, second.memory_used_bytes, second.memory_total_bytes) == (0.07, 512, 1024)
    assert second.missing["power_w"] == "hy-smi does not show it"


def test_hygon_table_is_read_where_there_is_no_json(install, recorded, tmp_path):
    (tmp_path / "table").write_text(recorded("hy_smi/older.txt"))
    install("hy-smi", f"[ $# = 0 ] || exit 2; cat {tmp_path}/table")
    assert hy_smi.read(1, total_bytes=100 * MIB).memory_used_bytes == 12 * MIB


# -- tsm_smi -----------------------------------------------------------------------------------------------------------


def test_tsingmicro_card(recorded):
    (card,) = tsm_smi.parse(recorded("tsm_smi/tx8110.txt"))
    assert (card.device, card.name) == ("0", "TX8110-64GB-PCIe")
    assert (card.power_w, card.power_limit_w, card.temperature_c, card.utilization) == (96.0, 200.0, 42.0, 0.0)
    assert (card.memory_used_bytes, card.memory_total_bytes) == (15146 * MIB, 65536 * MIB)


def test_tsingmicro_chips_of_cards(recorded):
    chips = tsm_smi.parse(recorded("tsm_smi/chips.txt"))
    assert [chip.device for chip in chips] == ["0/0", "0/1", "1/0"]
    assert [chip.power_w for chip in chips] == [96.0, 97.0, 90.0]
    assert chips[0].utilization == pytest.approx(0.35)
