"""Run files: what is on disk after each row, what survives a kill or a full disk, what a foreign file is told."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import ResultError
from bench.results import store
from bench.results.record import Row, Run
from bench.results.store import Journal, list_runs, load_run, new_run, new_run_id, newest_journal, newest_run

# Adds rows until it is killed, and says after each that add() came back.
ENDLESS = """
import sys
from pathlib import Path
import msgspec
from bench.results.record import Row, Run
from bench.results.store import Journal

run, row = Path(sys.argv[1]).read_bytes().splitlines()
journal = Journal.create(Path(sys.argv[2]), msgspec.json.decode(run, type=Run))
row = msgspec.json.decode(row, type=Row)
for number in range(100_000):
    journal.add(msgspec.structs.replace(row, case_id=f"case {number}"))
    print(number, flush=True)
"""


@pytest.fixture
def journal(tmp_path, run):
    """Return a journal in a folder of its own."""
    journal = Journal.create(tmp_path / "runs", run())
    yield journal
    journal.close()


@pytest.fixture
def unprivileged(tmp_path):
    """Act as nobody where the tests run as root, whom permissions do not stop."""
    if os.geteuid() != 0:
        yield
        return
    before = {folder: folder.stat().st_mode for folder in (tmp_path, *tmp_path.parents)}
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o755)
    tmp_path.chmod(0o777)
    os.seteuid(65534)
    yield
    os.seteuid(0)
    for folder in (tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(before[folder])


def cases(path: Path) -> list[str]:
    return [row.case_id for row in load_run(path).rows]


# -- a journal's life ----------------------------------------------------------------------------------------------


def test_a_journal_has_its_head_on_disk_before_the_first_row(journal):
    (head,) = journal.path.read_text().splitlines()
    assert json.loads(head)["complete"] is False
    assert json.loads(head)["environment"]["cpu"] == "A CPU"


def test_every_row_is_on_disk_when_add_returns(journal, row):
    for number in range(3):
        journal.add(row(case_id=f"case {number}"))
        lines = journal.path.read_text().splitlines()
        assert len(lines) == 2 + number
        assert json.loads(lines[-1])["row"]["case_id"] == f"case {number}"


def test_every_row_is_flushed_to_the_disk_itself(journal, row, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    journal.add(row())
    assert len(synced) == 1


def test_a_journal_reads_as_a_run_that_is_not_complete(journal, row):
    journal.add(row())
    assert load_run(journal.path).complete is False


def test_finish_leaves_one_complete_file_and_no_journal(journal, row):
    journal.add(row(case_id="a"))
    path = journal.finish()
    assert [each.name for each in path.parent.iterdir()] == ["2026-11-21T12-00-00_cpu_beef.json"]
    assert load_run(path).complete is True
    assert cases(path) == ["a"]


def test_a_finished_file_can_be_read_by_others(journal):
    assert journal.finish().stat().st_mode & 0o777 == 0o644


def test_a_finished_file_is_text_with_a_line_for_every_field(journal, row):
    journal.add(row(step_s=0.125))
    assert '   "step_s": 0.125,\n' in journal.finish().read_text()


def full(kind: msgspec.inspect.Type, name: str) -> Any:
    """A value of a field's type that is neither missing nor empty."""
    if isinstance(kind, msgspec.inspect.UnionType):
        return full(next(t for t in kind.types if not isinstance(t, msgspec.inspect.NoneType)), name)
    if isinstance(kind, msgspec.inspect.StructType):
        return kind.cls(**{field.name: full(field.type, field.name) for field in kind.fields})
    if isinstance(kind, msgspec.inspect.ListType):
        return [full(kind.item_type, name)] * 2
    if isinstance(kind, msgspec.inspect.TupleType):
        return tuple(full(item, name) for item in kind.item_types)
    if isinstance(kind, msgspec.inspect.DictType):
        return {"key": full(kind.value_type, name)}
    if isinstance(kind, msgspec.inspect.LiteralType):
        return kind.values[-1]
    plain = {
        msgspec.inspect.IntType: 1 + len(name),
        msgspec.inspect.FloatType: 1e-9 + len(name),
        msgspec.inspect.BoolType: True,
        msgspec.inspect.StrType: f"{name}: 昇腾\n=±|<",
        msgspec.inspect.AnyType: [1, {"inside": None}],
    }
    return plain[type(kind)]


