"""PDF without a browser, and with one that fails: a message that says what to do."""

import pytest

from bench.errors import DeviceError
from bench.report import pdf


def test_without_a_browser_the_message_names_one_and_how_to_get_it(monkeypatch):
    monkeypatch.delenv("BENCH_BROWSER", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeviceError, match=r"none is here .* apt-get install chromium"):
        pdf.as_pdf("<p>")


def test_a_browser_that_prints_nothing_is_named_with_its_last_word(monkeypatch, tmp_path):
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho no display >&2\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("BENCH_BROWSER", str(fake))
    with pytest.raises(DeviceError, match=r"printed nothing \(exit code 3: no display\)"):
        pdf.as_pdf("<p>")


def test_a_browser_that_cannot_be_started_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("BENCH_BROWSER", str(tmp_path / "none"))
    with pytest.raises(DeviceError, match="cannot print the page"):
        pdf.as_pdf("<p>")
