"""bench report, driven as a person does: forms, defaults, and everything that can be wrong with what it is given."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ONE = ("report", "h100-sxm", "h20", "-w", "llama-3.1-8b-decode", "--batch", "1,8", "--context", "1k")


@pytest.fixture
def saved(measured: Any, tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes the measured run, changed, under a name."""

    def write(name: str, change: Callable[[Any], None] = lambda run: None) -> str:
        run = json.loads(measured.run_files[0].read_text())
        change(run)
        (tmp_path / name).write_text(json.dumps(run))
        return name

    return write


def test_several_forms_are_written_at_once_and_named(bench: Callable[..., Any], tmp_path: Path) -> None:
    done = bench(*ONE, "-o", "a.html", "-o", "a.md", "-o", "a.csv", "-o", "a.json")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["a.html", "a.md", "a.csv", "a.json"]
    document = json.loads((tmp_path / "a.json").read_text())
    assert document["command"].endswith("-o a.json")
    assert document["id"] in (tmp_path / "a.html").read_text()
    assert document["id"] in (tmp_path / "a.md").read_text()


def test_json_on_stdout_has_the_verdicts(bench: Callable[..., Any]) -> None:
    verdicts = bench(*ONE, "--format", "json").json["verdicts"]
    assert {verdict["axis"] for verdict in verdicts} == {
        "throughput", "latency", "utilization", "energy", "price/performance",
    }  # fmt: skip
    assert all(v["reading"].startswith("estimated: ") for v in verdicts if v.get("ratio"))


def test_one_picture_a_chart_goes_to_a_folder(bench: Callable[..., Any], tmp_path: Path) -> None:
    done = bench(*ONE, "--format", "svg", "-o", "charts")
    assert done.code == 0, done.err
    files = sorted((tmp_path / "charts").glob("*"))
    assert f"{len(files)} charts" in done.out
    assert all(file.suffix == ".svg" and b"var(" not in file.read_bytes() for file in files)


def test_without_operands_the_newest_run_is_reported(
    bench: Callable[..., Any], saved: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "results" / "runs").mkdir(parents=True)
    saved("results/runs/2026-11-22T00-00-00_cpu_beef.json")
    done = bench("report")
    assert done.code == 0, done.err
    assert re.search(r"<h1>[^<]+ \(\d+ cores?\)</h1>", (tmp_path / "report.html").read_text())


def test_a_run_beside_a_sheet_says_which_numbers_were_measured(
    bench: Callable[..., Any], saved: Callable[..., str]
) -> None:
    document = bench("report", saved("run.json"), "h100-sxm", "--format", "json").json
    assert document["counts"]["measured"] > 0
    assert document["counts"]["modelled"] > 0
    assert {v["source"].partition(":")[0] for v in document["verdicts"] if v.get("ratio")} == {"modelled"}


def test_the_page_names_the_run_file_by_its_hash(
    bench: Callable[..., Any], saved: Callable[..., str], tmp_path: Path
) -> None:
    name = saved("run.json")
    digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert bench("report", name, "--format", "json").json["repeat"][0] == f"# run.json  sha256 {digest}"


def test_other_definitions_are_shown_apart_and_no_ratio_is_formed(
    bench: Callable[..., Any], saved: Callable[..., str]
) -> None:
    def other(run: Any) -> None:
        for row in run["rows"]:
            row["definition_hash"] = "0" * 16

    document = bench("report", saved("a.json"), saved("b.json", other), "--format", "json").json
    assert [v for v in document["verdicts"] if v.get("ratio")] == []
    assert "other definitions of the same cases" in document["verdicts"][0]["why"]


def test_rows_without_numbers_are_reported_as_missing(bench: Callable[..., Any], saved: Callable[..., str]) -> None:
    def empty(run: Any) -> None:
        for row in run["rows"]:
            row.update(step_s=None, tpot_s=None, output_tokens_per_s=None, interval=None)

    done = bench("report", saved("null.json", empty), "-o", "n.html", "-o", "n.csv")
    assert done.code == 0, done.err


def test_hostile_strings_stay_strings_in_every_form(
    bench: Callable[..., Any], saved: Callable[..., str], tmp_path: Path
) -> None:
    def hostile(run: Any) -> None:
        for row in run["rows"]:
            row["device_name"] = row["workload"] = "<script>alert(1)</script>"
            row["device"] = '=HYPERLINK("http://x")'
        run["rows"][0].update(status="error", reason="@SUM(1)\r\n<img src=x onerror=alert(1)>")
        run["environment"]["host"] = "[red]</style>"

    done = bench("report", saved("h.json", hostile), "-o", "h.html", "-o", "h.csv", "-o", "h.md", "-o", "h.xlsx")
    assert done.code == 0, done.err
    page = (tmp_path / "h.html").read_text()
    assert page.count("<script") == page.count("</style>") == 1
    assert "<img" not in page
    cells = [cell for line in csv.reader(io.StringIO((tmp_path / "h.csv").read_text())) for cell in line]
    assert not [cell for cell in cells if cell.startswith(("=", "@"))]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("h100-sxm", "-o", "x.doc"), "'.doc' is no form; html, md, csv, json"),
        (("h100-sxm", "-o", "."), "is a folder; name a file in it"),
        (("h100-sxm", "-o", "x.svg"), "one svg a chart; name a folder"),
        (("h100-sxm", "-o", "/proc/x.html", "-w", "rms-norm"), "/proc/x.html: cannot be written"),
        (("nope",), "'nope' is neither a run file nor a device"),
        (("nope.json",), "nope.json: no such file"),
        ((), "no run files; make one with: bench run"),
        (("h100-sxm", "--at", "soon"), "--at: 'soon' is not a target"),
        (("h100-sxm", "--prices", "none.toml"), "none.toml: cannot be read"),
        (("h100-sxm", "--prices", "exampel"), "--prices: 'exampel' is not there; did you mean 'example'?"),
    ],
)
def test_what_is_wrong_is_one_line_and_nothing_is_written(
    bench: Callable[..., Any], tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = bench("report", *words)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_rows_says_so(bench: Callable[..., Any], saved: Callable[..., str]) -> None:
    done = bench("report", saved("zero.json", lambda run: run["rows"].clear()))
    assert done.code == 2
    assert "holds no rows" in done.err


@pytest.mark.slow
def test_a_run_file_of_100_megabytes_is_read(bench: Callable[..., Any], saved: Callable[..., str]) -> None:
    def huge(run: Any) -> None:
        row = run["rows"][0]
        run["rows"] = [
            {**row, "case_id": f"{row['case_id'][:-1]},n={n}]", "samples_s": [0.123456789] * 1500} for n in range(6000)
        ]

    done = bench("report", saved("huge.json", huge), "-o", "huge.html", "-o", "huge.csv")
    assert done.code == 0, done.err
    page = (done.folder / "huge.html").read_text()
    assert "Every case: 6,000 rows" in page
    assert "1,000 more rows are not on this page; all are in the CSV" in page
    assert "n=5999]" not in page.partition("Every case: 6,000 rows")[2].partition("</details>")[0]
    assert (
        sum("case" in line and "n=5999]" in line for line in (done.folder / "huge.csv").read_text().splitlines()) >= 1
    )


def test_the_page_needs_its_libraries_and_names_the_extra(bench: Callable[..., Any], tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'altair' else find(n, *a)\n"
    )
    done = bench("report", "h100-sxm", PYTHONPATH=str(blocked))
    assert done.code == 2
    assert "needs altair; pip install 'accelbench[report]'" in done.err
