"""Sweep flags become axes; what cannot be read names its flag."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from bench.commands import options
from bench.errors import DefinitionError
from bench.workloads.routing import Routing


def test_no_flag_replaces_nothing() -> None:
    assert options.overrides({"batch": None, "dtype": None, "routing": (), "tp": None}) == {}


def test_lists_and_ranges_become_numbers_in_order() -> None:
    assert options.overrides({"batch": "1,8,32", "context": "1k:8k:x2", "tokens": "64:256:+64"}) == {
        "batch": [1, 8, 32], "context": [1024, 2048, 4096, 8192], "tokens": [64, 128, 192, 256],
    }  # fmt: skip


def test_a_prefix_may_be_none_at_all_but_a_batch_may_not() -> None:
    assert options.overrides({"prefix": " 0 "}) == {"prefix": [0]}
    with pytest.raises(DefinitionError, match="--batch: '0' is not a positive whole number"):
        options.overrides({"batch": "0"})


def test_a_flag_of_two_words_is_named_as_it_is_typed() -> None:
    with pytest.raises(DefinitionError, match=r"^--input-len: 'x' is not"):
        options.overrides({"input_len": "x"})


def test_precisions_and_models_are_split_at_commas() -> None:
    assert options.overrides({"dtype": "bf16, fp8", "model": "mini-dense"}) == {
        "dtype": ["bf16", "fp8"], "model": ["mini-dense"],
    }  # fmt: skip


def test_routings_are_read_one_by_one() -> None:
    assert options.overrides({"routing": ("uniform", "zipf:1.2", "k-hot:4")}) == {
        "routing": [Routing(), Routing(kind="zipf", s=1.2), Routing(kind="k-hot", hot=4)]
    }


def test_only_the_deployment_keys_that_were_given_are_replaced() -> None:
    assert options.overrides({"tp": 2, "dp": None, "ep": 4, "layers": 1}) == {
        "deployment": {"tp": 2, "ep": 4, "layers": 1}
    }


def test_the_sweep_decorator_adds_every_flag_in_the_order_of_the_help() -> None:
    @click.command
    @options.sweep
    def command(**given: Any) -> None:
        click.echo(sorted(given))

    assert [parameter.opts[0] for parameter in command.params] == [
        "--batch", "--input-len", "--prefix", "--context", "--tokens", "--dtype", "--model", "--routing", "--tp", "--dp",
        "--ep", "--layers", "--time",
    ]  # fmt: skip
    assert CliRunner().invoke(command, ["--batch", "3"]).exit_code == 0


def test_workloads_suites_and_devices_are_completed() -> None:
    nothing: Any = None
    assert options.complete_workload(nothing, nothing, "gem") == ["gemm"]
    assert "smoke" in options.complete_workload(nothing, nothing, "smo")
    assert options.complete_device(nothing, nothing, "cp") == ["cpu"]
    assert options.complete_device(nothing, nothing, "h100") == ["h100-pcie", "h100-sxm"]