def test_a_row_with_every_field_set_comes_back_alike(journal):
    whole = full(msgspec.inspect.type_info(Row), "row")
    assert [name for name in Row.__struct_fields__ if getattr(whole, name) in (None, [], {}, "")] == []
    journal.add(whole)
    assert load_run(journal.path).rows == [whole]
    assert load_run(journal.finish()).rows == [whole]


def test_an_environment_with_every_field_set_comes_back_alike(tmp_path):
    whole = full(msgspec.inspect.type_info(Run), "run")
    whole.schema, whole.id = 1, "x"
    (tmp_path / "x.json").write_bytes(msgspec.json.encode(whole))
    assert load_run(tmp_path / "x.json") == whole


# -- going on after a cut --------------------------------------------------------------------------------------------


def test_a_half_written_last_line_is_dropped_and_the_run_goes_on(journal, row):
    journal.add(row(case_id="a"))
    journal.add(row(case_id="b"))
    journal.close()
    whole = journal.path.read_bytes()
    # Longer than the row that is added next, so that nothing of it may be left behind.
    journal.path.write_bytes(whole + b'{"row":{"case_id":"c","reason":"' + b"r" * 5000)

    again = Journal.reopen(journal.path)
    assert [each.case_id for each in again.run.rows] == ["a", "b"]
    again.add(row(case_id="d"))
    assert journal.path.read_bytes().startswith(whole)
    assert b"rrr" not in journal.path.read_bytes()
    assert cases(journal.path) == ["a", "b", "d"]
    assert cases(again.finish()) == ["a", "b", "d"]


@pytest.mark.parametrize("cut", [1, 2, 50, 400])
def test_a_journal_cut_at_any_place_of_its_last_line_keeps_the_rows_before(cut, journal, row):
    journal.add(row(case_id="a"))
    journal.add(row(case_id="b"))
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes()[:-cut])
    assert cases(journal.path) == ["a"]


def test_a_resumed_run_keeps_its_id_and_environment(journal):
    journal.close()
    again = Journal.reopen(journal.path)
    again.close()
    assert again.run.id == "2026-11-21T12-00-00_cpu_beef"
    assert again.run.environment.fingerprint == "abcdef012345"


def test_a_kill_in_the_middle_loses_at_most_the_row_in_flight(tmp_path, run, row):
    (tmp_path / "content").write_bytes(
        msgspec.json.encode(run()) + b"\n" + msgspec.json.encode(row(notes=["n" * 5000]))
    )
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, tmp_path / "content", tmp_path / "runs"], stdout=subprocess.PIPE, text=True
    )
    for _ in range(25):
        process.stdout.readline()
    process.kill()
    said = 25 + len(process.stdout.read().splitlines())
    assert process.wait() == -9

    (path,) = (tmp_path / "runs").iterdir()
    found = cases(path)
    assert found == [f"case {number}" for number in range(len(found))]
    assert said <= len(found) <= said + 1


def test_a_complete_file_cannot_be_resumed(journal):
    path = journal.finish()
    with pytest.raises(ResultError, match=r"beef\.json: this run is complete; only a journal"):
        Journal.reopen(path)


