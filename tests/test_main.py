"""Ctrl-C from the first import on: one line and 130, also where Python itself would swallow it."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Ctrl-C while click is imported, as it comes within the first 50 ms.
AT_START = """
import sys
class Finder:
    def find_spec(self, name, *_):
        if name == "click":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Finder())
from bench.__main__ import main
main()
"""

# Ctrl-C in a weak reference's callback, as it came in the middle of a push.
SWALLOWED = """
import time, weakref
import bench.cli
from bench.__main__ import main
class Held: pass
def gone(_):
    raise KeyboardInterrupt
def work():
    held = Held()
    watch = weakref.ref(held, gone)
    del held
    time.sleep(30)
bench.cli.main = work
main()
"""

# What else is swallowed is told as ever.
OTHER = SWALLOWED.replace("KeyboardInterrupt", "ValueError('odd')").replace("sleep(30)", "sleep(0)")


@pytest.mark.parametrize("code", [AT_START, SWALLOWED])
def test_an_interrupt_is_one_line_wherever_it_comes(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


def test_other_faults_in_callbacks_are_told_as_python_does():
    done = subprocess.run([sys.executable, "-c", OTHER], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0
    assert "Exception ignored in" in done.stderr
    assert "ValueError: odd" in done.stderr
