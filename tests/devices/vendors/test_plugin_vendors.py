"""Vendors whose devices come with a plugin: each asks its own driver, plugin and tool, and answers for no other."""

from __future__ import annotations

import pytest

from bench.devices.adapter import adapter_classes
from bench.devices.sheet import known_sheets, load_sheet
from bench.devices.telemetry import dcmi, efsmi, mthreads_gmi, tsm_smi

# Vendor -> (family, plugin, a device file, the variable that hides devices, what reads its tool, a name of a device)
VENDORS = {
    "ascend": ("npu", "torch_npu", "davinci[0-9]*", "ASCEND_RT_VISIBLE_DEVICES", (dcmi, "ascend"), "Ascend910B3"),
    "musa": ("musa", "torch_musa", "mtgpu*", "MUSA_VISIBLE_DEVICES", (mthreads_gmi, "read"), "MTT S5000"),
    "gcu": ("gcu", "torch_gcu", "gcu*", "TOPS_VISIBLE_DEVICES", (efsmi, "read"), "Enflame S60"),
    "txda": ("txda", "torch_txda", "tsm*", "TXDA_VISIBLE_DEVICES", (tsm_smi, "read"), "TX8110"),
}


@pytest.fixture(params=VENDORS)
def vendor(request):
    return request.param


@pytest.fixture
def cls(vendor):
    return adapter_classes()[vendor]


def test_a_device_is_found_through_the_plugin(vendor, cls, pretend):
    family, plugin, *_, name = VENDORS[vendor]
    pretend({"name": name}, installed=(plugin,))
    assert cls.available() == [f"{family}:0"]
    assert cls(0).sheet() is not None


def test_a_driver_without_the_plugin_is_told_with_the_vendors_advice(vendor, cls, pretend):
    _, plugin, driver, *_ = VENDORS[vendor]
    pretend(drivers=(driver,))
    assert cls.problem() == f"{cls.vendor}: a driver is here, {plugin} is not installed; {cls.advice}"


def test_another_vendors_driver_or_plugin_is_no_concern(vendor, cls, pretend):
    others = [given for name, given in VENDORS.items() if name != vendor]
    pretend(drivers=tuple(given[2] for given in others), installed=tuple(given[1] for given in others))
    assert cls.available() == []
    assert cls.problem() is None


def test_the_vendors_tool_is_asked_by_the_number_that_it_knows(vendor, cls, monkeypatch):
    _, _, _, visible, (module, function), _ = VENDORS[vendor]
    asked = []
    monkeypatch.setattr(module, function, asked.append)
    monkeypatch.setenv(visible, "5,7")
    cls(1).read()
    monkeypatch.delenv(visible)
    cls(1).read()
    assert asked == [7, 1]


def test_the_adapter_and_its_sheets_agree_on_torchs_name_for_the_family(vendor, cls):
    families = {
        sheet.torch_device for name in known_sheets() if (sheet := load_sheet(name)).adapter == vendor
    }  # fmt: skip
    assert families == {cls.family}


def test_only_ascend_has_an_8_bit_path_and_only_txda_no_graphs():
    classes = adapter_classes()
    assert {name for name in VENDORS if "int8" in classes[name].dtypes} == {"ascend"}
    assert {name for name in VENDORS if not classes[name].graph} == {"txda"}
    assert not any("fp8" in classes[name].dtypes for name in VENDORS)
