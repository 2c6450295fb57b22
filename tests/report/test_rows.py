"""The run table and its other forms: golden text, no cut number, no modelled number without its mark."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench.report.comparison import comparison_table
from bench.report.rows import (
    as_csv,
    as_json,
    as_jsonl,
    mark,
    marked_source,
    notes,
    plus_minus,
    rate,
    run_table,
    short_names,
    summary_line,
    utilization,
)
from bench.report.terminal import markdown, table_text
from bench.results.compare import Operand, compare
from bench.results.record import Row, Run

GOLDEN = Path(__file__).parent.parent / "golden" / "report"
WIDTHS = (40, 60, 80, 120, 200)


def golden(name: str) -> str:
    return (GOLDEN / name).read_text(encoding="utf-8").removesuffix("\n")


# -- whole tables ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [200, 120, 80])
def test_a_run_of_every_kind_of_row(width, mixed):
    assert table_text(run_table(mixed), width) == golden(f"run_{width}.txt")


def test_a_run_as_markdown(mixed):
    assert markdown(run_table(mixed)) == golden("run.md")


def test_a_run_as_csv(mixed):
    # Column by column: the record may grow, what is there stays what it is.
    expected = list(csv.DictReader(io.StringIO(golden("run.csv"))))
    assert [{name: each[name] for name in expected[0]} for each in read_csv(mixed)] == expected


def test_a_run_on_one_device_does_not_repeat_its_name(row):
    table = run_table([row(step_s=0.1), row(case_id="copy[n=1k,bf16]", step_s=0.2)])
    assert "on" not in table_text(table, 200).split()


# -- narrow windows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", WIDTHS)
def test_no_number_is_ever_cut(width, mixed):
    table = run_table(mixed)
    text = table_text(table, width)
    left_out = re.search(r"left out, the window is narrow: ([^;]*);", text)
    gone = left_out[1].split(", ") if left_out else []
    shown = [index for index, column in enumerate(table.columns) if column.name not in gone]
    assert {"case", "time", "rate", "source"} <= {table.columns[index].name for index in shown}
    words = set(text.split())
    for cells in table.rows:
        for index in shown:
            assert set(cells[index].split()) - {"-"} <= words


@pytest.mark.parametrize("width", WIDTHS)
def test_every_column_is_shown_or_named_as_left_out(width, mixed):
    text = table_text(run_table(mixed), width)
    for name in ("case", "on", "time", "+-", "rate", "MFU", "MBU", "bound", "imbalance", "memory", "source"):
        assert re.search(rf"(^|[ :]){re.escape(name)}([ ,;]|$)", text.split("\n\n* of")[0], re.MULTILINE), name


@pytest.mark.parametrize("width", [40, 60, 80])
def test_below_the_least_width_every_row_is_a_block(width, mixed):
    blocks = table_text(run_table(mixed), width).split("\n\n")[:-1]
    assert [block.split()[:2] for block in blocks] == [["case", each.case_id] for each in mixed]


@pytest.mark.parametrize("width", WIDTHS)
def test_the_same_case_on_two_devices_is_told_apart_at_every_width(width, row):
    rows = [
        row(source="modelled", device=device, unit=unit, step_s=0.01, interval=(0.009, 0.011), memory_bytes=1e9)
        for device, unit in (("ascend-910c", "die"), ("ascend-910c", "package"), ("h100-sxm", "package"))
    ]
    text = table_text(run_table(rows), width)
    for where in ("ascend-910c, die", "ascend-910c, package", "h100-sxm, package"):
        assert where in text


@pytest.mark.parametrize("width", WIDTHS)
def test_brackets_in_case_ids_survive(width, mixed):
    text = table_text(run_table(mixed), width)
    assert all(each.case_id in text for each in mixed)


# -- provenance ------------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a[b=1,bf16]", "a[b=8,bf16]", "a[b=8,bf16,tp8]", "gemm[m=1k,n=1k,bf16]", "copy[n=4k,fp8]"])
TIMES = st.floats(1e-9, 1e5)
SHARES = st.none() | st.floats(0, 3)
RANDOM_ROW = st.fixed_dictionaries({
    "case_id": NAMES,
    "phase": st.sampled_from(["prefill", "decode", "moe", "kernel"]),
    "source": st.sampled_from(["measured", "modelled", "published"]),
    "tier": st.none() | st.sampled_from(["calibrated", "transferred", "sheet"]),
    "device": st.sampled_from(["cpu", "h100-sxm"]),
    "unit": st.sampled_from(["die", "package", "machine"]),
    "status": st.sampled_from(["ok", "ok", "ok", "oom"]),
    "step_s": TIMES,
    "interval": st.none() | st.tuples(TIMES, TIMES),
    "output_tokens_per_s": st.none() | TIMES,
    "prompt_tokens_per_s": st.none() | TIMES,
    "flops": st.none() | st.floats(0, 1e18),
    "read_bytes": st.none() | st.floats(0, 1e15),
    "link_bytes": st.none() | st.floats(0, 1e15),
    "mfu": SHARES, "mbu": SHARES, "mfu_achieved": SHARES, "mbu_achieved": SHARES,
    "bound": st.none() | st.sampled_from(["compute", "memory"]),
    "memory_bytes": st.none() | TIMES,
    "imbalance": st.none() | st.floats(1, 9),
    "scope": st.none() | st.just("2 of 8 dense layers run, scaled"),
})  # fmt: skip
MANY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def looks_modelled(text: str) -> bool:
    return "~" in text or "modelled" in text


@MANY
@given(drawn=st.lists(RANDOM_ROW, min_size=1, max_size=6), width=st.integers(20, 200))
def test_a_modelled_number_is_never_printed_without_its_mark(drawn, width, row):
    rows = [row(**each) for each in drawn]
    table = run_table(rows)
    text = table_text(table, width)
    lines = text.splitlines()
    # One line a row below the rule, or one block a row.
    parts = lines[2 : 2 + len(rows)] if set(lines[1]) <= {"-", " "} else text.split("\n\n")[: len(rows)]
    assert len(parts) == len(rows)
    for each, part in zip(rows, parts, strict=True):
        assert looks_modelled(part) == (each.source == "modelled" and each.status == "ok")


@MANY
@given(drawn=st.lists(RANDOM_ROW, min_size=1, max_size=6))
def test_no_export_loses_the_source_of_a_row(drawn, row):
    rows = [row(**each) for each in drawn]
    records = list(csv.DictReader(io.StringIO(as_csv(rows), newline="")))
    assert [each["source"] for each in records] == [each.source for each in rows]
    assert [msgspec.json.decode(line)["source"] for line in as_jsonl(rows).splitlines()] == [r.source for r in rows]
    cells = markdown(run_table(rows)).splitlines()[2 : 2 + len(rows)]
    assert [looks_modelled(line) for line in cells] == [r.source == "modelled" and r.status == "ok" for r in rows]


@pytest.mark.parametrize(("source", "sign"), [("measured", ""), ("modelled", "~"), ("published", "^")])
def test_every_number_that_depends_on_time_has_its_sign(source, sign, row):
    each = row(source=source, step_s=0.01, output_tokens_per_s=100.0, mfu=0.5, mbu_achieved=0.25)
    cells = dict(zip((c.name for c in run_table([each]).columns), run_table([each]).rows[0], strict=True))
    assert mark(each) == sign
    assert (cells["time"], cells["rate"]) == (f"{sign}10.0 ms", f"{sign}100 output tok/s")
    assert (cells["MFU"], cells["MBU"]) == (f"{sign}50%", f"{sign}25%*")


# -- cells -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"prompt_tokens_per_s": 1234.5}, "1,234 prompt tok/s"),
        ({"output_tokens_per_s": 12.34}, "12.3 output tok/s"),
        # 2e9 FLOP in 1 ms are 2 TFLOP/s; 1e6 bytes make 2000 FLOP a byte, compute counts.
        ({"phase": "kernel", "flops": 2e9, "read_bytes": 5e5, "written_bytes": 5e5}, "2.00 TFLOP/s"),
        # 1e9 bytes in 1 ms are 1 TB/s; 2 FLOP a byte, bytes count.
        ({"phase": "kernel", "flops": 2e9, "read_bytes": 5e8, "written_bytes": 5e8}, "1.00 TB/s"),
        ({"phase": "kernel", "link_bytes": 4.5e8, "read_bytes": 1.0}, "450 GB/s on links"),
        ({"phase": "moe", "flops": 0.0, "read_bytes": 1e6}, "1.00 GB/s"),
        ({"step_s": None}, "-"),
    ],
)
def test_a_rate_is_of_what_the_row_is_about(fields, text, row):
    assert rate(row(**{"step_s": 1e-3, **fields})) == text


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        ((0.99, 1.01), "1.0%"),
        ((0.995, 1.001), "0.3%"),
        ((0.9, 1.1), "10%"),
        ((0.98, 1.10), "-2% to +10%"),
        ((0.96, 14.89), "0.96x to 14.9x"),
        (None, "-"),
    ],
)
def test_an_interval_is_half_its_width_or_both_sides(interval, text, row):
    assert plus_minus(row(step_s=1.0, interval=interval)) == text


def test_utilization_of_the_sheet_goes_before_the_achieved_one(row):
    assert utilization(row(mfu=0.5, mfu_achieved=0.9), "mfu") == "50%"


def test_utilization_above_the_peak_is_printed(row):
    assert utilization(row(mbu=1.25), "mbu") == "125%"


def test_utilization_that_nobody_knows_is_a_dash(row):
    assert utilization(row(), "mfu") == "-"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "measured"),
        ({"scope": "1 of 8 dense layers run, scaled"}, "measured, scaled"),
        ({"scope": "one rank of 8"}, "measured, part"),
        ({"flags": ["two levels", "unstable"]}, "measured, two levels, unstable"),
        ({"source": "modelled", "tier": "calibrated", "scope": "one device of 8"}, "modelled:calibrated"),
        ({"source": "published"}, "published"),
    ],
)
def test_the_source_says_what_the_number_covers(fields, text, row):
    assert marked_source(row(**fields)) == text


# -- names -----------------------------------------------------------------------------------------------------------------------


def test_what_all_cases_of_a_workload_share_is_said_once():
    short, shared = short_names([f"r1-decode[b={b},ctx=4k,int8,dp64,ep64]" for b in (1, 8)])
    assert list(short.values()) == ["r1-decode[b=1,ctx=4k,int8]", "r1-decode[b=8,ctx=4k,int8]"]
    assert shared == ["every r1-decode: dp64, ep64"]


def test_precision_and_sizes_stay_with_the_case():
    short, shared = short_names(["w[b=1,ctx=4k,fp8]", "w[b=2,ctx=4k,fp8]"])
    assert list(short.values()) == ["w[b=1,ctx=4k,fp8]", "w[b=2,ctx=4k,fp8]"]
    assert shared == []


def test_a_workload_with_one_case_keeps_its_whole_name():
    assert short_names(["w[b=1,ctx=4k,fp8,dp64,ep64]"]) == (
        {"w[b=1,ctx=4k,fp8,dp64,ep64]": "w[b=1,ctx=4k,fp8,dp64,ep64]"},
        [],
    )


def test_what_differs_stays():
    short, shared = short_names(["w[b=1,bf16,tp4,uniform]", "w[b=1,bf16,tp4,zipf1.2]"])
    assert list(short.values()) == ["w[b=1,bf16,uniform]", "w[b=1,bf16,zipf1.2]"]
    assert shared == ["every w: tp4"]


@given(
    st.sets(
        st.builds(
            "w[b={},ctx={}k,{},tp{},{}]".format,
            st.integers(1, 3), st.integers(1, 3), st.sampled_from(["bf16", "fp8"]), st.integers(2, 3),
            st.sampled_from(["uniform", "zipf1.2"]),
        )
    )
)  # fmt: skip
def test_short_names_are_as_different_as_the_whole_ones(case_ids):
    short, _ = short_names(sorted(case_ids))
    assert len(set(short.values())) == len(case_ids)


# -- notes and the last line ---------------------------------------------------------------------------------------------------


def test_a_case_that_failed_is_explained_below(row):
    found = notes([row(status="timeout", reason="no result after 60 s")])
    assert "tiny-decode[b=1,ctx=1k,bf16] on cpu: timeout: no result after 60 s" in found


@pytest.mark.parametrize(
    ("counts", "notes"),
    [
        ((1, 1), ["+- is the 95 % interval of the median inside one process; between processes noise is larger"]),
        ((5, 5), ["5 sessions, one row a case: +- is the 95 % interval between sessions"]),
        (
            (5, 2),
            [
                "5 sessions, one row a case: +- is the 95 % interval between sessions",
                "2 sessions, one row a case: +- is the span of both and of their own intervals; from 3 on it is a 95 %"
                " interval",
            ],
        ),
    ],
)
def test_what_an_interval_is_of_depends_on_the_sessions(counts, notes, row):
    rows = [row(step_s=1.0, interval=(0.9, 1.1), sessions=count) for count in counts]
    assert [note for note in run_table(rows).notes if "+-" in note] == notes


def test_a_case_of_which_some_sessions_failed_is_explained_below(row):
    kept = row(step_s=1.0, sessions=3, reason="2 of 5 sessions failed: timeout: no result", flags=["failed 2/5"])
    table = run_table([kept])
    assert table.rows[0][-1] == "measured, failed 2/5"
    assert f"{kept.case_id} on cpu: 2 of 5 sessions failed: timeout: no result" in table.notes


def test_each_thing_is_said_once(row):
    rows = [row(case_id=name, step_s=1.0, scope="one rank of 8", flags=["unstable"]) for name in ("a[b=1]", "a[b=2]")]
    found = notes(rows)
    assert len(found) == len(set(found))
    assert found.count("covers: one rank of 8") == 1


def test_without_known_peaks_the_way_to_them_is_named(row):
    assert "MFU and MBU need peaks, of a sheet or reached here: bench calibrate -d cpu" in notes([row(step_s=1.0)])


def test_an_achieved_roof_is_explained_where_it_is_used(row):
    assert notes([row(step_s=1.0, mfu_achieved=0.5)])[0].startswith("* of the best rates")


def test_the_tiers_of_modelled_rows_are_named(row):
    rows = [row(source="modelled", tier=tier, step_s=1.0) for tier in ("sheet", "calibrated")]
    assert notes(rows)[0].startswith("~ modelled, not measured (tier calibrated, sheet)")


def test_the_last_line_counts_rows_by_kind(mixed):
    assert summary_line(mixed) == "3 measured (1 unstable), 1 modelled, 1 skipped, 1 oom"


def test_rows_beside_which_others_were_at_work_are_counted_marked_and_explained(row):
    rows = [row(step_s=0.01, flags=["unstable", "disturbed"]), row(case_id="b", step_s=0.02)]
    assert summary_line(rows) == "2 measured (1 unstable, 1 disturbed)"
    assert [line[2] for line in run_table(rows).rows] == ["?10.0 ms", "20.0 ms"]
    assert [note[:12] for note in notes(rows) if note.startswith("?")] == ["? disturbed:"]
    assert [(each["flags"], each["doubt"]) for each in read_csv(rows)] == [
        ("unstable, disturbed", "disturbed"),
        ("", ""),
    ]


def test_no_rows_are_no_rows():
    assert summary_line([]) == "no rows"


# -- CSV and JSON ----------------------------------------------------------------------------------------------------------------


def read_csv(rows: list[Row]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(rows), newline="")))


def test_a_cell_holds_one_value_lists_and_tables_are_left_to_json(row):
    filled = row(
        samples_s=[0.1], flags=["unstable"], notes=["n"], deployment={"tp": 2}, operators={"linear": "F.linear"},
        tier_shares={"sheet": 1.0}, interval=(0.1, 0.2), kernels=[],
    )  # fmt: skip
    (record,) = read_csv([filled])
    assert [name for name, cell in record.items() if cell[:1] in ("[", "{", "(")] == []
    assert not {"samples_s", "notes", "deployment", "operators", "tier_shares", "interval"} & set(record)


def test_every_plain_field_has_a_column(row):
    (record,) = read_csv([row()])
    plain = [field.name for field in msgspec.inspect.type_info(Row).fields if not structured(field.type)]
    assert {"case_id", "step_s", "mfu", "stable", "reason"} <= set(plain)
    assert set(plain) <= set(record)


def structured(kind: msgspec.inspect.Type) -> bool:
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    lists = (msgspec.inspect.ListType, msgspec.inspect.DictType, msgspec.inspect.TupleType)
    return any(isinstance(each, lists) for each in kinds)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_cell_that_a_spreadsheet_would_run_is_neutralised(start, row):
    (record,) = read_csv([row(reason=f"{start}HYPERLINK(1)")])
    assert record["reason"].startswith("'")
    assert record["reason"].endswith("HYPERLINK(1)")


def test_numbers_are_numbers(row):
    (record,) = read_csv([row(step_s=0.00125, batch=8, mfu=-0.5, interval=(0.001, 0.002))])
    assert (record["step_s"], record["batch"], record["mfu"]) == ("0.00125", "8", "-0.5")
    assert (record["interval_low_s"], record["interval_high_s"]) == ("0.001", "0.002")


def test_missing_is_empty_not_0(row):
    (record,) = read_csv([row()])
    assert (record["step_s"], record["mfu"], record["interval_low_s"]) == ("", "", "")


@MANY
@given(text=st.text(max_size=30))
def test_any_text_stays_in_its_cell(text, row):
    (record,) = read_csv([row(reason=text, stop_reason="next")])
    assert record["stop_reason"] == "next"
    assert record["reason"].lstrip("'").replace(" ", "") == text.replace("\r", " ").lstrip("'").replace(" ", "")


def test_json_is_the_run_itself(row, environment):
    run = Run(id="x", environment=environment(), rows=[row(step_s=0.5)])
    assert msgspec.json.decode(as_json(run), type=Run) == run


def test_json_lines_are_a_row_each(mixed):
    assert [msgspec.json.decode(line, type=Row) for line in as_jsonl(mixed).splitlines()] == mixed


ANY = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=8)
# All that the record's types let through, which is more than bench itself would write.
STRANGE = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(["output_tokens_per_s", "prompt_tokens_per_s", "flops", "read_bytes", "written_bytes"], ANY),
        **dict.fromkeys(["link_bytes", "mfu", "mbu_achieved", "memory_bytes", "imbalance"], ANY),
        **dict.fromkeys(["case_id", "device", "device_name", "scope", "reason", "bound", "definition_hash"], TEXT),
        "step_s": st.floats(5e-324, allow_infinity=False),
        "interval": st.tuples(ANY, ANY),
        "flags": st.lists(TEXT, max_size=2),
        "notes": st.lists(TEXT, max_size=2),
        "phase": st.sampled_from(["prefill", "decode", "kernel", "other"]),
        "source": st.sampled_from(["measured", "modelled", "published"]),
        "status": st.sampled_from(["ok", "ok", "oom"]),
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=STRANGE)
@example(changes={"output_tokens_per_s": 1e308, "step_s": 5e-324, "interval": (5e-324, 5e-324)})
@example(changes={"output_tokens_per_s": -1e308, "interval": (1e-300, 1e300)})
@example(changes={"output_tokens_per_s": 5e-324, "status": "ok", "interval": (0.0, -1.0)})
def test_whatever_a_run_file_may_hold_can_be_printed(changes, row):
    plain = row(step_s=0.01, interval=(0.009, 0.011), output_tokens_per_s=100.0, flops=1e9)
    strange = msgspec.convert({**msgspec.to_builtins(plain), **changes}, Row)
    tiny = msgspec.structs.replace(plain, output_tokens_per_s=5e-324)
    comparison = compare([Operand("A", [tiny]), Operand("B", [plain]), Operand("C", [strange])])
    for table in (run_table([plain, strange]), comparison_table(comparison)):
        for width in (40, 200):
            assert table_text(table, width)
        assert markdown(table)
    assert len(read_csv([plain, strange])) == 2
    assert summary_line([plain, strange])
