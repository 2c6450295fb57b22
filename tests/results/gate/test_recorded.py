"""The gate on recorded sessions of real machines: no wolf cried, a real slowdown of 5 % found where noise allows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import recorded

CHECKS = 40


@pytest.fixture(scope="module", params=recorded.records())
def found(request):
    return request.param, recorded.outcome(request.param, CHECKS)


def test_what_has_not_changed_raises_no_confirmed_alarm(found):
    name, outcome = found
    # 0.05 a check is the goal on quiet and typical machines, 0.2 on shared ones.
    assert outcome.confirmed[0] <= 0.2, name


def test_a_real_slowdown_is_never_called_the_same(found):
    name, outcome = found
    assert outcome.called_same <= 0.05, name


def test_a_real_slowdown_is_confirmed_on_the_quiet_machine():
    assert recorded.outcome("quiet", CHECKS).confirmed[1] >= 0.95


def test_simple_rules_do_worse_on_the_same_sessions(found):
    name, outcome = found
    if recorded.load(name).spread > 0.02:
        assert outcome.rules["median + 5 %, run against run"][0] > 1, name


def test_the_variants_did_the_work_they_say():
    """The slowdown is real: over all sessions the slower variant takes about 5 % more, the other nothing."""
    quiet = recorded.load("quiet")
    for case, name in enumerate(quiet.cases):
        slower = quiet.logs["slower"][case] - quiet.logs["same"][case]
        assert 0.02 < sorted(slower)[len(slower) // 2] < 0.08, name
