"""The tuning memory: several processes, killed ones, files of others, and what is forgotten."""

import multiprocessing
import os
import signal
import sqlite3
import time
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from dlfusion.errors import InputError
from dlfusion.runtime.measure import Setting
from dlfusion.tuning.exchange import export_lines, import_lines
from dlfusion.tuning.store import FILE_NAME, SCHEMA_VERSION, Entry, Store

HERE = Setting("a CPU; 2 cores", "g++ 12", ("-O3", "-mavx2"), "kernels 1")
THERE = Setting("another CPU; 8 cores", "g++ 12", ("-O3", "-mavx2"), "kernels 1")
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "tuning.sqlite3"


def test_samples_are_found_under_all_parts_of_their_key_only(path: Path) -> None:
    with Store(path) as store:
        store.add(HERE, "s", "a block", (2.0, 1.0))
        store.add(HERE, "s", "a block", (0.1,))
        assert store.find(HERE, "s") == (2.0, 1.0, 0.1)
        assert store.find(HERE, "t") is None
        for other in (
            THERE,
            Setting(HERE.machine, "g++ 13", HERE.flags, HERE.library),
            Setting(HERE.machine, HERE.compiler, (*HERE.flags, "-g"), HERE.library),
            Setting(HERE.machine, HERE.compiler, HERE.flags, "kernels 2"),
        ):
            assert store.find(other, "s") is None
    with Store(path) as again:
        assert again.find(HERE, "s") == (2.0, 1.0, 0.1)


def test_the_default_file_is_in_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLFUSION_CACHE_DIR", str(tmp_path / "cache"))
    with Store() as store:
        assert store.path == tmp_path / "cache" / FILE_NAME
        assert store.path.is_file()


def write_many(path: Path, writer: int, count: int) -> None:
    with Store(path) as store:
        for index in range(count):
            store.add(HERE, f"structure {writer} {index}", "a block", (float(index),))
            store.add(HERE, "shared", "a block", (float(writer),))


