"""A real PostgreSQL: several writers, one killed, the server gone, wrong passwords, older tables."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psycopg
import pytest

from bench.results.history.tables import VERSION

pytestmark = pytest.mark.slow

PASSWORD = "geheim/Wort"
POINTS = "select count(*) from bench_point"


@pytest.fixture
def environ(server, database, folder):
    keep = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")}
    return keep | {"BENCH_STORE": server.url(database), "BENCH_RESULTS": str(folder)}


@pytest.fixture
def start(environ, tmp_path):
    """Return a function that starts a command; what is left at the end is killed."""
    started = []

    def begin(*words, **env):
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", *words], cwd=tmp_path, env=environ | env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def bench(start):
    """Return a function that runs a command to its end and returns its code, output and errors."""

    def run(*words, **env):
        process = start(*words, **env)
        out, err = process.communicate(timeout=120)
        assert PASSWORD not in out + err
        assert "geheim" not in out + err
        assert "Traceback" not in err
        return process.returncode, out, err

    return run


@pytest.fixture
def ask(server, database):
    return lambda statement: server.say(statement, database)[0][0]


@contextlib.contextmanager
def held(server, database, table="bench_point"):
    """Hold a table, so that whoever writes to it waits in the middle of its transaction."""
    with psycopg.connect(server.url(database)) as connection:
        connection.execute(f"lock table {table} in exclusive mode")
        yield connection


def waits(server, database):
    """Whether somebody waits for a lock in this database."""
    found = f"select count(*) from pg_stat_activity where datname = '{database}' and wait_event_type = 'Lock'"
    return server.say(found)[0][0] > 0


def until(true, what):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_runs_are_pushed_once_and_shown_from_the_store(bench, put, ask, tmp_path):
    for day in range(12):
        put(day, (1.0 if day < 6 else 1.2) * (1 + day % 3 / 1000), commit=f"{day:04}")
    code, out, err = bench("push")
    assert (code, err) == (0, "")
    assert out.startswith("pushed 12 runs to postgresql://postgres@127.0.0.1:")
    assert bench("push")[1].startswith("pushed 0 runs")
    assert ask(POINTS) == 12
    code, out, _ = bench("history", "--format", "json", BENCH_RESULTS=str(tmp_path / "none"))
    history = json.loads(out)
    (trend,) = history["trends"]
    assert len(trend["points"]) == 12
    assert trend["changes"][0]["commits"] == ["0005", "0006"]
    assert history["origin"].startswith("postgresql://postgres@127.0.0.1")


def test_the_store_shows_what_the_run_files_show(bench, put, environ):
    for day in range(12):
        put(day, 1.0 + day, 1.1 + day, launch="graph" if day < 3 else "eager", operators={"linear": f"k{day // 6}"})
        put(day, 2.0, case_id="other", run_id=f"other-{day}")
    bench("push")
    shown = [
        json.loads(bench("history", "--format", "json", BENCH_STORE=store)[1]) for store in ("", environ["BENCH_STORE"])
    ]
    for history in shown:
        history.pop("origin")
    assert shown[0] == shown[1]


def test_what_is_pulled_is_to_the_letter_what_was_pushed(bench, put, folder, tmp_path):
    files = [
        put(day, 1.0, case_id=case) for day, case in enumerate(["plain", "漢字 'quote\" \\", "a\0b \ud7ff", "%s {x}"])
    ]
    assert bench("push")[0] == 0
    code, out, _ = bench("pull", "--out", str(tmp_path / "back"), BENCH_RESULTS=str(tmp_path / "none"))
    assert (code, out.split(" from ")[0]) == (0, "pulled 4 runs")
    for file in files:
        assert (tmp_path / "back" / file.name).read_bytes() == file.read_bytes()
    assert bench("pull")[1].startswith("pulled 0 runs")


def test_documents_can_be_asked_for_what_is_in_them(bench, put, ask):
    put(0, 1.0)
    bench("push")
    assert ask("select content -> 'environment' ->> 'cpu' from bench_document") == "A CPU"


def test_several_pushes_at_once_put_every_run_in_once(start, many, ask):
    many(range(60), rows=8)
    going = [start("push") for _ in range(4)]
    ends = [(process.communicate(timeout=300), process.returncode) for process in going]
    assert [code for _, code in ends] == [0, 0, 0, 0], ends
    pushed = [int(out.split()[1]) for (out, _), _ in ends]
    assert sum(pushed) == 60
    assert sum(count > 0 for count in pushed) > 1  # else they did not meet
    assert ask("select count(*) from bench_document") == ask("select count(*) from bench_run") == 60
    assert ask(POINTS) == 60 * 8
    assert ask("select count(*) from bench_series") == 6 * 8


def test_a_push_that_is_killed_leaves_no_half_run(start, bench, many, server, database, ask):
    many(range(12), rows=5)
    bench("push", "-q")
    before = ask("select count(*) from bench_document")
    many(range(12, 20), rows=5)
    with held(server, database):
        process = start("push")
        until(lambda: waits(server, database), "push writes")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    until(lambda: not waits(server, database), "the server takes it back")
    assert before == 12
    assert ask("select count(*) from bench_document") == ask("select count(*) from bench_run") == 12
    assert ask(POINTS) == 12 * 5
    assert bench("push")[1].startswith("pushed 8 runs")
    assert ask(POINTS) == 20 * 5


def test_a_server_that_stops_in_between_is_told_and_the_rest_is_sent_later(
    start, bench, many, server, database, folder, ask
):
    many(range(3), rows=5)
    bench("push", "-q")
    many(range(3, 9), rows=5)
    with contextlib.suppress(psycopg.Error), held(server, database):
        process = start("push")
        until(lambda: waits(server, database), "push writes")
        server.control("-m", "immediate", "stop")
        out, err = process.communicate(timeout=60)
    try:
        assert process.returncode == 2
        assert out.startswith("pushed 0 runs to postgresql://postgres@")
        assert err.splitlines()[-1].startswith("error: postgresql://postgres@127.0.0.1")
        assert "run files stay here: bench push sends what is missing later" in err
        assert PASSWORD not in err
        code, out, err = bench("push")
        assert (code, out) == (2, "")
        assert "connection failed" in err.splitlines()[-1]
        assert bench("history", "--format", "json")[0] == 2
        assert bench("history", "--format", "json", BENCH_STORE="")[0] == 0
    finally:
        server.start()
    assert len(list(folder.glob("*.json"))) == 9
    assert bench("push")[1].startswith("pushed 6 runs")
    assert ask(POINTS) == 9 * 5


def test_a_wrong_password_is_told_without_it(bench, put, server, database):
    put(0, 1.0)
    code, out, err = bench("push", BENCH_STORE=server.url(database, password="geheim2"))
    assert (code, out) == (2, "")
    assert 'password authentication failed for user "postgres"' in err


@pytest.mark.parametrize(("url", "part"), [
    ("postgresql://u:geheim@127.0.0.1:1/x", "connection failed"),
    ("postgresql://u:geheim@127.0.0.1:PORT/absent", "authentication failed"),
    ("postgresql://u:geheim@no.such.host.invalid/x", "failed to resolve host"),
    ("postgresql://u:geheim@h:port/x", "BENCH_STORE: not the URL of a database"),
    ("postgresql//u:geheim@h/x", "BENCH_STORE: not the URL of a database"),
    ("oracel://u:geheim@h/x", "no kind of database is called 'oracel'"),
    ("postgresql+nodriver://u:geheim@h/x", "no kind of database is called"),
    ("mysql://u:geheim@h/x", "its driver is not installed; install what mysql"),
    ("postgresql://u@127.0.0.1:PORT/x?password=geheim", "authentication failed"),
])  # fmt: skip
def test_a_wrong_url_is_one_line_without_its_secrets(bench, put, server, url, part):
    put(0, 1.0)
    code, out, err = bench("push", BENCH_STORE=url.replace("PORT", str(server.port)))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert part in err


@pytest.mark.parametrize("command", ["history", "pull"])
def test_who_reads_from_a_wrong_url_is_told_the_same(bench, command):
    code, out, err = bench(command, BENCH_STORE="postgresql://u:geheim@127.0.0.1:1/x")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("error: postgresql://u@127.0.0.1:1/x: connection failed")


def test_no_store_named_is_told_with_an_example(bench, put):
    put(0, 1.0)
    for command in ("push", "pull"):
        code, _, err = bench(command, BENCH_STORE=" ")
        assert code == 2
        assert "BENCH_STORE is not set; it names the store, for example postgresql://user:password@host/database" in err


def test_an_empty_store_is_told(bench):
    code, _, err = bench("history")
    assert code == 2
    assert "it has no tables; bench push makes them" in err


@pytest.mark.parametrize("table", ["bench_point", "bench_series", "bench_run"])
def test_a_missing_table_is_made_anew_from_the_documents(bench, put, ask, server, database, table):
    for day in range(3):
        put(day, 1.0 + day)
    bench("push")
    server.say(f"drop table {table} cascade", database)
    code, _, err = bench("history")
    assert code == 2
    assert "does not exist; " in err
    code, out, err = bench("push")
    assert (code, out[:13]) == (0, "pushed 0 runs")
    assert f"{table} was missing" in err
    assert "made anew from 3 documents" in err
    assert ask(POINTS) == 3


def test_missing_documents_are_pushed_again(bench, put, ask, server, database):
    put(0, 1.0)
    bench("push")
    server.say("drop table bench_document", database)
    assert bench("push")[1].startswith("pushed 1 run ")
    assert ask("select count(*) from bench_document") == ask(POINTS) == 1


def test_a_reader_may_look_and_not_push(bench, put, server, database, ask):
    put(0, 1.0)
    bench("push")
    put(1, 2.0)
    server.say(f"create role reader_{database} login password '{PASSWORD}'")
    server.say(f"grant select on all tables in schema public to reader_{database}", database)
    url = server.url(database, user=f"reader_{database}")
    assert bench("history", BENCH_STORE=url)[0] == 0
    code, _, err = bench("push", BENCH_STORE=url)
    assert code == 2
    assert "permission denied" in err
    assert ask(POINTS) == 1


def test_another_content_under_a_pushed_id_is_refused_by_name_and_the_first_kept(bench, put, ask):
    path = put(0, 1.0)
    bench("push")
    put(0, 5.0)
    assert bench("push")[0] == 0
    code, out, err = bench("push", str(path))
    assert (code, out[:13]) == (2, "pushed 0 runs")
    assert "the store has a run of this id with other content, and keeps it" in err
    assert ask("select step_s from bench_point") == 1.0


def test_a_run_is_pushed_by_its_id_or_its_file_and_a_journal_is_not(bench, put, folder, ask):
    put(0, 1.0)
    path = put(1, 1.0)
    put(2, 1.0)
    assert bench("push", "run-000.0", str(path))[1].startswith("pushed 2 runs")
    journal = folder / "run-9.jsonl"
    journal.write_bytes(
        path.read_bytes().replace(b"run-001.0", b"run-9").replace(b'"rows":[', b'"rows":[],"x":[') + b"\n"
    )
    code, _, err = bench("push", str(journal))
    assert code == 2
    assert "not complete; finish it with: bench run --resume" in err
    assert bench("push", "nothing")[0] == 2
    assert ask("select count(*) from bench_document") == 2


# The tables of version 1, as it made them.
FIRST_FORM = """
create table bench_version (version integer primary key);
create table bench_facts (id serial primary key, digest varchar(64) not null unique, content text not null);
create table bench_run (id serial primary key, run_id text not null unique, at bigint not null, commit text,
    settings integer not null references bench_facts (id));
