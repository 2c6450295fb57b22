"""What becomes of a check: the forms asked for, the files they go to, and what is said of both."""

from __future__ import annotations

import msgspec
import pytest

from bench.commands.publishing import forms, keep, publish, read_kept
from bench.errors import DefinitionError, ResultError
from bench.results.gate.document import Checked, Finding, Side
from bench.results.gate.verdict import Judged, Why


@pytest.fixture
def checked(folder):
    return Checked(
        bench_version="0.1.0", created="2026-11-22T10:00:00+00:00", command="bench check", baseline=Side(label="main"),
        candidate=Side(label="run/../7"), rule={}, metrics=0,
    )  # fmt: skip


def test_forms_are_read_with_their_files():
    assert [(name, str(path)) for name, path in forms("table", ("junit=out/a=b.xml", "md=c.md"))] == [
        ("junit", "out/a=b.xml"), ("md", "c.md"),
    ]  # fmt: skip


@pytest.mark.parametrize(("form", "report", "said"), [
    ("tabel", "md=a", "--format: no form 'tabel'; did you mean 'table'?"),
    ("zzz", "md=a", "--format: no form 'zzz'; forms: table, md"),
    ("table", "junti=a", "--report 'junti=a': no form 'junti'; did you mean 'junit'?"),
    ("table", "junit", "--report 'junit': write FORM=FILE"),
    ("table", "junit=", "--report 'junit=': write FORM=FILE"),
    ("table", "junit=-", "--report 'junit=-': write FORM=FILE, for example junit=check.xml (stdout: --format)"),
])  # fmt: skip
def test_a_form_that_cannot_be_is_named_with_its_flag(form, report, said):
    with pytest.raises(DefinitionError) as caught:
        forms(form, (report,))
    assert str(caught.value).startswith(said)


def test_a_check_is_kept_in_its_folder_whatever_its_run_is_called(checked, folder):
    keep(checked)
    assert [path.name for path in (folder / "results" / "checks").iterdir()] == ["run-..-7.json"]
    assert read_kept("run/../7") == checked
    (folder / "results" / "checks" / "run-..-7.json").write_text("{")
    assert read_kept("run/../7") is None


def looked(checked, *, paired=None, candidate=1.3):
    """A check of one slower case, a second later, with a second look or without."""
    why = Why(
        baseline=[], candidate=[], paired=bool(paired), metrics=1, degrees=5, spread=0.01, k=2.0, made_of={}, steps=[]
    )
    seen = {"case_id": "x", "metric": "step_s", "verdict": "regressed", "reason": "slower"}
    finding = Finding(
        device="cpu", case_id="x", workload="x", metric="step_s", unit="s", verdict="regressed", reason="slower",
        first=Judged(**seen, baseline=1.0, candidate=candidate),
        second=None if paired is None else Judged(**seen, ratio=1.2, why=why),
    )  # fmt: skip
    return msgspec.structs.replace(checked, findings=[finding], created="2026-11-22T10:00:01+00:00")


def test_a_check_without_pairs_does_not_take_the_place_of_one_with_pairs(checked, folder, capsys):
    first = looked(checked, paired=True)
    keep(first)
    publish(looked(checked), "md", [], every=False, no_color=True, quiet=False)
    assert read_kept("run/../7") == first
    assert capsys.readouterr().err == (
        "results/checks/run-..-7.json stays the check of 2026-11-22T10:00:01+00:00, as that one has pairs\n"
    )
    again = looked(checked, paired=True)
    assert keep(again) is again


@pytest.mark.parametrize("other", [{"candidate": 1.4}, {"paired": False, "candidate": 1.4}])
def test_pairs_of_other_levels_do_not_stay(checked, folder, other):
    keep(looked(checked, paired=True))
    keep(looked(checked, **other))
    assert read_kept("run/../7") == looked(checked, **other)


def test_pairs_against_another_baseline_or_without_the_baselines_side_do_not_stay(checked, folder):
    keep(looked(checked, paired=True))
    other = msgspec.structs.replace(looked(checked), baseline=Side(label="release"))
    keep(other)
    assert read_kept("run/../7") == other
    keep(looked(checked, paired=False))
    keep(looked(checked))
    assert read_kept("run/../7") == looked(checked)


def test_files_are_named_and_new_folders_too_unless_it_is_to_be_quiet(checked, folder, capsys):
    (folder / "here").mkdir()
    reports = forms("md", ("junit=nwe/check.xml", "json=here/check.json"))
    publish(checked, "md", reports, every=False, no_color=True, quiet=False)
    assert capsys.readouterr().err.splitlines() == [
        "Saved results/checks/run-..-7.json", "Wrote nwe/check.xml (junit), in a new folder", "Wrote here/check.json (json)",
    ]  # fmt: skip
    publish(checked, "md", reports, every=False, no_color=True, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_check_that_cannot_be_kept_is_told_all_the_same(checked, folder, capsys):
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "checks").write_text("a file where the folder should be")
    with pytest.raises(ResultError, match=r"results/checks/run-\.\.-7\.json: cannot be written"):
        publish(checked, "md", forms("md", ("json=check.json",)), every=False, no_color=True, quiet=False)
    told = capsys.readouterr()
    assert "run/../7" in told.out
    assert told.err.splitlines() == ["Wrote check.json (json)"]


def test_a_file_that_cannot_be_written_stops_neither_the_others_nor_the_print(checked, folder, capsys):
    (folder / "taken").mkdir()
    with pytest.raises(ResultError, match="taken: cannot be written"):
        publish(
            checked, "table", forms("table", ("md=taken", "json=check.json")), every=False, no_color=True, quiet=True
        )
    assert "NOTHING JUDGED" in capsys.readouterr().out
    assert (folder / "check.json").exists()
