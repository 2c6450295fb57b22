"""The page in a real browser: nothing fetched, nothing logged, every mark drawn, everything there without JavaScript."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.report.document import Cell, Column, Report, Section, Table
from bench.report.page.html import page as html
from bench.report.pdf import BROWSERS, browser

pytestmark = pytest.mark.slow

if browser() is None:
    pytest.skip(f"no browser to open a page with ({', '.join(BROWSERS[:3])})", allow_module_level=True)

SIDES = ("ascend-910c", "h100-sxm", "h20")
LARGEST_PAGE = 2_000_000


@dataclass(frozen=True)
class Made:
    """A report as files: the page, and the document it was made of."""

    folder: Path

    @property
    def url(self) -> str:
        return (self.folder / "report.html").as_uri()

    @property
    def document(self) -> Any:
        return json.loads((self.folder / "report.json").read_text())


@pytest.fixture(scope="module")
def made(call: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("report")
    done = call("report", *SIDES, "--prices", "example", "-o", "report.html", "-o", "report.json", cwd=folder)
    assert done.code == 0, done.err
    return Made(folder)


@pytest.fixture
def page(chromium: Any, made: Made) -> Iterator[Any]:
    context = chromium.new_context()
    opened = context.new_page()
    opened.goto(made.url)
    yield opened
    context.close()


def _charts(document: Any) -> dict[str, int]:
    return {chart["id"]: chart["marks"] for section in document["sections"] for chart in section["charts"]}


def test_three_devices_have_twelve_charts_and_more_on_a_page_of_less_than_two_megabytes(made: Made) -> None:
    assert len(_charts(made.document)) >= 12
    assert (made.folder / "report.html").stat().st_size < LARGEST_PAGE


def test_the_page_logs_nothing_and_fetches_nothing(chromium: Any, made: Made) -> None:
    opened = chromium.new_page()
    logged: list[str] = []
    fetched: list[str] = []
    opened.on("console", lambda message: logged.append(message.text))
    opened.on("pageerror", lambda error: logged.append(str(error)))
    opened.on("request", lambda request: fetched.append(request.url))
    opened.goto(made.url)
    opened.wait_for_timeout(300)
    opened.close()
    assert (logged, fetched) == ([], [made.url])


def test_the_policy_of_the_page_keeps_a_script_that_is_not_its_own_from_running(page: Any) -> None:
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'window.ran = 1'}))")
    assert page.evaluate("window.ran") is None


def test_every_chart_has_as_many_marks_as_its_document_says(page: Any, made: Made) -> None:
    drawn = page.eval_on_selector_all(
        "figure", "all => all.map(f => [f.id.slice(6), f.querySelectorAll('.data_marks > *').length])"
    )
    assert dict(drawn) == _charts(made.document)


def test_without_javascript_every_chart_and_table_is_there(chromium: Any, made: Made) -> None:
    context = chromium.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(made.url)
    charts = _charts(made.document)
    tables = [table["id"] for section in made.document["sections"] for table in section["tables"]]
    assert opened.locator("figure .chart svg").count() == len(charts)
    assert all(box["height"] > 50 for each in opened.locator(".chart svg").all() if (box := each.bounding_box()))
    opened.locator("details").first.locator("summary").click()
    for name in tables:
        assert opened.locator(f"table[id='table-{name}']").count() == 1
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(chromium: Any, made: Made, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe
    context = chromium.new_context(color_scheme=scheme)
    opened = context.new_page()
    opened.goto(made.url)
    opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    found = axe().run(opened).response["violations"]
    context.close()
    serious = [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []


def test_at_500_pixels_only_tables_scroll_sideways(chromium: Any, made: Made) -> None:
    context = chromium.new_context(viewport={"width": 500, "height": 900})
    opened = context.new_page()
    opened.goto(made.url)
    assert opened.evaluate("document.documentElement.scrollWidth") == 500
    # No word is broken letter by letter: the axes' names stand on one line each.
    heights = opened.eval_on_selector_all(".verdicts tbody th", "all => all.map(each => each.clientHeight)")
    assert max(heights) < 40
    context.close()


def test_at_1200_pixels_every_table_is_seen_whole(chromium: Any, made: Made) -> None:
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    opened.goto(made.url)
    opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    cut = opened.eval_on_selector_all(
        ".scroll", "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.getAttribute('aria-label'))"
    )
    assert cut == []
    context.close()


def test_a_forest_has_the_width_of_the_page_and_its_reading_beside_each_ratio(chromium: Any, made: Made) -> None:
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    opened.goto(made.url)
    (chart,) = [
        chart for section in made.document["sections"] for chart in section["charts"] if chart["id"] == "forest-1"
    ]
    forest = opened.locator("#chart-forest-1 .chart")
    assert forest.bounding_box()["width"] > 1100
    words = forest.locator("text").all_text_contents()
    assert all(row["reading"] in words and row["source"] in words for row in chart["rows"])
    context.close()


def test_the_keyboard_reaches_the_marks_of_a_chart(page: Any) -> None:
    page.locator("figure .chart").first.focus()
    page.keyboard.press("ArrowRight")
    words = page.locator(".tip").inner_text()
    first = page.locator("figure .chart").first.locator(".data_marks > *").first.get_attribute("aria-label")
    assert words == first
    assert page.eval_on_selector_all(".at", "all => all.map(each => each.getAttribute('aria-label'))") == [first]
    page.keyboard.press("Escape")
    assert page.locator(".tip").is_hidden()
    assert page.locator(".at").count() == 0


def test_an_assumption_changed_on_the_page_changes_what_follows_from_it_and_back(page: Any, made: Made) -> None:
    """A life twice as long costs less; every formula gives, unchanged, the number that was built."""
    page.locator("td[data-id='life_years'] input").fill("4")
    built = page.eval_on_selector_all("td[data-formula]", "all => all.map(cell => cell.textContent)")
    assert page.locator("td.changed").count() == 0
    page.locator("td[data-id='life_years'] input").fill("8")
    assert page.locator("td.changed").count() > 0
    page.locator("#as-built").click()
    assert page.eval_on_selector_all("td[data-formula]", "all => all.map(cell => cell.textContent)") == built


def test_the_dark_page_is_dark_and_its_charts_are_not_black_on_black(chromium: Any, made: Made) -> None:
    context = chromium.new_context(color_scheme="dark")
    opened = context.new_page()
    opened.goto(made.url)
    paper, ink = opened.evaluate(
        "[getComputedStyle(document.documentElement).backgroundColor,"
        " getComputedStyle(document.querySelector('.chart svg text')).fill]"
    )
    context.close()
    brightness = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in (paper, ink)]
    assert brightness[0] < 150 < 500 < brightness[1]


SCROLL = """async () => {
    document.getElementById("table-own").scrollIntoView();
    const frames = [];
    for (let step = 0; step < 80; step++) {
        const before = performance.now();
        scrollBy(0, 400);
        // A browser that draws no frames for a while must not hold the test up.
        await Promise.race([new Promise(requestAnimationFrame), new Promise(done => setTimeout(done, 500))]);
        frames.push(performance.now() - before);
    }
    return frames.sort((a, b) => a - b)[40];
}"""


def test_5000_rows_scroll_about_as_smoothly_as_300(chromium: Any, tmp_path: Path) -> None:
    """The pieces of a long table are laid out when they are seen. Laid out at once, they took ten times as long."""
    medians = {}
    for count in (300, 5000):
        rows: list[list[str | Cell]] = [
            [f"case {n}", *(Cell(value=n + k, unit="s", source="measured", interval=(n, n + k)) for k in range(1, 11))]
            for n in range(count)
        ]
        columns = [Column(name="case"), *(Column(name=f"{k}", number=True) for k in range(10))]
        section = Section(id="s", title="S", tables=[Table(id="own", title="Own", columns=columns, rows=rows)])
        report = Report(
            id="r",
            title="t",
            question="q",
            created="now",
            bench_version="0",
            command="c",
            systems=[],
            sections=[section],
        )
        file = tmp_path / f"{count}.html"
        file.write_text(html(report))
        opened = chromium.new_page(viewport={"width": 1200, "height": 900})
        opened.goto(file.as_uri())
        opened.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert opened.locator("table[id^=table-own] tbody tr").count() == count
        opened.bring_to_front()
        medians[count] = min(opened.evaluate(SCROLL) for _ in range(3))
        opened.close()
    assert medians[5000] < 4 * medians[300]


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext reads the PDF (apt-get install poppler-utils)")
def test_the_pdf_has_every_section_and_what_is_folded(made: Made, call: Callable[..., Any]) -> None:
    done = call("report", *SIDES[:2], "-o", "report.pdf", "-o", "two.json", cwd=made.folder)
    assert done.code == 0, done.err
    printed = subprocess.run(["pdftotext", made.folder / "report.pdf", "-"], capture_output=True, text=True, check=True)
    text = " ".join(printed.stdout.split())
    document = json.loads((made.folder / "two.json").read_text())
    titles = [section["title"] for section in document["sections"]]
    for title in [*titles, "Verdicts", "Systems", "Not run, or without a number", "Methods and limits", "Repeat it"]:
        assert title in text
    # Folded on the screen, open on paper.
    assert document["glossary"][0]["definition"][:60] in text
