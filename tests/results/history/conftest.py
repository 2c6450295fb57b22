"""Folders of run files: written quickly, by the thousand, as small or as large as real ones."""

from __future__ import annotations

import contextlib
import datetime
import os
import pwd
import random
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from bench.results.record import Environment, Row, Run

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
PASSWORD = "geheim/Wort"

FIRST = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    runs.mkdir()
    return runs


@pytest.fixture
def put(folder: Path, row: Callable[..., Row], environment: Callable[..., Environment]) -> Callable[..., Path]:
    """Return a function that writes run number `day` of January 2026, a row for every time given."""

    def write(day: float, *steps: float, place: str = "", run_id: str = "", **changes: Any) -> Path:
        created = (FIRST + datetime.timedelta(days=day)).isoformat()
        fields = {name: changes.pop(name) for name in list(changes) if name in Environment.__struct_fields__}
        rows = [row(step_s=step, session=number, **changes) for number, step in enumerate(steps, 1)]
        run_id = run_id or f"run-{day:05.1f}"
        run = Run(id=run_id, environment=environment(**{"created": created, **fields}), rows=rows)
        path = folder / place / f"{run_id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(run))
        return path

    return write


@dataclass
class Server:
    """A PostgreSQL of this test session, in a folder of its own."""

    bin: Path
    data: Path
    port: int
    user: tuple[str, ...]

    def url(self, database: str, user: str = "postgres", password: str = PASSWORD) -> str:
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def control(self, *words: str) -> None:
        log = self.data / "log"
        done = subprocess.run(
            [*self.user, self.bin / "pg_ctl", "-D", self.data, "-l", log, "-w", *words], capture_output=True, check=False
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode() + (log.read_text() if log.exists() else "")

    def start(self) -> None:
        self.control(
            "-o", f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off", "start"
        )

    def say(self, statement: str, database: str = "postgres") -> list[Any]:
        """Run one statement as the superuser."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """Start a PostgreSQL; skip where its programs are not installed."""
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'accelbench[fleet]'")
    if not POSTGRES:
        pytest.skip("PostgreSQL's programs are not in /usr/lib/postgresql: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="bench-postgres-"))
    user: tuple[str, ...] = ()
    if os.geteuid() == 0:
        # It refuses to run as root.
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        user = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
    secret = folder / "secret"
    secret.write_text(PASSWORD)
    secret.chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    found = Server(POSTGRES[-1].parent, folder / "data", port, user)
    made = subprocess.run(
        [*user, found.bin / "initdb", "-D", found.data, "-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8",
         "--locale=C", "--pwfile", secret, "--no-sync"], capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        pytest.skip(f"PostgreSQL cannot be set up here: {made.stderr.decode().strip()[:300]}")
    found.start()
    yield found
    with contextlib.suppress(AssertionError):
        found.control("-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """Make a database of this test's own and return its name."""
    name = f"test_{secrets.token_hex(4)}"
    server.say(f"create database {name}")
    yield name
    server.say(f"drop database if exists {name} with (force)")


@pytest.fixture
def many(folder: Path) -> Callable[..., None]:
    """Return a function that writes runs of 36 rows and about 17 kB each, on six machines in turn, one an hour."""
    return lambda numbers, **keys: write_many(folder, numbers, **keys)


def write_many(folder: Path, numbers: Sequence[int], rows: int = 36, slower: float = 1.05) -> None:
    """Write runs; in every sixth case the last twenty runs of a machine take `slower` times as long."""
    rng = random.Random(1)
    last = max(numbers)
    for number in numbers:
        machine = number % 6
        late = number > last - 20 * 6
        created = FIRST + datetime.timedelta(hours=number)
        lines = []
        for case in range(rows):
            typical = 0.001 * (case + 1) * (slower if late and case % 6 == 0 else 1)
            samples = [typical * rng.gauss(1, 0.005) for _ in range(8)]
            step = sorted(samples)[4] * rng.gauss(1, 0.01)
            lines.append(
                f'{{"case_id":"llama-3.1-8b-decode[b={case},ctx=4k,bf16]","workload":"llama-3.1-8b-decode",'
                f'"phase":"decode","dtype":"bf16","definition_hash":"{case:016x}","definition":{{}},"device":"cuda:0",'
                f'"device_name":"NVIDIA H100 80GB HBM3","unit":"package","source":"measured","status":"ok",'
                f'"step_s":{step!r},"tpot_s":{step!r},"output_tokens_per_s":{case / step!r},"memory_peak_bytes":3e9,'
                f'"power_w":512.5,"joules_per_token":0.25,"launch":"graph","samples_s":{samples!r}}}'
            )
        head = (
            f'{{"schema":3,"id":"run-{number:06d}","complete":true,"planned":[],"environment":{{"bench_version":"0.1.0",'
            f'"created":"{created.isoformat()}","command":"bench run","host":"node-{machine}","fingerprint":"abc",'
            f'"python":"3.11.7","os":"Linux 6.{number // 5000}","cpu":"EPYC {machine}","cores":64,'
            f'"commit":"{number // 6:012x}","packages":{{"torch":"2.{number // 4000}.0"}},'
            f'"devices":{{"cuda:0":{{"name":"NVIDIA H100 80GB HBM3","memory":"80.0 GB","driver":"550.{machine}"}}}}}},'
        )
        (folder / f"run-{number:06d}.json").write_text(f'{head}"rows":[{",".join(lines)}]}}')
