"""Builds the gallery: reports of this repository's own devices and runs, and a picture of one. `make gallery` runs it.

tests/e2e/test_gallery.py builds them again and fails where what they say is no longer what is committed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Name -> the command that makes it; files are named from this folder.
REPORTS = {
    "910c-h100": (
        "report", "ascend-910c", "h100-sxm", "--at", "tpot=30ms,50ms,ttft=2s", "--prices", "example",
        "--demand", "chat-day", "--title", "Ascend 910C against H100: DeepSeek-R1, modelled, beside published figures",
    ),
    "cpu": ("report", "cpu-run.json", "--at", "tpot=50ms", "--title", "A small server's CPU, measured"),
}  # fmt: skip
FORMS = ("html", "md")
# What differs between two builds of the same numbers: when and of which commit; and pictures, drawn from the tables.
CHANGING = re.compile(
    r"(?s:<svg.*?</svg>|<p class=\"meta\">.*?</p>)|, commit [0-9a-f]+\+?|^\d{4}-\d\d-\d\dT[^\n]*$", re.M
)


def build(folder: Path) -> None:
    """Write every report of the gallery into a folder."""
    if folder != HERE:
        shutil.copyfile(HERE / "cpu-run.json", folder / "cpu-run.json")
    for name, words in REPORTS.items():
        outs = [word for form in FORMS for word in ("-o", f"{name}.{form}")]
        environment = os.environ | {"PYTHONPATH": str(HERE.parent.parent)}
        command = [sys.executable, "-c", "import sys; sys.argv[0] = 'bench'; from bench.cli import main; main()"]
        subprocess.run([*command, *words, *outs], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def lasting(text: str) -> str:
    """Return a report's text without what changes from build to build."""
    return CHANGING.sub("", text)


def picture(page: Path, target: Path, scheme: str) -> None:
    """Write the top of a page as a PNG, for those who look before they read."""
    from playwright.sync_api import sync_playwright

    from bench.report.pdf import QUIET, browser

    with sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=browser(), args=[*QUIET[1:], "--no-sandbox"])
        context = chromium.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 1400})
        shown = context.new_page()
        shown.goto(page.resolve().as_uri())
        shown.evaluate("document.querySelector('nav').remove()")
        shown.screenshot(path=target, full_page=True, clip={"x": 0, "y": 0, "width": 1200, "height": 1750})
        chromium.close()


if __name__ == "__main__":
    build(HERE)
    for scheme in ("light", "dark"):
        picture(HERE / "910c-h100.html", HERE / f"910c-h100-{scheme}.png", scheme)
