"""Commands that measure nothing start quickly and load neither torch nor pandas."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMANDS = (
    "--help", "run --help", "history --help", "push --help", "devices", "workloads", "workloads gemm", "explain mfu", "completion bash",
    "compare ascend-910c h100-sxm --workload deepseek-r1-decode", "run gemm -d h100-sxm", "run gemm --dry-run",
    "report --help", "report h100-sxm h20 --workload rms-norm --format json",
)  # fmt: skip

# Runs a command as the installed one does, then tells on stderr what it loaded.
WATCHED = """
import sys
from bench.cli import run
code = run(sys.argv[1:])
print(*[name for name in ("torch", "pandas", "scipy", "rich", "sqlalchemy") if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("line", COMMANDS)
def test_what_measures_nothing_loads_neither_torch_nor_pandas(tmp_path: Path, line: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *line.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == ""


# Takes 0.1 s of processor time where the limits below were set.
LOOP = "import json\nfor _ in range(60): json.loads(json.dumps([{'a': i, 'b': str(i)} for i in range(3000)]))"


def _cpu_seconds(folder: Path, *words: str) -> float:
    """The least processor time of three tries: what others do on this machine hardly counts."""
    spent = []
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        spent.append(usage.ru_utime + usage.ru_stime)
    return min(spent)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="this system does not tell a process's own processor time")
@pytest.mark.parametrize(("line", "most_s"), [
    ("--help", 0.25), ("devices", 0.5), ("run gemm -d h100-sxm", 0.75),
    ("compare ascend-910c h100-sxm --workload deepseek-r1-decode", 1.0),
    pytest.param("report ascend-910c h100-sxm h20 -o report.html", 10.0, marks=pytest.mark.slow),
])  # fmt: skip
def test_start_up_is_quick(tmp_path: Path, line: str, most_s: float) -> None:
    slower = max(1.0, _cpu_seconds(tmp_path, "-c", LOOP) / 0.1)
    assert _cpu_seconds(tmp_path, "-m", "bench", *line.split()) < most_s * slower


def test_help_names_every_command_and_each_command_all_of_its_options(bench: Callable[..., Any]) -> None:
    from bench.cli import COMMANDS, cli

    front = bench("--help").out
    for name in COMMANDS:
        assert f"  {name} " in front
        command = cli.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        done = bench(name, "--help")
        assert done.code == 0
        for parameter in command.params:
            for option in parameter.opts if parameter.param_type_name == "option" else []:
                assert option in done.out, f"bench {name} --help leaves out {option}"


def test_no_command_at_all_shows_the_help(bench: Callable[..., Any]) -> None:
    done = bench()
    assert done.code in (0, 2)
    assert "Usage: bench [OPTIONS] COMMAND" in done.out + done.err
    assert "compare" in done.out + done.err


def test_the_version_is_told(bench: Callable[..., Any]) -> None:
    assert bench("--version").out.startswith("bench, version ")


def test_both_installed_commands_are_the_same_program() -> None:
    from importlib.metadata import entry_points

    found = {
        point.name: point.value
        for point in entry_points(group="console_scripts")
        if point.value == "bench.__main__:main"
    }
    assert found == {"bench": "bench.__main__:main", "accelbench": "bench.__main__:main"}
