"""All forms of a check: each says what is an estimate, each can be written, and the JSON is the document."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from bench.report.gate.forms import FORMS
from bench.results.gate.document import Checked

MODELLED = {"source": "modelled"}


def test_the_forms_have_these_names():
    assert list(FORMS) == [
        "table", "md", "github", "comment", "json", "junit", "github-action-benchmark", "bmf", "openmetrics",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_an_estimate_is_called_so_in_every_form(make, found, name):
    estimated = make([found("a", 1e-3, 0.2, old=MODELLED, new=MODELLED)])
    measured = make([found("a", 1e-3, 0.2)])
    assert "estimated" in FORMS[name](estimated)
    assert "measured" in FORMS[name](measured)
    if name != "json":  # where every flag of the document stands, also one that is not set
        assert "estimated" not in FORMS[name](measured)


def test_the_json_is_the_document(checked):
    assert msgspec.json.decode(FORMS["json"](checked), type=Checked) == checked


@pytest.mark.parametrize("name", FORMS)
def test_a_file_name_that_is_no_text_stops_no_form(checked, name):
    checked.candidate.label = checked.candidate.files[0] = "r\udce9sultats.json"
    written = FORMS[name](checked).encode()
    assert b"sultats" in written or name in ("github-action-benchmark", "bmf")


@pytest.mark.parametrize("name", FORMS)
def test_nothing_at_all_can_be_written_in_every_form(make, name):
    assert FORMS[name](make([])).strip()


def test_writing_forms_loads_no_library_of_charts_or_tables():
    watched = (
        "import sys, bench.report.gate.forms; print(*{'torch', 'pandas', 'scipy', 'jinja2', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", watched], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
