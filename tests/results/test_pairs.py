"""Which rows are put side by side: one case, one definition; and each side's own 8-bit path."""

import pytest

from bench.results.compare import Operand
from bench.results.pairs import eight_bit, in_eight_bit, precision, question, served_first, served_order


@pytest.fixture
def case(row):
    """Return a function that makes a row of a case in a precision; its definition is the case's own."""

    def make(dtype, batch=1, workload="int8-decode", **changes):
        definition = {"workload": workload, "dtype": dtype, "batch": batch, "context": 4096}
        given = {"case_id": f"{workload}[b={batch},{dtype}]", "workload": workload, "dtype": dtype, "batch": batch,
                 "definition": definition, "definition_hash": f"{workload} {dtype} {batch}"}  # fmt: skip
        return row(**(given | changes))

    return make


def test_each_side_s_own_8_bit_path_is_one_case(case):
    a = Operand("A", [case("int8"), case("bf16"), case("fp8", status="unsupported")])
    b = Operand("B", [case("int8"), case("fp8"), case("bf16")])
    assert [(x.dtype, y.dtype) for x, y in eight_bit(a, b)] == [("int8", "fp8")]
    assert [(x.dtype, y.dtype) for x, y in eight_bit(b, a)] == [("fp8", "int8")]


def test_where_both_run_fp8_that_is_a_case_already(case):
    both = Operand("A", [case("int8"), case("fp8")])
    assert eight_bit(both, both) == []


def test_another_batch_or_definition_is_no_pair_in_8_bit(case):
    a = Operand("A", [case("int8"), case("int8", 2)])
    assert [y.batch for _, y in eight_bit(a, Operand("B", [case("int8"), case("fp8", 2)]))] == [2]
    longer = case("fp8", definition={"workload": "int8-decode", "dtype": "fp8", "batch": 1, "context": 8192})
    assert eight_bit(a, Operand("B", [case("int8"), longer])) == []


def test_without_a_case_in_common_nobody_knows_that_the_definition_is_the_same(case):
    assert eight_bit(Operand("A", [case("int8")]), Operand("B", [case("fp8")])) == []


def test_what_was_solved_in_8_bit_is_not_paired_a_second_time(case):
    name = {"case_id": "x[tpot<=50ms,8-bit]", "workload": "x", "definition_hash": "target:x:8-bit"}
    mine = [case(d, 3, "x", case_id=f"x[tpot<=50ms,{d}]", definition_hash=f"target:x:{d}") for d in ("int8", "fp8")]
    a = Operand("A", [mine[0], case("int8", 3, **name)])
    b = Operand("B", [*mine, case("fp8", 3, **name)])
    assert eight_bit(a, b) == []
    assert [(x.dtype, y.dtype) for x, y in eight_bit(Operand("A", mine[:1]), Operand("B", mine))] == [("int8", "fp8")]


def test_a_case_is_named_by_its_precision_wherever_that_stands(case):
    row = case("int8")
    assert in_eight_bit(row) == "int8-decode[b=1,8-bit]"
    assert (precision(row), precision(case("fp8", case_id="x[8-bit]"))) == ("int8", "8-bit")
    assert question("x[b=1,int8,dp4]", "int8") == question("x[b=1,8-bit,dp4]", "8-bit") == ("x", "b=1", "dp4")
    assert question("x, int8", "int8") == ("x",)


def test_of_each_question_the_rows_are_kept_that_a_service_would_run(case):
    rows = [case("int8"), case("bf16"), case("fp8"), case("bf16", 2), case("fp32", 2)]
    assert [(row.dtype, row.batch) for row in served_first(rows)] == [("fp8", 1), ("bf16", 2)]


def test_cases_are_told_model_by_model_in_what_a_service_would_run_first(case):
    rows = [case("bf16", model="b"), case("fp8", model="b"), case("int8", model="a"), case("bf16", 2, model="b")]
    assert served_order(rows) == [rows[each].case_id for each in (1, 0, 3, 2)]
