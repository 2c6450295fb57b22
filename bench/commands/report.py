"""bench report: one document of run files, modelled devices and published figures, in the form its reader wants."""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bench import project
from bench.commands import options
from bench.errors import DefinitionError, listed, nearest
from bench.report.document import Report
from bench.report.sides import Part, Side
from bench.report.terminal import emit
from bench.units import counted

FORMS = ("html", "md", "csv", "json", "xlsx", "pdf", "svg", "png")
# What each form needs beyond the core, all of the extra "report".
NEEDED = {
    "html": ("altair", "vl_convert", "jinja2"), "pdf": ("altair", "vl_convert", "jinja2"),
    "svg": ("altair", "vl_convert"), "png": ("altair", "vl_convert"), "xlsx": ("xlsxwriter",), "trends": ("jinja2",),
}  # fmt: skip
DEFAULT_FILE = "report.html"


@click.command(name="report")
@click.argument("operands", nargs=-1, metavar="[A] [B] [C...]", shell_complete=options.complete_device)
@click.option("-o", "--out", "outs", multiple=True, metavar="FILE",
              help="A file that ends in .html, .md, .csv, .json, .xlsx or .pdf, or a folder for svg and png;"
              " repeatable.  [default: report.html]")  # fmt: skip
@click.option("--format", "form", type=click.Choice(FORMS), help="The form, where the file's ending does not tell.")
@click.option("-w", "--workload", "names", multiple=True, metavar="NAME", shell_complete=options.complete_workload,
              help="Cases to model where no run file gives them.  [default: deepseek-r1-*]")  # fmt: skip
@click.option("--at", metavar="TARGETS",
              help="Service targets: tpot=50ms,ttft=2s, 30tok/s/user, mlperf-interactive.")  # fmt: skip
@click.option(
    "--prices", metavar="FILE", help="Prices and what else a cost rests on; 'example' takes the shipped ones."
)
@click.option(
    "--demand",
    metavar="FILE",
    help="Requests over a day: the devices of each kind that serve them; 'chat-day' shows how.",
)
@click.option("--title", help="The page's heading.")
@options.sweep
def command(
    operands: tuple[str, ...], outs: tuple[str, ...], form: str | None, names: tuple[str, ...], at: str | None,
    prices: str | None, demand: str | None, title: str | None, **sweep: Any,
) -> int:  # fmt: skip
    """Put A against B and C in one document: run files, files of published figures, or device sheets, then modelled.

    Without operands the newest run is reported. The page opens offline and is complete without JavaScript.

    \b
    bench report ascend-910c h100-sxm -o report.html
    bench report results/runs/RUN.json h100-sxm -o report.html -o report.pdf
    bench report ascend-910c h100-sxm --at tpot=50ms,ttft=2s --prices example -o report.xlsx
    bench report ascend-910c h100-sxm --demand chat-day --prices example
    bench report ascend-910c h100-sxm --format svg -o charts/
    """
    wanted = _wanted(outs, form)
    need([each for each, _ in wanted])
    to_files = all(path is not None for _, path in wanted)
    report = make(operands, names, options.overrides(sweep), at, prices, title, demand=demand, show=to_files)
    for each, path in wanted:
        write(report, each, path)
    return 0


def _wanted(outs: tuple[str, ...], form: str | None) -> list[tuple[str, Path | None]]:
    """Return (form, file) for what is to be written; no file means stdout.

    Raises: DefinitionError for an ending that is no form, or a file where a folder is.
    """
    if not outs:
        return [(form, None)] if form in ("md", "csv", "json") else [_default(form)]
    found: list[tuple[str, Path | None]] = []
    for out in outs:
        path = Path(out)
        each = form or path.suffix.lstrip(".").lower()
        if each not in ("svg", "png") and path.is_dir():
            raise DefinitionError(f"-o {out}: is a folder; name a file in it, for example {path / DEFAULT_FILE}")
        if each not in FORMS:
            raise DefinitionError(f"-o {out}: '{path.suffix}' is no form; {listed(FORMS)}, or say --format")
        if each in ("svg", "png") and path.suffix:
            raise DefinitionError(f"-o {out}: there is one {each} a chart; name a folder, for example -o charts/")
        found.append((each, path))
    return found


def _default(form: str | None) -> tuple[str, Path]:
    each = form or "html"
    return each, Path("charts") if each in ("svg", "png") else Path(DEFAULT_FILE).with_suffix(f".{each}")


def need(forms: list[str], what: str = "this form") -> None:
    """Raise DefinitionError where a form needs what is not installed, with what brings it."""
    missing = {name for form in forms for name in NEEDED.get(form, ()) if importlib.util.find_spec(name) is None}
    if missing:
        raise DefinitionError(f"{what} needs {listed(sorted(missing))}; pip install 'accelbench[report]'")


