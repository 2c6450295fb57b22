"""Kernel tables: the canonical reading, and every way in which a file can be wrong."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.devices.emulated.calibrate import calibrate, grouped
from bench.devices.emulated.table import DIMENSIONS, dims_of, formula, power_law_chances, read_table
from bench.devices.emulated.validate import validate
from bench.errors import DefinitionError

COLUMNS = (
    "device", "kind", "dtype", "batch", "m", "n", "k", "heads", "kv_heads", "head_dim", "q_len", "kv_len", "hidden",
    "intermediate", "experts", "top_k", "tp", "ep", "ranks", "message_bytes", "routing", "seconds", "software", "note",
    "source",
)  # fmt: skip
GEMM = {"device": "h100-sxm", "kind": "gemm", "dtype": "bf16", "m": 8, "n": 64, "k": 32, "seconds": 1e-5}
MOE = {
    "device": "h100-sxm", "kind": "moe", "dtype": "bf16", "m": 640, "hidden": 512, "intermediate": 256, "experts": 16,
    "top_k": 4, "tp": 2, "ep": 4, "routing": "balanced", "seconds": 1e-4,
}  # fmt: skip
GATHER = {"device": "h100-sxm", "kind": "all_gather", "ranks": 8, "message_bytes": 1000, "seconds": 1e-5}
PREFILL = {
    "device": "h100-sxm", "kind": "attention_prefill", "dtype": "bf16", "batch": 1, "heads": 8, "kv_heads": 2,
    "head_dim": 128, "q_len": 100, "kv_len": 300, "seconds": 1e-5,
}  # fmt: skip


def text(*rows: dict[str, object], columns: tuple[str, ...] = COLUMNS) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def refusal(path: Path) -> str:
    with pytest.raises(DefinitionError) as error:
        read_table(path)
    message = str(error.value)
    assert len(message.splitlines()) == 1
    assert str(path) in message
    return message.removeprefix(str(path))


# -- reading ------------------------------------------------------------------------------------------------------------


def test_a_row_is_read_with_the_dimensions_of_its_kind(table):
    (row,) = read_table(table(text(GEMM | {"software": "cuBLAS 12.8", "note": "warm", "source": "me", "batch": 7})))
    assert (row.line, row.device, row.kind, row.dtype) == (2, "h100-sxm", "gemm", "bf16")
    assert (row.dims, row.seconds) == ({"m": 8.0, "n": 64.0, "k": 32.0}, 1e-5)
    assert (row.software, row.note, row.source) == ("cuBLAS 12.8", "warm", "me")


def test_columns_may_stand_in_any_order_and_those_of_other_kinds_may_be_missing(table):
    (row,) = read_table(table("seconds,k,n,m,dtype,kind,device\n 2e-5 ,32,64,8, bf16 ,gemm,h100-sxm\n"))
    assert (row.dims, row.seconds, row.dtype, row.source) == ({"m": 8.0, "n": 64.0, "k": 32.0}, 2e-5, "bf16", "")


def test_a_spreadsheets_mark_before_the_first_column_is_no_part_of_its_name(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b"\xef\xbb\xbf" + text(GEMM).replace("\n", "\r\n").encode())
    assert read_table(path)[0].kind == "gemm"


def test_the_sample_has_every_kind_of_kernel(kernels_csv):
    kinds = {row.kind for row in read_table(kernels_csv)}
    # batched_gemm is grouped_gemm under the name that people give to alike products.
    assert kinds == (set(DIMENSIONS) - {"batched_gemm"}) | {"other"}


def test_the_sample_says_where_every_row_is_from(kernels_csv):
    for row in read_table(kernels_csv):
        assert "@" in row.source or "README" in row.source, row.line


@pytest.mark.parametrize(
    ("software", "library"),
    [
        ("trtllm 1.3.0rc20", "trtllm"),
        ("trtllm-custom", "trtllm-custom"),
        ("nccl-2.29.2", "nccl"),
        ("HCCL 8.5, in situ", "HCCL"),
        ("vLLM-Ascend 0.15, CANN 8.5, in situ", "vLLM-Ascend"),
        ("DeepGEMM v1", "DeepGEMM"),
        ("flashinfer 0.2", "flashinfer"),
        ("rccl-2.20rc1", "rccl"),
        ("cuBLAS12", "cuBLAS"),
        ("", ""),
    ],
)
def test_a_library_is_the_softwares_name_without_its_version(software, library, table):
    (row,) = read_table(table(text(GEMM | {"software": software})))
    assert row.library == library


# -- dimensions that formulas need --------------------------------------------------------------------------------------


def dims(path: Path):
    return dims_of(read_table(path))


def test_attention_values_are_as_wide_as_its_keys(table):
    assert list(dims(table(text(PREFILL)))["v_dim"]) == [128]


def test_latent_attention_has_the_widths_of_deepseek(table):
    row = {"device": "h100-sxm", "dtype": "bf16", "batch": 1, "heads": 16, "q_len": 1, "kv_len": 9, "seconds": 1e-5}
    found = dims(table(text(row | {"kind": "mla_decode"})))
    assert (found["head_dim"][0], found["v_dim"][0]) == (576, 512)
    found = dims(table(text(row | {"kind": "mla_prefill"})))
    assert (found["head_dim"][0], found["v_dim"][0]) == (192, 128)


def test_bytes_per_rank_are_gathered_to_the_whole(table):
    rows = dims(table(text(GATHER, GATHER | {"note": "bytes as reported, taken per rank"})))
    assert list(rows["message_bytes"]) == [1000, 8000]


def test_a_reduced_message_is_as_large_on_every_rank_whatever_the_note_says(table):
    rows = dims(table(text(GATHER | {"kind": "all_reduce", "note": "per rank"})))
    assert list(rows["message_bytes"]) == [1000]


def test_dispatch_sends_a_byte_an_element_and_combine_two(table):
    row = {"device": "h100-sxm", "m": 128, "hidden": 7168, "top_k": 8, "ranks": 32, "seconds": 1e-4}
    # 128 x 8 x 7168 = 7 340 032 elements.
    assert list(dims(table(text(row | {"kind": "ep_dispatch"})))["message_bytes"]) == [7_340_032]
    assert list(dims(table(text(row | {"kind": "ep_combine"})))["message_bytes"]) == [14_680_064]


def test_grouped_products_are_batched_by_their_experts(table):
    row = GEMM | {"kind": "grouped_gemm", "experts": 4}
    assert formula("grouped_gemm") == "batched_gemm"
    assert list(dims(table(text(row)))["batch"]) == [4]


def test_grouped_and_batched_products_are_fitted_together(table):
    rows = [
        GEMM | {"kind": kind, name: count, "seconds": 1e-5 * count}
        for kind, name in (("grouped_gemm", "experts"), ("batched_gemm", "batch"))
        for count in (1, 2, 3)
    ]
    ((group, part),) = grouped(read_table(table(text(*rows))), "mine").items()
    assert group == ("h100-sxm", "batched_gemm", "bf16", "")
    assert list(dims_of(part)["batch"]) == [1, 2, 3, 1, 2, 3]


def test_a_balanced_moe_layer_is_shared_out_evenly(table):
    found = dims(table(text(MOE)))
    # 640 tokens x 4 experts over 16 experts: 160 rows each, padded to 3 tiles of 64; a rank of 4 has 4 of them.
    assert found["rows"][0] == pytest.approx(640)
    assert found["busiest"][0] == pytest.approx(160)
    assert found["touched"][0] == pytest.approx(4)
    assert found["padded"][0] == pytest.approx(768)
    assert (found["experts"][0], found["inner"][0]) == (4, 128)


def test_a_skewed_moe_layer_is_timed_on_its_heaviest_rank(table):
    even, skewed = (dims(table(text(MOE | {"routing": name}))) for name in ("balanced", "power_law_1.2"))
    assert skewed["rows"][0] > 1.2 * even["rows"][0]
    assert skewed["busiest"][0] > 2 * even["busiest"][0]


def test_chances_of_experts_sum_to_the_experts_a_token_goes_to():
    chances = power_law_chances(64, 6, 1.2)
    assert chances.sum() == pytest.approx(6)
    assert 0 < chances.min() < chances.max() <= 1


# -- what is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["device", "kind", "dtype", "seconds"])
def test_a_missing_column_is_named(column, table):
    message = refusal(table(text(GEMM, columns=tuple(c for c in COLUMNS if c != column))))
    assert f"no column '{column}'" in message
    assert "a kernel table has device, kind, dtype, seconds" in message


def test_a_misspelt_column_is_named_with_the_nearest(table):
    assert "no column 'seconds'; did you mean 'second'" in refusal(table(text(GEMM).replace("seconds", "second")))


def test_a_column_that_is_there_twice_is_refused(table):
    path = table("device,kind,dtype,m,n,k,seconds,seconds\nh100-sxm,gemm,bf16,1,2,3,1e-5,2e-5\n")
    assert refusal(path) == ": column 'seconds' is there 2 times; keep one"


@pytest.mark.parametrize("value", ["-1e-5", "0", "nan", "inf", "fast", "", "1e-5 s"])
def test_seconds_that_are_no_positive_number_are_refused(value, table):
    message = refusal(table(text(GEMM, GEMM | {"seconds": value})))
    assert message.startswith(": line 3: column 'seconds' is ")
    assert "it must be a positive number" in message


def test_seconds_above_an_hour_are_taken_for_another_unit(table):
    message = refusal(table(text(GEMM | {"seconds": 4000})))
    assert message == ": line 2: column 'seconds' is 4000, above an hour; is it in microseconds?"


@pytest.mark.parametrize(("kind", "column"), [(kind, name) for kind, names in DIMENSIONS.items() for name in names])
def test_a_dimension_that_its_kind_needs_is_named(kind, column, table):
    full = dict.fromkeys(COLUMNS, 4) | {"device": "h100-sxm", "dtype": "bf16", "kind": kind, "routing": "balanced"}
    read_table(table(text(full)))
    assert refusal(table(text(full | {column: ""}))).startswith(f": line 2: column '{column}' is ''")
    without = tuple(c for c in COLUMNS if c != column)
    assert refusal(table(text(full, columns=without))).startswith(f": line 2: column '{column}' is ''")


def test_an_unknown_kind_is_refused_with_the_nearest(table):
    message = refusal(table(text(GEMM | {"kind": "gem"})))
    assert message.startswith(": line 2: kind 'gem'; did you mean 'gemm'")


def test_a_kind_like_no_other_is_refused_with_all_that_are_known(table):
    message = refusal(table(text(GEMM | {"kind": "zzz"})))
    assert "known: gemm, batched_gemm" in message
    assert "ep_combine" in message


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (GEMM | {"dtype": "bf61"}, "column 'dtype' is 'bf61'; did you mean 'bf16'"),
        (GEMM | {"dtype": ""}, "column 'dtype' is ''; known: fp64, fp32"),
        (GATHER | {"dtype": "half"}, "column 'dtype' is 'half'; known: fp64, fp32"),
        (GEMM | {"device": ""}, "column 'device' is empty; write a sheet's id"),
        (GEMM | {"m": "1e300"}, "column 'm' is 1e+300, above 1e+15"),
        (GATHER | {"ranks": 0.5}, "column 'ranks' is 0.5; it must be whole"),
        (MOE | {"experts": 1e9}, "column 'experts' is 1e+09; it must be whole, a million at most"),
        (MOE | {"ep": 3}, "column 'ep' is 3; it must divide experts 16"),
        (MOE | {"top_k": 17}, "column 'top_k' is 17, above experts 16"),
        (PREFILL | {"q_len": 301}, "column 'q_len' is 301, above kv_len 300"),
    ],
)
def test_a_value_that_cannot_be_is_refused(row, says, table):
    assert refusal(table(text(GEMM, row))).startswith(f": line 3: {says}")


@pytest.mark.parametrize("routing", ["zipf", "power_law", "power_law_", "power_law_x", "power_law_nan", "power_law_-1"])
def test_a_routing_that_is_no_power_law_is_refused(routing, table):
    message = refusal(table(text(MOE | {"routing": routing})))
    assert message == f": line 2: column 'routing' is '{routing}'; write balanced or power_law_1.2 (0 to 10)"


def test_lines_are_counted_as_an_editor_shows_them(table):
    head, good, bad = text(GEMM | {"note": "two\nlines"}, GEMM | {"m": -1}).split("h100-sxm")
    path = table(f"{head}\n\nh100-sxm{good}h100-sxm{bad}")
    # The header, two blank lines, a row of two lines, and then the bad one.
    assert refusal(path).startswith(": line 6: column 'm' is -1")


def test_more_cells_than_columns_are_told_before_they_shift_anything(table):
    path = table(text(GEMM).replace("h100-sxm,gemm", "h100-sxm,gemm,gemm"))
    assert refusal(path) == ": line 2: more cells than columns; put quotes around what contains a comma"


@pytest.mark.parametrize(("content", "says"), [("", "no column 'device'"), (text(), "holds no rows")])
def test_a_file_without_rows_is_refused(content, says, table):
    assert says in refusal(table(content))


def test_a_binary_file_is_refused(tmp_path):
    path = tmp_path / "kernels.parquet"
    path.write_bytes(b"PAR1\x15\x04\xff\xfe\x00\x80")
    assert refusal(path) == ": cannot be read (not UTF-8 text)"


def test_a_file_that_is_not_there_is_refused(tmp_path):
    assert refusal(tmp_path / "none.csv") == ": cannot be read (No such file or directory)"


def test_a_folder_is_refused(tmp_path):
    assert refusal(tmp_path) == ": cannot be read (Is a directory)"


@pytest.mark.parametrize("where", ["header", "row"])
def test_a_cell_beyond_what_csv_can_hold_is_refused(where, table):
    long = "x" * 200_000
    path = table(f"{long},{text(GEMM)}" if where == "header" else text(GEMM | {"note": long}))
    assert ": not valid CSV: field larger than field limit" in refusal(path)


@pytest.mark.parametrize("ask", [lambda rows: validate(rows, "mine.csv"), lambda rows: calibrate(rows, "mine.csv", "")])
def test_a_device_without_a_sheet_is_named_with_its_line_and_the_nearest(ask, table):
    rows = read_table(table(text(GEMM, GEMM | {"device": "h100-smx"})))
    with pytest.raises(
        DefinitionError, match=r"mine.csv: line 3: device 'h100-smx' has no sheet; did you mean 'h100-sxm'"
    ):
        ask(rows)


# -- anything at all ----------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    ("", "gemm", "moe", "all_gather", "mla_decode", "attention_prefill", "other", "bf16", "fp8_block", "h100-sxm", "1",
     "8", "0", "-3", "1e-5", "1e400", "nan", "0.5", "9" * 30, "1_0", "balanced", "power_law_1", "\x00", '"', "'", "\r",
     "\ufeff", "é", "٣", "seconds", "device", "kind", "dtype", "[red]")
)  # fmt: skip
CELLS = st.one_of(WORDS, st.text(max_size=6))


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path, content):
    path = tmp_path / "any.csv"
    path.write_bytes(content)
    with pytest.raises(DefinitionError):
        read_table(path)


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.lists(CELLS, max_size=26), min_size=1, max_size=4), st.booleans())
def test_any_cells_below_the_right_header_are_read_or_refused(tmp_path, cells, quoted):
    path = tmp_path / "any.csv"
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows([COLUMNS, *cells])
    path.write_bytes(out.getvalue().encode("utf-8", errors="surrogatepass"))
    try:
        rows = read_table(path)
    except DefinitionError:
        return
    assert all(row.seconds > 0 for row in rows)


VALUES = st.sampled_from((1, 2, 8, 64, 0.5, 1e-9, 1e6, 1e15, "", "x", -1, "balanced", "power_law_3"))


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
@pytest.mark.filterwarnings("error")
def test_whatever_is_read_can_be_priced(tmp_path, data):
    kind = data.draw(st.sampled_from(sorted(DIMENSIONS)))
    row = {"device": "h100-sxm", "kind": kind, "seconds": 1e-5, "routing": "balanced"}
    row["dtype"] = data.draw(st.sampled_from(("bf16", "bf16", "fp8", "fp8_block", "int8", "fp4", "fp64", "tf32")))
    row |= dict.fromkeys(DIMENSIONS[kind], 8)
    for name in data.draw(st.lists(st.sampled_from((*DIMENSIONS[kind], "routing", "seconds")), max_size=3)):
        row[name] = data.draw(VALUES, label=name)
    path = tmp_path / "any.csv"
    path.write_text(text(row))
    try:
        rows = read_table(path)
    except DefinitionError:
        return
    (found,) = validate(rows, "any.csv")
    if found.tier is None:
        assert found.reason.startswith("cannot be modelled: no ")
        assert row["dtype"] != "bf16"
    else:
        assert np.isfinite(found.mape)
        assert found.worst[0].modelled_s > 0
