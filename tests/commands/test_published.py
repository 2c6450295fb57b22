"""compare and explain show what others published, with its mark and citation."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench.commands.compare import command as compare
from bench.commands.explain import command as explain

pytestmark = pytest.mark.usefixtures("folder")

H800 = ("h800-sxm", "h100-sxm", "--workload", "deepseek-r1-decode", "--batch", "128", "--dtype", "fp8")


def _out(command: object, *words: str) -> str:
    done = CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)  # type: ignore[arg-type]
    return done.output


def test_compare_shows_the_published_beside_the_modelled() -> None:
    out = _out(compare, *H800)
    section = out[out.index("Published beside modelled (each at its own published configuration)") :]
    assert "deepseek-h800-decode-profile" in section
    assert "^2,325 output tok/s" in section
    assert "lm-sys/lm-sys.github.io@2db4e40 blog/2025-05-05-large-scale-ep.md" in section
    assert "[1] secondary" in section
    # Only what is compared: no prefill.
    assert "prefill" not in section


def test_compare_as_markdown_has_the_section_too() -> None:
    assert "**Published beside modelled (each at its own published configuration):**" in _out(
        compare, *H800, "--format", "md"
    )


def test_compare_as_json_has_every_anchor_and_what_cannot_be_priced() -> None:
    words = (
        "ascend-910c",
        "h100-sxm",
        "-w",
        "deepseek-r1-decode",
        "--batch",
        "1",
        "--dtype",
        "int8",
        "--format",
        "json",
    )
    published = json.loads(_out(compare, *words))["published"]
    assert [each["reference"]["id"] for each in published["anchors"]] == [
        "cloudmatrix-910c-decode-layer",
        "sglang-h100-decode-2k",
    ]
    assert published["anchors"][0]["reference"]["secondary"] is True
    assert {"cloudmatrix-910c-decode-mtp", "sglang-ascend-deepseek-r1-8-cards-3.5k-1k"} <= {
        each["id"] for each in published["not_priced"]
    }


def test_compare_counts_what_cannot_be_priced_and_names_the_command_that_lists_it() -> None:
    out = _out(compare, "h100-sxm", "h20", "-w", "llama-3.1-70b-decode", "--batch", "1", "--context", "1k")
    assert "3 more published figures cannot be priced: bench explain llama-3.1-70b-decode -d h100-sxm" in out


def test_compare_says_nothing_where_nothing_is_published() -> None:
    out = _out(compare, "h20", "l40s", "-w", "mini-dense-decode")
    assert "Published beside" not in out
    assert "^" not in out


def test_explain_lists_figures_with_configuration_and_caveat() -> None:
    out = _out(explain, "deepseek-r1-decode", "-d", "ascend-910c")
    assert "published figures of deepseek-r1, decode, on ascend-910c (6):" in out
    assert "^1,943 output tok/s per package" in out
    assert "batch 96, context 4096, ep 320" in out
    assert "acceptance 0.7" in out


def test_explain_of_a_kernel_lists_figures_of_its_kind() -> None:
    out = _out(explain, "mla-decode", "-d", "h800-sxm")
    assert "^3.00 TB/s per GPU" in out
    assert "deepseek-ai/FlashMLA@066b5ba README.md" in out
