"""bench history, the real command: from two runs, from thousands, from a folder that may not be written, at once."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bench = Callable[..., Any]


@pytest.fixture(scope="module")
def runs(call: Bench, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with three modelled runs, the last of which is a little slower, by hand."""
    folder = tmp_path_factory.mktemp("runs")
    for _ in range(2):
        assert call("run", "rms-norm", "-d", "h100-sxm", "-q", cwd=folder).code == 0
    first = sorted((folder / "results" / "runs").glob("*.json"))[0]
    run = json.loads(first.read_text())
    run["id"], run["environment"]["created"] = "later", "2099-01-01T00:00:00+00:00"
    run["environment"]["commit"], run["environment"]["bench_version"] = "abc", "9.9"
    for row in run["rows"]:
        row["step_s"] *= 1.25
    (first.parent / "later.json").write_text(json.dumps(run))
    return folder


@pytest.fixture
def history(call: Bench, runs: Path, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that runs bench history in a copy of these runs."""
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    return lambda *words, **keys: call("history", *words, **{"cwd": tmp_path, **keys})


def test_what_got_slower_stands_first_then_every_series(history: Bench) -> None:
    done = history(COLUMNS="200")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("got slower: ")
    assert "accelbench 0.1.0 -> 9.9" in lines[1]
    assert "+25%, modelled" in lines[2]
    assert "rms-norm[m=1" in done.out
    assert any("~" in line and "modelled" in line and "▁" in line for line in lines[3:])


def test_every_form_tells_the_same(history: Bench) -> None:
    document = history("--format", "json").json
    assert document["schema"] == 1
    points = [point["value"] for trend in document["trends"] for point in trend["points"]]
    rows = list(csv.DictReader(io.StringIO(history("--format", "csv").out)))
    assert [float(row["value"]) for row in rows] == points
    lines = [json.loads(line) for line in history("--format", "jsonl").out.splitlines()]
    assert lines == document["trends"]
    assert history("--format", "md").out.count("| rms-norm[") == len(lines)


def test_the_page_has_a_picture_of_every_series(history: Bench, tmp_path: Path) -> None:
    done = history("--html", "trends.html")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("trends.html  ")
    page = (tmp_path / "trends.html").read_text()
    trends = history("--format", "json").json["trends"]
    assert page.count("<figure") == len(trends)
    assert page.count("<circle") == sum(len(each["points"]) for each in trends)
    assert "+25%, slower" in page
    assert "accelbench 0.1.0 -&gt; 9.9" in page
    assert page.count('<span class="badge modelled">') >= 2 * len(trends)


@pytest.mark.parametrize(("words", "part"), [
    (("--html", "."), "--html .: is a folder; name a file in it"),
    (("--html", "/proc/x.html"), "/proc/x.html: cannot be written"),
    (("--html", "x.html", "--format", "csv"), "--html writes a page and --format csv prints"),
])  # fmt: skip
def test_a_page_that_cannot_be_made_is_one_line_and_nothing_is_written(
    history: Bench, tmp_path: Path, words: tuple[str, ...], part: str
) -> None:
    before = sorted(each.name for each in tmp_path.iterdir())
    done = history(*words)
    assert (done.code, done.out) == (2, "")
    assert part in done.err
    assert done.err.count("\n") == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == before


def test_the_page_needs_its_library_and_names_the_extra(history: Bench, tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'jinja2' else find(n, *a)\n"
    )
    done = history("--html", "x.html", PYTHONPATH=str(blocked))
    assert (done.code, done.out) == (2, "")
    assert "--html needs jinja2; pip install 'accelbench[report]'" in done.err


def test_a_terminal_without_blocks_is_drawn_in_ascii(history: Bench) -> None:
    done = history(PYTHONIOENCODING="ascii")
    assert done.code == 0
    assert done.out.isascii()
    assert "?" not in done.out


@pytest.mark.parametrize("width", ["20", "40", "80"])
def test_a_narrow_terminal_cuts_no_number(history: Bench, width: str) -> None:
    assert "…" not in history(COLUMNS=width).out


@pytest.mark.parametrize(("words", "part"), [
    (("rms-nrom",), "no run has the case or workload 'rms-nrom'; did you mean 'rms-norm"),
    (("-d", "cpu"), "no run has the device 'cpu'; there are: h100-sxm"),
    (("--machine", "zz"), "no run has the machine 'zz'"),
    (("--metric", "step"), "--metric: a history holds no 'step'; did you mean 'step_s'"),
    (("--metric", "joules_per_token"), "results/runs: no run that holds joules_per_token"),
    (("--was", "old"), "--was: 'old' is not OLD=NEW, for example"),
    (("--was", "rms-nrom=x"), "--was: no run has the workload 'rms-nrom'; did you mean 'rms-norm'"),
    (("--last", "0"), "--last"),
    (("--last", "999999"), "--last"),
])  # fmt: skip
def test_what_is_asked_wrongly_is_one_line(history: Bench, words: tuple[str, ...], part: str) -> None:
    done = history(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert part in done.err


def test_without_any_run_the_next_step_is_told(bench: Bench) -> None:
    done = bench("history")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: results/runs: no run that holds step_s; make one with: bench run\n"


def test_only_half_written_runs_are_told_with_their_reason(bench: Bench, define: Callable[[str, str], Path]) -> None:
    define("results/runs/half.json", '{"schema": 3, "id": "x"')
    done = bench("history")
    assert done.code == 2
    assert "left out: half.json: " in done.err
    assert "cut off" in done.err


def test_a_history_loads_no_more_than_it_needs(history: Bench, tmp_path: Path) -> None:
    history()
    code = "import sys; from bench.cli import run; run(['history']);"
    code += "print(*[m for m in ('torch', 'pandas', 'scipy', 'numpy', 'jinja2', 'rich') if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_a_folder_that_may_not_be_written_is_read_all_the_same(history: Bench, tmp_path: Path) -> None:
    prefix: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root writes everywhere, and there is no setpriv to give that up")
        prefix = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    folder = tmp_path / "results" / "runs"
    expected = history().out
    for leftover in folder.glob(".index*"):
        leftover.unlink()
    folder.chmod(0o555)
    try:
        done = history(prefix=prefix)
    finally:
        folder.chmod(0o755)
    assert (done.code, done.out) == (0, expected)
    assert "results/runs/.index.db: cannot be used (" in done.err
    assert "without it the run files are read anew each time" in done.err
    assert not list(folder.glob(".index*"))


def test_an_index_that_may_not_be_written_is_done_without(history: Bench, tmp_path: Path) -> None:
    expected = history().out
    (tmp_path / "results" / "runs" / ".index.db").unlink()
    (tmp_path / "results" / "runs" / ".index.db").mkdir()
    done = history()
    assert (done.code, done.out) == (0, expected)
    assert "cannot be used" in done.err


def test_a_corrupt_index_is_built_anew_and_said_so(history: Bench, tmp_path: Path) -> None:
    expected = history().out
    (tmp_path / "results" / "runs" / ".index.db").write_text("no database" * 1000)
    done = history()
    assert (done.code, done.out) == (0, expected)
    assert done.err == "results/runs/.index.db: file is not a database; built anew from the run files\n"
    assert history("--rebuild").out == expected


@pytest.mark.slow
def test_several_at_once_make_one_index(start: Bench, history: Bench, tmp_path: Path) -> None:
    template = (tmp_path / "results" / "runs" / "later.json").read_text()
    for number in range(400):
        copy = template.replace('"later"', f'"many-{number:03}"')
        (tmp_path / "results" / "runs" / f"many-{number:03}.json").write_text(copy)
    going = []
    for number in range(4):
        place = tmp_path / f"place-{number}"
        place.mkdir()
        (place / "results").symlink_to(tmp_path / "results")
        going.append(start("history", "--format", "json", "--last", "500", cwd=place))
    ends = [each.wait() for each in going]
    assert [(done.code, done.err) for done in ends] == [(0, "")] * 4
    assert len({done.out for done in ends}) == 1
    assert len(ends[0].json["trends"][0]["points"]) == 403


@pytest.mark.slow
def test_an_index_whose_making_is_killed_is_finished_by_the_next(
    start: Bench, until: Bench, history: Bench, tmp_path: Path
) -> None:
    folder = tmp_path / "results" / "runs"
    template = (folder / "later.json").read_text()
    for number in range(1500):
        (folder / f"many-{number:04}.json").write_text(template.replace('"later"', f'"many-{number:04}"'))
    going = start("history")
    until(
        lambda: (folder / ".index.db-wal").exists() and (folder / ".index.db-wal").stat().st_size > 100_000, "it writes"
    )
    assert going.end(signal.SIGKILL).code == -signal.SIGKILL
    points = history("--format", "json", "--last", "500").json["trends"][0]["points"]
    rebuilt = history("--format", "json", "--last", "500", "--rebuild").json["trends"][0]["points"]
    assert len(points) == 500
    assert points == rebuilt
