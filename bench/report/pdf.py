"""The page as PDF, printed by a browser that is here: Chromium, Chrome or Edge."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.errors import DeviceError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
HOW = "install one (Debian: apt-get install chromium), name it with BENCH_BROWSER, or print the .html from any browser"
QUIET = (
    "--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions",
)  # fmt: skip
LONGEST_S = 120


def browser() -> str | None:
    """Return the browser to print with: BENCH_BROWSER, else the first that is installed."""
    return os.environ.get("BENCH_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)


def as_pdf(page: str) -> bytes:
    """Return a page as PDF.

    Raises: DeviceError where no browser is here, or it prints nothing.
    """
    program = browser()
    if program is None:
        raise DeviceError(f"PDF is printed by a browser, and none is here ({', '.join(BROWSERS[:3])}); {HOW}")
    with tempfile.TemporaryDirectory(prefix="bench-pdf-") as folder:
        source, target = Path(folder, "report.html"), Path(folder, "report.pdf")
        source.write_text(page, encoding="utf-8")
        # Chromium's sandbox does not start for root, as in most containers; the page is ours and loads nothing.
        rooted = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        command = [
            program, *QUIET, *rooted, f"--user-data-dir={folder}/profile", "--no-pdf-header-footer",
            f"--print-to-pdf={target}", source.as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, timeout=LONGEST_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceError(f"{program}: cannot print the page ({type(error).__name__}); {HOW}") from None
        if not target.exists():
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise DeviceError(f"{program}: printed nothing (exit code {done.returncode}: {last[0][:200]}); {HOW}")
        return target.read_bytes()
