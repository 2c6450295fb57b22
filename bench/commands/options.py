"""Options that several commands share, and how sweep flags become overrides of a workload's axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from bench.units import parse_counts

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FORMATS = ("table", "md", "csv", "json", "jsonl")

output_format = click.option(
    "--format", "form", type=click.Choice(FORMATS), default="table", show_default=True, help="Form of the results."
)
quiet = click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
no_color = click.option("--no-color", is_flag=True, help="No styles (also: NO_COLOR).")


class FiniteRange(click.FloatRange):
    """A number in a range; NaN, which no comparison of click's refuses, and infinity are in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"{value!r} is no finite number.", param, ctx)
        return found


def sweep(function: Decorated) -> Decorated:
    """Add the flags that replace a workload's own values: lists (1,8,32) and ranges (1k:32k:x2)."""
    for option in reversed((
        click.option("--batch", metavar="LIST", help="Sequences per data-parallel rank, for example 1,8,32."),
        click.option("--input-len", metavar="LIST", help="Prompt tokens (prefill), for example 512,4k."),
        click.option("--prefix", metavar="LIST", help="Tokens already cached before the prompt (prefill)."),
        click.option("--context", metavar="LIST", help="Tokens visible to a decode step, for example 1k:32k:x2."),
        click.option("--tokens", metavar="LIST", help="Tokens of a MoE layer."),
        click.option("--dtype", metavar="LIST", help="Precision of the weights: bf16, fp16, fp32, fp8, int8."),
        click.option("--model", metavar="LIST", help="Models, see `bench workloads --models`."),
        click.option("--routing", metavar="K", multiple=True, help="uniform, zipf:1.2, lognormal:1, k-hot:4, trace:F"),
        click.option("--tp", type=click.IntRange(1), help="Tensor-parallel ranks."),
        click.option("--dp", type=click.IntRange(1), help="Data-parallel attention ranks."),
        click.option("--ep", type=click.IntRange(1), help="Expert-parallel ranks."),
        click.option("--layers", type=click.IntRange(1), help="Measure so many layers of each kind and scale."),
        click.option("--time", "time_s", type=FiniteRange(0.05, 3600), help="Seconds of timing per case."),
    )):  # fmt: skip
        function = option(function)
    return function


def overrides(given: dict[str, Any]) -> dict[str, Any]:
    """Return the axes that flags replace.

    Raises: DefinitionError naming the flag and the value that cannot be read.
    """
    from bench.workloads.routing import parse_routing

    axes: dict[str, Any] = {}
    for axis in ("batch", "input_len", "prefix", "context", "tokens"):
        text = given.get(axis)
        if text is not None:
            zero = axis == "prefix" and text.strip() == "0"
            axes[axis] = [0] if zero else parse_counts(text, f"--{axis.replace('_', '-')}")
    for axis in ("dtype", "model"):
        if given.get(axis):
            axes[axis] = [part.strip() for part in given[axis].split(",")]
    if given.get("routing"):
        axes["routing"] = [parse_routing(text) for text in given["routing"]]
    deployment = {key: given[key] for key in ("tp", "dp", "ep", "layers") if given.get(key) is not None}
    if deployment:
        axes["deployment"] = deployment
    return axes


def complete_workload(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of workloads and suites."""
    from bench.workloads.sweep import known_suites, known_workloads

    return [name for name in (*known_workloads(), *known_suites()) if name.startswith(incomplete)]


def complete_device(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Complete names of sheets, and of this machine's devices."""
    from bench.devices.sheet import known_sheets

    return [name for name in ("cpu", *sorted(known_sheets())) if name.startswith(incomplete)]
