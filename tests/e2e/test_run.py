"""bench run: rows, forms, streams and exit codes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

Bench = Callable[..., Any]

# fmt: off
ROW_KEYS = [
    "case_id", "workload", "model", "phase", "batch", "input_len", "context", "dtype", "device", "unit", "source", "tier",
    "interval", "status", "reason", "step_s", "ttft_s", "tpot_s", "prompt_tokens_per_s", "output_tokens_per_s", "flops",
    "read_bytes", "written_bytes", "mfu", "mbu", "bound", "memory_bytes", "power_w", "joules_per_token", "correct",
    "imbalance", "samples_s", "definition_hash",
]
# fmt: on


@pytest.mark.slow
def test_a_measured_run_ends_well_with_every_case_in_its_file(measured: Any) -> None:
    assert measured.code == 0
    ids = [row["case_id"] for row in measured.json["rows"]]
    assert ids == [
        "mini-dense-decode[b=1,ctx=1k,bf16]",
        "tiny[m=1,n=64,k=64,bf16]",
        "tiny[m=2,n=64,k=64,bf16]",
        "tiny[m=3,n=64,k=64,bf16]",
        "tiny[m=4,n=64,k=64,bf16]",
    ]
    (file,) = measured.run_files
    assert json.loads(file.read_text()) == measured.json


@pytest.mark.slow
def test_json_on_stdout_has_no_escape_codes_though_color_is_forced(measured: Any) -> None:
    assert "\033" not in measured.out
    assert "\033" not in measured.err


@pytest.mark.slow
def test_a_measured_row_carries_every_key_and_the_figures_of_its_own_phase(measured: Any) -> None:
    row = measured.json["rows"][0]
    assert [key for key in ROW_KEYS if key not in row] == []
    assert (row["status"], row["reason"], row["source"], row["tier"]) == ("ok", None, "measured", None)
    assert (row["device"], row["unit"], row["correct"]) == ("cpu", "machine", True)
    assert (row["batch"], row["input_len"], row["context"]) == (1, 1, 1024)
    assert row["tpot_s"] == row["step_s"] > 0
    assert row["ttft_s"] is None
    assert row["output_tokens_per_s"] == pytest.approx(1 / row["step_s"])
    assert row["prompt_tokens_per_s"] is None
    assert len(row["samples_s"]) >= 1


@pytest.mark.slow
def test_a_measured_product_has_the_work_counted_by_hand(measured: Any) -> None:
    row = measured.json["rows"][1]
    assert row["flops"] == 8192  # 2 x 1 x 64 x 64
    assert row["read_bytes"] == 8320  # (1 x 64 + 64 x 64) bf16 numbers of 2 bytes
    assert row["written_bytes"] == 128  # 1 x 64 of them
    assert (row["tpot_s"], row["output_tokens_per_s"], row["imbalance"]) == (None, None, None)


@pytest.mark.slow
def test_progress_and_where_the_file_is_go_to_stderr_only(measured: Any) -> None:
    (file,) = measured.run_files
    assert "1/5  ok" in measured.err
    assert f"Saved results/runs/{file.name}" in measured.err
    assert f"Next:  bench compare results/runs/{file.name} h100-sxm" in measured.err
    assert "Saved" not in measured.out


@pytest.mark.slow
def test_a_measured_table_names_its_source_and_quiet_says_nothing_else(bench: Bench, tiny: str) -> None:
    done = bench("run", tiny, "--time", "0.05", "-q", FORCE_COLOR="1")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split()[0] == "case"
    assert lines[2].startswith("tiny[m=1,n=64,k=64,bf16]")
    assert all("measured" in line for line in lines[2:6])
    assert "~" not in done.out
    assert "\033" not in done.out


def test_a_modelled_row_says_so_with_a_tier_and_an_interval_around_its_time(modelled: Any) -> None:
    assert modelled.code == 0
    rows = modelled.json["rows"]
    assert [row["case_id"] for row in rows] == [
        "rms-norm[m=1,n=4k,bf16]", "rms-norm[m=512,n=4k,bf16]", "rms-norm[m=4k,n=7k,bf16]",
    ]  # fmt: skip
    for row in rows:
        assert [key for key in ROW_KEYS if key not in row] == []
        assert (row["status"], row["source"], row["device"], row["unit"]) == ("ok", "modelled", "h100-sxm", "package")
        assert row["tier"] in ("sheet", "transferred", "calibrated")
        low, high = row["interval"]
        assert 0 < low < row["step_s"] < high
        assert (row["samples_s"], row["correct"], row["power_w"]) == (None, None, None)


def test_a_modelled_table_marks_every_time_and_rate(bench: Bench) -> None:
    done = bench("run", "rms-norm", "-d", "h100-sxm")
    head, _, *body = done.out.split("\n\n")[0].splitlines()
    where, end = head.index("time") - 6, head.index("+-")
    assert len(body) == 3
    for line in body:
        assert line[where:end].strip().startswith("~")
        assert line.count("~") == 3  # time, rate, MBU; it has no MFU
        assert "modelled" in line
    assert "~ modelled, not measured" in done.out


def test_markdown_has_one_line_a_case(bench: Bench) -> None:
    done = bench("run", "rms-norm", "-d", "h100-sxm", "--format", "md")
    lines = [line for line in done.out.splitlines() if line.startswith("|")]
    assert len(lines) == 5
    assert lines[0].startswith("| case |")
    assert lines[2].startswith("| rms-norm[m=1,n=4k,bf16] |")


def test_csv_has_one_row_a_case_and_numbers_that_are_numbers(bench: Bench) -> None:
    done = bench("run", "rms-norm", "-d", "h100-sxm", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    assert rows[0]["case_id"] == "rms-norm[m=1,n=4k,bf16]"
    assert len(rows) == 3
    assert float(rows[0]["interval_low_s"]) < float(rows[0]["step_s"]) < float(rows[0]["interval_high_s"])
    assert rows[0]["power_w"] == ""


def test_json_lines_has_one_row_a_line(bench: Bench) -> None:
    done = bench("run", "rms-norm", "-d", "h100-sxm", "--format", "jsonl")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [row["dtype"] for row in rows] == ["bf16", "bf16", "bf16"]


def test_several_devices_are_told_apart_and_a_package_of_two_dies_has_two_rows(bench: Bench) -> None:
    done = bench("run", "rms-norm", "-d", "h100-sxm", "-d", "ascend-910c", "--format", "json")
    assert [(row["device"], row["unit"]) for row in done.json["rows"]][2:5] == [
        ("h100-sxm", "package"), ("ascend-910c", "die"), ("ascend-910c", "package"),
    ]  # fmt: skip
    table = bench("run", "rms-norm", "-d", "h100-sxm", "-d", "ascend-910c").out
    assert "h100-sxm, package" in table
    assert "ascend-910c, die" in table


def test_a_dry_run_tells_memory_and_work_and_writes_nothing(bench: Bench) -> None:
    done = bench("run", "gemm", "--dtype", "bf16", "--dry-run")
    assert done.code == 0
    assert "7 cases" in done.out
    assert "Nothing was run." in done.out
    assert not (done.folder / "results").exists()


def test_out_and_bench_results_say_where_files_go_and_out_wins(bench: Bench) -> None:
    bench("run", "rms-norm", "-d", "h100-sxm", BENCH_RESULTS="by-variable")
    bench("run", "rms-norm", "-d", "h100-sxm", "--out", "by-flag", BENCH_RESULTS="by-variable")
    folder = bench("run", "rms-norm", "-d", "h100-sxm", "--out", "deep/er").folder
    assert [len(list((folder / name).glob("*.json"))) for name in ("by-variable", "by-flag", "deep/er")] == [1, 1, 1]
    assert not (folder / "results").exists()


def test_a_precision_the_sheet_lacks_is_a_row_that_names_the_sheet(bench: Bench) -> None:
    done = bench("run", "gemm", "-d", "ascend-910c", "--dtype", "fp8", "--format", "json")
    assert done.code == 0
    row = done.json["rows"][0]
    assert row["status"] == "unsupported"
    assert "no published fp8 peak" in row["reason"]
    assert "huawei/ascend-910c.toml" in row["reason"]
    assert row["step_s"] is None


def test_a_device_without_published_peaks_is_never_guessed(bench: Bench) -> None:
    done = bench("run", "gemm", "-d", "enflame-s60", "--dtype", "bf16", "--format", "json")
    assert {row["status"] for row in done.json["rows"]} == {"unsupported"}
    assert "no published bf16 peak" in done.json["rows"][0]["reason"]
    assert "enflame/enflame-s60.toml" in done.json["rows"][0]["reason"]


def test_a_model_too_big_for_a_modelled_device_is_skipped_with_need_and_room(bench: Bench) -> None:
    done = bench(
        "run", "deepseek-r1-decode", "-d", "h100-sxm", "--dp", "1", "--ep", "1", "--dtype", "bf16", "--batch", "1",
        "--format", "json",
    )  # fmt: skip
    (row,) = done.json["rows"]
    assert (done.code, row["status"]) == (0, "skipped")
    assert row["reason"].startswith("needs 1.34 TB a device, 72.0 GB usable of 80.0 GB")


@pytest.mark.slow
def test_a_model_too_big_for_the_memory_given_is_skipped_with_need_and_room(bench: Bench) -> None:
    done = bench(
        "run", "mini-dense-decode", "--batch", "1", "--context", "1k", "--memory", "0.05", "--format", "json",
    )  # fmt: skip
    (row,) = done.json["rows"]
    assert (done.code, row["status"]) == (0, "skipped")
    assert row["reason"] == "needs 358 MB of memory, 50.0 MB to be had"


@pytest.mark.slow
def test_a_precision_and_a_kernel_that_this_cpu_has_no_path_for_are_rows_and_no_failure(
    bench: Bench, define: Callable[[str, str], Any]
) -> None:
    define(
        "workloads/sum.toml", 'summary = "s"\nphase = "kernel"\nkernel = "all_reduce"\npoints = [{n = 64, ranks = 2}]'
    )
    define(
        "workloads/low.toml",
        'summary = "s"\nphase = "kernel"\nkernel = "gemm"\ndtype = "fp8"\npoints = [{m=1,n=64,k=64}]',
    )
    done = bench("run", "sum", "low", "--format", "json")
    assert done.code == 0
    assert [(row["status"], row["reason"]) for row in done.json["rows"]] == [
        ("unsupported", "all-reduce over 2 devices cannot be measured on one device"),
        ("unsupported", "dtype fp8 has no path on cpu here; it runs fp32, fp16, bf16"),
    ]


@pytest.mark.slow
def test_a_case_that_takes_too_long_is_a_row_and_the_exit_code_is_4(bench: Bench, tiny: str) -> None:
    done = bench("run", tiny, "mini-dense-decode", "--batch", "1", "--context", "4k", "--time", "60", "--limit", "1",
                 "--format", "json")  # fmt: skip
    assert done.code == 4
    rows = done.json["rows"]
    assert {row["status"] for row in rows} == {"timeout"}
    assert rows[0]["reason"] == "no result after 1 s; raise it with --limit"
    assert len(rows) == 5


def test_a_reader_that_goes_away_is_no_error(bench: Bench) -> None:
    done = bench(prefix=("sh", "-c", '"$@" devices --format json | head -1', "sh"))
    assert (done.code, done.err) == (0, "")
    assert done.out == "{\n"


@pytest.mark.parametrize("words", [
    ("run", "rms-norm", "-d", "ascend-910c"), ("compare", "ascend-910c", "h100-sxm"), ("devices",),
    ("devices", "ascend-910c"), ("workloads",), ("workloads", "gemm"), ("explain",), ("doctor",),
    ("explain", "deepseek-r1-decode", "-d", "ascend-910c"),
])  # fmt: skip
def test_a_narrow_terminal_that_knows_only_ascii_does_not_matter(bench: Bench, words: tuple[str, ...]) -> None:
    done = bench(*words, PYTHONIOENCODING="ascii", COLUMNS="40")
    assert done.code == 0
    assert done.out.isascii()
    assert done.out.strip()
    assert "Traceback" not in done.err


def test_the_next_step_names_a_device_that_the_run_does_not_have_yet(bench: Bench) -> None:
    assert bench("run", "rms-norm", "-d", "h100-sxm").err.splitlines()[-1].split()[4] == "ascend-910c"
    assert bench("run", "rms-norm", "-d", "h20").err.splitlines()[-1].split()[4] == "h100-sxm"
