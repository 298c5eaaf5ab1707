"""The cache: concurrent writers, damage, folders that cannot be written, export and import."""

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import asdict, replace

import pytest

from twill.errors import InputError
from twill.tune import exchange
from twill.tune.problem import Problem
from twill.tune.store import Store

PROBLEM = Problem("k", "00", "hopper", "11", "M=128", {"twill": "0.1.0"})
OK = {"status": "ok", "seconds": 1.0, "device": {"name": "X"}}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "cache")
    store.prepare()
    return store


def test_what_is_kept_is_found(store):
    store.keep_problem(PROBLEM)
    store.keep_build(PROBLEM.key, "p", {"status": "ok"})
    store.keep_time(PROBLEM.key, "c", "X", OK)
    store.keep_time(PROBLEM.key, "c", "X", {**OK, "seconds": 2.0})
    other = Store(store.folder)
    assert other.problems()[PROBLEM.key]["shape_class"] == "M=128"
    assert other.builds(PROBLEM.key) == {"p": {"status": "ok"}}
    assert other.times(PROBLEM.key)["c", "X"]["seconds"] == 2.0
    assert other.builds("another") == {}


@pytest.mark.parametrize(
    "change", [{"source_sha256": "99"}, {"arch": "blackwell"}, {"shape_class": "M=256"}, {"versions": {"twill": "9"}}]
)
def test_whatever_decides_a_result_is_in_its_key(change):
    assert replace(PROBLEM, **change).key != PROBLEM.key
    assert replace(PROBLEM).key == PROBLEM.key


def test_an_empty_cache_is_read_without_being_made(tmp_path):
    store = Store(tmp_path / "none")
    assert store.problems() == {}
    assert not store.folder.exists()


