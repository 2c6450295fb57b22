"""`bench check` and `bench baseline` as commands: exit codes, refusals, faults, two at once, and speed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from bench.results.record import Run

CASE, OTHER = "tiny[m=1]", "tiny[m=2]"
# Logarithms -0.002 to 0.002, as on a quiet machine.
NOISE = (0.998, 0.999, 1.0, 1.001, 1.002, 0.9985, 1.0005, 1.0015)


@pytest.fixture
def wrote(tmp_path, row, environment):
    """Return a function that writes a run file: case id -> one time a session."""
    folder = tmp_path / "results" / "runs"
    folder.mkdir(parents=True)

    def write(run_id, times, *, told=None, suffix=".json", **changes):
        rows = [
            row(case_id=case_id, workload=case_id.partition("[")[0], session=index + 1, step_s=seconds,
                samples_s=[seconds] * 5, definition={"workload": "tiny"}, **changes)
            for case_id, every in times.items()
            for index, seconds in enumerate(every)
        ]  # fmt: skip
        told = told or {"name": "A CPU", "cores": "2"}
        made = environment(devices={"cpu": told}, created=f"2026-11-21T00:00:{run_id[:2]}+00:00")
        path = folder / f"{run_id}.json"
        path.write_bytes(msgspec.json.encode(Run(id=run_id, environment=made, rows=rows)))
        return str(path.relative_to(tmp_path))

    return write


@pytest.fixture
def saved(bench, wrote):
    """A baseline `main` of eight quiet sessions of two cases."""
    path = wrote("01-old", {CASE: [0.001 * n for n in NOISE], OTHER: [0.002 * n for n in NOISE]})
    assert bench("baseline", "save", "main", path).code == 0


def test_the_same_again_is_fine(bench, wrote, saved):
    wrote("02-new", {CASE: [0.001, 0.0010005], OTHER: [0.002, 0.002001]})
    done = bench("check")
    assert done.code == 0, done.out + done.err
    assert "2 same" in done.out


def test_a_regression_ends_in_1_and_names_case_change_and_next_step(bench, wrote, saved):
    wrote("02-new", {CASE: [0.00106] * 3, OTHER: [0.002] * 3})
    done = bench("check", "--no-confirm")
    assert done.code == 1
    assert "regressed" in done.out
    assert CASE in done.out
    assert "+6.0%" in done.out
    assert f"bench baseline accept '{CASE}'" in done.out


def test_another_machine_than_the_runs_cannot_confirm_and_says_so(bench, wrote, saved):
    wrote("02-new", {CASE: [0.00106] * 3, OTHER: [0.002] * 3})
    done = bench("check", "--format", "json")
    assert done.code == 1
    (found,) = [one for one in done.json["findings"] if one["verdict"] == "regressed"]
    assert found["confirmed"] == "not run"
    assert "in another machine than this one, or in another state (name A CPU -> " in found["reason"]
    assert any(note.startswith("no second look at 1 in doubt: the run's cpu was in") for note in done.json["notes"])


def test_the_document_is_kept_and_explained_by_why(bench, wrote, saved, tmp_path):
    wrote("02-new", {CASE: [0.00106] * 3, OTHER: [0.002] * 3})
    bench("check", "--no-confirm", "-q")
    kept = json.loads((tmp_path / "results" / "checks" / "02-new.json").read_text())
    assert kept["exit_code"] == 1
    done = bench("check", "--why", CASE)
    assert done.code == 0
    for words in ("the check of", "01-old/1", "02-new/", "limit", "spread * sqrt(1/8 + 1/1 + 2)"):
        assert words in done.out
    assert OTHER not in done.out


def test_an_accepted_change_is_no_alarm_and_keeps_its_reason(bench, wrote, saved, tmp_path):
    wrote("02-new", {CASE: [0.00106] * 3, OTHER: [0.002] * 3})
    assert bench("baseline", "accept", CASE, "--reason", "exact rounding").code == 0
    done = bench("check", "--all")
    assert done.code == 0
    assert "exact rounding" in bench("baseline", "show", "main").out
    assert "exact rounding" in (tmp_path / "results" / "baselines" / "main.json").read_text()


def test_what_is_accepted_is_told_with_what_the_check_found(bench, wrote, saved):
    wrote("02-new", {CASE: [0.00106] * 3, OTHER: [0.00201] * 3})
    done = bench("baseline", "accept", "tiny", "--reason", "exact rounding")
    assert done.code == 0
    # No check was made of it; the other case is 0.5 % slower, which is no change.
    assert (
        done.out == f"accepted  {CASE} step_s on cpu: +6.0% by the first look; regressed at +6.0% (second look: none)\n"
    )
    assert f"! no second look confirms {CASE}" in done.err


@pytest.mark.parametrize(("second", "code", "said", "warned"), [
    ({"confirmed": "confirmed"}, 0, "+6.0% by the first look; regressed at +6.0% (second look: confirmed)", False),
    ({"confirmed": "not run"}, 0, "+6.0% by the first look; regressed at +6.0% (second look: not run)", True),
    ({"confirmed": "withdrawn", "verdict": "same"}, 2, "", False),
])  # fmt: skip
def test_what_the_second_look_found_decides_what_can_be_accepted(
    bench, wrote, saved, tmp_path, second, code, said, warned
):
    wrote("02-new", {CASE: [0.00106] * 3})
    assert bench("check", "--no-confirm").code == 1
    kept = tmp_path / "results" / "checks" / "02-new.json"
    document = json.loads(kept.read_text())
    document["findings"][0] |= second
    kept.write_text(json.dumps(document))
    done = bench("baseline", "accept", CASE, "--reason", "x")
    assert (done.code, said in done.out) == (code, True), done.out + done.err
    assert ("no second look confirms" in done.err) is warned
    # Of another baseline that check says nothing.
    bench("baseline", "save", "other", "results/runs/01-old.json")
    other = bench("baseline", "accept", CASE, "--reason", "x", "-b", "other")
    assert "(second look: none)" in other.out


@pytest.fixture
def confirmed(bench, wrote, saved, tmp_path):
    """A kept check of both cases: +6 % and +8 % by the first look, +5 % by the pairs of the first case alone."""
    wrote("02-new", {CASE: [0.00106] * 3, OTHER: [0.00216] * 3})
    assert bench("check", "--no-confirm").code == 1
    kept = tmp_path / "results" / "checks" / "02-new.json"
    document = json.loads(kept.read_text())
    (one,) = [each for each in document["findings"] if each["case_id"] == CASE]
    second = one["first"] | {"ratio": 1.05, "why": one["first"]["why"] | {"paired": True}}
    one |= {"confirmed": "confirmed", "ratio": 1.05, "second": second}
    kept.write_text(json.dumps(document))


def accept(bench, pattern):
    return bench("baseline", "accept", pattern, "--reason", "wanted")


def test_what_pairs_measured_is_accepted_and_not_what_the_first_look_saw(bench, confirmed, tmp_path):
    done = accept(bench, "tiny")
    assert f"{CASE} step_s on cpu: +5.0% by the pairs; regressed at +5.0% (second look: confirmed)" in done.out
    assert f"{OTHER} step_s on cpu: +8.0% by the first look; regressed at +8.0% (second look: not run)" in done.out
    kept = json.loads((tmp_path / "results" / "baselines" / "main.json").read_text())["accepted"]
    assert [(one["ratio"], one["by"]) for one in kept] == [
        (1.05, "pairs"),
        (pytest.approx(1.08, rel=1e-3), "first look"),
    ]


def test_one_check_is_accepted_once(bench, confirmed, tmp_path):
    main = tmp_path / "results" / "baselines" / "main.json"
    assert accept(bench, CASE).code == 0
    before = main.read_bytes()
    again = accept(bench, CASE)
    assert (again.code, again.out, main.read_bytes()) == (2, "", before)
    assert f"{CASE} step_s: +5.0% of this check was accepted at 2" in again.err
    assert "(wanted), and does not count twice; what is left of it is told by: bench check results/runs/" in again.err
    # The other case of the check is still at the level that the check saw.
    rest = accept(bench, "tiny")
    assert (rest.code, rest.out.count("accepted"), OTHER in rest.out) == (0, 1, True), rest.err
    assert f"! {CASE} step_s: +5.0% of this check was accepted" in rest.err
    assert accept(bench, "tiny").code == 2


@pytest.mark.parametrize("change", ["grown", "pruned"])
def test_a_check_of_another_state_of_the_baseline_accepts_nothing(bench, wrote, confirmed, tmp_path, change):
    if change == "grown":
        assert bench("baseline", "save", "main", wrote("03-more", {CASE: [0.0011], OTHER: [0.002]})).code == 0
    else:
        assert bench("baseline", "prune", "main", "--keep", "5").code == 0
    newest = str(next((tmp_path / "results" / "runs").glob("02-new*")).relative_to(tmp_path))
    main = tmp_path / "results" / "baselines" / "main.json"
    before = main.read_bytes()
    words = ("baseline", "accept", "tiny", "--reason", "wanted", "--run", newest)
    refused = bench(*words)
    assert (refused.code, refused.out, main.read_bytes()) == (2, "", before)
    assert "the baseline 'main' or the run has changed since the check of 2" in refused.err
    assert f"check again, then accept: bench check {newest}" in refused.err
    bench("check", newest, "--no-confirm")
    assert bench(*words).code == 0


def test_a_run_that_the_baseline_took_in_can_still_be_accepted_by_its_check(bench, confirmed, tmp_path):
    assert bench("baseline", "save", "main").code == 0
    done = accept(bench, CASE)
    assert (done.code, "+5.0% by the pairs" in done.out) == (0, True), done.err
    (one,) = json.loads((tmp_path / "results" / "baselines" / "main.json").read_text())["accepted"]
    assert all(label.startswith("01-old") for label in one["before"])


def test_a_change_that_nothing_confirms_is_accepted_aloud(bench, wrote, tmp_path):
    noisy = [0.001 * n for n in (0.9, 1.1, 0.95, 1.05, 1.0, 0.92, 1.08, 1.0)]
    bench("baseline", "save", "main", wrote("01-old", {CASE: noisy}))
    wrote("02-new", {CASE: [0.00106] * 3})
    assert bench("check", "--no-confirm").code == 0
    done = bench("baseline", "accept", CASE, "--reason", "x")
    assert (done.code, "cannot tell at +6.3% (second look: not run)" in done.out) == (0, True), done.out
    assert "! no second look confirms" in done.err


def test_what_did_not_change_is_not_accepted_but_by_force(bench, wrote, saved, tmp_path):
    wrote("02-new", {CASE: [0.001008] * 3, OTHER: [0.002] * 3})
    main = tmp_path / "results" / "baselines" / "main.json"
    before = main.read_bytes()
    refused = bench("baseline", "accept", CASE, "--reason", "x")
    assert (refused.code, refused.out, main.read_bytes()) == (2, "", before)
    assert f"{CASE} step_s: same at +0.8%" in refused.err
    assert "bench baseline save main; --force" in refused.err
    forced = bench("baseline", "accept", CASE, "--reason", "x", "--force")
    assert (forced.code, "+0.8% by the first look; same at +0.8%" in forced.out) == (0, True)
    empty = bench("baseline", "accept", OTHER, "--reason", "x", "--force")
    assert (empty.code, "a change below 0.5% moves no level" in empty.err) == (2, True)


def test_a_baseline_that_is_pruned_too_far_says_that_it_is_learning(bench, saved):
    assert "learning" not in bench("baseline", "prune", "main", "--keep", "5").err
    done = bench("baseline", "prune", "main", "--keep", "4")
    assert done.code == 0
    assert "! 2 cases with 4 of 5 sessions: bench check is learning there" in done.err


@pytest.mark.parametrize("words", [["accept", "tiny", "--reason", "x", "-b"], ["prune", "--keep", "4"]])
def test_a_mistyped_baseline_leaves_nothing_behind(bench, wrote, saved, tmp_path, words):
    wrote("02-new", {CASE: [0.00106] * 3})
    done = bench("baseline", *words, "mian")
    assert (done.code, "did you mean 'main'" in done.err) == (2, True)
    assert {path.name for path in (tmp_path / "results" / "baselines").iterdir()} == {"main.json", "main.lock"}


def test_a_baseline_that_is_removed_takes_its_lock_along(bench, saved, tmp_path):
    assert bench("baseline", "prune", "main", "--delete").code == 0
    assert list((tmp_path / "results" / "baselines").iterdir()) == []


def test_what_others_disturbed_is_told_when_it_is_saved_and_judged_against(bench, wrote):
    done = bench("baseline", "save", "main", wrote("01-old", {CASE: [0.001 * n for n in NOISE]}, others_cores=0.9))
    words = "others took cores beside 8 of 8 sessions (8 of 8 times)"
    assert f"! {words}" in done.err
    wrote("02-new", {CASE: [0.001] * 2})
    quiet = bench("check", "--no-confirm").out
    assert f"note       baseline: {words}: the limits are as wide" in quiet
    assert "candidate: others" not in quiet
    wrote("03-new", {CASE: [0.001] * 2}, others_cores=0.9)
    told = "note       candidate: others took cores beside 2 of 2 sessions (2 of 2 times): measure it again on a quiet"
    assert told in bench("check", "--no-confirm").out


def test_sessions_of_another_machine_do_not_hide_that_there_are_few_sittings(bench, wrote, saved):
    for n in range(2, 7):
        assert bench("baseline", "save", "main", wrote(f"{n:02}-far", {CASE: [0.003]}, told={"name": "B"})).code == 0
    wrote("09-new", {CASE: [0.001]})
    assert "the baseline's 8 sessions are of 1 sitting: what a machine does" in bench("check", "--no-confirm").out


def test_a_broken_baseline_does_not_hide_the_others(bench, saved, tmp_path):
    (tmp_path / "results" / "baselines" / "cut.json").write_text('{"kind": "accelbench baseline", "sch')
    done = bench("baseline", "list", "--format", "json")
    assert (done.code, [one["baseline"] for one in done.json]) == (0, ["main"])
    assert done.err.startswith("! results/baselines/cut.json: not readable as a baseline")
    assert "restore it from version control" in done.err
    (tmp_path / "results" / "baselines" / "main.json").unlink()
    assert bench("baseline", "list").code == 2


def test_a_baseline_of_modelled_rows_needs_no_sessions_and_says_what_it_is(bench, wrote):
    done = bench("baseline", "save", "main", wrote("01-old", {CASE: [0.001]}, source="modelled"))
    assert "! 1 case modelled: bench check tells what the cost model or a sheet says otherwise" in done.err
    assert "--sessions" not in done.err
    wrote("02-new", {CASE: [0.00102]}, source="modelled")
    changed = bench("check")
    assert (changed.code, "estimated: regressed" in changed.out) == (1, True), changed.out
    wrote("03-new", {CASE: [0.001]}, source="modelled")
    same = bench("check")
    assert (same.code, "1 same" in same.out) == (0, True), same.out


@pytest.mark.parametrize(("changes", "crossing"), [
    ({"told": {"name": "Another CPU", "cores": "64"}}, "machine"),
    ({"definition_hash": "f" * 16}, "definition"),
    ({"dtype": "fp16"}, "precision"),
    ({"source": "modelled"}, "source"),
])  # fmt: skip
def test_what_is_not_alike_is_refused_unless_asked_for(bench, wrote, saved, changes, crossing):
    wrote("02-new", {CASE: [0.001], OTHER: [0.002]}, **changes)
    refused = bench("check", "--no-confirm")
    assert refused.code == 5
    assert f"{crossing} differs" in refused.out
    crossed = bench("check", "--no-confirm", "--cross", crossing)
    assert crossed.code == 0, crossed.out
    assert ("estimated" in crossed.out) is (crossing == "source")


def test_what_changed_is_told_against_the_same_machine_where_the_baseline_holds_several(bench, wrote, saved):
    bench("baseline", "save", "main", wrote("02-far", {CASE: [0.003]}, told={"name": "Another CPU", "cores": "64"}))
    wrote("03-new", {CASE: [0.001] * 3, OTHER: [0.002] * 3})
    done = bench("check", "--format", "json")
    assert (done.code, done.json["changed"]) == (0, [])


def test_too_few_sessions_are_learning_and_never_fail(bench, wrote):
    bench("baseline", "save", "main", wrote("01-old", {CASE: [0.001] * 4}))
    wrote("02-new", {CASE: [0.002]})
    done = bench("check")
    assert done.code == 0
    assert "learning" in done.out


def test_a_case_that_fails_now_ends_in_4(bench, wrote, saved):
    path = wrote("02-new", {CASE: [0.001] * 3, OTHER: [0.002] * 3}, status="error", reason="it broke")
    done = bench("check", path)
    assert done.code == 4
    assert "it broke" in done.out


def test_new_and_gone_cases_are_told_and_do_not_fail(bench, wrote, saved):
    wrote("02-new", {CASE: [0.001] * 3, "tiny[m=3]": [0.003] * 3})
    done = bench("check", "--format", "json")
    verdicts = {one["case_id"]: one["verdict"] for one in done.json["findings"]}
    assert (done.code, verdicts) == (0, {CASE: "same", OTHER: "gone", "tiny[m=3]": "new"})
    assert bench("check", "--fail-on", "regressed,gone").code == 1


def test_a_workload_that_was_not_run_is_not_gone(bench, wrote):
    bench("baseline", "save", "main", wrote("01-old", {CASE: [0.001 * n for n in NOISE], "other[m=1]": [0.001] * 8}))
    wrote("02-new", {CASE: [0.001] * 3})
    assert "other[" not in bench("check").out


def test_identical_samples_are_no_division_by_zero(bench, wrote):
    bench("baseline", "save", "main", wrote("01-old", {CASE: [0.001] * 8}))
    wrote("02-new", {CASE: [0.001] * 3})
    assert bench("check").code == 0
    wrote("03-new", {CASE: [0.00102] * 3})
    assert bench("check", "--no-confirm").code == 1


def test_limits_of_a_workload_hold_for_it_alone(bench, wrote, saved, define):
    text = 'summary = "x"\nphase = "kernel"\nkernel = "gemm"\npoints = [{ m = 1, n = 8, k = 8 }]\n'
    define("workloads/tiny.toml", f'{text}[gate]\nfloor = "8%"\n')
    wrote("02-new", {CASE: [0.00106] * 3, OTHER: [0.002] * 3})
    assert bench("check", "--no-confirm").code == 0
    assert bench("check", "--no-confirm", "--floor", "1%").code == 1  # what is asked for comes first
    define("workloads/tiny.toml", f'{text}[gate]\nfloor = "8"\n')
    broken = bench("check", "--no-confirm")
    assert broken.code == 1  # the limits are not read, and it says so
    assert "'8' is no share" in broken.err


def test_forms_are_written_beside_the_one_on_stdout(bench, wrote, saved, tmp_path):
    wrote("02-new", {CASE: [0.00106] * 3, OTHER: [0.002] * 3})
    done = bench(
        "check",
        "--no-confirm",
        "--report",
        "junit=out/check.xml",
        "--report",
        "github=out/summary.md",
        "--format",
        "md",
    )
    assert done.code == 1
    assert (tmp_path / "out" / "check.xml").read_text().startswith("<?xml")
    assert CASE in (tmp_path / "out" / "summary.md").read_text()
    assert "Wrote out/check.xml (junit), in a new folder\nWrote out/summary.md (github)\n" in done.err


def test_a_report_that_cannot_be_written_costs_none_of_the_others(bench, wrote, saved, tmp_path):
    wrote("02-new", {CASE: [0.00106] * 3})
    (tmp_path / "file").write_text("")
    done = bench("check", "--no-confirm", "--report", "junit=file/check.xml", "--report", "md=check.md")
    assert done.code == 2
    assert "regressed" in done.out
    assert "error: file/check.xml: cannot be written (file exists)" in done.err
    assert (tmp_path / "check.md").exists()


def test_a_check_in_which_everything_is_new_says_that_nothing_was_checked(bench, wrote, saved):
    wrote("02-new", {"other[m=1]": [0.001] * 3})
    done = bench("check")
    assert done.code == 0
    assert done.out.startswith("NOTHING JUDGED  nothing was checked, no metric is on both sides: 1 new")
    assert "bench baseline save main takes up these cases; --fail-on regressed,new ends in 1" in done.out
    assert bench("check", "--fail-on", "regressed,new").code == 1


@pytest.mark.parametrize(("words", "code", "said"), [
    (["check", "nope.json"], 2, "nope.json"),
    (["check", "--baseline", "mian"], 2, "did you mean 'main'"),
    (["check", "--report", "junit"], 2, "write FORM=FILE"),
    (["check", "--report", "junit=-"], 2, "stdout: --format"),
    (["check", "--format", "junti"], 2, "--format: no form 'junti'; did you mean 'junit'"),
    (["check", "--report", "junti=x"], 2, "did you mean 'junit'"),
    (["check", "--budget", "5"], 2, "write 5% or 0.05"),
    (["check", "--fail-on", "all"], 2, "--fail-on"),
    (["check", "--why", "tini*"], 2, "no case of this check matches"),
    (["baseline", "accept", "tini*", "--reason", "x"], 2, "no case of the run matches"),
    (["baseline", "accept", CASE], 2, "--reason"),
    (["baseline", "show", "mian"], 2, "no such baseline"),
    (["baseline", "save", "../x"], 2, "no name for a baseline"),
    (["baseline", "prune", "main"], 2, "say what goes"),
])  # fmt: skip
def test_bad_input_is_one_line_with_the_next_step(bench, wrote, saved, words, code, said):
    wrote("02-new", {CASE: [0.001] * 3})
    done = bench(*words)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("run_id", ["../../outside", "a\0b", "x" * 400])
def test_an_id_out_of_a_file_leads_nowhere(bench, wrote, saved, tmp_path, run_id):
    path = tmp_path / wrote("02-new", {CASE: [0.001] * 3})
    path.write_bytes(path.read_bytes().replace(b'"02-new"', json.dumps(run_id).encode()))
    assert bench("check").code == 0
    assert len(list((tmp_path / "results" / "checks").glob("*.json"))) == 1
    assert not (tmp_path / "outside.json").exists()


def test_names_that_are_no_text_or_too_long_are_no_traceback(bench, wrote, saved, tmp_path):
    wrote("02-new", {CASE: [0.001] * 3})
    main = tmp_path / "results" / "baselines" / "main.json"
    (tmp_path / "old\udcff.json").write_bytes(main.read_bytes())
    (main.parent / "not a name.json").write_text("{}")
    assert bench("check", "--baseline", "old\udcff.json").code == 0
    assert "no baseline, no file" in bench("check", "--baseline", "x" * 5000).err
    assert bench("baseline", "list").code == 0


def test_without_anything_it_says_how_to_begin(bench):
    done = bench("check")
    assert (done.code, "bench run" in done.err) == (2, True)


@pytest.mark.parametrize("content", ["", "{", '{"kind": "accelbench baseline", "schema": 9}', "[]"])
def test_a_broken_baseline_is_one_line(bench, wrote, saved, tmp_path, content):
    wrote("02-new", {CASE: [0.001] * 3})
    (tmp_path / "results" / "baselines" / "main.json").write_text(content)
    done = bench("check")
    assert done.code == 2
    assert "main.json" in done.err
    assert "Traceback" not in done.err


def test_a_run_still_being_written_is_judged_as_far_as_it_is_and_no_baseline(bench, saved, tiny, start, until):
    going = start("run", tiny, "--time", "0.3")
    until(lambda: going.rows() >= 1, "a finished case")
    journal = next(going.runs.glob("*.jsonl")).relative_to(going.folder)
    done = bench("check", str(journal), "--no-confirm", "--format", "json")
    assert done.code in (0, 5)
    writing = f"is still being written by process {going.process.pid}; wait for it to end (if it is no more: bench run"
    assert any(writing in note for note in done.json["notes"])
    refused = bench("baseline", "save", "other", str(journal))
    assert (refused.code, f"error: {journal}: {writing}" in refused.err) == (2, True)
    assert f"by process {going.process.pid}; wait for it, or stop it" in bench("run", "--resume").err
    going.end(signal.SIGTERM)
    done = bench("check", str(journal), "--no-confirm", "--format", "json")
    cut_off = f"is not complete, and nobody is writing it; go on with: bench run --resume {journal}"
    assert any(cut_off in note for note in done.json["notes"])


def test_a_run_that_was_cut_off_before_its_first_row_says_how_to_go_on(bench, saved, wrote, tmp_path):
    run = json.loads((tmp_path / wrote("02-new", {CASE: [0.001]})).read_text())
    head = {key: value for key, value in run.items() if key not in ("rows", "complete")}
    (tmp_path / "cut.jsonl").write_text(json.dumps(head) + "\n")
    done = bench("check", "cut.jsonl")
    assert done.code == 2
    assert done.err.startswith(
        "error: cut.jsonl: holds no rows; it is not complete, and nobody is writing it; go on with:"
    )


def test_two_saves_at_once_lose_nothing(bench, wrote, tmp_path):
    paths = [wrote(f"{n:02}-run", {CASE: [0.001]}) for n in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        codes = list(pool.map(lambda path: bench("baseline", "save", "main", path).code, paths))
    assert codes == [0] * 8
    assert len(json.loads((tmp_path / "results" / "baselines" / "main.json").read_text())["sessions"]) == 8


@pytest.mark.parametrize(("times", "code"), [([0.001] * 3, 0), ([0.00106] * 3, 1)])
@pytest.mark.parametrize("reader", ["| true", ">&-"])
def test_who_does_not_read_it_gets_the_same_exit_code(bench, wrote, saved, times, code, reader):
    wrote("02-new", {CASE: times, OTHER: [0.002] * 3})
    done = bench("check", "--no-confirm", prefix=("bash", "-o", "pipefail", "-c", f'"$@" {reader}', "bash"))
    assert (done.code, "Traceback" in done.err) == (code, False)


def test_output_that_cannot_be_written_is_no_regression(bench, wrote, saved):
    wrote("02-new", {CASE: [0.001] * 3, OTHER: [0.002] * 3})
    done = bench("check", prefix=("bash", "-c", '"$@" >/dev/full', "bash"))
    assert (done.code, "<stdout>: cannot be written (no space left on device)" in done.err) == (2, True)


def test_a_full_disk_leaves_the_old_baseline(bench, wrote, saved, tmp_path):
    folder = tmp_path / "results" / "baselines"
    before = (folder / "main.json").read_bytes()
    path = wrote("02-new", {CASE: [0.001] * 3})
    done = bench("baseline", "save", "main", path, prefix=("prlimit", "--fsize=100"))
    assert done.code == 2
    assert "cannot be written" in done.err
    assert (folder / "main.json").read_bytes() == before
    assert [each.name for each in folder.glob(".main*")] == []


@pytest.mark.slow
def test_500_cases_against_8_sessions_take_little_more_than_starting(bench, wrote, tmp_path):
    """The limit is 3 s on a quiet machine; here a ratio of CPU time to that of `bench --help`, which the machine moves alike."""
    cases = {f"tiny[m={n}]": [0.001 * noise for noise in NOISE] for n in range(500)}
    bench("baseline", "save", "main", wrote("01-old", cases))
    wrote("02-new", {case: every[:3] for case, every in cases.items()})

    def cpu(*words):
        import resource

        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "bench", *words], cwd=tmp_path, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    start = time.perf_counter()
    check = cpu("check", "-q")
    print(f"check: {check:.2f} s of CPU, {time.perf_counter() - start:.2f} s")
    assert check < 30 * cpu("--help")
