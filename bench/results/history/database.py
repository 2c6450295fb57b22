"""Connections: an index in SQLite, a store wherever its URL says; and errors of theirs that hold no password."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import sqlalchemy as sa
from sqlalchemy import event

from bench.errors import ResultError, listed

# How long one process waits for another's transaction, and for a server to answer.
PATIENCE_S = 60
ANSWER_S = 10
EXAMPLE = "postgresql://user:password@host/database"
FORMS = f"{EXAMPLE} or sqlite:////folder/store.db"
SECRET_KEYS = ("pass", "secret", "token", "key")
# Drivers that we name where a URL names none.
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


@contextlib.contextmanager
def connected(url: sa.URL) -> Iterator[sa.Connection]:
    """Open one connection, and close it whatever happens. A writer asks for the execution option `immediate`."""
    sqlite = url.get_backend_name() == "sqlite"
    options: dict[str, Any] = {"timeout": PATIENCE_S} if sqlite else {}
    if url.drivername == "postgresql+psycopg" and "connect_timeout" not in url.query:
        options = {"connect_timeout": ANSWER_S}
    engine = sa.create_engine(url, connect_args=options)
    if sqlite:
        event.listen(engine, "connect", _settle)
        event.listen(engine, "begin", _begin)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _settle(connection: Any, _: Any) -> None:
    # Transactions begin where we say so; readers do not wait for a writer.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")


def _begin(connection: sa.Connection) -> None:
    # Taken at once: a reader that turns writer may find that another has written meanwhile, and must give up.
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def parsed(text: str) -> sa.URL:
    """Read the URL of a store.

    Raises: ResultError, which does not repeat the text: there may be a password in it.
    """
    try:
        url = sa.make_url(text.strip())
        url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
        url.get_dialect().import_dbapi()
    except ImportError:
        driver = url.drivername
        hint = "pip install 'accelbench[fleet]'" if driver == DRIVERS["postgresql"] else f"install what {driver} needs"
        raise ResultError(f"{shown(url)}: its driver is not installed; {hint}") from None
    except sa.exc.NoSuchModuleError:
        raise ResultError(
            f"BENCH_STORE: no kind of database is called '{url.drivername}'; write it as {FORMS}"
        ) from None
    except (sa.exc.ArgumentError, ValueError):
        raise ResultError(f"BENCH_STORE: not the URL of a database; write it as {FORMS}") from None
    if url.get_backend_name() == "sqlite":
        _check_file(url)
    _check_query(url)
    return url


def _check_file(url: sa.URL) -> None:
    """Raise ResultError for SQLite's URL of no file: what is in memory is lost, and after two slashes stands a host."""
    path = url.database or ""
    if url.host or path in ("", ":memory:"):
        raise ResultError(
            "BENCH_STORE: SQLite's URL names no file; write it as sqlite:////folder/store.db, four slashes"
        )
    folder = Path(path).parent
    if not folder.is_dir():
        raise ResultError(f"{shown(url)}: no folder {folder}; make it, or write it as sqlite:////folder/store.db")
    if Path(path).is_dir():
        raise ResultError(f"{shown(url)}: a folder; name a file in it: sqlite:////folder/store.db")


def _check_query(url: sa.URL) -> None:
    """Raise ResultError for options behind a question mark that the driver does not take."""
    try:
        with warnings.catch_warnings():
            # A warning that something is ignored.
            warnings.simplefilter("error", sa.exc.SAWarning)
            url.get_dialect()().create_connect_args(url)
    except (sa.exc.SAWarning, sa.exc.ArgumentError, ValueError, TypeError):
        names = listed(list(url.query))
        raise ResultError(f"{shown(url)}: what stands after '?' in BENCH_STORE ({names}) cannot be used") from None


def shown(url: sa.URL) -> str:
    """Return a URL as it may be printed: without password, and without its query, where one may stand as well."""
    plain = sa.URL.create(url.get_backend_name(), url.username, None, url.host, url.port, url.database)
    return plain.render_as_string()


def reason(error: Exception, url: sa.URL) -> str:
    """Return the first line of what a database said, with every secret of its URL taken out."""
    text = str(getattr(error, "orig", None) or error).strip() or type(error).__name__
    line = " ".join(text.splitlines()[0].split())[:300]
    told = [str(value) for key, value in url.query.items() if any(word in key.lower() for word in SECRET_KEYS)]
    for secret in {
        form for each in [str(url.password or ""), *told] for form in (each, quote(each, safe=""), unquote(each))
    }:
        line = line.replace(secret, "***") if secret else line
    return line
