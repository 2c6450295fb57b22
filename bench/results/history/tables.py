"""The tables of a history: the same in the index beside the run files (SQLite) and in a store that machines share.

Run files are the truth of an index, kept documents that of a store; every other table can be made anew from them.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

# 1 (2026-11): first form.
# 2 (2026-11): `made` of a point, `pushed` of a document.
# 3 (2026-11): `doubt` of a point.
VERSION = 3

# What leads to a version from the one before: these statements on the documents, then all else is made anew from them.
STEPS: dict[int, tuple[str, ...]] = {2: ("ALTER TABLE bench_document ADD COLUMN pushed TEXT",), 3: ()}

# What is kept of a row and can be asked for; see `bench explain METRIC`.
VALUES = (
    "step_s", "eager_step_s", "ttft_s", "tpot_s", "p90_s", "p99_s", "prompt_tokens_per_s", "output_tokens_per_s",
    "memory_peak_bytes", "power_w", "joules_per_token",
)  # fmt: skip

metadata = sa.MetaData()


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.Integer, primary_key=True)


version = sa.Table("bench_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

# Settings of a run and facts of a machine, as JSON: hundreds of runs share one.
facts = sa.Table(
    "bench_facts", metadata, _id(),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("content", sa.Text, nullable=False),
)  # fmt: skip

# `at`: when it was made, milliseconds since 1970, UTC.
run = sa.Table(
    "bench_run", metadata, _id(),
    sa.Column("run_id", sa.Text, nullable=False, unique=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("commit", sa.Text),
    sa.Column("settings", sa.ForeignKey("bench_facts.id"), nullable=False),
)  # fmt: skip

# What must be one and the same for values to be put in one line; digest: of all these, since texts may be long.
series = sa.Table(
    "bench_series", metadata, _id(),
    sa.Column("digest", sa.String(64), nullable=False, unique=True),
    sa.Column("device", sa.Text, nullable=False),
    sa.Column("machine", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("case_id", sa.Text, nullable=False),
    sa.Column("definition", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("workload", sa.Text, nullable=False),
    sa.Column("device_name", sa.Text, nullable=False),
    sa.Column("facts", sa.ForeignKey("bench_facts.id"), nullable=False),
)  # fmt: skip

# One row of a run, that is one session of one case, in the order in which a series is read; samples stay in the files.
# `made`: how, as JSON (launch, tier, operators). `doubt`: a word of bench.results.doubt, null for a row without.
point = sa.Table(
    "bench_point", metadata,
    sa.Column("series", sa.ForeignKey("bench_series.id"), primary_key=True),
    sa.Column("at", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("run", sa.ForeignKey("bench_run.id"), primary_key=True),
    sa.Column("session", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("made", sa.ForeignKey("bench_facts.id"), nullable=False),
    sa.Column("doubt", sa.Text),
    *(sa.Column(name, sa.Float(53)) for name in VALUES),
    sqlite_with_rowid=False,
)  # fmt: skip

# Of an index: the run files as they were when they were read. `run` is null where `reason` says why.
file = sa.Table(
    "bench_file", metadata,
    sa.Column("path", sa.Text, primary_key=True),
    sa.Column("mtime_ns", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("run", sa.ForeignKey("bench_run.id")),
    sa.Column("reason", sa.Text),
    sqlite_with_rowid=False,
)  # fmt: skip

# Of an index: change points found before, by the values they were found in.
split = sa.Table(
    "bench_split", metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip


class Verbatim(sa.types.UserDefinedType[str]):
    """JSON to the letter: PostgreSQL's `json` keeps the text, and can be asked for what is in it."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        return "JSON"

    def column_expression(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
        return sa.cast(column, sa.Text)


# Of a store: run files as they were pushed. `pushed`: when, null where that was before version 2.
document = sa.Table(
    "bench_document", metadata,
    sa.Column("run_id", sa.Text, primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("content", sa.Text().with_variant(Verbatim(), "postgresql"), nullable=False),
    sa.Column("pushed", sa.Text),
)  # fmt: skip

DERIVED = (facts, run, series, point)
INDEX = (version, *DERIVED, file, split)
STORE = (version, *DERIVED, document)


def create(connection: sa.Connection, tables: tuple[sa.Table, ...]) -> None:
    """Make the tables, where they are not there, and note their version."""
    metadata.create_all(connection, list(tables))
    if version_of(connection) is None:
        connection.execute(version.insert().values(version=VERSION))


def drop(connection: sa.Connection) -> None:
    """Remove the tables of any version, and nothing else that is in the database."""
    found = sa.MetaData()
    found.reflect(connection, only=lambda name, _: name.startswith("bench_"))
    found.drop_all(connection)


def version_of(connection: sa.Connection) -> int | None:
    """Return the version of the tables in a database, or None where there are none."""
    if not sa.inspect(connection).has_table(version.name):
        return None
    found: int | None = connection.execute(sa.select(version.c.version)).scalar()
    return found
