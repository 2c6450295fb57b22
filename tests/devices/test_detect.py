"""What is here, without importing torch: asked once in a process of its own that may hang, crash or print anything."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from bench.devices import detect
from bench.devices.detect import Present, Seen, installed, known, look, nodes, recall, torch_builds
from bench.devices.probe import MARK

CHIP = '{"family": "chip", "torch": "2.13.0", "runtime": {"cann": "8.5"}, "devices": [{"index": 0, "name": "A chip"}]}'


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    """Begin with no answer, and leave none behind."""
    monkeypatch.setattr(detect, "_seen", {})


@pytest.fixture
def asked(monkeypatch):
    """Return a function that sets what the other process does, and the list of its command lines."""
    lines = []
    monkeypatch.setattr(detect, "installed", lambda package: True)

    def answer(code):
        def run(command, **options):
            lines.append((command, options["env"]))
            return actual([sys.executable, "-c", code], **options)

        actual = subprocess.run
        monkeypatch.setattr(detect.subprocess, "run", run)
        return lines

    return answer


def test_the_answer_is_the_line_with_the_mark_whatever_else_a_driver_prints(asked):
    asked(f"print('driver: hello'); print({MARK + CHIP!r}); print('bye')")
    assert look("chip", "torch_chip") == Seen(
        "chip", torch="2.13.0", runtime={"cann": "8.5"}, devices=[Present(0, "A chip")]
    )


def test_a_family_is_asked_once(asked):
    lines = asked(f"print({MARK + CHIP!r})")
    assert look("chip", "torch_chip") is look("chip", "torch_chip")
    assert len(lines) == 1
    detect.forget()
    look("chip", "torch_chip")
    assert len(lines) == 2


def test_torch_loads_no_plugin_by_itself_there(asked):
    lines = asked(f"print({MARK + CHIP!r})")
    look("x")
    ((command, env),) = lines
    assert env["TORCH_DEVICE_BACKEND_AUTOLOAD"] == "0"
    assert command[-2:] == ["x", ""]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import os; os._exit(9)", "asking torch.chip ended with exit code 9: no message"),
        ("import sys; sys.exit('libchip.so: wrong version')", "ended with exit code 1: libchip.so: wrong version"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "asking torch.chip ended with exit code -11"),
        (f"print({MARK!r} + '{{')", "what torch.chip says of its devices cannot be read"),
        (f"print({MARK!r} + '[1]')", "what torch.chip says of its devices cannot be read"),
        ("print('no word of devices')", "asking torch.chip ended with exit code 0: no message"),
        ("import sys; sys.stdout.buffer.write(bytes([255, 254]) * 99)", "ended with exit code 0"),
    ],
)
def test_a_process_that_breaks_is_an_error_in_one_line(asked, code, error):
    asked(code)
    seen = look("chip", "torch_chip")
    assert seen.devices == []
    assert error in seen.error
    assert "\n" not in seen.error


def test_a_driver_that_hangs_is_an_error_after_a_while(asked, monkeypatch):
    monkeypatch.setattr(detect, "LIMIT_S", 0.2)
    asked("import time; time.sleep(60)")
    assert look("chip", "torch_chip").error == "torch.chip gave no answer in 0.2 s: the driver hangs"


def test_nothing_is_asked_where_torch_or_the_plugin_is_not_installed(monkeypatch):
    monkeypatch.setattr(detect.subprocess, "run", lambda *_, **__: pytest.fail("a process was started"))
    monkeypatch.setattr(detect, "installed", lambda package: package == "torch")
    assert look("chip", "torch_chip") == Seen("chip")
    monkeypatch.setattr(detect, "installed", lambda package: False)
    assert look("cuda") == Seen("cuda")


def test_a_worker_takes_over_what_its_run_was_told(asked):
    lines = asked(f"print({MARK + CHIP!r})")
    first = look("chip", "torch_chip")
    answers = known()
    detect.forget()
    recall(answers)
    assert look("chip", "torch_chip") == first
    assert len(lines) == 1


def test_a_package_is_found_without_being_imported():
    assert installed("msgspec")
    assert not installed("no_such_package_anywhere")
    assert not installed("no.such.package")


@pytest.mark.parametrize(
    ("text", "builds"),
    [
        ("cuda: Optional[str] = '12.8'\nhip: Optional[str] = None\n", {"cuda": "12.8"}),
        ("cuda: Optional[str] = None\nhip: Optional[str] = '6.3.42134'\n", {"hip": "6.3.42134"}),
        ("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\nhip = None\n", {}),
        ("cuda = '12.8'\n", {"cuda": "12.8"}),
        ("", {}),
    ],
)
def test_what_torch_was_built_for_is_read_from_its_text(tmp_path, monkeypatch, text, builds):
    (tmp_path / "version.py").write_text(text)
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(detect.importlib.util, "find_spec", lambda name: spec)
    assert torch_builds() == builds


def test_a_torch_without_that_text_was_built_for_nothing(tmp_path, monkeypatch):
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(detect.importlib.util, "find_spec", lambda name: spec)
    assert torch_builds() == {}
    monkeypatch.setattr(detect.importlib.util, "find_spec", lambda name: None)
    assert torch_builds() == {}


def test_a_driver_shows_by_its_device_file(tmp_path, monkeypatch):
    (tmp_path / "davinci3").touch()
    monkeypatch.setattr(detect, "Path", lambda _: tmp_path)
    assert nodes("davinci[0-9]*", "davinci_manager")
    assert not nodes("nvidiactl", "nvidia[0-9]*")
    assert not nodes()