def test_a_journal_without_a_whole_line_says_to_start_anew(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"schema":1')
    with pytest.raises(ResultError, match=r"x\.jsonl: holds no whole line; nothing can be resumed, start anew"):
        Journal.reopen(tmp_path / "x.jsonl")


def test_a_bad_line_in_the_middle_is_named_by_its_number(journal, row):
    journal.add(row())
    journal.add(row())
    journal.close()
    lines = journal.path.read_bytes().split(b"\n")
    lines[1] = b'{"row":{"case_id":7}}'
    journal.path.write_bytes(b"\n".join(lines))
    with pytest.raises(ResultError, match=r"\.jsonl: line 2: .*case_id.*; take that line out"):
        load_run(journal.path)


def test_a_bad_head_is_line_1(journal):
    journal.close()
    journal.path.write_text('{"schema":1,"id":5}\n')
    with pytest.raises(ResultError, match=r"line 1: .*id"):
        load_run(journal.path)


# -- foreign and broken files ----------------------------------------------------------------------------------------

FOREIGN = {
    "empty": (b"", "not readable as JSON"),
    "truncated": (b'{"schema":1,"id":"x","environment":{"bench_ver', "cut off"),
    "binary": (b"\x7fELF\x02\x01\x01\x00" * 50, "not readable as JSON"),
    "not UTF-8": (b'{"schema":1,"id":"\xff\xfe"}', "bench run"),
    "another tool's": (b'{"benchmarks":[{"name":"fib"}],"version":"5.1.0"}', "it has no number 'schema'"),
    "an array": (b"[1,2,3]", "it has no number 'schema'"),
    "a number": (b"42", "it has no number 'schema'"),
    "a text": (b'"schema"', "it has no number 'schema'"),
    "null": (b"null", "it has no number 'schema'"),
    "nested too deep": (b"[" * 100_000, "it has no number 'schema'"),
    "nested too deep inside": (b'{"x":' * 100_000, "not readable as JSON"),
    "schema missing": (b'{"id":"x"}', "it has no number 'schema'"),
    "schema a text": (b'{"schema":"1"}', "it has no number 'schema'"),
    "schema null": (b'{"schema":null}', "it has no number 'schema'"),
    "schema too long": (b'{"schema":' + b"1" * 5000 + b"}", "it has no number 'schema'"),
    "schema 0": (b'{"schema":0}', "schema 0 does not exist"),
    "schema newer": (b'{"schema":4}', "schema 4 is newer than 3, the newest this version reads; upgrade accelbench"),
    "no environment": (b'{"schema":1,"id":"x"}', "environment"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_one_line_with_its_name_and_what_to_do(name, tmp_path, monkeypatch):
    content, expected = FOREIGN[name]
    monkeypatch.chdir(tmp_path)
    Path("strange.json").write_bytes(content)
    with pytest.raises(ResultError) as refusal:
        load_run(Path("strange.json"))
    message = str(refusal.value)
    assert message.startswith("strange.json: ")
    assert expected in message
    assert "\n" not in message
    assert "bench run" in message or "upgrade accelbench" in message


@pytest.mark.parametrize(("number", "told"), [
    ("NaN", "'step_s' holds NaN in line 3, which JSON does not have; what is missing is null"),
    ("-Infinity", "'step_s' holds -Infinity in line 3"), ("[0.1, null, 2e-3,\n  NaN]", "'step_s' holds NaN in line 4"),
])  # fmt: skip
def test_a_number_that_json_does_not_have_is_told_with_its_key(tmp_path, number, told):
    text = '{"schema": 3, "id": "\\"x\\": NaN",\n "rows": [{"notes": ["NaN"],\n  "step_s": ' + number + "}]}"
    (tmp_path / "wrong.json").write_text(text)
    with pytest.raises(ResultError) as refusal:
        load_run(tmp_path / "wrong.json")
    assert told in str(refusal.value)
    assert "malformed" not in str(refusal.value)


def test_one_in_a_journal_is_told_with_its_line(journal, row):
    journal.add(row(step_s=0.5))
    journal.close()
    journal.path.write_bytes(journal.path.read_bytes().replace(b'"step_s":0.5', b'"step_s":NaN'))
    with pytest.raises(
        ResultError, match=r"line 2: 'step_s' holds NaN, which JSON does not have; .*; take that line out"
    ):
        load_run(journal.path)


WRONG = {
    "step_s": ("0.1", "rows[0].step_s"),
    "batch": (1.5, "rows[0].batch"),
    "samples_s": ([0.1, None], "rows[0].samples_s[1]"),
    "interval": ([0.1], "rows[0].interval"),
    "status": ("perfect", "rows[0].status"),
    "source": (None, "rows[0].source"),
    "kernels": ([{"name": "q"}], "rows[0].kernels[0]"),
    "notes": ("text", "rows[0].notes"),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_type_inside_a_row_is_named_by_its_path(key, tmp_path, run, row):
    value, place = WRONG[key]
    content = msgspec.to_builtins(run())
    content["rows"] = [{**msgspec.to_builtins(row()), key: value}]
    (tmp_path / "wrong.json").write_text(json.dumps(content))
    with pytest.raises(ResultError) as refusal:
        load_run(tmp_path / "wrong.json")
    assert f"`$.{place}`" in str(refusal.value)
    assert "wrong.json: " in str(refusal.value)


def test_a_missing_file_says_where_run_files_are(tmp_path):
    with pytest.raises(ResultError, match=r"gone\.json: cannot be read \(no such file.*results/runs"):
        load_run(tmp_path / "gone.json")


@pytest.mark.parametrize("name", ["folder.json", "folder.jsonl"])
def test_a_folder_is_not_a_run_file(name, tmp_path):
    (tmp_path / name).mkdir()
    with pytest.raises(ResultError, match=rf"{name}: cannot be read \(is a directory\)"):
        load_run(tmp_path / name)


def test_a_file_without_permission_says_so(tmp_path, unprivileged):
    (tmp_path / "x.json").touch(mode=0)
    with pytest.raises(ResultError, match=r"x\.json: cannot be read \(permission denied\)"):
        load_run(tmp_path / "x.json")


def test_a_file_larger_than_any_run_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "LARGEST_FILE_BYTES", 3 * 2**20)
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(3 * 2**20 + 1)
    with pytest.raises(ResultError, match=r"huge\.json: larger than 3 MiB, not a run file"):
        load_run(tmp_path / "huge.json")


# -- disks that refuse -----------------------------------------------------------------------------------------------


def test_a_read_only_folder_is_named_with_the_way_out(tmp_path, run, unprivileged):
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(ResultError, match=r"beef\.jsonl: cannot be written \(permission denied\).*--out"):
        Journal.create(folder, run())


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path, run):
    (tmp_path / "runs").write_text("")
    with pytest.raises(ResultError, match=r"cannot be written \((not a directory|file exists)\)"):
        Journal.create(tmp_path / "runs", run())


@pytest.fixture
def tiny_disk(tmp_path):
    """Return a file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount command here: {error}")
    if done.returncode:
        pytest.skip(f"mounting a small file system is not allowed here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(journal: Journal, row) -> int:
    """Add rows until the disk refuses one; return how many were added."""
    for saved in range(1000):
        try:
            journal.add(row(case_id=f"case {saved}", reason="r" * 3000))
        except ResultError:
            return saved
    pytest.fail("the disk was never full")


def test_a_full_disk_keeps_every_row_that_was_said_to_be_saved(tiny_disk, run, row):
    journal = Journal.create(tiny_disk, run())
    saved = fill(journal, row)
    journal.close()
    assert saved > 5
    assert cases(journal.path) == [f"case {number}" for number in range(saved)]
    assert [path.name for path in tiny_disk.iterdir()] == [journal.path.name]


def test_a_run_goes_on_when_the_full_disk_has_room_again(tiny_disk, run, row):
    (tiny_disk / "other").write_bytes(b"x" * 16384)
    journal = Journal.create(tiny_disk, run())
    saved = fill(journal, row)
    (tiny_disk / "other").unlink()
    journal.add(row(case_id="after"))
    journal.close()
    assert cases(journal.path) == [*(f"case {number}" for number in range(saved)), "after"]


def test_a_run_file_that_does_not_fit_leaves_its_journal_and_no_temporary_file(tiny_disk, run, row):
    journal = Journal.create(tiny_disk, run())
    saved = fill(journal, row)
    with pytest.raises(ResultError, match=r"beef\.json: cannot be written \(no space left on device\)"):
        journal.finish()
    journal.close()
    assert [path.name for path in tiny_disk.iterdir()] == [journal.path.name]
    assert len(cases(journal.path)) == saved


def test_a_journal_whose_head_does_not_fit_leaves_nothing(tiny_disk, run):
    (tiny_disk / "other").write_bytes(b"x" * 61440)
    big = run()
    big.planned = [{"case": "c" * 9000}]
    with pytest.raises(ResultError, match="no space left on device"):
        Journal.create(tiny_disk, big)
    assert [path.name for path in tiny_disk.iterdir()] == ["other"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_row_that_cannot_be_flushed_is_taken_back(number, journal, row, monkeypatch):
    def refuse(_: int) -> None:
        raise OSError(number, os.strerror(number))

    journal.add(row(case_id="a"))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", refuse)
        with pytest.raises(ResultError, match=f"cannot be written \\({os.strerror(number).lower()}\\)"):
            journal.add(row(case_id="b"))
    assert cases(journal.path) == ["a"]
    journal.add(row(case_id="c"))
    assert cases(journal.path) == ["a", "c"]


def test_a_write_that_takes_only_a_part_is_continued(journal, row):
    class Sparing:
        """A file that takes at most 100 bytes at a time, as the operating system may."""

        def __init__(self, file):
            self.file = file

        def write(self, content):
            return self.file.write(content[:100])

        def __getattr__(self, name):
            return getattr(self.file, name)

    journal._file = Sparing(journal._file)
    journal.add(row(case_id="a"))
    journal.add(row(case_id="b"))
    assert cases(journal.path) == ["a", "b"]


def test_a_run_file_that_cannot_be_flushed_leaves_its_journal_alone(journal, row, monkeypatch):
    journal.add(row(case_id="a"))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left on device")))
        with pytest.raises(ResultError, match="no space left on device"):
            journal.finish()
    assert [path.name for path in journal.path.parent.iterdir()] == [journal.path.name]
    assert cases(journal.path) == ["a"]


# -- names and listing -----------------------------------------------------------------------------------------------


def test_a_run_id_has_time_device_and_a_random_end(monkeypatch):
    monkeypatch.setattr(store.time, "strftime", lambda *_: "2026-11-21T12-00-00")
    monkeypatch.setattr(store.secrets, "token_hex", lambda _: "beef")
    assert new_run_id("cuda:0+h100-sxm") == "2026-11-21T12-00-00_cuda0+h100-sxm_beef"


def test_two_runs_at_once_get_different_ids_and_files(tmp_path, environment, monkeypatch):
    ends = iter(["0001", "0002"])
    monkeypatch.setattr(store.time, "strftime", lambda *_: "2026-11-21T12-00-00")
    monkeypatch.setattr(store.secrets, "token_hex", lambda _: next(ends))
    first, second = (Journal.create(tmp_path, new_run(new_run_id("cpu"), environment(), [])) for _ in range(2))
    first.close()
    second.close()
    assert first.path != second.path
    assert len(list(tmp_path.iterdir())) == 2


def test_two_runs_of_one_id_never_share_a_file(journal, run, row):
    journal.add(row(case_id="a"))
    with pytest.raises(ResultError, match="cannot be written \\(file exists\\)"):
        Journal.create(journal.path.parent, run())
    assert cases(journal.path) == ["a"]


def test_runs_are_listed_newest_first(tmp_path):
    for name in ("2026-01-02_a.json", "2026-01-03_b.jsonl", "2026-01-01_c.json", "notes.txt"):
        (tmp_path / name).touch()
    assert [path.name for path in list_runs(tmp_path)] == [
        "2026-01-03_b.jsonl",
        "2026-01-02_a.json",
        "2026-01-01_c.json",
    ]
    assert newest_run(tmp_path).name == "2026-01-03_b.jsonl"


def test_the_newest_journal_is_the_newest_run_that_was_cut_off(tmp_path):
    for name in ("2026-01-01_a.jsonl", "2026-01-02_b.jsonl", "2026-01-03_c.json"):
        (tmp_path / name).touch()
    assert newest_journal(tmp_path).name == "2026-01-02_b.jsonl"


def test_without_runs_the_command_that_makes_one_is_named(tmp_path):
    with pytest.raises(ResultError, match="no run files; make one with: bench run"):
        newest_run(tmp_path / "absent")


def test_without_a_journal_there_is_nothing_to_resume(tmp_path):
    (tmp_path / "a.json").touch()
    with pytest.raises(ResultError, match="no interrupted run to resume"):
        newest_journal(tmp_path)


# -- fuzz --------------------------------------------------------------------------------------------------------------

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def valid(run, row) -> dict[str, bytes]:
    """A valid run file and a valid journal, by suffix."""
    whole: Run = run()
    whole.rows = [row(step_s=0.1, interval=(0.09, 0.11), samples_s=[0.1] * 6), row(source="modelled", tier="sheet")]
    head = {key: value for key, value in msgspec.to_builtins(whole).items() if key != "rows"}
    lines = [head, *({"row": each} for each in whole.rows)]
    return {
        ".json": msgspec.json.format(msgspec.json.encode(whole), indent=1),
        ".jsonl": b"".join(msgspec.json.encode(line) + b"\n" for line in lines),
    }


def assert_understood_or_refused(path: Path) -> None:
    """Load a file: a run, or one line that names the file; any other error ends the test."""
    try:
        found = load_run(path)
    except ResultError as error:
        found = str(error)
    assert isinstance(found, Run) or (path.name in found and "\n" not in found)


def test_the_files_that_are_mutated_are_valid_to_begin_with(tmp_path, run, row):
    for suffix, content in valid(run, row).items():
        path = tmp_path / f"valid{suffix}"
        path.write_bytes(content)
        assert len(load_run(path).rows) == 2


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@FUZZ
@given(content=st.binary(max_size=300))
def test_random_bytes_are_refused_in_one_line(suffix, content, tmp_path):
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes(content)
    assert_understood_or_refused(path)


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@FUZZ
@given(data=st.data())
def test_a_valid_file_with_bytes_changed_is_read_or_refused_in_one_line(suffix, data, tmp_path, run, row):
    content = bytearray(valid(run, row)[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content) - 1))
        stop = start + data.draw(st.integers(0, 20))
        content[start:stop] = data.draw(
            st.binary(max_size=4) | st.sampled_from([b"\n", b'"', b"{", b"]", b"1e999", b"\x00"])
        )
    path = tmp_path / f"fuzz{suffix}"
    path.write_bytes(bytes(content))
    assert_understood_or_refused(path)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@FUZZ
@given(data=st.data())
def test_a_valid_file_with_a_value_exchanged_is_read_or_refused_in_one_line(data, tmp_path, run, row):
    content = json.loads(valid(run, row)[".json"])
    part = data.draw(st.sampled_from([content, content["environment"], *content["rows"]]))
    part[data.draw(st.sampled_from(sorted(part)))] = data.draw(JUNK)
    path = tmp_path / "fuzz.json"
    path.write_text(json.dumps(content))
    assert_understood_or_refused(path)