create table bench_series (id serial primary key, digest varchar(64) not null unique, device text not null,
    machine text not null, unit text not null, case_id text not null, definition text not null, source text not null,
    workload text not null, device_name text not null, facts integer not null references bench_facts (id));
create table bench_point (series integer references bench_series (id), at bigint, run integer references bench_run (id),
    session integer, step_s double precision, eager_step_s double precision, ttft_s double precision,
    tpot_s double precision, p90_s double precision, p99_s double precision, prompt_tokens_per_s double precision,
    output_tokens_per_s double precision, memory_peak_bytes double precision, power_w double precision,
    joules_per_token double precision, primary key (series, at, run, session));
create table bench_document (run_id text primary key, digest varchar(64) not null, content json not null);
insert into bench_version values (1);
"""


@pytest.fixture
def first_form(put, server, database):
    """A store of version 1 that holds two runs."""
    server.say(FIRST_FORM, database)
    files = [put(day, 1.0 + day, launch="graph") for day in range(2)]
    with psycopg.connect(server.url(database)) as connection:
        for file in files:
            connection.execute(
                "insert into bench_document values (%s, %s, %s)", (file.stem, "0" * 64, file.read_text())
            )
    return files


def test_a_store_of_version_1_becomes_one_of_this_version_by_the_next_push(bench, put, ask, first_form):
    code, _, err = bench("history")
    assert code == 2
    assert f"its tables are of version 1, not {VERSION}; bench push makes them" in err
    put(2, 3.0)
    code, out, err = bench("push")
    assert (code, out[:12]) == (0, "pushed 1 run")
    for step in range(2, VERSION + 1):
        assert f"its tables of version {step - 1} are now of version {step}" in err
    assert "made anew from 2 documents" in err
    assert ask("select version from bench_version") == VERSION
    assert ask(POINTS) == 3
    assert ask("select content from bench_facts join bench_point on made = bench_facts.id where step_s = 1") == (
        '{"launch": "graph"}'
    )
    assert ask("select count(pushed) from bench_document") == 1
    assert bench("history")[0] == 0


def test_a_store_of_version_2_has_what_version_3_added_after_the_next_push(bench, put, server, database, ask):
    put(0, 1.0)
    assert bench("push")[0] == 0
    server.say("alter table bench_point drop column doubt; update bench_version set version = 2", database)
    assert bench("history")[0] == 2
    put(1, 1.0)
    assert bench("push")[0] == 0
    assert ask("select version from bench_version") == VERSION
    assert ask("select count(*) from bench_point where doubt is null") == 2
    assert bench("history")[0] == 0


def test_two_pushes_at_once_change_the_tables_once(start, ask, first_form):
    going = [start("push") for _ in range(3)]
    ends = [(process.communicate(timeout=120), process.returncode) for process in going]
    assert [code for _, code in ends] == [0, 0, 0], ends
    assert sum("made anew" in err for (_, err), _ in ends) == 1
    assert ask(POINTS) == 2


def test_a_change_of_tables_that_is_killed_has_not_begun(start, bench, server, database, ask, first_form):
    with held(server, database, "bench_document"):
        process = start("push")
        until(lambda: waits(server, database), "push changes the tables")
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    until(lambda: not waits(server, database), "the server takes it back")
    assert ask("select version from bench_version") == 1
    assert bench("push")[0] == 0
    assert ask("select version from bench_version") == VERSION
    assert ask(POINTS) == 2


def test_a_newer_store_is_refused_by_readers_and_writers(bench, put, server, database, ask):
    put(0, 1.0)
    bench("push")
    server.say("update bench_version set version = 99", database)
    put(1, 1.0)
    for command in ("push", "history", "pull"):
        code, _, err = bench(command)
        assert code == 2
        assert f"of version 99, newer than {VERSION}, the newest this version knows; upgrade accelbench" in err
    assert ask(POINTS) == 1
