"""The table of every case: what differs has a column, what is the same of all rows is told once."""

from __future__ import annotations

import msgspec

from bench.report.parts.speed import case_table, families, speed


def test_columns_that_say_the_same_of_every_row_become_notes(two):
    table = case_table(two[:1])
    assert [column.name for column in table.columns][:2] == ["case", "time of a step"]
    assert {len(line) for line in table.rows} == {len(table.columns)}
    assert table.notes[:3] == ["every system: a", "every per: package", "every status: ok"]


def test_columns_in_which_rows_differ_stay(two):
    table = case_table(two)
    assert [column.name for column in table.columns][:3] == ["case", "system", "time of a step"]
    assert [line[1] for line in table.rows] == ["a", "b"] * 3


def test_one_row_keeps_all_its_columns(two):
    two[0].operand.rows[1:] = []
    table = case_table(two[:1])
    assert table.rows[0][1:4] == ["a", "package", "ok"]


def test_curves_are_drawn_of_each_side_s_own_8_bit_path_first(two):
    for side, dtypes in zip(two, (("bf16", "int8"), ("bf16", "int8", "fp8")), strict=True):
        rows = [
            msgspec.structs.replace(row, dtype=dtype, case_id=row.case_id.replace("bf16", dtype), context=1024)
            for dtype in dtypes for row in side.rows
        ]  # fmt: skip
        side.operand.rows[:] = rows
        side.sweep = rows
    assert [family[1] for family in families(two, "decode")] == ["8-bit", "bf16"]
    chart = speed(two, []).charts[0]
    assert {(row["series"], row["source"]) for row in chart.rows} == {("a", "measured"), ("b", "modelled:sheet")}
    assert len(chart.rows) == 6
    assert chart.caption.endswith("8-bit: int8 of a, fp8 of b.")


def test_what_a_service_would_run_comes_first_at_targets(two):
    for side in two:
        row = side.operand.rows[0]
        side.at_targets = [
            msgspec.structs.replace(row, dtype=dtype, case_id=f"tiny-decode[tpot<=50ms,ctx=1k,{name}]")
            for dtype, name in (("bf16", "bf16"), ("int8", "int8"), ("int8", "8-bit"))
        ]
    (table,) = [table for table in speed(two, []).tables if table.id == "targets"]
    assert [line[0] for line in table.rows[::2]] == [
        f"tiny-decode[tpot<=50ms,ctx=1k,{name}]" for name in ("8-bit", "int8", "bf16")
    ]
