"""What `--baseline` names: a stored baseline, files, or the runs of a branch's history."""

from __future__ import annotations

import subprocess

import msgspec
import pytest

from bench.commands.against import find
from bench.errors import NotComparable, ResultError
from bench.measure import checkout
from bench.results.gate import baseline_file as stored
from bench.results.gate.baseline import Baseline
from bench.results.gate.gather import gather
from bench.results.record import Run

CASE = "tiny[b=1]"


@pytest.fixture
def run(row, environment):
    def make(run_id, *times, commit="c0ffee"):
        rows = [row(case_id=CASE, session=i + 1, samples_s=[s], step_s=s) for i, s in enumerate(times)]
        told = {"cpu": {"name": "A CPU", "cores": "2"}}
        return Run(
            id=run_id, environment=environment(devices=told, commit=commit, created=f"2026-11-21T{run_id}"), rows=rows
        )

    return make


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_RESULTS", raising=False)
    (tmp_path / "results" / "runs").mkdir(parents=True)
    return tmp_path


def kept(name, *runs):
    one = Baseline(name=name)
    for each in runs:
        one.add(gather(each)[0])
    stored.save(one, stored.path_of(name))


def written(here, run):
    path = here / "results" / "runs" / f"{run.id}.json"
    path.write_bytes(msgspec.json.encode(run))
    return path


def labels(side):
    return [one.label for one in side.gathered.sessions]


def test_without_a_name_main_is_taken_or_the_only_one(here, run):
    kept("nightly", run("1", 1.0))
    assert find((), set()).label == "nightly"
    kept("main", run("2", 1.0))
    assert find((), set()).label == "main"


def test_several_without_main_have_to_be_chosen_from(here, run):
    kept("a", run("1", 1.0)), kept("b", run("2", 1.0))
    with pytest.raises(ResultError, match=r"several baselines are here: a, b; choose with --baseline a"):
        find((), set())


def test_none_at_all_says_how_to_make_one(here):
    with pytest.raises(ResultError, match=r"no baseline .* bench baseline save main"):
        find((), set())


def test_a_run_file_and_a_baselines_file_are_read(here, run):
    path = written(here, run("1", 1.0, 2.0))
    assert labels(find((str(path),), set())) == ["1/1", "1/2"]
    kept("main", run("2", 1.0))
    assert labels(find(("results/baselines/main.json",), set())) == ["2/1"]


def test_several_are_one_side(here, run):
    paths = [str(written(here, run(name, 1.0))) for name in ("2", "1")]
    assert labels(find(paths, set())) == ["1/1", "2/1"]


def test_the_runs_own_sessions_are_no_baseline(here, run):
    kept("main", run("1", 1.0), run("2", 1.0, 1.0))
    side = find(("main",), {"2"})
    assert labels(side) == ["1/1"]
    assert side.notes == ["2 sessions of the baseline are the run's own; they are left out of it"]


def test_a_baseline_of_nothing_but_the_run_itself_is_refused(here, run):
    kept("main", run("1", 1.0))
    with pytest.raises(NotComparable, match="main: holds nothing but the run's own sessions"):
        find(("main",), {"1"})


@pytest.mark.parametrize(("word", "said"), [
    ("nope.json", "nope.json: no such file; run files are in"),
    ("mian", "did you mean 'main'"),
    ("quite-else", "no baseline, no file and no branch or commit.*bench baseline save quite-else$"),
    ("quite/else", "no baseline, no file and no branch or commit.*bench baseline save NAME$"),
])  # fmt: skip
def test_what_is_nothing_says_so(here, run, word, said):
    kept("main", run("1", 1.0))
    with pytest.raises(ResultError, match=said):
        find((word,), set())


def git(*words):
    name = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    return subprocess.run(["git", *name, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def branches(here):
    """Two commits on main and one on side; their hashes."""
    git("init", "-q", "-b", "main")
    found = []
    for text in ("one", "two"):
        (here / "file").write_text(text)
        git("add", "file"), git("commit", "-qm", text)
        found.append(git("rev-parse", "--short=12", "HEAD"))
    git("checkout", "-qb", "side", "HEAD~1")
    (here / "file").write_text("three")
    git("commit", "-qam", "three")
    return [*found, git("rev-parse", "--short=12", "HEAD")]


def test_a_branch_is_the_runs_of_its_history(here, run, branches):
    first, second, other = branches
    for name, commit in (("1", first), ("2", second), ("3", other), ("4", f"{second}+"), ("5", None)):
        written(here, run(name, 1.0, commit=commit))
    (here / "results" / "runs" / "6.json").write_text("{broken")
    assert labels(find(("main",), set())) == ["1/1", "2/1"]
    assert labels(find(("side",), set())) == ["1/1", "3/1"]
    assert labels(find(("main",), {"2"})) == ["1/1"]


def test_a_branch_of_many_runs_costs_no_more_git_than_one_of_few(here, run, branches, monkeypatch):
    asked = []
    monkeypatch.setattr(checkout, "_git", lambda *words, git=checkout._git: asked.append(words) or git(*words))
    written(here, run("1", 1.0, commit=branches[0]))
    find(("main",), set())
    few = len(asked)
    for number in range(2, 20):
        written(here, run(f"{number}", 1.0, commit=branches[number % 3]))
    assert len(find(("main",), set()).gathered.sessions) == 13
    assert len(asked) == 2 * few


def test_a_branch_is_no_file_of_its_name(here, run, branches):
    written(here, run("1", 1.0, commit=branches[0]))
    (here / "side").mkdir()
    assert labels(find(("side",), set())) == ["1/1"]


def test_a_branch_without_runs_has_the_baseline_it_keeps(here, run, branches):
    kept("main", run("7", 1.0))
    git("add", "."), git("commit", "-qm", "a baseline")
    (here / "results" / "baselines" / "main.json").unlink()
    side = find(("side",), set())
    assert (side.label, side.files) == ("main", ["side:results/baselines/main.json"])
    with pytest.raises(ResultError, match=r"'main' is a branch or commit, but no run .* bench baseline save main"):
        find(("main",), set())
