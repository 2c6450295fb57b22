"""The seam: which devices are here, and what a person is told of one that is not, or of a broken package."""

from __future__ import annotations

import pytest

from bench.devices import adapter
from bench.devices.accelerator import Accelerator
from bench.devices.adapter import adapter_classes, open_device, present_devices, problems
from bench.devices.cpu import CpuAdapter
from bench.errors import DeviceError


class Point:
    """An entry point that gives a class, or fails."""

    def __init__(self, name: str, gives: object) -> None:
        self.name, self.value, self._gives = name, f"{name}_package:Adapter", gives

    def load(self) -> object:
        if isinstance(self._gives, Exception):
            raise self._gives
        return self._gives


class Card:
    """Two cards of a vendor."""

    def __init__(self, index: int) -> None:
        self.index = index

    @classmethod
    def available(cls) -> list[str]:
        return ["card:0", "card:1"]


class Absent(Card):
    """A vendor whose driver is installed but whose card is not."""

    @classmethod
    def available(cls) -> list[str]:
        return []


class Torn(Card):
    """A vendor whose driver fails when it is asked."""

    @classmethod
    def available(cls) -> list[str]:
        raise RuntimeError("driver version mismatch")


@pytest.fixture
def installed(monkeypatch):
    """Return a function that installs packages by name."""

    def install(**packages: object) -> None:
        points = [Point(name, gives) for name, gives in packages.items()]
        monkeypatch.setattr(adapter, "entry_points", lambda group: points if group == "bench.adapters" else [])

    return install


def test_the_cpu_is_an_installed_adapter():
    assert adapter_classes()["cpu"] is CpuAdapter
    assert present_devices()["cpu"] == "cpu"


def test_devices_of_all_vendors_are_listed_in_order(installed):
    installed(cpu=CpuAdapter, cards=Card, absent=Absent)
    assert present_devices() == {"cpu": "cpu", "card:0": "cards", "card:1": "cards"}


def test_a_device_is_opened_with_the_number_in_its_name(installed):
    installed(cpu=CpuAdapter, cards=Card)
    assert open_device("card:1").index == 1
    assert open_device("card:0").index == 0


def test_a_name_without_a_number_is_the_first_device(installed):
    installed(cpu=CpuAdapter)
    assert isinstance(open_device("cpu"), CpuAdapter)


@pytest.mark.parametrize("name", ["card:2", "card", "npu:0", ""])
def test_a_device_that_is_not_here_is_refused_with_those_that_are(name, installed):
    installed(cpu=CpuAdapter, cards=Card)
    with pytest.raises(DeviceError) as refusal:
        open_device(name)
    assert str(refusal.value) == f"device '{name}' is not on this machine; here: cpu, card:0, card:1"


def test_a_package_that_cannot_be_imported_is_named_and_the_others_go_on(installed):
    installed(cpu=CpuAdapter, torn=ImportError("libtorn.so: cannot open shared object file"))
    assert present_devices() == {"cpu": "cpu"}
    assert problems() == [
        "adapter 'torn' (torn_package:Adapter) cannot be loaded: libtorn.so: cannot open shared object file;"
        " uninstall or repair its package"
    ]


def test_a_package_that_fails_when_asked_for_its_devices_is_named_too(installed):
    installed(cpu=CpuAdapter, torn=Torn)
    assert present_devices() == {"cpu": "cpu"}
    assert problems() == [
        "adapter 'torn' cannot say what is here: RuntimeError: driver version mismatch; uninstall or repair its package"
    ]


def test_a_class_without_the_names_everything_is_told_by_is_refused():
    with pytest.raises(TypeError, match="Acme gives no vendor, family: an Accelerator needs adapter, vendor, family"):
        type("Acme", (Accelerator,), {"adapter": "acme"})


def test_a_broken_package_is_a_matter_of_devices():
    assert DeviceError.exit_code == 3
