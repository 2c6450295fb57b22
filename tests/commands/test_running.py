"""Planning and resuming a run, without running it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.commands.planning import Request, plan, show_plan
from bench.commands.running import resume, start
from bench.errors import DefinitionError, DeviceError, ResultError
from bench.results.record import Row
from bench.workloads.routing import Routing

pytestmark = pytest.mark.usefixtures("folder")


def _asked(*names: str, devices: tuple[str, ...] = ("h100-sxm",), **keys: Any) -> Request:
    return Request(names, devices, keys.pop("overrides", {}), **keys)


def test_every_case_is_planned_on_every_device_one_device_after_the_other() -> None:
    planned = plan(_asked("rms-norm", devices=("h100-sxm", "cpu")))
    assert [(each.device, each.case.dims["m"], each.present) for each in planned] == [
        ("h100-sxm", 1, False), ("h100-sxm", 512, False), ("h100-sxm", 4096, False),
        ("cpu", 1, True), ("cpu", 512, True), ("cpu", 4096, True),
    ]  # fmt: skip


def test_a_device_named_twice_is_planned_once() -> None:
    assert len(plan(_asked("rms-norm", devices=("h100-sxm", "h100-sxm")))) == 3


def test_time_and_memory_replace_every_case_s_own() -> None:
    planned = plan(_asked("rms-norm", "memory-copy", time_s=0.5, memory_gb=2.0))
    assert {(each.case.time_s, each.case.memory_gb) for each in planned} == {(0.5, 2.0)}


def test_a_workload_and_a_suite_that_holds_it_give_each_case_once() -> None:
    ids = [each.case.case_id for each in plan(_asked("rms-norm", "kernels"))]
    assert len(ids) == len(set(ids))


def test_an_unknown_device_gets_the_nearest_names() -> None:
    with pytest.raises(DefinitionError, match=r"unknown device 'h100-smx'; did you mean 'h100-sxm'"):
        plan(_asked("rms-norm", devices=("h100-smx",)))


def test_a_routing_that_leaves_too_few_experts_is_refused_before_anything_runs() -> None:
    overrides = {"routing": [Routing(kind="k-hot", hot=2)]}
    with pytest.raises(DefinitionError, match="uses 2 experts but every token needs 4"):
        plan(_asked("mini-moe-decode", overrides=overrides))


def test_a_trace_that_is_not_there_is_refused_before_anything_runs(folder: Path) -> None:
    with pytest.raises(DefinitionError, match="cannot be read"):
        start(_asked("grouped-gemm", overrides={"routing": [Routing(kind="trace", file="nowhere.txt")]}), folder)
    assert list(folder.iterdir()) == []


def test_a_started_run_has_a_journal_that_says_what_was_planned(folder: Path) -> None:
    started = start(_asked("rms-norm"), folder)
    started.journal.close()
    (journal,) = folder.iterdir()
    again = resume(folder, "")
    again.journal.close()
    assert journal.suffix == ".jsonl"
    assert again.planned == started.planned
    assert again.resumed == 0


def test_resume_counts_the_rows_that_are_there(folder: Path, row: Callable[..., Row]) -> None:
    started = start(_asked("rms-norm"), folder)
    started.journal.add(row())
    started.journal.close()
    again = resume(folder, str(started.journal.path))
    again.journal.close()
    assert again.resumed == 1


def _begun(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Start a run on the CPU, and change its journal's head as if it had been begun elsewhere."""
    started = start(_asked("rms-norm", devices=("cpu",)), folder)
    started.journal.close()
    path = started.journal.path
    head = msgspec.json.decode(path.read_bytes())
    change(head)
    path.write_bytes(msgspec.json.encode(head) + b"\n")
    return path


def test_a_run_begun_on_another_machine_is_not_gone_on_with(folder: Path) -> None:
    path = _begun(folder, lambda head: head["environment"].update(cpu="Another CPU"))
    with pytest.raises(ResultError, match=r"begun on another machine \(cpu: host cpu Another CPU -> .*\); its measure"):
        resume(folder, str(path))


def test_a_device_in_another_state_is_another_machine(folder: Path) -> None:
    path = _begun(folder, lambda head: head["environment"]["devices"]["cpu"].update(threads="64"))
    with pytest.raises(ResultError, match=r"\(cpu: threads 64 -> \d+\)"):
        resume(folder, str(path))


def test_what_a_run_of_today_did_not_say_of_its_machine_is_a_difference(folder: Path) -> None:
    path = _begun(folder, lambda head: head["environment"]["devices"]["cpu"].pop("threads"))
    with pytest.raises(ResultError, match=r"\(cpu: threads none -> \d+\)"):
        resume(folder, str(path))


