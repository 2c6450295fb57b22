"""bench compare: sheets and run files side by side, and nothing modelled without its mark."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Bench = Callable[..., Any]

ASCEND = ("compare", "ascend-910c", "h100-sxm", "--workload", "deepseek-r1-decode")


def _tables(markdown: str) -> list[list[dict[str, str]]]:
    """Return the tables of a Markdown text: a list of rows each, a row as heading -> cell."""
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE):
        lines = block.replace("\\|", "/").splitlines()
        head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        tables.append([dict(zip(head, row, strict=True)) for row in rows])
    return tables


@pytest.fixture(scope="module")
def ascend(call: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The running example as JSON."""
    return call(*ASCEND, "--format", "json", cwd=tmp_path_factory.mktemp("ascend"))


def test_two_sheets_are_told_apart_by_device_and_unit_before_any_number(bench: Bench) -> None:
    done = bench(*ASCEND)
    assert (done.code, done.err) == (0, "")
    answers, _, rest = done.out.partition("\n\n")
    assert [line.partition(":")[0] for line in answers.splitlines()][:2] == [
        "deepseek-r1, 8-bit, at 15 ms per token", "deepseek-r1, 8-bit, at 30 ms per token",
    ]  # fmt: skip
    head = rest.splitlines()[:4]
    assert head[0] == "! not the same on all sides (ascend-910c | h100-sxm):"
    assert any(line.strip() == "unit: die, package | package" for line in head)


def test_an_answer_has_its_sentence_and_its_parts_and_is_of_what_a_service_would_run(ascend: Any) -> None:
    first = ascend.json["answers"][0]
    assert first["text"] == f"{first['of']}: {first['words']}"
    served = [v for v in ascend.json["verdicts"] if v["axis"] == "throughput" and not v["beside"]]
    assert {v["precision"] for v in served} == {"8-bit"}
    assert {v["note"].rpartition("; ")[2] for v in served} == {"int8 | fp8"}


def test_a_package_of_two_dies_is_compared_by_die_and_by_package(ascend: Any) -> None:
    units = {(line["a_unit"], line["b_unit"]) for line in ascend.json["lines"]}
    assert units == {("die", "package"), ("package", "package")}


def test_a_package_has_twice_the_tokens_of_its_die_in_the_same_step(ascend: Any) -> None:
    die, package = ascend.json["lines"][:2]
    assert (die["case_id"], die["a_step_s"], die["b"]) == (package["case_id"], package["a_step_s"], package["b"])
    assert package["a"] == pytest.approx(2 * die["a"])


def test_every_modelled_value_is_marked_and_every_reading_of_one_is_an_estimate(bench: Bench) -> None:
    cases, targets, published = _tables(bench(*ASCEND, "--format", "md").out)
    assert len(cases) >= 8
    assert {(row["published"][0], row["modelled"][0]) for row in published} == {("^", "~")}
    for row in cases + targets:
        assert row["ascend-910c"].startswith("~")
        assert row["h100-sxm"].startswith("~")
        assert row["reading"].startswith("estimated: ")
    assert all("modelled" in row["source"] for row in cases)


def test_json_has_rows_lines_and_what_cannot_be_put_side_by_side(ascend: Any) -> None:
    content = ascend.json
    assert set(content) >= {"rows", "lines", "apart", "differences"}
    assert {row["source"] for row in content["rows"]} == {"modelled"}
    assert {line["metric"] for line in content["lines"]} == {"output_tokens_per_s"}
    fp8 = [text for text in content["apart"] if ",fp8," in text]
    assert len(fp8) == 4
    assert all("ascend-910c unsupported" in text and "no published fp8 peak" in text for text in fp8)
    assert not any(",fp8," in line["case_id"] for line in content["lines"])


