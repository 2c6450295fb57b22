"""The README's commands are real: each line of a shell block runs, or at least would."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
LINES = [
    part.strip()
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    for part in re.split(r"&&|;", re.sub(r"(^|\s)#.*", "", line))
]
# Modelled, listed or explained: cheap enough to run as they stand.
CHEAP = ("compare", "devices", "workloads", "explain", "doctor", "completion", "validate", "report")
# These speak of runs that are there already.
OF_RUNS = ("check", "baseline", "history", "export")


def _commands(program: str) -> list[str]:
    return list(dict.fromkeys(line for line in LINES if line.split()[:1] == [program]))


def test_the_readme_shows_the_two_commands_that_do_everything() -> None:
    assert {"make run", "make test"} <= set(LINES)


@pytest.mark.parametrize("line", _commands("make"))
def test_every_make_line_names_targets_of_the_makefile(line: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    asked = [word for word in shlex.split(line)[1:] if "=" not in word and not word.startswith("-")]
    assert asked
    assert set(asked) <= targets


@pytest.mark.parametrize("line", _commands("bench"))
def test_every_bench_line_works(call: Callable[..., Any], modelled: Any, tmp_path: Path, line: str) -> None:
    # A run file that the page calls RUN.json, before.json or the like is one that was made just now.
    for word in re.findall(r"[\w./-]+\.jsonl?\b", line):
        file = tmp_path / word
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(modelled.run_files[0], file)
    words = shlex.split(line)[1:]
    measured = words[:1] == ["run"] and "-d" not in words
    if words[:1] == ["calibrate"] or "--resume" in words or re.search(r"\.csv\b", line):
        words.append("--help")  # reads the line, and fails for a flag that there is not
    elif measured:
        words.append("--dry-run")
    elif words[0] in OF_RUNS:
        for _ in range(2):
            assert call("run", "gemm", "-d", "h100-sxm", cwd=tmp_path).code == 0
        first = min((tmp_path / "results" / "runs").glob("*.json"))
        assert call("baseline", "save", "main", str(first), cwd=tmp_path).code == 0
    else:
        assert words[0] == "run" or words[0] in CHEAP or words[0].startswith("-"), f"a new kind of line: {line}"
    done = call(*words, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out.strip()


def test_the_table_has_every_command_and_no_other() -> None:
    from bench.cli import COMMANDS

    shown = set(re.findall(r"^\| `bench ([a-z]+)", README, flags=re.MULTILINE))
    assert shown == set(COMMANDS)


def test_every_file_that_the_readme_points_to_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_makefile_target_can_be_planned() -> None:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    done = subprocess.run(["make", "--dry-run", "run", "test", "quick"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0
