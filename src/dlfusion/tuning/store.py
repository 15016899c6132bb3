"""The tuning memory: every measurement in one SQLite file, written as it happens.

Several processes may use one file at once; a process that is killed loses nothing that `add` had returned from.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from dlfusion.errors import InputError
from dlfusion.runtime.cache import cache_folder
from dlfusion.runtime.measure import Setting

SCHEMA_VERSION = 1
"""Version of the tables; a file with any other is refused."""

FILE_NAME = "tuning.sqlite3"
"""The default file, in the cache folder."""

_APPLICATION_ID = 0x444C4675  # "DLFu": marks our files among all SQLite files
_BUSY_SECONDS = 60.0
_OPEN_ATTEMPTS = 100
_OPEN_PAUSE_SECONDS = 0.05

_TABLES = """
CREATE TABLE settings (
    id INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,
    compiler TEXT NOT NULL,
    flags TEXT NOT NULL,  -- a JSON list
    library TEXT NOT NULL,
    UNIQUE (machine, compiler, flags, library)
);
CREATE TABLE measurements (
    id INTEGER PRIMARY KEY,
    setting INTEGER NOT NULL REFERENCES settings (id),
    structure TEXT NOT NULL,
    label TEXT NOT NULL,
    samples TEXT NOT NULL,  -- a JSON list of seconds
    measured_at REAL NOT NULL  -- seconds since 1970
);
CREATE INDEX measurements_by_structure ON measurements (setting, structure);
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What was measured under one setting: `structure` says what, for the machine; `label` says it for people.

    `samples` are seconds, in the order they were taken; `measured_at` is in seconds since 1970.
    """

    structure: str
    label: str
    samples: tuple[float, ...]
    measured_at: float


@dataclass(frozen=True, slots=True)
class Holding:
    """How much the store has of one setting, which `number` names; times are in seconds since 1970."""

    number: int
    setting: Setting
    structures: int
    samples: int
    first_at: float
    last_at: float


class Store:
    """An open tuning memory, for one thread of one process (SQLite forbids more); a context manager, or `close` it."""

    def __init__(self, path: Path | None = None) -> None:
        """Open the file, made if it is not there; without a path, the one in the user's cache folder.

        Raises:
            InputError: the file cannot be opened, is damaged, belongs to another program, or has another version.
        """
        self.path = cache_folder() / FILE_NAME if path is None else path
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot make the folder of the tuning database {self.path}: {error.strerror}") from error
        with self._failures():
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
            try:
                self._prepare()
            except BaseException:
                self._connection.close()
                raise

    def find(self, setting: Setting, structure: str) -> tuple[float, ...] | None:
        """All samples of a structure, in seconds, in the order they were taken; None if it was never measured."""
        query = (
            "SELECT samples FROM measurements JOIN settings ON settings.id = setting "
            "WHERE machine = ? AND compiler = ? AND flags = ? AND library = ? AND structure = ? "
            "ORDER BY measurements.id"
        )
        with self._failures():
            rows = self._connection.execute(query, (*_columns(setting), structure)).fetchall()
        samples = tuple(sample for (text,) in rows for sample in self._samples(text))
        return samples or None

    def add(self, setting: Setting, structure: str, label: str, samples: Sequence[float]) -> None:
        """Remember one measurement; when this returns, it is in the file."""
        self.add_all(setting, [Entry(structure, label, tuple(samples), time.time())])

    def add_all(self, setting: Setting, entries: Sequence[Entry]) -> None:
        """Remember several measurements, all or none."""
        with self._transaction():
            self._insert(setting, entries)

    def holdings(self) -> tuple[Holding, ...]:
        """What there is of each setting, in the order in which the settings were first used."""
        query = (
            "SELECT settings.id, machine, compiler, flags, library, COUNT(DISTINCT structure), "
            "SUM(json_array_length(samples)), MIN(measured_at), MAX(measured_at) "
            "FROM settings JOIN measurements ON setting = settings.id GROUP BY settings.id ORDER BY settings.id"
        )
        with self._failures():
            rows = self._connection.execute(query).fetchall()
        return tuple(Holding(row[0], self._setting(row[1:5]), *row[5:]) for row in rows)

    def entries(self, number: int) -> tuple[Entry, ...]:
        """The measurements under the setting with this number, in the order they were made; empty if there is none."""
        query = "SELECT structure, label, samples, measured_at FROM measurements WHERE setting = ? ORDER BY id"
        with self._failures():
            rows = self._connection.execute(query, (number,)).fetchall()
        return tuple(
            Entry(structure, label, self._samples(text), measured_at) for structure, label, text, measured_at in rows
        )

    def merge(self, records: Iterable[tuple[Setting, Entry]]) -> int:
        """Add the records that are not there yet, all or none; returns how many were added.

        Records that differ in time, structure or setting are different: merging the same ones twice adds nothing.
        """
        added = 0
        with self._transaction():
            for setting, entry in records:
                if not self._holds(setting, entry):
                    self._insert(setting, [entry])
                    added += 1
        return added

    def prune(self, *, number: int | None = None, before: float | None = None) -> int:
        """Forget the measurements under setting `number` made earlier than `before` (seconds since 1970).

        A condition that is None holds for all, so that with neither the store is emptied. Returns how many measurements
        went away.
        """
        with self._transaction():
            gone = self._connection.execute(
                "DELETE FROM measurements WHERE (?1 IS NULL OR setting = ?1) AND (?2 IS NULL OR measured_at < ?2)",
                (number, before),
            ).rowcount
            self._connection.execute("DELETE FROM settings WHERE id NOT IN (SELECT setting FROM measurements)")
        return gone

    def close(self) -> None:
        """Close the file; further calls fail. Closing twice is allowed."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- opening -------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Check whose file it is, and make the tables in a new one."""
        self._refuse_others()
        self._log_ahead()
        if self._number("user_version") != 0:
            return
        with self._transaction():
            if self._number("user_version") == 0:  # another process may have been faster
                for statement in _TABLES.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")

    def _refuse_others(self) -> None:
        self._connection.execute("BEGIN")  # one state of the file, also while another process makes the tables
        owner, version = self._number("application_id"), self._number("user_version")
        tables = self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        self._connection.execute("COMMIT")
        if not tables and not owner and not version:
            return
        if owner != _APPLICATION_ID:
            raise InputError(f"{self.path} is a database of another program; give the tuning database another name")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"the tuning database {self.path} has version {version}, this DLFusion reads version {SCHEMA_VERSION}: "
                "use a DLFusion that knows it, or another file"
            )
        ((verdict,), *_) = self._connection.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise InputError(self._damaged(verdict))

    def _log_ahead(self) -> None:
        """Let readers and a writer work at once. SQLite does not wait its usual time for this one change."""
        for _ in range(_OPEN_ATTEMPTS):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                time.sleep(_OPEN_PAUSE_SECONDS)
            else:
                break
        self._connection.execute("PRAGMA synchronous = NORMAL")

    def _number(self, pragma: str) -> int:
        return int(self._connection.execute(f"PRAGMA {pragma}").fetchone()[0])

    # --- rows ----------------------------------------------------------------------------------------------------

    def _insert(self, setting: Setting, entries: Sequence[Entry]) -> None:
        columns = _columns(setting)
        self._connection.execute(
            "INSERT OR IGNORE INTO settings (machine, compiler, flags, library) VALUES (?, ?, ?, ?)", columns
        )
        self._connection.executemany(
            "INSERT INTO measurements (setting, structure, label, samples, measured_at) SELECT id, ?, ?, ?, ? "
            "FROM settings WHERE machine = ? AND compiler = ? AND flags = ? AND library = ?",
            [
                (entry.structure, entry.label, json.dumps(list(entry.samples)), entry.measured_at, *columns)
                for entry in entries
            ],
        )

    def _holds(self, setting: Setting, entry: Entry) -> bool:
        query = (
            "SELECT 1 FROM measurements JOIN settings ON settings.id = setting WHERE machine = ? AND compiler = ? AND "
            "flags = ? AND library = ? AND structure = ? AND measured_at = ? LIMIT 1"
        )
        values = (*_columns(setting), entry.structure, entry.measured_at)
        return self._connection.execute(query, values).fetchone() is not None

    def _setting(self, texts: Sequence[str]) -> Setting:
        machine, compiler, flags, library = texts
        try:
            return Setting(machine, compiler, tuple(json.loads(flags)), library)
        except ValueError as error:
            raise InputError(self._damaged(f"flags {flags[:60]!r}: {error}")) from error

    def _samples(self, text: str) -> tuple[float, ...]:
        try:
            return tuple(float(sample) for sample in json.loads(text))
        except (TypeError, ValueError) as error:
            raise InputError(self._damaged(f"samples {text[:60]!r}: {error}")) from error

    # --- failures ------------------------------------------------------------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Everything inside happens or nothing; other writers wait meanwhile."""
        with self._failures():
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Tell what SQLite finds wrong with the file as the user's error; wrong calls stay bugs."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise InputError(f"cannot use the tuning database {self.path}: {error}; check access and room") from error
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise
        except sqlite3.DatabaseError as error:
            raise InputError(self._damaged(str(error))) from error

    def _damaged(self, what: str) -> str:
        return (
            f"{self.path} is no tuning database, or is damaged ({what}); move it away and measure again, "
            "or import an export of it into a new file"
        )


def _columns(setting: Setting) -> tuple[str, str, str, str]:
    return setting.machine, setting.compiler, json.dumps(list(setting.flags)), setting.library