def test_concurrent_writers_lose_nothing(store):
    """Four processes, 25 results each, all of them also replacing one."""
    code = (
        "import sys; from pathlib import Path; from twill.tune.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "for n in range(25):\n"
        "    store.keep_time('p', f'{sys.argv[2]}-{n}', 'X', {'status': 'ok', 'n': n})\n"
        "    store.keep_time('p', 'shared', 'X', {'status': 'ok', 'by': sys.argv[2]})\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(store.folder), str(n)]) for n in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    found = store.times("p")
    assert len(found) == 101
    assert all(found[f"{writer}-{n}", "X"]["n"] == n for writer in range(4) for n in range(25))


def test_a_failed_transaction_leaves_nothing(store):
    rows = {"problems": [(PROBLEM.key, "{}", "2026")], "builds": [("a",)], "times": []}
    with pytest.raises(InputError):
        store.merge(rows)
    assert store.problems() == {}


@pytest.mark.parametrize("content", [b"this is no database, whatever its name", b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_cache(store, content):
    store.path.write_bytes(content)
    for use in (store.prepare, store.problems):
        with pytest.raises(InputError, match=r"tuned\.sqlite3: the cache is damaged: .*Move the file away"):
            use()


def test_a_damaged_row(store):
    store.keep_problem(PROBLEM)
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE problems SET about = '{half'")
    connection.close()
    with pytest.raises(InputError, match="the cache is damaged"):
        store.problems()


def test_tables_of_another_version(store):
    connection = sqlite3.connect(store.path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(InputError, match=r"another version of Twill \(its tables are of version 7\)"):
        store.prepare()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be opened or written: .*--cache or in \$TWILL_CACHE"):
        Store(tmp_path / "file" / "cache").prepare()


def test_a_folder_that_cannot_be_written(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        (folder / "tuned.sqlite3").mkdir()  # root may write anywhere, but not open a folder as a file
    with pytest.raises(InputError, match="cannot be opened or written"):
        Store(folder).prepare()


def test_export_and_import(store, tmp_path):
    store.keep_problem(PROBLEM)
    store.keep_build(PROBLEM.key, "p", {"status": "ok", "candidates": []})
    store.keep_time(PROBLEM.key, "c", "X", OK)
    assert exchange.export(store, tmp_path / "tuned.json") == {"problems": 1, "builds": 1, "times": 1}
    other = Store(tmp_path / "other")
    assert exchange.take(other, tmp_path / "tuned.json") == {"problems": 1, "builds": 1, "times": 1}
    assert other.times(PROBLEM.key) == store.times(PROBLEM.key)
    assert exchange.take(other, tmp_path / "tuned.json") == {"problems": 0, "builds": 0, "times": 0}


def test_the_newer_result_stays(store, tmp_path):
    store.keep_problem(PROBLEM)
    store.keep_time(PROBLEM.key, "c", "X", OK)
    exchange.export(store, tmp_path / "old.json")
    store.keep_time(PROBLEM.key, "c", "X", {**OK, "seconds": 5.0})
    exchange.take(store, tmp_path / "old.json")
    assert store.times(PROBLEM.key)["c", "X"]["seconds"] == 5.0
    older = Store(tmp_path / "older")
    exchange.take(older, tmp_path / "old.json")
    exchange.export(store, tmp_path / "new.json")
    assert exchange.take(older, tmp_path / "new.json")["times"] == 1
    assert older.times(PROBLEM.key)["c", "X"]["seconds"] == 5.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "tuned results"),
        ('{"format": "twill-tuned/9"}', "twill-tuned/1"),
        ('{"format": "twill-tuned/1"}', "`problems` is no list"),
        (
            '{"format": "twill-tuned/1", "problems": [{"problem": "a"}], "builds": [], "times": []}',
            "does not have exactly",
        ),
        (
            '{"format": "twill-tuned/1", "problems": [{"problem": "a", "about": 3, "date": "b"}], "builds": [],'
            ' "times": []}',
            "problems[0].about is of the wrong type",
        ),
    ],
)
def test_files_that_are_no_results(store, tmp_path, text, says):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        exchange.take(store, path)
    assert says in str(caught.value)
    assert store.problems() == {}


def test_an_empty_cache_has_nothing_to_export(store, tmp_path):
    with pytest.raises(InputError, match="holds no results to export"):
        exchange.export(store, tmp_path / "tuned.json")
    assert not (tmp_path / "tuned.json").exists()


def test_exported_files_are_json_for_people(store, tmp_path):
    store.keep_problem(PROBLEM)
    exchange.export(store, tmp_path / "tuned.json")
    data = json.loads((tmp_path / "tuned.json").read_text())
    assert data["format"] == "twill-tuned/1"
    assert data["problems"][0]["about"]["kernel"] == "k"


def entries(**changed):
    """A file of results with one entry of each kind, some of them changed."""
    about = {**asdict(PROBLEM), "versions": dict(PROBLEM.versions)}
    kinds = {
        "problems": {"problem": "k", "about": about, "date": "d"},
        "builds": {"problem": "k", "point": "p", "answer": {"status": "ok", "candidates": []}, "date": "d"},
        "times": {"problem": "k", "candidate": "c", "device": "X", "answer": OK, "date": "d"},
    }
    return {"format": "twill-tuned/1", **{name: [{**row, **changed.get(name, {})}] for name, row in kinds.items()}}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"problems": {"about": {"kernel": "k"}}}, r"problems\[0\].about lacks arch"),
        ({"builds": {"answer": {}}}, r"builds\[0\].answer lacks status"),
        ({"builds": {"answer": {"status": "ok"}}}, r"builds\[0\].answer lacks candidates"),
        ({"builds": {"answer": {"status": "ok", "candidates": [{"candidate": "c"}]}}}, "lacks differs, entry"),
        ({"times": {"answer": {"status": "ok", "seconds": "1"}}}, r"times\[0\].answer lacks seconds"),
    ],
)
def test_entries_that_say_too_little_are_not_taken(store, tmp_path, changed, says):
    path = tmp_path / "tuned.json"
    path.write_text(json.dumps(entries()))
    whole = Store(tmp_path / "whole")
    whole.prepare()
    assert exchange.take(whole, path) == {"problems": 1, "builds": 1, "times": 1}
    path.write_text(json.dumps(entries(**changed)))
    with pytest.raises(InputError, match=says):
        exchange.take(store, path)
    assert store.problems() == {}


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="its folder is a file"):
        Store(tmp_path / "file").problems()
