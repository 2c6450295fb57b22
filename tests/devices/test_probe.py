"""What torch is asked about its devices, in a process of its own: every plugin tells a little less than CUDA."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace

import pytest

from bench.devices import probe

FULL = {
    "total_memory": 64, "multi_processor_count": 56, "L2_cache_size": 1024, "major": 9, "minor": 0,
    "uuid": "GPU-1",
}  # fmt: skip


def api(*devices, **functions):
    """A torch.<family> with these devices' properties."""
    own = {
        "device_count": lambda: len(devices),
        "get_device_properties": lambda index: SimpleNamespace(**devices[index]),
        "get_device_name": lambda index: f" Chip {index} ",
    }
    return SimpleNamespace(**(own | functions))


@pytest.fixture
def told(monkeypatch, capsys):
    """Return a function that probes a family of a pretended torch and gives the answer."""

    def ask(family_api, *, family="chip", plugin="", version=None, module=None):
        torch = SimpleNamespace(
            __version__="2.13.0", version=SimpleNamespace(**({"cuda": None} | (version or {}))), **{family: family_api}
        )
        monkeypatch.setitem(sys.modules, "torch", torch)
        if module is not None:
            monkeypatch.setitem(sys.modules, plugin, module)
        monkeypatch.setattr(sys, "argv", ["probe", family, plugin] if plugin else ["probe", family])
        probe.main()
        *_, line = capsys.readouterr().out.splitlines()
        assert line.startswith(probe.MARK)
        return json.loads(line.removeprefix(probe.MARK))

    return ask


def test_a_device_is_told_with_its_name_size_and_versions(told):
    found = told(api(FULL), plugin="torch_chip", module=SimpleNamespace(__version__="1.2"), version={"cann": "8.5"})
    assert found["torch"] == "2.13.0"
    assert found["runtime"] == {"torch_chip": "1.2", "cann": "8.5"}
    assert found["devices"] == [
        {"index": 0, "name": "Chip 0", "memory_bytes": 64, "cores": 56, "cache_bytes": 1024, "uuid": "GPU-1", "arch": "9.0"}
    ]  # fmt: skip


def test_every_device_is_told(told):
    found = told(api({"total_memory": 1}, {"total_memory": 2}))
    assert [(each["index"], each["name"], each["memory_bytes"]) for each in found["devices"]] == [
        (0, "Chip 0", 1), (1, "Chip 1", 2),
    ]  # fmt: skip


def test_cube_cores_are_the_cores_where_there_are_no_multiprocessors(told):
    assert told(api({"cube_core_num": 20}))["devices"][0]["cores"] == 20


def test_the_architecture_of_a_hip_device_is_its_own_word(told):
    assert told(api({"gcnArchName": "gfx936", "major": 9, "minor": 3}))["devices"][0]["arch"] == "gfx936"


def test_memory_comes_from_the_free_and_total_where_properties_have_none(told):
    found = told(api({}, mem_get_info=lambda index: (30, 40)))
    assert found["devices"][0]["memory_bytes"] == 40


def test_what_a_plugin_cannot_tell_stays_out(told):
    def refused(_):
        raise RuntimeError("not implemented")

    assert told(api({}, get_device_properties=refused))["devices"] == [{"index": 0, "name": "Chip 0"}]


def test_a_plugin_without_names_tells_the_name_among_its_properties(told):
    without = api({"name": "Chip"})
    del without.get_device_name
    assert told(without)["devices"][0]["name"] == "Chip"
    nameless = api({})
    del nameless.get_device_name
    assert told(nameless)["devices"][0]["name"] == "a device without a name"


def test_a_driver_that_fails_is_told_in_one_line(told):
    def broken():
        raise RuntimeError("driver too old\nsee the manual")

    found = told(api(device_count=broken))
    assert found["error"] == "RuntimeError: driver too old"
    assert found["devices"] == []


def test_a_torch_without_the_family_is_an_error_and_no_crash(told):
    assert told(None)["error"].startswith("AttributeError: ")


def test_a_plugin_that_cannot_be_imported_is_told(told):
    assert told(api(), plugin="no_such_plugin_anywhere")["error"] == (
        "ModuleNotFoundError: No module named 'no_such_plugin_anywhere'"
    )
