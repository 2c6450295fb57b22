"""Hygon's adapter: a HIP build of torch, and a card that its name or its vendor's tool tells from AMD's."""

from __future__ import annotations

import pytest

from bench.devices.detect import Present, Seen
from bench.devices.vendors import hygon
from bench.devices.vendors.hygon import HygonAdapter
from bench.devices.vendors.nvidia import NvidiaAdapter

HIP = {"hip": "6.3.42134"}


@pytest.fixture
def tool(monkeypatch):
    """Return a function that puts hy-smi on the path or takes it away."""

    def here(is_here):
        monkeypatch.setattr(type(hygon.hy_smi.TOOL), "find", lambda self: "/opt/hyhal/bin/hy-smi" if is_here else None)

    here(False)
    return here


def claims(name, runtime=HIP):
    return HygonAdapter.claims(Seen("cuda", "2.7.1", runtime), Present(0, name))


def test_a_hip_device_is_hygons_by_its_name(tool):
    assert claims("BW1000")
    assert claims("K100_AI")


def test_a_hip_device_of_any_name_is_hygons_where_its_tool_is(tool):
    assert not claims("Device 66a1")
    tool(True)
    assert claims("Device 66a1")


def test_an_amd_card_is_not_hygons(tool):
    assert not claims("AMD Instinct MI300X")


def test_a_cuda_device_is_never_hygons(tool):
    tool(True)
    assert not claims("BW1000", {"cuda": "12.8"})


@pytest.mark.parametrize("runtime", [HIP, {"cuda": "12.8"}])
@pytest.mark.parametrize("name", ["BW1000", "NVIDIA H200", "AMD Instinct MI300X"])
def test_no_device_is_claimed_by_two_vendors(tool, name, runtime):
    seen, present = Seen("cuda", "2.7.1", runtime), Present(0, name)
    assert [cls.claims(seen, present) for cls in (HygonAdapter, NvidiaAdapter)].count(True) <= 1


def test_a_kfd_driver_alone_says_nothing_of_hygon(tool, pretend):
    pretend(drivers=("kfd",))
    assert HygonAdapter.problem() is None


def test_the_tool_without_the_vendors_torch_is_told(tool, pretend, monkeypatch):
    tool(True)
    monkeypatch.setattr(hygon, "torch_builds", lambda: {"cuda": "12.8"})
    pretend(drivers=("kfd",))
    assert HygonAdapter.problem() == (
        "Hygon: hy-smi is here, the installed torch is not the vendor's HIP build; load the DTK environment"
        " (source /opt/dtk/env.sh) and compare with hy-smi"
    )


def test_the_tool_and_the_vendors_torch_without_a_device_are_told(tool, pretend, monkeypatch):
    tool(True)
    monkeypatch.setattr(hygon, "torch_builds", lambda: HIP)
    pretend(drivers=("kfd",))
    assert HygonAdapter.problem().startswith("Hygon: a driver is here and torch shows no device; ")
    pretend({"name": "BW1000"}, drivers=("kfd",), **HIP)
    assert HygonAdapter.problem() is None
    assert HygonAdapter.available() == ["cuda:0"]


def test_the_table_is_read_with_the_memory_that_it_does_not_show(tool, pretend, monkeypatch):
    asked = []
    monkeypatch.setattr(hygon.hy_smi, "read", lambda *given: asked.append(given))
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "2")
    pretend({"name": "BW1000", "memory_bytes": 64}, drivers=("kfd",), **HIP)
    HygonAdapter(0).read()
    assert asked == [(2, 64)]
