"""Which words are sides, and which cases each side then has."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.commands.operands import read_operands
from bench.commands.planning import Request
from bench.commands.running import start
from bench.errors import DefinitionError, ResultError
from bench.measure.rows import modelled_rows

pytestmark = pytest.mark.usefixtures("folder")

Ran = Callable[..., Path]


@pytest.fixture
def ran(folder: Path) -> Ran:
    """Return a function that models a workload on devices and returns its run file."""

    def run(name: str, *devices: str, file: str = "run.json") -> Path:
        started = start(Request((name,), devices, {}), folder)
        for each in started.planned:
            for row in modelled_rows(each.case, each.device):
                started.journal.add(row)
        return Path(shutil.move(started.journal.finish(), folder / file))

    return run


def _ids(operand: object) -> list[str]:
    return [row.case_id for row in operand.rows]  # type: ignore[attr-defined]


def test_two_sheets_are_modelled_for_the_workloads_named() -> None:
    a, b = read_operands(("h100-sxm", "ascend-910c"), ("rms-norm",), {})
    assert (a.label, b.label, a.environment) == ("h100-sxm", "ascend-910c", None)
    assert _ids(a) == ["rms-norm[m=1,n=4k,bf16]", "rms-norm[m=512,n=4k,bf16]", "rms-norm[m=4k,n=7k,bf16]"]
    assert [row.unit for row in b.rows] == ["die", "package"] * 3


def test_sweep_flags_decide_the_cases_of_both() -> None:
    a, b = read_operands(
        ("h100-sxm", "h20"), ("llama-3.1-8b-decode",), {"batch": [2], "context": [2048], "dtype": ["fp8"]}
    )
    assert _ids(a) == _ids(b) == ["llama-3.1-8b-decode[b=2,ctx=2k,fp8]"]


def test_a_run_file_decides_the_cases_of_the_sheet_beside_it(ran: Ran) -> None:
    a, b = read_operands((str(ran("rms-norm", "h100-sxm")), "h20"), (), {})
    assert (a.label, a.origin, b.label) == ("h100-sxm", "run.json", "h20")
    assert a.environment is not None
    assert _ids(a) == _ids(b) == ["rms-norm[m=1,n=4k,bf16]", "rms-norm[m=512,n=4k,bf16]", "rms-norm[m=4k,n=7k,bf16]"]


def test_two_run_files_give_all_of_their_cases(ran: Ran) -> None:
    first = ran("rms-norm", "h100-sxm", file="a.json")
    second = ran("memory-copy", "h100-sxm", file="b.json")
    a, b, c = read_operands((str(first), str(second), "h20"), (), {})
    assert len(a.rows) == 3
    assert len(b.rows) == 2
    assert len(c.rows) == 5


def test_a_workload_named_narrows_a_run_file(ran: Ran) -> None:
    file = ran("kernels", "h100-sxm")
    a, b = read_operands((str(file), "h20"), ("rms-norm",), {})
    assert _ids(a) == _ids(b) == ["rms-norm[m=1,n=4k,bf16]", "rms-norm[m=512,n=4k,bf16]", "rms-norm[m=4k,n=7k,bf16]"]


def test_a_run_file_of_two_devices_is_two_sides(ran: Ran) -> None:
    file = str(ran("rms-norm", "h100-sxm", "h20"))
    assert [operand.label for operand in read_operands((file,), (), {})] == ["h100-sxm", "h20"]
    sides = read_operands((file, "h20"), (), {})
    day = sides[1].environment.created[:10]  # type: ignore[union-attr]
    assert [operand.label for operand in sides] == ["h100-sxm", f"h20 of {day}", "h20 modelled now"]
    assert [len(operand.rows) for operand in sides] == [3, 3, 3]


def test_a_file_named_as_a_sheet_is_the_sheet_unless_it_is_written_as_a_path(ran: Ran) -> None:
    ran("rms-norm", "h20", file="h100-sxm")
    sheet, _ = read_operands(("h100-sxm", "h20"), ("rms-norm",), {})
    file, _ = read_operands(("./h100-sxm", "h20"), (), {})
    assert sheet.rows[0].device == "h100-sxm"
    assert file.rows[0].device == "h20"


@pytest.mark.parametrize("word", ["missing.json", "missing.jsonl", "runs/missing"])
def test_what_looks_like_a_file_and_is_none_says_where_run_files_are(word: str) -> None:
    with pytest.raises(ResultError, match="no such file; run files are in results/runs"):
        read_operands((word, "h100-sxm"), (), {})


def test_a_word_that_is_neither_file_nor_sheet_gets_the_nearest_sheet() -> None:
    with pytest.raises(
        DefinitionError, match=r"'h100-smx' is neither a run file nor a device; did you mean 'h100-sxm'"
    ):
        read_operands(("h100-smx", "h20"), ("rms-norm",), {})


def test_a_device_of_this_machine_is_to_be_measured() -> None:
    with pytest.raises(DefinitionError, match="'cpu' is on this machine, so it is measured: bench run -d cpu"):
        read_operands(("cpu", "h20"), ("rms-norm",), {})


def test_a_row_whose_definition_cannot_be_read_names_its_side(ran: Ran) -> None:
    file = ran("rms-norm", "h100-sxm")
    text = file.read_text().replace('"phase": "kernel",\n    "dtype"', '"phase": "dance",\n    "dtype"')
    file.write_text(text.replace('"definition": {\n    "workload"', '"definition": {\n    "werkload"'))
    with pytest.raises(ResultError, match=r"run\.json: the definition of 'rms-norm\[m=1,n=4k,bf16\]' cannot be read"):
        read_operands((str(file), "h20"), (), {})


def test_published_figures_are_a_side_and_decide_the_cases_of_the_sheet_beside_it() -> None:
    published, h100 = read_operands(("cloudmatrix384", "h100-sxm"), (), {})
    assert (published.label, h100.label) == ("cloudmatrix384", "h100-sxm")
    assert {row.source for row in published.rows} == {"published"}
    assert {row.unit for row in published.rows} == {"die", "package"}
    assert set(_ids(published)) == set(_ids(h100))


def test_published_figures_that_are_no_case_are_refused() -> None:
    with pytest.raises(DefinitionError, match="'mlperf': none of its published figures"):
        read_operands(("mlperf", "h100-sxm"), (), {})
