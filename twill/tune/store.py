"""The cache on disk: one SQLite database, safe under concurrent writers, of what was compiled and what was timed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twill.errors import InputError
from twill.tune.problem import Problem

FOLDER_VARIABLE = "TWILL_CACHE"
_VERSION = 1  # of the tables below
_PATIENCE_SECONDS = 60.0  # for other writers; each holds the database for milliseconds
_TABLES = """
CREATE TABLE IF NOT EXISTS problems (problem TEXT PRIMARY KEY, about TEXT NOT NULL, date TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS builds (
    problem TEXT NOT NULL, point TEXT NOT NULL, answer TEXT NOT NULL, date TEXT NOT NULL, PRIMARY KEY (problem, point));
CREATE TABLE IF NOT EXISTS times (
    problem TEXT NOT NULL, candidate TEXT NOT NULL, device TEXT NOT NULL, answer TEXT NOT NULL, date TEXT NOT NULL,
    PRIMARY KEY (problem, candidate, device));
"""
TABLES: Mapping[str, tuple[str, ...]] = {
    "problems": ("problem", "about", "date"),
    "builds": ("problem", "point", "answer", "date"),
    "times": ("problem", "candidate", "device", "answer", "date"),
}


def default_folder() -> Path:
    """$TWILL_CACHE, or the folder for caches of this user on this system."""
    import platformdirs

    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else Path(platformdirs.user_cache_dir("twill", appauthor=False))


class Store:
    """The tuned results in a folder. Every method is one transaction of its own, from any process or thread.

    Raises InputError where the folder cannot be written, or the database cannot be read.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else default_folder()
        self.path = self.folder / "tuned.sqlite3"

    def prepare(self) -> None:
        """Make folder and tables, so that what is wrong with either shows before long work."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error.strerror or str(error)) from None
        with self._writing():
            pass

    def keep_problem(self, problem: Problem) -> None:
        """Say what a problem's key stands for."""
        row = (problem.key, json.dumps(asdict(problem), sort_keys=True), _now())
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO problems VALUES (?, ?, ?)", row)

    def keep_build(self, problem: str, point: str, answer: Mapping[str, Any]) -> None:
        """What compiling one point gave; an earlier answer is replaced."""
        with self._writing() as connection:
            row = (problem, point, json.dumps(answer), _now())
            connection.execute("INSERT OR REPLACE INTO builds VALUES (?, ?, ?, ?)", row)

    def keep_time(self, problem: str, candidate: str, device: str, answer: Mapping[str, Any]) -> None:
        """What timing one candidate on a device gave; an earlier answer is replaced."""
        with self._writing() as connection:
            row = (problem, candidate, device, json.dumps(answer), _now())
            connection.execute("INSERT OR REPLACE INTO times VALUES (?, ?, ?, ?, ?)", row)

    def problems(self) -> dict[str, dict[str, Any]]:
        """What each key stands for: the fields of Problem and the date of its first sweep."""
        rows = self._read("SELECT problem, about, date FROM problems ORDER BY date, problem")
        return {key: {**self._json(about), "date": date} for key, about, date in rows}

    def builds(self, problem: str) -> dict[str, dict[str, Any]]:
        """Each compiled point's answer."""
        rows = self._read("SELECT point, answer FROM builds WHERE problem = ? ORDER BY point", problem)
        return {point: self._json(answer) for point, answer in rows}

    def times(self, problem: str) -> dict[tuple[str, str], dict[str, Any]]:
        """Each timed candidate's answer, by candidate and device."""
        rows = self._read("SELECT candidate, device, answer, date FROM times WHERE problem = ? ORDER BY date", problem)
        return {(candidate, device): {**self._json(answer), "date": date} for candidate, device, answer, date in rows}

    def rows(self, table: str) -> list[tuple[str, ...]]:
        """Every row of a table, to be exported."""
        return self._read(f"SELECT {', '.join(TABLES[table])} FROM {table} ORDER BY 1, 2")

    def merge(self, rows: Mapping[str, list[tuple[str, ...]]]) -> dict[str, int]:
        """Take rows over, all or none of them; of two for the same thing the newer stays. How many were, by table."""
        taken = {}
        with self._writing() as connection:
            for table, columns in TABLES.items():
                before = connection.total_changes
                marks = ", ".join("?" * len(columns))
                keys = ", ".join(column for column in columns if column not in ("about", "answer", "date"))
                changed = ", ".join(
                    f"{name} = excluded.{name}" for name in columns if name in ("about", "answer", "date")
                )
                connection.executemany(
                    f"INSERT INTO {table} VALUES ({marks}) ON CONFLICT ({keys}) DO UPDATE SET {changed} "
                    f"WHERE excluded.date > {table}.date",
                    rows[table],
                )
                taken[table] = connection.total_changes - before
        return taken

    # connections ---------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._errors_explained(), closing(sqlite3.connect(self.path, timeout=_PATIENCE_SECONDS)) as connection:
            connection.isolation_level = None
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            self._require_version(version)
            connection.execute("BEGIN IMMEDIATE")
            try:
                for statement in _TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _read(self, query: str, *values: str) -> list[tuple[Any, ...]]:
        if self.folder.exists() and not self.folder.is_dir():
            raise self._unwritable("its folder is a file")
        if not self.path.exists():
            return []
        with self._errors_explained(), closing(sqlite3.connect(self.path, timeout=_PATIENCE_SECONDS)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                return []
            self._require_version(version)
            return connection.execute(query, values).fetchall()

    def _require_version(self, version: int) -> None:
        if version not in (0, _VERSION):
            raise InputError(
                f"the cache was written by another version of Twill (its tables are of version {version}).",
                hint="Give another folder with --cache, or move the file away.",
                location=str(self.path),
            )

    @contextmanager
    def _errors_explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                message = f"another process has held the cache for {_PATIENCE_SECONDS:g} seconds."
                raise InputError(message, hint="Try again, or end that process.", location=str(self.path)) from None
            if "no such table" in str(error) or "no such column" in str(error):
                raise self._damaged(str(error)) from None
            raise self._unwritable(str(error)) from None
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from None

    def _json(self, text: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except (TypeError, ValueError) as error:
            raise self._damaged(str(error)) from None
        if not isinstance(found, dict):
            raise self._damaged("a row holds no object")
        return found

    def _damaged(self, why: str) -> InputError:
        hint = "Move the file away (nothing but measurements is lost), or give another folder with --cache."
        return InputError(f"the cache is damaged: {why}.", hint=hint, location=str(self.path))

    def _unwritable(self, why: str) -> InputError:
        hint = f"Give another folder with --cache or in ${FOLDER_VARIABLE}."
        return InputError(f"the cache cannot be opened or written: {why}.", hint=hint, location=str(self.path))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