@pytest.mark.parametrize("schema", [1, 2])
def test_an_older_run_is_held_against_what_it_recorded(folder: Path, schema: int) -> None:
    def older(head: dict[str, Any]) -> None:
        head["schema"] = schema
        head["environment"]["devices"]["cpu"].pop("threads")
        head["environment"].pop("sessions")
        for each in head["planned"]:
            each.pop("session")

    again = resume(folder, str(_begun(folder, older)))
    again.journal.close()
    assert [each.session for each in again.order] == [1, 1, 1]

    def elsewhere(head: dict[str, Any]) -> None:
        older(head)
        head["environment"]["devices"]["cpu"]["cores"] = "64"

    with pytest.raises(ResultError, match=r"\(cpu: cores 64 -> \d+\)"):
        resume(folder, str(_begun(folder, elsewhere)))


def test_a_modelled_run_can_be_gone_on_with_anywhere(folder: Path) -> None:
    started = start(_asked("rms-norm"), folder)
    started.journal.close()
    path = started.journal.path
    head = msgspec.json.decode(path.read_bytes())
    head["environment"] |= {"cpu": "Another CPU"}
    path.write_bytes(msgspec.json.encode(head) + b"\n")
    resume(folder, str(path)).journal.close()


def test_sessions_are_written_down_and_come_back(folder: Path) -> None:
    started = start(_asked("rms-norm", devices=("cpu",), sessions=3), folder)
    started.journal.close()
    assert len(started.journal.run.planned) == 3
    again = resume(folder, str(started.journal.path))
    again.journal.close()
    assert again.order == started.order
    assert [each.session for each in again.order] == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_where_nothing_is_measured_there_is_one_session_and_a_word_about_it(folder: Path) -> None:
    started = start(_asked("rms-norm", sessions=5), folder)
    started.journal.close()
    assert started.journal.run.environment.sessions == 1
    assert started.journal.run.environment.warnings == [
        "nothing is measured: one session, any other would come out the same"
    ]


def test_a_plan_that_cannot_be_read_is_told(folder: Path) -> None:
    started = start(_asked("rms-norm"), folder)
    started.journal.close()
    path = started.journal.path
    head = msgspec.json.decode(path.read_bytes())
    head["planned"] = [{"device": "h100-sxm"}]
    path.write_bytes(msgspec.json.encode(head) + b"\n")
    with pytest.raises(ResultError, match="its plan cannot be read"):
        resume(folder, str(path))


def test_a_file_that_is_no_run_is_not_called_complete(folder: Path) -> None:
    (folder / "other.json").write_text("{}")
    with pytest.raises(ResultError, match="not a bench run file"):
        resume(folder, "other.json")
    with pytest.raises(ResultError, match="gemm: cannot be read"):
        resume(folder, "gemm")


def test_measuring_without_torch_is_refused_with_the_command_to_get_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest))
    with pytest.raises(DeviceError, match=r"pip install 'accelbench\[torch\]'; modelling does not: bench run rms-norm"):
        start(_asked("rms-norm", devices=("cpu",)), folder)
    start(_asked("rms-norm"), folder).journal.close()
    assert len(list(folder.iterdir())) == 1


def test_a_shown_plan_tells_memory_work_and_that_nothing_ran(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(_asked("gemm", overrides={"dtype": ["bf16"]}, devices=("h100-sxm",)), "md", True)
    out = capsys.readouterr().out
    # 1 x 4096 x 4096: 2 x 16.8 MFLOP, (4096 + 4096 x 4096) x 2 bytes read
    assert "| gemm[m=1,n=4k,k=4k,bf16] | h100-sxm | modelled | 33.6 MB | 3.36e+07 | 33.6 MB |" in out
    assert "- 7 cases, about a moment. Nothing was run." in out


def test_a_shown_plan_says_how_many_sessions_and_the_time_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"overrides": {"dtype": ["bf16"]}, "devices": ("cpu",), "time_s": 1.0}
    for sessions in (1, 3):
        show_plan(_asked("rms-norm", sessions=sessions, **asked), "md", True)
    once, thrice = [line for line in capsys.readouterr().out.splitlines() if line.startswith("- ")]
    # nine tenths of a second and 0.8 s beside it, three times, and that three times
    assert once == "- 3 cases, about 5.10 s. Nothing was run."
    assert thrice == "- 3 cases in 3 sessions, about 15.3 s. Nothing was run."


def test_a_shown_plan_of_sheets_has_no_sessions(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(_asked("rms-norm", sessions=3), "md", True)
    assert "- 3 cases, about a moment. Nothing was run." in capsys.readouterr().out


def test_as_json_a_plan_is_every_case_of_every_session(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(_asked("rms-norm", devices=("cpu",), sessions=2), "json", True)
    steps = msgspec.json.decode(capsys.readouterr().out)
    assert [(step["session"], step["case"]["dims"]["m"]) for step in steps] == [
        (1, 1), (1, 512), (1, 4096), (2, 512), (2, 4096), (2, 1),
    ]  # fmt: skip