def make(
    operands: tuple[str, ...], names: tuple[str, ...], overrides: dict[str, Any], at: str | None,
    prices: str | None = None, title: str | None = None, *, demand: str | None = None, show: bool = False,
) -> Report:  # fmt: skip
    """Return the report of these sides: modelled, solved and put together. show: print a demand's fleets on stdout."""
    from bench.commands.operands import is_file
    from bench.commands.published import published_beside
    from bench.commands.sides import gather
    from bench.measure.targets import USUAL_TARGETS
    from bench.report.build import build
    from bench.report.parts.cited import cited
    from bench.results.environment import command_line, commit
    from bench.results.store import newest_run
    from bench.results.target import parse_targets

    words = operands or (str(newest_run(project.runs_folder())),)
    targets = parse_targets(at) if at else list(USUAL_TARGETS)
    sides = gather(words, names, overrides, targets)
    found = published_beside([side.operand for side in sides])
    extra = _extra(sides, prices, demand, show)
    citations: list[str] = []
    published = cited(found.anchors, found.not_priced, citations)
    report = build(
        sides, targets=targets, command=command_line(), commit=commit(), title=title,
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), published=published,
        citations=citations, extra=extra,
    )  # fmt: skip
    report.repeat = [*(f"# {_hashed(Path(word))}" for word in words if is_file(word)), *report.repeat]
    return report


def _hashed(path: Path) -> str:
    """A run file with its hash, so that a reader can tell that it is the one."""
    return f"{project.shown(path)}  sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _extra(sides: list[Side], prices: str | None, demand: str | None, show: bool) -> list[Part]:
    """Return the parts that rest on a prices file and on a demand."""
    extra: list[Part] = []
    path, loaded = None, None
    if prices is not None:
        from bench.devices.sheet import known_sheets
        from bench.report.parts.cost import cost
        from bench.results.prices import check_devices, example_prices, load_prices

        path = example_prices() if prices == "example" else Path(prices)
        if path.suffix != ".toml" and not path.exists():
            hint = nearest(prices, ["example"]) or "; name a prices file, or example for the shipped one"
            raise DefinitionError(f"--prices: '{project.shown(path)}' is not there{hint} (see: docs/cost-and-fleet.md)")
        loaded = load_prices(path)
        check_devices(loaded, [*known_sheets(), *(side.device for side in sides)], project.shown(path))
        # A device that was measured is called cuda:0 and the like; its price is that of the sheet it matched.
        sides = [side.priced(loaded.device) for side in sides]
        extra.append(cost(sides, loaded, project.shown(path)))
    if demand is not None:
        from bench.commands.demand import fleets_for, show_fleets
        from bench.report.parts.fleets import fleets

        found = fleets_for(sides, demand, loaded)
        known = {each.id for part in extra for each in part.assumptions}
        extra.append(fleets(found, project.shown(path) if path is not None else "", known))
        if show:
            show_fleets(found)
    return extra


def write(report: Report, form: str, path: Path | None) -> None:
    """Write one form of a report, whole or not at all; name it on stdout."""
    if form in ("svg", "png"):
        _write_charts(report, form, path or Path("charts"))
        return
    content = CONTENT[form](report)
    if path is None:
        emit(content.decode().rstrip("\n"))
        return
    project.write_atomically(path, content)
    emit(f"{project.shown(path)}  {len(content) / 1e3:,.0f} kB")


def _write_charts(report: Report, form: str, folder: Path) -> None:
    from bench.report.charts.render import file_png, file_svg

    labels = [system.label for system in report.systems]
    charts = [chart for section in report.sections for chart in section.charts]
    for chart in charts:
        content = (file_svg if form == "svg" else file_png)(chart, labels)
        project.write_atomically(folder / f"{chart.id}.{form}", content)
    emit(f"{project.shown(folder)}  {counted(len(charts), 'chart')}")


def _html(report: Report) -> bytes:
    from bench.report.page.html import page

    return page(report).encode()


def _text(name: str) -> Callable[[Report], bytes]:
    def content(report: Report) -> bytes:
        from bench.report import forms

        text: str = getattr(forms, name)(report)
        return text.encode()

    return content


def _pdf(report: Report) -> bytes:
    from bench.report.page.html import page
    from bench.report.pdf import as_pdf

    return as_pdf(page(report))


def _xlsx(report: Report) -> bytes:
    from bench.report.xlsx.book import workbook

    return workbook(report)


CONTENT: dict[str, Callable[[Report], bytes]] = {
    "html": _html, "xlsx": _xlsx, "pdf": _pdf,
    "md": _text("as_markdown"), "csv": _text("as_csv"), "json": _text("as_json"),
}  # fmt: skip
