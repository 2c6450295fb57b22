"""SIGTERM while something is under way: one KeyboardInterrupt, and what was set before is set again."""

from __future__ import annotations

import signal

import pytest

from bench.commands.interruption import TERMINATED, terminated_as_interrupted


def test_sigterm_interrupts_once_and_what_cleans_up_is_left_alone():
    before = signal.getsignal(signal.SIGTERM)
    steps = []
    with terminated_as_interrupted() as came:
        assert came == []
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        steps.append("cleaned up")
    assert (came, steps, TERMINATED) == ([signal.SIGTERM], ["cleaned up"], 143)
    assert signal.getsignal(signal.SIGTERM) is before
