"""bench completion: a script per shell, and what it completes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Bench = Callable[..., Any]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_for_bench(bench: Bench, shell: str) -> None:
    done = bench("completion", shell)
    assert (done.code, done.err) == (0, "")
    assert "_BENCH_COMPLETE" in done.out
    assert f"{shell}_complete" in done.out


def test_the_shell_is_taken_from_the_environment(bench: Bench) -> None:
    assert bench("completion", SHELL="/usr/bin/fish").out == bench("completion", "fish").out


def test_a_shell_that_is_not_known_is_one_line(bench: Bench) -> None:
    done = bench("completion", SHELL="/bin/tcsh")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: no completion for shell 'tcsh'; write bench completion bash, zsh or fish\n"


@pytest.mark.parametrize(("words", "found"), [
    ("bench comp", "compare"), ("bench run gem", "gemm"), ("bench run smo", "smoke"), ("bench devices ascend-910", "ascend-910c"),
    ("bench compare h100", "h100-sxm"), ("bench run gemm --bat", "--batch"),
])  # fmt: skip
def test_commands_names_and_flags_are_completed(bench: Bench, words: str, found: str) -> None:
    index = str(len(words.split()) - 1)
    done = bench(_BENCH_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=index)
    assert f"plain,{found}" in done.out.splitlines()
    assert done.err == ""
