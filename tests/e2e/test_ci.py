"""docs/ci: the workflows are valid, safe and pinned, and the shell in them does what they say."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "ci"
GITHUB = ("github-bench.yml", "github-bench-comment.yml")
BIN = Path(sys.executable).parent
MARK = "<!-- accelbench:check:main -->"
TINY = 'summary = "A tiny product"\nphase = "kernel"\nkernel = "gemm"\npoints = [{ m = 1, n = 64, k = 64 }]\ntime_s = 0.1\n'


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def steps(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Every step of a GitHub workflow with its job's name."""
    return [(job, step) for job, each in read(name)["jobs"].items() for step in each["steps"]]


def script(name: str, step: str) -> str:
    (found,) = [each["run"] for _, each in steps(name) if each.get("name") == step]
    return found


def gitlab(job: str, part: str = "script") -> str:
    """A GitLab job's lines as one script, as its runner joins them."""
    return "\n".join(read("gitlab-ci.yml")[job][part])


def shell(text: str, folder: Path, path: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a step as GitHub and GitLab do: bash, ending at the first failure."""
    search = f"{path or BIN}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PATH": search, "OMP_NUM_THREADS": "1", **env}, timeout=300, check=False,
    )  # fmt: skip


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


# -- as files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "schema"), [(name, "github-workflows") for name in GITHUB] + [("gitlab-ci.yml", "gitlab-ci")]
)
def test_a_file_is_what_its_service_reads(name, schema):
    done = shell(f"check-jsonschema --builtin-schema vendor.{schema} {name}", FOLDER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_file_that_its_service_would_refuse_is_found(tmp_path):
    (tmp_path / "bad.yml").write_text((FOLDER / GITHUB[0]).read_text().replace("runs-on:", "run-on:"))
    assert shell("check-jsonschema --builtin-schema vendor.github-workflows bad.yml", tmp_path).returncode == 1


def test_an_audit_of_the_workflows_finds_nothing():
    done = shell(f"zizmor --offline --no-progress --quiet {' '.join(GITHUB)}", FOLDER)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("@de0fac2e4500dabe0009e67214ff5f5447ce83dd", "@v6"),
        ('run "$SUITE"', "run ${{ github.event.pull_request.title }}"),
        ("permissions:\n  contents: read", "permissions: write-all"),
    ],
)
def test_an_audit_would_find_what_is_unsafe(tmp_path, old, new):
    text = (FOLDER / GITHUB[0]).read_text()
    assert old in text
    (tmp_path / "bad.yml").write_text(text.replace(old, new))
    assert shell("zizmor --offline --no-progress --quiet bad.yml", tmp_path).returncode != 0


def test_every_action_is_pinned_to_a_commit_with_its_version_beside_it():
    used = [line for name in GITHUB for line in (FOLDER / name).read_text().splitlines() if "uses:" in line]
    assert len(used) == 5
    for line in used:
        assert re.search(r"uses: actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_no_expression_is_pasted_into_a_shell():
    for name in GITHUB:
        for _, step in steps(name):
            assert "${{" not in step.get("run", "")


def test_only_what_must_write_may_write():
    bench, comment = (read(name) for name in GITHUB)
    assert bench["permissions"] == {"contents": "read"}
    assert {job: each.get("permissions") for job, each in bench["jobs"].items()} == {
        "measure": None, "keep": {"contents": "write"},
    }  # fmt: skip
    assert comment["permissions"] == {}
    assert comment["jobs"]["comment"]["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert [step.get("uses", "").split("@")[0] for _, step in steps(GITHUB[1])] == ["actions/download-artifact", ""]
    assert bench["jobs"]["keep"]["if"] == "github.event_name != 'pull_request'"


def test_the_shell_has_no_fault_that_shellcheck_finds(tmp_path):
    texts = [step["run"] for name in GITHUB for _, step in steps(name) if "run" in step]
    texts += [gitlab(job, part) for job in ("bench", "bench-baseline") for part in ("before_script", "script")]
    assert len(texts) == 11
    for index, text in enumerate(texts):
        (tmp_path / f"{index}.sh").write_text(f"#!/bin/bash\n{text}\n")
    done = shell("shellcheck *.sh", tmp_path)
    assert done.returncode == 0, done.stdout


def test_the_page_names_every_form_and_every_file():
    from bench.report.gate.forms import FORMS

    page = (FOLDER / "README.md").read_text()
    assert all(f"`{name}`" in page for name in FORMS if name != "table")
    for target in re.findall(r"\]\(([^)#:]+)\)", page):
        assert (FOLDER / target).exists(), target


# -- what the shell makes of an exit code --------------------------------------------------------------------------------


@pytest.fixture
def stubbed(tmp_path) -> Path:
    """A folder with a baseline and a `bench` that checks nothing, and ends with the code it is told."""
    program(tmp_path / ".venv/bin/bench", '#!/bin/bash\necho "$@" >> calls\nexit "$CODE"\n')
    (tmp_path / "results/baselines").mkdir(parents=True)
    (tmp_path / "results/baselines/main.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("event", "code", "end"),
    [("pull_request", 0, 0), ("pull_request", 1, 1), ("pull_request", 4, 4), ("pull_request", 5, 5),
     ("push", 0, 0), ("push", 1, 1), ("push", 5, 0), ("schedule", 5, 0), ("push", 2, 2), ("push", 3, 3)],
)  # fmt: skip
def test_a_check_ends_the_step_as_the_page_says(stubbed, event, code, end):
    env = {
        "CODE": str(code),
        "GITHUB_EVENT_NAME": event,
        "GITHUB_STEP_SUMMARY": str(stubbed / "summary"),
        "BASELINE": "main",
    }
    assert shell(script(GITHUB[0], "Check"), stubbed, **env).returncode == end


@pytest.mark.parametrize(("code", "end"), [(0, 0), (4, 0), (2, 1), (3, 1), (130, 1)])
def test_a_failed_case_does_not_end_the_measurement_and_all_else_does(stubbed, code, end):
    env = {"CODE": str(code), "SUITE": "smoke"}
    assert shell(script(GITHUB[0], "Measure"), stubbed, **env).returncode == end
    assert (stubbed / "calls").read_text() == "run smoke --sessions 3 --quiet\n"


def test_without_a_baseline_nothing_is_checked_and_that_is_said(stubbed):
    (stubbed / "results/baselines/main.json").unlink()
    env = {
        "CODE": "1",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_STEP_SUMMARY": str(stubbed / "summary"),
        "BASELINE": "main",
    }
    assert shell(script(GITHUB[0], "Check"), stubbed, **env).returncode == 0
    assert (stubbed / "summary").read_text().startswith("No baseline main yet")
    assert not (stubbed / "calls").exists()


def test_gitlab_ends_with_the_code_of_the_check(stubbed):
    program(stubbed / ".venv/bin/bench", '#!/bin/bash\n[ "$1" = run ] || exit 5\n')
    assert shell(gitlab("bench"), stubbed, SUITE="smoke", BASELINE="main").returncode == 5
    assert read("gitlab-ci.yml")["bench"]["allow_failure"] == {"exit_codes": [5]}


# -- the comment ---------------------------------------------------------------------------------------------------------

# Answers as `gh api` would, from a file, and keeps what it was asked to write.
GH = f"""#!{sys.executable}
import json, os, pathlib, sys
words = sys.argv[1:]
state = json.loads(pathlib.Path("state.json").read_text())
(url,) = [word for word in words if word.startswith("repos/")]
if "-F" in words:
    (text,) = [word.removeprefix("body=@") for word in words if word.startswith("body=@")]
    state["written"].append([words[words.index("--method") + 1], url, pathlib.Path(text).read_text()])
    pathlib.Path("state.json").write_text(json.dumps(state))
elif url.endswith("/pulls"):
    assert "head=somebody:it's; a $(branch)" in words and "state=open" in words
    print(json.dumps(state["pulls"]))
else:
    # Two pages, as --paginate writes them.
    for comment in state["comments"]:
        print(json.dumps([comment]))
"""


@dataclass
class Comments:
    """A repository with pull requests and comments, and the comment step run in it."""

    folder: Path

    def run(self, **changes: Any) -> subprocess.CompletedProcess[str]:
        state = {"pulls": [{"number": 7, "head": {"sha": "abc"}}], "comments": [], "written": [], **changes}
        (self.folder / "state.json").write_text(json.dumps(state))
        env = {
            "REPOSITORY": "o/r",
            "HEAD_OWNER": "somebody",
            "HEAD_BRANCH": "it's; a $(branch)",
            "HEAD_SHA": "abc",
            "GH_TOKEN": "x",
        }
        return shell(script(GITHUB[1], "Comment"), self.folder, self.folder / "bin", **env)

    @property
    def written(self) -> list[list[str]]:
        return json.loads((self.folder / "state.json").read_text())["written"]


@pytest.fixture
def comments(tmp_path) -> Comments:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed; GitHub's machines have it")
    program(tmp_path / "bin/gh", GH)
    (tmp_path / "measured/check").mkdir(parents=True)
    (tmp_path / "measured/check/comment.md").write_text(f"{MARK}\n### OK")
    return Comments(tmp_path)


def comment(number: int, author: str, body: str) -> dict[str, Any]:
    return {"id": number, "user": {"login": author}, "body": body}


def test_the_first_result_is_a_new_comment(comments):
    done = comments.run(comments=[comment(1, "somebody", "hello")])
    assert done.returncode == 0, done.stderr
    assert comments.written == [["POST", "repos/o/r/issues/7/comments", f"{MARK}\n### OK"]]


def test_the_next_result_goes_into_the_same_comment(comments):
    bot = "github-actions[bot]"
    comments.run(comments=[
        comment(1, "somebody", MARK), comment(2, bot, "other"), comment(3, bot, "<!-- accelbench:check:other -->\n"),
        comment(4, bot, f"{MARK}\n### FAIL"), comment(5, bot, MARK),
    ])  # fmt: skip
    assert [each[:2] for each in comments.written] == [["PATCH", "repos/o/r/issues/comments/4"]]


@pytest.mark.parametrize("pulls", [[], [{"number": 7, "head": {"sha": "newer"}}]])
def test_without_an_open_pull_request_of_this_commit_nothing_is_written(comments, pulls):
    done = comments.run(pulls=pulls)
    assert (done.returncode, comments.written) == (0, [])
    assert "no open pull request has abc" in done.stdout


def test_where_nothing_was_checked_nothing_is_written(comments):
    (comments.folder / "measured/check/comment.md").unlink()
    assert (comments.run().returncode, comments.written) == (0, [])


@pytest.mark.parametrize(
    "text", ["@everyone buy this", f"x\n{MARK}", "<!-- accelbench:check:a b -->", f"{MARK}\n" + "x" * 262_144, ""],
    ids=["no mark", "late mark", "bad mark", "too long", "empty"],
)  # fmt: skip
def test_what_is_no_comment_of_a_check_is_refused(comments, text):
    (comments.folder / "measured/check/comment.md").write_text(text)
    assert (comments.run().returncode, comments.written) == (1, [])


def test_a_service_that_does_not_answer_ends_the_step(comments):
    program(comments.folder / "bin/gh", "#!/bin/bash\nexit 1\n")
    assert comments.run().returncode == 1


# -- with the real command -----------------------------------------------------------------------------------------------


def git(folder: Path, *words: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *named, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def project(tmp_path) -> Path:
    """A project with one tiny workload, its origin beside it, and `bench` where the install step puts it."""
    folder = tmp_path / "work"
    (folder / "workloads").mkdir(parents=True)
    (folder / "workloads/tiny.toml").write_text(TINY)
    (folder / ".gitignore").write_text("/.venv/\n/check/\n/results/runs/\n/results/checks/\n*.lock\n")
    program(folder / ".venv/bin/bench", f'#!/bin/bash\nexec {shlex.quote(sys.executable)} -m bench "$@"\n')
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    git(folder, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(folder, "push", "--quiet", "origin", "main")
    return folder


def go_through(folder: Path, event: str) -> Path:
    """Run the measuring job's shell for an event, but for the install step; return the step summary."""
    summary = folder.parent / f"summary-{event}"
    env = {"SUITE": "tiny", "BASELINE": "main", "GITHUB_EVENT_NAME": event, "GITHUB_STEP_SUMMARY": str(summary)}
    for job, step in steps(GITHUB[0]):
        if job == "measure" and "run" in step and step["name"] != "Install":
            if event == "pull_request" and "!= 'pull_request'" in step.get("if", ""):
                continue
            done = shell(step["run"], folder, **env)
            assert done.returncode == 0, (step["name"], done.stdout, done.stderr)
    return summary


@pytest.mark.slow
def test_main_begins_a_baseline_and_a_pull_request_is_checked_against_it(project):
    assert "No baseline main yet" in go_through(project, "push").read_text()
    keep = project.parent / "keep"
    git(project.parent, "clone", "--quiet", "origin.git", "keep")
    shutil.copytree(project / "results", keep / "measured/results")
    env = {"BASELINE": "main", "GITHUB_SHA": "abc", "GITHUB_REF_NAME": "main"}
    done = shell(script(GITHUB[0], "Commit the baseline"), keep, **env)
    assert done.returncode == 0, done.stderr
    assert shell(script(GITHUB[0], "Commit the baseline"), keep, **env).returncode == 0  # nothing new: nothing to do

    git(project, "clean", "--quiet", "-fd")  # as a checkout does
    git(project, "pull", "--quiet", "--rebase", "origin", "main")
    assert git(project, "log", "--format=%an: %s", "-1") == "github-actions[bot]: Baseline main: the sessions of abc\n"
    summary = go_through(project, "pull_request").read_text()
    assert summary.startswith("### LEARNING: ")
    assert (project / "check/comment.md").read_text() == f"{MARK}\n{summary.rstrip()}"
    assert json.loads((project / "check/check.json").read_text())["exit_code"] == 0
    assert "<skipped" in (project / "check/junit.xml").read_text()


@pytest.mark.slow
def test_gitlab_goes_the_same_way(project):
    env = {"SUITE": "tiny", "BASELINE": "main", "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_SHA": "abc",
           "CI_JOB_TOKEN": "t", "CI_SERVER_PROTOCOL": "http", "CI_SERVER_HOST": "localhost", "CI_SERVER_PORT": "1",
           "CI_PROJECT_PATH": "o/r"}  # fmt: skip
    assert "No baseline main yet" in shell(gitlab("bench"), project, **env).stdout
    # The push goes to the service; here its address is that of the origin beside it.
    origin = str(project.parent / "origin.git")
    git(project, "config", f"url.{origin}.insteadOf", "http://gitlab-ci-token:t@localhost:1/o/r.git")
    git(project.parent / "origin.git", "config", "receive.advertisePushOptions", "true")
    done = shell(gitlab("bench-baseline"), project, **env)
    assert done.returncode == 0, done.stderr
    assert "abc" in git(project.parent / "origin.git", "log", "--format=%s", "-1", "main")
    done = shell(gitlab("bench"), project, **env)
    assert done.returncode == 0, done.stderr
    for name in ("check.json", "junit.xml", "check.md", "metrics.txt"):
        assert (project / "check" / name).read_text().strip()


def halve_speed(path: Path) -> None:
    """Make every time of a run file twice as long."""
    run = json.loads(path.read_text())
    for row in run["rows"]:
        row["step_s"] *= 2
        row["samples_s"] = [2 * each for each in row["samples_s"]]
    path.write_text(json.dumps(run))


@pytest.mark.slow
def test_the_commands_of_the_page_work(project):
    blocks = re.findall(r"^```sh\n(.*?)^```$", (FOLDER / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) == 6
    for line in lines:
        if "RUN.json" in line:  # a later run than the one that became the baseline, and one with a change to accept
            assert shell(".venv/bin/bench run tiny --sessions 1 --quiet", project).returncode == 0
            halve_speed(max((project / "results/runs").glob("*.json")))
        runs = sorted((project / "results/runs").glob("*.json"))
        words = line.replace("run smoke --sessions 8", "run tiny --sessions 6").replace("'gemm*'", "'tiny*'")
        words = words.replace("results/runs/RUN.json", str(runs[-1].relative_to(project))) if runs else words
        done = shell(words.replace("bench ", ".venv/bin/bench ", 1), project)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
    assert "exact rounding costs this" in (project / "results/baselines/main.json").read_text()
