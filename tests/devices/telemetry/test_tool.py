"""Tools that are missing, hang, fail, print rubbish: each is a reason, none is an exception."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from bench.devices.telemetry import efsmi, hy_smi, mthreads_gmi, npu_smi, tsm_smi
from bench.devices.telemetry.reading import Missing, Reading
from bench.devices.telemetry.tool import Tool

TOOL = Tool("x-smi", ("/nowhere/bin", "/nowhere/sbin"))
READERS = [npu_smi, hy_smi, mthreads_gmi, efsmi, tsm_smi]


def one(text: str) -> list[Reading]:
    return [Reading(name=text.strip())]


def test_what_a_tool_prints_is_returned(install):
    install("x-smi", 'echo "$1 $LC_ALL"')
    assert TOOL.run("-q") == "-q C\n"


def test_a_tool_is_found_in_its_vendors_folder(tmp_path, monkeypatch, install):
    path = install("x-smi", "echo here")
    monkeypatch.setenv("PATH", "/nowhere")
    assert Tool("x-smi", ("/nowhere/bin", str(path.parent))).find() == str(path)


def test_a_missing_tool_is_told_with_the_places_that_were_looked_at(install):
    reading = TOOL.read(0, one)
    assert reading.missing["power_w"] == "x-smi is not on PATH nor in /nowhere/bin, /nowhere/sbin"


def test_a_tool_that_hangs_is_killed_with_its_children(install, tmp_path):
    child = tmp_path / "child"
    install("x-smi", f"sleep 300 & echo $! > {child}; wait")
    # The limit is long enough for the shell to start its child on a busy machine.
    assert TOOL.run(limit_s=2) == "gave no answer in 2 s"
    pid = int(child.read_text())
    deadline = time.monotonic() + 60
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(pid)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def test_a_tool_that_closes_its_output_and_hangs_is_given_up(install):
    install("x-smi", "exec sleep 300 >&- 2>&-")
    assert TOOL.run(limit_s=0.2) == "gave no answer in 0.2 s"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo; echo 'dcmi init failed' >&2; echo more >&2; exit 1", "failed (exit 1): dcmi init failed"),
        ("echo 'No devices were found'; exit 9", "failed (exit 9): No devices were found"),
        ("exit 3", "failed (exit 3)"),
        ("kill -9 $$", "failed (signal 9)"),
    ],
)
def test_a_tool_that_fails_is_quoted(install, body, reason):
    install("x-smi", body)
    assert TOOL.run() == reason


def test_a_tool_that_never_stops_printing_is_stopped(install):
    install("x-smi", "exec yes")
    assert TOOL.run(limit_s=60) == "printed more than 4 MB"


def test_a_file_that_cannot_be_started_is_told(install):
    path = install("x-smi", "")
    path.write_bytes(b"\x7fELF not a program")
    assert isinstance(TOOL.run(), Missing)
    assert TOOL.read(0, one).missing["power_w"].startswith("x-smi cannot be started")


def test_bytes_that_are_no_text_are_read(install):
    install("x-smi", r"printf '\377\376 ok'")
    assert TOOL.run() == "\ufffd\ufffd ok"


def test_output_without_a_device_is_quoted(install):
    install("x-smi", "echo; echo 'driver not loaded'")
    assert TOOL.read(0, lambda text: []).missing["name"] == "x-smi printed no device: 'driver not loaded'"


@pytest.mark.parametrize("index", [1, -1])
def test_a_position_without_a_device_is_told(install, index):
    install("x-smi", "echo X1")
    assert TOOL.read(0, one).name == "X1"
    assert TOOL.read(index, one).missing["name"] == f"x-smi shows 1 device, none at position {index}"


def test_a_parser_that_fails_is_a_reason(install):
    install("x-smi", "echo X1")
    reading = TOOL.read(0, lambda text: [Reading()][len(text)])
    assert reading.missing["power_w"].startswith("x-smi printed what cannot be read (IndexError")


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.TOOL.name)
def test_every_reader_outlives_rubbish_failure_and_hanging(install, reader):
    name = reader.TOOL.name
    install(name, "head -c 100000 /dev/zero | tr '\\0' '|'")
    assert reader.read().missing["power_w"].startswith(f"{name} printed no device")
    install(name, "exit 1")
    assert reader.read().missing["power_w"] == f"{name} failed (exit 1)"
    install(name, "exec sleep 300")
    assert reader.read(limit_s=0.2).missing["power_w"] == f"{name} gave no answer in 0.2 s"