def test_csv_and_json_lines_hold_the_rows_of_all_sides(bench: Bench) -> None:
    words = ("compare", "h20", "h100-sxm", "--workload", "rms-norm")
    lines = bench(*words, "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["device"] for line in lines] == ["h20", "h20", "h20", "h100-sxm", "h100-sxm", "h100-sxm"]
    assert len(bench(*words, "--format", "csv").out.splitlines()) == 7


def test_three_sides_are_each_held_against_the_first(bench: Bench) -> None:
    done = bench("compare", "h100-sxm", "h20", "h200-sxm", "--workload", "rms-norm", "--format", "json")
    assert [(line["a_label"], line["b_label"]) for line in done.json["lines"]] == [
        ("h100-sxm", "h20"), ("h100-sxm", "h20"), ("h100-sxm", "h20"),
        ("h100-sxm", "h200-sxm"), ("h100-sxm", "h200-sxm"), ("h100-sxm", "h200-sxm"),
    ]  # fmt: skip


def test_without_a_workload_the_running_example_is_compared(bench: Bench) -> None:
    done = bench("compare", "ascend-910c", "h100-sxm", "--batch", "1", "--context", "4k", "--format", "json")
    assert {line["case_id"].partition("[")[0] for line in done.json["lines"]} == {
        "deepseek-r1-prefill", "deepseek-r1-decode",
    }  # fmt: skip


def test_a_run_file_brings_its_own_cases_to_a_sheet_beside_it(bench: Bench, modelled: Any) -> None:
    done = bench("compare", str(modelled.run_files[0]), "h200-sxm", "--format", "json")
    assert [line["case_id"] for line in done.json["lines"]] == [
        "rms-norm[m=1,n=4k,bf16]", "rms-norm[m=512,n=4k,bf16]", "rms-norm[m=4k,n=7k,bf16]",
    ]  # fmt: skip
    assert {line["metric"] for line in done.json["lines"]} == {"step_s"}


def test_a_run_file_of_two_devices_is_two_sides(bench: Bench) -> None:
    folder = bench("run", "rms-norm", "-d", "h100-sxm", "-d", "h20", "-q").folder
    (file,) = (folder / "results" / "runs").iterdir()
    alone = bench("compare", str(file), "--format", "json")
    assert [(line["a_label"], line["b_label"]) for line in alone.json["lines"]] == [("h100-sxm", "h20")] * 3
    beside = bench("compare", str(file), "h200-sxm", "--format", "json")
    assert {line["b_label"] for line in beside.json["lines"]} == {"h20", "h200-sxm"}


@pytest.mark.slow
def test_what_was_measured_is_compared_with_a_model_as_an_estimate(bench: Bench, measured: Any) -> None:
    file = str(measured.run_files[0])
    (rows,) = _tables(bench("compare", file, "h100-sxm", "--format", "md").out)
    assert len(rows) == 5
    (name,) = [name for name in rows[0] if name.endswith(" core)") or name.endswith(" cores)")]
    for row in rows:
        assert not row[name].startswith("~")
        assert row["h100-sxm"].startswith("~")
        assert row["reading"].startswith("estimated: ")
        assert row["source"].startswith("measured / modelled")


@pytest.mark.slow
def test_what_was_measured_compared_with_itself_never_has_a_better_side(bench: Bench, measured: Any) -> None:
    file = str(measured.run_files[0])
    done = bench("compare", file, file, "--format", "json")
    assert done.json["differences"] == []
    for line in done.json["lines"]:
        assert line["ratio"] == 1.0
        words = line["reading"].removeprefix("unstable: ")
        assert words == "equal within 2%" or words.startswith("cannot tell"), words


MODEL = """
name = "mine"
source = "made up"
architecture = "LlamaForCausalLM"
layers = 2
hidden = 64
heads = 4
kv_heads = 2
head_dim = 16
intermediate = {width}
vocab = 128
"""


def test_a_definition_that_changed_between_two_runs_is_refused_with_the_reason(
    bench: Bench, define: Callable[[str, str], Path]
) -> None:
    define("workloads/mine-decode.toml", 'summary = "x"\nphase = "decode"\nmodel = "mine"')
    for width in (128, 256):
        define("workloads/models/mine.toml", MODEL.format(width=width))
        folder = bench("run", "mine-decode", "-d", "h100-sxm", "--out", str(width), "-q").folder
    files = [str(next((folder / width).iterdir())) for width in ("128", "256")]
    done = bench("compare", *files, "--format", "json")
    assert done.code == 5
    assert done.json["lines"] == []
    assert done.json["apart"] == [
        "mine-decode[b=1,ctx=1k,bf16]: the definition differs between the two sides; run both again with the same files"
    ]


def test_nothing_to_put_side_by_side_is_said_and_exits_5(bench: Bench) -> None:
    done = bench("compare", "enflame-s60", "h100-sxm", "--workload", "gemm", "--dtype", "bf16")
    assert done.code == 5
    assert "nothing can be put side by side" in done.out
    assert "not put side by side (7):" in done.out
    assert "enflame-s60 unsupported" in done.out


def test_decode_is_solved_at_the_targets_asked_for(bench: Bench) -> None:
    done = bench(*ASCEND, "--at", "tpot=50ms", "--format", "json")
    lines = done.json["targets"]["lines"]
    assert lines
    assert all(line["a_step_s"] <= 0.050 and line["b_step_s"] <= 0.050 for line in lines)


def test_a_run_file_is_read_at_targets_only_when_asked(bench: Bench) -> None:
    run = bench("run", "llama-3.1-8b-decode", "-d", "h100-sxm", "--batch", "8")
    file = str(run.run_files[0])
    assert bench("compare", file, "h200-sxm", "--format", "json").json["targets"] is None
    lines = bench("compare", file, "h200-sxm", "--at", "tpot=50ms", "--format", "json").json["targets"]["lines"]
    assert lines
    assert all("tpot<=50ms" in line["case_id"] and line["a_step_s"] <= 0.050 for line in lines)


def test_a_target_that_no_case_has_is_told(bench: Bench) -> None:
    done = bench("compare", "h100-sxm", "h200-sxm", "-w", "gemm", "--at", "tpot=50ms")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: --at tpot=50ms: no decode case (tpot) or prefill case (ttft) is among those compared\n"


def test_a_target_of_both_times_solves_prefill_and_decode(bench: Bench) -> None:
    done = bench("compare", "h200-sxm", "h100-sxm", "-w", "llama-3.1-8b-decode", "-w", "llama-3.1-8b-prefill",
                 "--at", "mlperf-interactive", "--format", "json")  # fmt: skip
    targets = done.json["targets"]
    prefill = [line for line in targets["lines"] if "prefill" in line["case_id"]]
    decode = [line for line in targets["lines"] if "decode" in line["case_id"]]
    assert prefill
    assert decode
    assert all(line["a_step_s"] <= 0.5 and "ttft<=500ms" in line["case_id"] for line in prefill)
    assert all(line["a_step_s"] <= 0.03 and "tpot<=30ms,ttft<=500ms" in line["case_id"] for line in decode)
    # A prompt of 16k tokens takes more than half a second on either: no decoding in time behind it.
    assert any("more than ttft=500 ms" in text for text in targets["apart"])


@pytest.mark.parametrize("text", ["soon", "tpot=", "tpot=-1ms", "30parsecs"])
def test_a_target_that_cannot_be_read_is_one_line(bench: Bench, text: str) -> None:
    done = bench(*ASCEND, "--at", text)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("error: --at")
