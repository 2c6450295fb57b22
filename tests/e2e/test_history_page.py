"""The trend page in a real browser: every mark drawn, nothing fetched, whole without JavaScript, at 500 pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(call: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of twelve modelled runs; from the seventh on everything takes a fifth longer."""
    folder = tmp_path_factory.mktemp("history")
    assert call("run", "rms-norm", "-d", "h100-sxm", "-q", cwd=folder).code == 0
    (first,) = (folder / "results" / "runs").glob("*.json")
    run = json.loads(first.read_text())
    first.unlink()
    times = [row["step_s"] for row in run["rows"]]
    for day in range(1, 13):
        run["id"], run["environment"]["created"] = f"run-{day}", f"2026-11-{day:02}T12:00:00+00:00"
        run["environment"]["commit"] = f"c{day}"
        for row, time in zip(run["rows"], times, strict=True):
            row["step_s"] = time * (1.2 if day > 6 else 1.0)
        (first.parent / f"run-{day}.json").write_text(json.dumps(run))
    done = call("history", "--html", "trends.html", cwd=folder)
    assert done.code == 0, done.err
    return folder / "trends.html"


def test_every_run_is_a_mark_and_nothing_is_fetched_or_logged(chromium: Any, made: Path) -> None:
    opened = chromium.new_page()
    logged: list[str] = []
    fetched: list[str] = []
    opened.on("console", lambda message: logged.append(message.text))
    opened.on("pageerror", lambda error: logged.append(str(error)))
    opened.on("request", lambda request: fetched.append(request.url))
    opened.goto(made.as_uri())
    marks = opened.eval_on_selector_all("figure", "all => all.map(f => f.querySelectorAll('.data_marks > *').length)")
    rules = opened.eval_on_selector_all("figure", "all => all.map(f => f.querySelectorAll('path.slower').length)")
    assert (marks, rules) == ([12] * len(marks), [1] * len(marks))
    opened.locator("figure .chart").first.focus()
    opened.keyboard.press("ArrowRight")
    assert opened.locator(".tip").inner_text().startswith("2026-11-01 12:00 c1: ~")
    opened.close()
    assert (logged, fetched) == ([], [made.as_uri()])


def test_without_javascript_at_500_pixels_pictures_and_tables_are_there(chromium: Any, made: Path) -> None:
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 500, "height": 900})
    opened = context.new_page()
    opened.goto(made.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") == 500
    assert all(each.bounding_box()["height"] > 50 for each in opened.locator("figure .chart svg").all())
    opened.locator("figure details summary").first.click()
    assert opened.locator("figure").first.locator("tbody tr").count() == 12
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(chromium: Any, made: Path, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
    context = chromium.new_context(color_scheme=scheme)
    opened = context.new_page()
    opened.goto(made.as_uri())
    opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = axe().run(opened).response["violations"]
    context.close()
    serious = [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []
