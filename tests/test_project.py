"""Where definitions are found, how they are read, how files are written: whole or not at all."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import msgspec
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import project
from bench.devices.sheet import Sheet
from bench.errors import DefinitionError, ResultError
from bench.workloads.model import Model
from bench.workloads.schema import Workload
from bench.workloads.sweep import expand

# -- folders ------------------------------------------------------------------------------------------------------------


def test_the_shelf_holds_what_ships():
    assert (project.shelf() / "workloads" / "gemm.toml").is_file()
    assert (project.shelf() / "devices").is_dir()


def test_ones_own_folder_comes_first(tmp_path, monkeypatch):
    (tmp_path / "workloads").mkdir()
    monkeypatch.chdir(tmp_path)
    assert project.folders("workloads") == [tmp_path / "workloads", project.shelf() / "workloads"]


def test_the_shelf_alone_is_used_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project.folders("workloads") == [project.shelf() / "workloads"]


def test_the_shelf_is_not_listed_twice_where_one_stands_in_it(monkeypatch):
    monkeypatch.chdir(project.shelf())
    assert len(project.folders("workloads")) == 1


def test_a_kind_that_exists_nowhere_has_no_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project.folders("nonsense") == []


def test_ones_own_file_wins_over_the_shipped_one(tmp_path, monkeypatch):
    (tmp_path / "workloads").mkdir()
    (tmp_path / "workloads" / "gemm.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    found = project.definitions("workloads")
    assert found["gemm"] == tmp_path / "workloads" / "gemm.toml"
    assert found["rms-norm"] == project.shelf() / "workloads" / "rms-norm.toml"


def test_a_link_to_the_shelf_is_not_a_folder_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "workloads").symlink_to(project.shelf() / "workloads")
    monkeypatch.chdir(tmp_path)
    assert len(project.folders("workloads")) == 1


def test_an_unknown_name_is_refused_with_the_nearest_and_the_command():
    with pytest.raises(DefinitionError) as caught:
        project.find("workloads", "gemn", noun="workload", command="bench workloads")
    assert str(caught.value).startswith("unknown workload 'gemn'; did you mean 'gemm'")
    assert str(caught.value).endswith("(see: bench workloads)")


def test_a_name_far_from_all_is_refused_with_those_that_are_known(tmp_path, monkeypatch):
    (tmp_path / "things").mkdir()
    for name in ("one", "two"):
        (tmp_path / "things" / f"{name}.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError, match="unknown thing 'zzz'; known: one, two"):
        project.find("things", "zzz", noun="thing", command="bench things")


def test_a_path_is_no_name():
    with pytest.raises(DefinitionError, match="unknown model"):
        project.find("workloads", "../models/mini-dense", "models/*.toml", noun="model", command="bench workloads")


def test_a_path_below_is_shown_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert project.shown(tmp_path / "workloads" / "a.toml") == "workloads/a.toml"


def test_a_path_elsewhere_is_shown_whole(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert project.shown(tmp_path / "a.toml") == str(tmp_path / "a.toml")


def test_runs_go_where_the_flag_says_then_the_variable_then_here(monkeypatch):
    monkeypatch.setenv("BENCH_RESULTS", "elsewhere")
    assert project.runs_folder("flag") == Path("flag")
    assert project.runs_folder() == Path("elsewhere")
    monkeypatch.delenv("BENCH_RESULTS")
    assert project.runs_folder() == Path("results/runs")


def test_an_empty_variable_is_no_folder(monkeypatch):
    monkeypatch.setenv("BENCH_RESULTS", "")
    assert project.runs_folder() == Path("results/runs")


# -- reading ------------------------------------------------------------------------------------------------------------


class Part(msgspec.Struct, forbid_unknown_fields=True):
    size: int
    colour: str = "red"


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    weight: int
    parts: list[Part] = []
    more: dict[str, Part] = {}
    last: Part | None = None


def refused(text, record=Thing):
    with pytest.raises(DefinitionError) as caught:
        project.parse_toml(text.encode() if isinstance(text, str) else text, record, "thing.toml")
    assert str(caught.value).startswith("thing.toml: ")
    return str(caught.value).removeprefix("thing.toml: ")


def test_a_record_is_read():
    thing = project.parse_toml(b"weight = 3\n[[parts]]\nsize = 4\n", Thing, "thing.toml")
    assert thing == Thing(3, [Part(4)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weihgt = 3\n", "unknown key 'weihgt'; did you mean 'weight'?"),
        ("weight = 3\n[[parts]]\nsise = 4\n", "unknown key 'sise' in [parts[0]]; did you mean 'size'?"),
        ("weight = 3\n[last]\nsize = 1\ncolor = 4\n", "unknown key 'color' in [last]; did you mean 'colour'?"),
        ("weight = 3\nzzz = 1\n", "unknown key 'zzz'; every key is described in"),
        ('weight = "3"\n', "Expected `int`, got `str` - at `weight`"),
        ("weight = 3.0\n", "Expected `int`, got `float` - at `weight`"),
        ("weight = true\n", "Expected `int`, got `bool` - at `weight`"),
        ("", "missing required field `weight`"),
        ("weight = 1\n[last]\n", "missing required field `size` - at `last`"),
        ("weight = \n", "not valid TOML: "),
        ("weight = 1\nweight = 2\n", "not valid TOML: "),
        ("weight = " + "[" * 100_000, "not valid TOML: "),
        (b"weight = 1 # \xff", "not valid TOML: "),
        (b"\x00", "not valid TOML: "),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_place_and_remedy(text, message):
    assert refused(text).startswith(message)


def test_a_file_that_is_missing_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError, match=r"^gone\.toml: cannot be read \(No such file or directory\)$"):
        project.load_toml(Path("gone.toml"), Thing)


def test_a_folder_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DefinitionError, match="cannot be read"):
        project.load_toml(tmp_path, Thing)


# -- writing ------------------------------------------------------------------------------------------------------------


def full_disk(*_args, **_keys):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_written_with_its_folders(tmp_path):
    project.write_atomically(tmp_path / "a" / "b" / "run.json", b"content")
    assert (tmp_path / "a" / "b" / "run.json").read_bytes() == b"content"


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(b"a longer old content")
    project.write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_a_link_stays_one_and_its_target_is_written(tmp_path):
    link = tmp_path / "latest.json"
    link.symlink_to("run.json")
    project.write_atomically(link, b"new")
    assert link.is_symlink()
    assert (tmp_path / "run.json").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path):
    """As /dev/null is, which root would otherwise take from every program of the machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        project.write_atomically(pipe, b"new")
        assert os.read(reader, 10) == b"new"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_others_may_read_what_was_written(tmp_path):
    project.write_atomically(tmp_path / "run.json", b"x")
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("failing", ["replace", "fsync", "fdopen", "chmod"])
def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch, failing):
    path = tmp_path / "run.json"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, failing, full_disk)
    with pytest.raises(ResultError) as caught:
        project.write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]
    assert str(caught.value).startswith(f"{path}: cannot be written (no space left on device)")
    assert "--out" in str(caught.value)


def test_an_interrupt_while_writing_leaves_no_half_file(tmp_path, monkeypatch):
    def interrupt(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        project.write_atomically(tmp_path / "run.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path):
    (tmp_path / "results").write_text("a file")
    with pytest.raises(ResultError, match=r"run\.json: cannot be written"):
        project.write_atomically(tmp_path / "results" / "run.json", b"x")


BROKEN_NAMES = {
    "key": '"a\\nb" = 1\n',
    "model": 'model = "a\\nb"\n',
}


@pytest.mark.parametrize("text", BROKEN_NAMES.values(), ids=BROKEN_NAMES.keys())
def test_a_name_with_a_line_break_is_refused_in_one_line(text):
    valid = {"summary": "'s'", "phase": "'decode'", "model": "'mini-dense'"}
    rest = "".join(f"{key} = {value}\n" for key, value in valid.items() if not text.startswith(key))
    with pytest.raises(DefinitionError) as caught:
        expand("fuzz", project.parse_toml((rest + text).encode(), Workload, "fuzz.toml"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["dtype", "phase"])
def test_a_value_that_reads_like_msgspecs_own_message_is_refused_as_a_value(key):
    valid = {"summary": "s", "phase": "decode", "model": "mini-dense", key: "unknown field"}
    with pytest.raises(DefinitionError, match="'unknown field'"):
        project.parse_toml(tomli_w.dumps(valid).encode(), Workload, "mine.toml")


# -- hostile files: any bytes and any values end in a record or in one line -----------------------------------------------

RECORDS = st.sampled_from([Workload, Model, Sheet])
FEW = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WRITABLE = st.characters(exclude_categories=("Cs",))


def read(content, record):
    """Read bytes as a record and expand it; whatever is wrong must be one line."""
    try:
        made = project.parse_toml(content, record, "fuzz.toml")
        if isinstance(made, Workload):
            for case in expand("fuzz", made)[:3]:
                assert case.case_id
                assert case.definition_hash
    except DefinitionError as error:
        message = str(error)
    else:
        return "read"
    assert not re.search(r"[\r\n]", message)
    return "refused"


@FEW
@given(content=st.binary(max_size=80), record=RECORDS)
def test_any_bytes_are_read_or_refused_in_one_line(content, record):
    read(content, record)


def field_names():
    return sorted({name for record in (Workload, Model, Sheet) for name in project._field_names(record)})


NAMES = st.one_of(st.sampled_from(field_names()), st.text(WRITABLE, max_size=5))
PLAIN = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 300),
    st.floats(),
    st.booleans(),
    st.text(WRITABLE, max_size=6),
    st.sampled_from(["decode", "kernel", "moe", "gemm", "bf16", "mini-dense", "mini-moe", "zipf", "1k:4k:x2", "8"]),
)
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)  # fmt: skip


@FEW
@given(table=st.dictionaries(NAMES, VALUES, max_size=8), record=RECORDS)
def test_any_keys_and_values_are_read_or_refused_in_one_line(table, record):
    read(tomli_w.dumps(table).encode(), record)


VALID = {"summary": "s", "phase": "decode", "model": "mini-moe"}


@FEW
@given(table=st.dictionaries(st.sampled_from(field_names()), VALUES, max_size=3))
def test_a_valid_workload_with_any_other_keys_is_read_or_refused_in_one_line(table):
    read(tomli_w.dumps({**VALID, **table}).encode(), Workload)


SHIPPED = [
    (project.shelf() / "workloads" / "deepseek-r1-decode.toml", Workload),
    (project.shelf() / "workloads" / "grouped-gemm.toml", Workload),
    (project.shelf() / "workloads" / "mini-moe-layer.toml", Workload),
    (project.shelf() / "workloads" / "models" / "deepseek-v3.2.toml", Model),
    (project.shelf() / "workloads" / "models" / "gpt-oss-120b.toml", Model),
    (project.shelf() / "devices" / "huawei" / "ascend-910c.toml", Sheet),
]
INSERTED = st.text(st.sampled_from("abcx019.-_=[]{}\"'#,:\\\n\t é²\x00"), max_size=3)


@FEW
@given(
    shipped=st.sampled_from(SHIPPED),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), INSERTED), min_size=1, max_size=4),
)
def test_a_shipped_file_with_characters_lost_and_added_is_read_or_refused_in_one_line(shipped, edits):
    path, record = shipped
    text = path.read_text("utf-8")
    for where, lost, added in edits:
        place = int(where * len(text))
        text = text[:place] + added + text[place + lost :]
    read(text.encode(), record)


@pytest.mark.parametrize(("path", "record"), SHIPPED, ids=[path.stem for path, _ in SHIPPED])
def test_the_shipped_files_that_are_mutated_are_valid_themselves(path, record):
    assert read(path.read_bytes(), record) == "read"


@pytest.mark.parametrize(("pattern", "does"), [
    ("tiny[b=1]", True), ("tiny", True), ("tin*", True), ("tiny[b=?]", True), ("*[b=1]", True),
    ("tiny[b=2]", False), ("tin", False), ("[a-z]*", False),
])  # fmt: skip
def test_patterns_take_brackets_as_they_are(pattern, does):
    assert project.matches("tiny[b=1]", pattern) is does
