"""bench completion: the shell's completion script."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from bench.errors import DefinitionError
from bench.report.terminal import emit

SHELLS = ("bash", "zsh", "fish")


@click.command(name="completion")
@click.argument("shell", required=False, type=click.Choice(SHELLS))
def command(shell: str | None) -> None:
    """Print the completion script of a shell (default: the one in SHELL).

    \b
    eval "$(bench completion bash)"              in ~/.bashrc
    bench completion fish > ~/.config/fish/completions/bench.fish
    """
    name = shell or Path(os.environ.get("SHELL", "")).name
    found = get_completion_class(name)
    if found is None:
        raise DefinitionError(f"no completion for shell '{name}'; write bench completion bash, zsh or fish")
    root = click.get_current_context().find_root().command
    emit(found(root, {}, "bench", "_BENCH_COMPLETE").source())
