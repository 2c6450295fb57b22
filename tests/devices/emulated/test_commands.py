"""`bench calibrate` and `bench validate` end to end, each in an empty folder of its own."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from msgspec import toml

from bench.devices.emulated.profile import load_profile

KEYS = {"device", "kind", "dtype", "tier", "n", "mape", "median", "bias", "inside", "roofline_mape", "reason", "worst"}


def rows_of(path: Path, wanted) -> str:
    """A part of a table, as text."""
    with path.open() as file:
        reader = csv.reader(file)
        head = next(reader)
        kept = [row for row in reader if wanted(dict(zip(head, row, strict=True)))]
    lines = [head, *kept]
    return "".join(",".join(f'"{cell}"' if "," in cell else cell for cell in line) + "\n" for line in lines)


# -- calibrate ----------------------------------------------------------------------------------------------------------


def test_a_table_becomes_a_profile_per_device_in_the_folder_where_one_stands(bench, kernels_csv):
    done = bench("calibrate", "--from", kernels_csv, "--format", "json")
    assert (done.code, len(done.err.splitlines())) == (0, 5)
    assert done.profiles == [
        "a100-sxm-80/trtllm-1.0.0.toml",
        "ascend-910c/vllm-ascend-0.15--cann-8.5--in-situ.toml",
        "b200-sxm/trtllm-1.3.0rc20.toml",
        "h100-sxm/trtllm-1.3.0rc20.toml",
        "h800-sxm/deepgemm-v1.toml",
    ]
    assert "Saved devices/calibrations/h100-sxm/trtllm-1.3.0rc20.toml" in done.err
    assert [profile["device"] for profile in done.json] == [
        "a100-sxm-80", "b200-sxm", "h100-sxm", "ascend-910c", "h800-sxm",
    ]  # fmt: skip


def test_a_saved_profile_is_what_was_printed_and_says_how_it_was_made(bench, kernels_csv):
    done = bench("calibrate", "--from", kernels_csv, "--device", "b200-sxm", "--format", "json")
    (printed,) = done.json
    path = done.folder / "devices" / "calibrations" / done.profiles[0]
    saved = load_profile(path)
    assert [rule.numbers for rule in saved.rules] == [rule["numbers"] for rule in printed["rules"]]
    assert [rule.evidence.mape for rule in saved.rules] == [rule["evidence"]["mape"] for rule in printed["rules"]]
    assert saved.command == "bench calibrate --from kernels-sample.csv --device b200-sxm"
    assert f"# Made by `{saved.command}`, not by hand" in path.read_text()


def test_the_same_table_makes_the_same_file(bench, kernels_csv):
    def made() -> dict:
        done = bench("calibrate", "--from", kernels_csv, "--device", "b200-sxm")
        assert done.code == 0
        return toml.decode((done.folder / "devices" / "calibrations" / done.profiles[0]).read_text())

    first = made()
    # The second fit begins from the average as before: one's own profile of a device is no part of it.
    assert made() == first


def test_the_printed_table_shows_the_error_on_rows_left_out(bench, kernels_csv):
    done = bench("calibrate", "--from", kernels_csv, "--device", "b200-sxm")
    assert done.out.splitlines()[0].split()[:5] == ["device", "kind", "dtype", "library", "rows"]
    assert "5 folds, seed 20261121" in done.out
    assert any("attention_decode" in line and "%" in line for line in done.out.splitlines())


def test_a_fit_writes_nothing_when_one_group_fails(bench, kernels_csv):
    # The sample holds four small all-reduces of a library of their own: too few for five numbers.
    done = bench("calibrate", "--from", kernels_csv, "--device", "a100-sxm-80")
    assert done.code == 2
    assert done.err.startswith(f"error: {kernels_csv}: 4 rows of all_reduce")
    assert done.err.endswith("cannot fit 5 numbers; give 6 or more\n")
    assert done.profiles == []
    assert not (done.folder / "devices").exists()


def test_an_average_is_made_where_it_is_asked_for(bench, kernels_csv):
    done = bench("calibrate", "--from", kernels_csv, "--generic")
    assert done.code == 0
    assert "generic/average.toml" in done.profiles
    rules = load_profile(done.folder / "devices" / "calibrations" / "generic" / "average.toml").rules
    gemm = next(rule for rule in rules if (rule.kind, rule.dtype) == ("gemm", "bf16"))
    assert gemm.devices == ["a100-sxm-80", "b200-sxm", "h100-sxm", "ascend-910c"]
    assert any(rule.evidence.method == "assumed, not measured" for rule in rules)


def test_a_profile_of_ones_own_is_used_from_then_on(bench, table, kernels_csv):
    text = rows_of(kernels_csv, lambda row: (row["device"], row["kind"], row["dtype"]) == ("h100-sxm", "gemm", "bf16"))
    path = table(text.replace("trtllm 1.3.0rc20", "mine 2.0"), "own.csv")
    assert bench("calibrate", "--from", path, "--device", "h100-sxm").code == 0
    (found,) = bench("validate", "--from", path, "--format", "json").json
    assert found["reason"] == "h100-sxm: calibrated with mine 2.0"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--device", "h100-smx"), "no rows of device 'h100-smx'; did you mean 'h100-sxm'"),
        (("--device", "gaudi3"), "no rows of device 'gaudi3'"),
    ],
)
def test_a_device_that_the_table_lacks_is_one_line(words, says, bench, kernels_csv):
    done = bench("calibrate", "--from", kernels_csv, *words)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert says in done.err


@pytest.mark.parametrize("command", ["calibrate", "validate"])
@pytest.mark.parametrize("option", ["--from", "--serving"])
def test_a_table_that_is_not_there_is_one_line(command, option, bench):
    done = bench(command, option, "none.csv")
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: none.csv: cannot be read (No such file or directory)\n"


def test_served_configurations_become_an_engine(bench, serving_csv):
    done = bench("calibrate", "--serving", serving_csv, "--format", "json")
    assert done.code == 0
    saved = toml.decode((done.folder / "devices" / "calibrations" / "engine" / "serving.toml").read_text())
    for name in ("step_overhead_us", "launch_share", "pointwise_factor", "prefill_share"):
        assert saved[name] == done.json[name] >= 0
    # 24 of the 30 can be priced and are not mislabelled; half of them were left out.
    assert saved["evidence"]["n"] == 12
    assert "Saved devices/calibrations/engine/serving.toml" in done.err


def test_an_engine_of_ones_own_prices_served_configurations_from_then_on(bench, serving_csv):
    shipped = bench("validate", "--serving", serving_csv, "--format", "json").json[-1]
    assert bench("calibrate", "--serving", serving_csv).code == 0
    own = bench("validate", "--serving", serving_csv, "--format", "json").json[-1]
    assert own["n"] == shipped["n"] == 27
    assert own["mape"] != shipped["mape"]


def test_too_few_served_configurations_write_nothing(bench, table, serving_csv):
    path = table(rows_of(serving_csv, lambda row: "Qwen3-32B" in row["model"]), "few.csv")
    done = bench("calibrate", "--serving", path)
    assert (done.code, done.out) == (2, "")
    assert done.err == "error: 9 served configurations can be priced; give 20 or more to fit an engine\n"
    assert not (done.folder / "devices").exists()


# -- validate -----------------------------------------------------------------------------------------------------------


def test_json_has_a_record_per_device_kind_and_dtype(bench, kernels_csv):
    done = bench("validate", "--from", kernels_csv, "--format", "json")
    assert (done.code, done.err) == (0, "")
    for each in done.json:
        assert set(each) == KEYS
    priced = [each for each in done.json if each["tier"]]
    assert {each["tier"] for each in priced} == {"calibrated", "sheet"}
    for each in priced:
        assert each["n"] > 0
        assert 0 <= each["inside"] <= 1
        assert all(each[key] > 0 for key in ("mape", "median", "bias", "roofline_mape"))
        assert set(each["worst"][0]) == {"line", "measured_s", "modelled_s", "dims"}


def test_the_rooflines_error_is_larger_for_every_calibrated_kind(bench, kernels_csv):
    found = bench("validate", "--from", kernels_csv, "--format", "json").json
    calibrated = [each for each in found if each["tier"] == "calibrated"]
    assert len(calibrated) > 25
    assert [each for each in calibrated if each["roofline_mape"] <= each["mape"]] == []


def test_the_worst_rows_are_listed_where_they_are_asked_for(bench, kernels_csv):
    plain = bench("validate", "--from", kernels_csv, "--device", "h800-sxm")
    worst = bench("validate", "--from", kernels_csv, "--device", "h800-sxm", "--worst")
    assert worst.out.startswith(plain.out)
    listed = worst.out.removeprefix(plain.out)
    assert listed.split()[:6] == ["device", "kind", "line", "measured", "modelled", "ratio"]
    # Ten of the eleven products and both grouped ones.
    assert sum(line.startswith("h800-sxm") for line in listed.splitlines()) == 12
    lines = kernels_csv.read_text().splitlines()
    number = int(next(line for line in listed.splitlines() if "gemm fp8" in line).split()[3])
    assert lines[number - 1].startswith("h800-sxm,")


def test_markdown_is_a_table(bench, kernels_csv):
    done = bench("validate", "--from", kernels_csv, "--device", "b200-sxm", "--format", "md")
    head, rule, *rows = done.out.splitlines()
    assert head.startswith("| device")
    assert set(rule) <= set("|-: ")
    assert sum(row.startswith("| b200-sxm") for row in rows) == 5


def test_notes_say_what_the_errors_are_of(bench, kernels_csv):
    done = bench("validate", "--from", kernels_csv, "--device", "b200-sxm")
    assert "MAPE and median are of |modelled / measured - 1|" in done.out
    assert "its profile holds the error on rows left out" in done.out


def test_served_configurations_are_compared(bench, serving_csv):
    done = bench("validate", "--serving", serving_csv, "--format", "json")
    assert done.code == 0
    assert done.json[-1]["kind"] == "tpot"
    assert sum(each["n"] for each in done.json[:-1]) == 30


def test_without_a_table_the_options_are_told(bench):
    done = bench("validate")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: name a table: --from FILE, --serving FILE, or -d cpu")


def test_a_bad_row_is_one_line_with_its_place(bench, table, kernels_csv):
    text = kernels_csv.read_text().replace("h100-sxm,gemm,bf16,,", "h100-sxm,gemm,bf61,,", 1)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "bf61" in row)
    path = table(text)
    for command in ("calibrate", "validate"):
        done = bench(command, "--from", path)
        assert (done.code, done.out) == (2, "")
        assert (
            done.err
            == f"error: {path}: line {line}: column 'dtype' is 'bf61'; did you mean 'bf16' or 'fp64' or 'fp16'?\n"
        )


def test_json_stays_json_whatever_the_terminal_is(bench, kernels_csv):
    out = bench("validate", "--from", kernels_csv, "--worst", "--format", "json").out
    assert json.loads(out)[0]["device"] == "a100-sxm-80"