def test_several_processes_write_one_new_file(path: Path) -> None:
    writers = [FORK.Process(target=write_many, args=(path, writer, 20)) for writer in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    assert [process.exitcode for process in writers] == [0] * 4
    with Store(path) as store:
        found = [store.find(HERE, f"structure {writer} {index}") for writer in range(4) for index in range(20)]
        assert found == [(float(index),) for _ in range(4) for index in range(20)]
        assert sorted(store.find(HERE, "shared") or ()) == sorted([0.0, 1.0, 2.0, 3.0] * 20)


def write_until_killed(path: Path, told: Connection) -> None:
    with Store(path) as store:
        for index in range(1_000_000):
            store.add(HERE, f"structure {index}", "a block", (1.0,))
            told.send(index)


def test_a_killed_writer_loses_nothing_that_it_had_written(path: Path) -> None:
    hear, tell = FORK.Pipe(duplex=False)
    writer = FORK.Process(target=write_until_killed, args=(path, tell))
    writer.start()
    tell.close()
    last = -1
    while last < 30:
        last = hear.recv()
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(60)
    while True:
        try:
            last = hear.recv()
        except EOFError:
            break
    with Store(path) as store:
        assert all(store.find(HERE, f"structure {index}") == (1.0,) for index in range(last + 1))
        store.add(HERE, "afterwards", "a block", (1.0,))


def test_several_measurements_are_added_all_or_none(path: Path) -> None:
    entries = [Entry("one", "a block", (1.0,), 5.0), Entry("two", None, (1.0,), 5.0)]  # type: ignore[arg-type]
    with Store(path) as store:
        with pytest.raises(sqlite3.IntegrityError):
            store.add_all(HERE, entries)
        assert store.find(HERE, "one") is None
        assert store.holdings() == ()


class Interrupting:
    """A connection on which Ctrl-C comes just when a transaction has begun."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def execute(self, statement: str) -> sqlite3.Cursor:
        result = self.connection.execute(statement)
        if statement.startswith("BEGIN"):
            raise KeyboardInterrupt
        return result

    def __getattr__(self, name: str) -> object:
        return getattr(self.connection, name)


def test_an_interruption_leaves_no_transaction_open(path: Path) -> None:
    with Store(path) as store:
        connection = store._connection
        store._connection = Interrupting(connection)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            store.add(HERE, "s", "a block", (1.0,))
        store._connection = connection
        store.add(HERE, "t", "a block", (1.0,))  # such as the time of the search that was interrupted
        assert (store.find(HERE, "s"), store.find(HERE, "t")) == (None, (1.0,))


def test_holdings_and_entries_tell_what_there_is(path: Path) -> None:
    with Store(path) as store:
        store.add_all(HERE, [Entry("a", "block a", (1.0, 2.0), 100.0), Entry("b", "block b", (3.0,), 200.0)])
        store.add_all(HERE, [Entry("a", "block a", (4.0,), 300.0)])
        store.add_all(THERE, [Entry("a", "block a", (5.0,), 400.0)])
        here, there = store.holdings()
        assert (here.setting, here.structures, here.samples, here.first_at, here.last_at) == (HERE, 2, 4, 100.0, 300.0)
        assert (there.setting, there.structures, there.samples) == (THERE, 1, 1)
        assert [entry.label for entry in store.entries(here.number)] == ["block a", "block b", "block a"]
        assert store.entries(99) == ()


def test_pruning_by_age_and_by_setting(path: Path) -> None:
    with Store(path) as store:
        store.add_all(HERE, [Entry("old", "x", (1.0,), 100.0), Entry("new", "x", (1.0,), 300.0)])
        store.add_all(THERE, [Entry("old", "x", (1.0,), 100.0), Entry("new", "x", (1.0,), 300.0)])
        here, there = (holding.number for holding in store.holdings())
        assert store.prune(number=here, before=200.0) == 1
        assert store.find(HERE, "old") is None
        assert store.find(HERE, "new") == (1.0,)
        assert store.find(THERE, "old") == (1.0,)
        assert store.prune(number=there) == 2
        assert [holding.setting for holding in store.holdings()] == [HERE]
        assert store.prune(before=400.0) == 1
        assert store.holdings() == ()
        store.add(HERE, "again", "x", (1.0,))
        assert store.find(HERE, "again") == (1.0,)


def test_exported_measurements_are_imported_once(path: Path, tmp_path: Path) -> None:
    with Store(path) as store, Store(tmp_path / "other.sqlite3") as other:
        store.add_all(HERE, [Entry("a", "block ä", (1.0, 2e-6), 100.5), Entry("a", "block ä", (3.0,), 200.0)])
        store.add_all(THERE, [Entry("b", "block b", (4.0,), 300.0)])
        other.add(HERE, "own", "x", (9.0,))
        lines = list(export_lines(store))
        assert import_lines(other, lines) == (3, 3)
        assert import_lines(other, lines) == (0, 3)
        assert other.find(HERE, "a") == (1.0, 2e-6, 3.0)
        assert other.find(THERE, "b") == (4.0,)
        assert other.find(HERE, "own") == (9.0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: [], "line 1"),
        (lambda lines: ["{}\n", *lines[1:]], "no export"),
        (lambda lines: [lines[0].replace("1", "2"), *lines[1:]], "version 2"),
        (lambda lines: [*lines, lines[1][:40]], "line 3 is not JSON"),
        (lambda lines: [*lines, "[1]\n"], "line 3 is not an object"),
        (lambda lines: [*lines, lines[1].replace('"machine"', '"maschine"')], "line 3: `machine`"),
        (lambda lines: [*lines, lines[1].replace("[1.0]", "[]")], "line 3: `samples`"),
        (lambda lines: [*lines, lines[1].replace("[1.0]", "[NaN]")], "line 3: `samples`"),
        (lambda lines: [*lines, lines[1].replace("[1.0]", "[true]")], "line 3: `samples`"),
        (lambda lines: [*lines, lines[1].replace("[1.0]", f"[1{'0' * 400}]")], "line 3: `samples`"),
        (lambda lines: [*lines, lines[1].replace('["-O3"', "[3")], "line 3: `flags`"),
        (lambda lines: [*lines, lines[1].replace("100.0", "Infinity")], "line 3: `measured_at`"),
        (lambda lines: [*lines, lines[1].replace("100.0", "1e15")], "line 3: `measured_at`"),
    ],
)
def test_a_wrong_import_names_the_line_and_adds_nothing(path: Path, tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    with Store(path) as store, Store(tmp_path / "other.sqlite3") as other:
        store.add_all(HERE, [Entry("a", "block a", (1.0,), 100.0)])
        with pytest.raises(InputError, match=message):
            import_lines(other, change(list(export_lines(store))))
        assert other.holdings() == ()


def test_files_of_others_are_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("these are notes, many of them, and no database at all " * 40)
    foreign = tmp_path / "foreign.db"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE settings (id INTEGER)")
    connection.close()
    for path, message in ((text, "damaged"), (foreign, "another program")):
        before = path.read_bytes()
        with pytest.raises(InputError, match=message):
            Store(path)
        assert path.read_bytes() == before
    with pytest.raises(InputError, match="cannot use"):
        Store(tmp_path)
    with pytest.raises(InputError, match="cannot make the folder"):
        Store(text / "below" / "x.sqlite3")


def test_a_newer_version_is_refused(path: Path) -> None:
    Store(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(InputError, match=f"version {SCHEMA_VERSION + 1}, this DLFusion reads version {SCHEMA_VERSION}"):
        Store(path)


def test_a_damaged_file_is_refused(path: Path) -> None:
    with Store(path) as store:
        for index in range(300):
            store.add(HERE, f"structure {index}", "a block with a long label " * 10, (1.0,))
    content = bytearray(path.read_bytes())
    content[4096:20480] = os.urandom(20480 - 4096)
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        Store(path)


def write_when_told(path: Path, go: Event) -> None:
    go.wait(60)
    write_many(path, 1, 1)


def test_a_writer_waits_for_another_and_readers_for_none(path: Path) -> None:
    go = FORK.Event()
    process = FORK.Process(target=write_when_told, args=(path, go))
    process.start()  # before files are open here: SQLite's files must not be carried into a forked process
    with Store(path) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        go.set()
        time.sleep(0.3)
        assert process.is_alive()
        assert store.find(HERE, "structure 1 0") is None
        with Store(path) as reader:
            assert reader.holdings() == ()
        other.execute("COMMIT")
        process.join(60)
        other.close()
        assert store.find(HERE, "structure 1 0") == (0.0,)
