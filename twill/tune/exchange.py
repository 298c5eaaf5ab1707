"""Tuned results as one `twill-tuned/1` JSON file, to take to another machine or to ship."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from twill.errors import InputError
from twill.schedule.document import parse_json, require_format, write_text
from twill.tune.problem import Problem
from twill.tune.store import TABLES, Store

FORMAT = "twill-tuned/1"
CANDIDATE = frozenset(
    ("candidate", "place", "differs", "entry", "ii", "status", "sm_cycles", "predicted_seconds", "problems", "module",
     "schedule")
)  # fmt: skip
"""What `twill.tune.build` says of a candidate."""
_FIELDS = {
    "about": frozenset(each.name for each in fields(Problem)),
    "builds": frozenset(("status",)),
    "times": frozenset(("status",)),
}
"""What every entry has; those that are ok have more."""


def export(store: Store, path: Path) -> dict[str, int]:
    """Write all results, whole or not at all; how many rows there are of each kind. Raises InputError without any."""
    found = {table: store.rows(table) for table in TABLES}
    if not found["problems"]:
        message = "the cache holds no results to export."
        raise InputError(message, hint="Tune a kernel first: twill tune KERNEL.py.", location=str(store.path))
    data = {
        "format": FORMAT,
        **{table: [_row(TABLES[table], row) for row in rows] for table, rows in found.items()},
    }
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")
    return {table: len(rows) for table, rows in found.items()}


def _row(columns: tuple[str, ...], values: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: json.loads(value) if name in ("about", "answer") else value
        for name, value in zip(columns, values, strict=True)
    }


def take(store: Store, path: Path) -> dict[str, int]:
    """Take over the results in a file, all or none; of two for the same thing the newer stays.

    The file holds source code of kernels, which runs when they are used. Returns how many rows were new of each kind.
    Raises InputError for a file that is no such thing, naming what is wrong in it.
    """
    source = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}.", location=source) from None
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text.", hint="Give a file that --export wrote.", location=source) from None
    data = parse_json(text, source)
    require_format(data, FORMAT, source, "tuned results")
    rows = {}
    for table in TABLES:
        listed = data.get(table)
        if not isinstance(listed, list):
            raise InputError(f"`{table}` is no list.", hint="Give a file that --export wrote.", location=source)
        rows[table] = [_values(each, table, f"{table}[{number}]", source) for number, each in enumerate(listed)]
    store.prepare()
    return store.merge(rows)


def _values(row: Any, table: str, where: str, source: str) -> tuple[str, ...]:
    columns = TABLES[table]
    if not isinstance(row, Mapping) or set(row) != set(columns):
        message = f"{where} does not have exactly {', '.join(columns)}."
        raise InputError(message, hint="Give a file that --export wrote.", location=source)
    found = []
    for name in columns:
        value = row[name]
        if not isinstance(value, Mapping if name in ("about", "answer") else str):
            raise InputError(
                f"{where}.{name} is of the wrong type.", hint="Give a file that --export wrote.", location=source
            )
        if isinstance(value, Mapping):
            _require(value, "about" if name == "about" else table, f"{where}.{name}", source)
        found.append(json.dumps(value) if isinstance(value, Mapping) else str(value))
    return tuple(found)


def _require(value: Mapping[str, Any], kind: str, where: str, source: str) -> None:
    """Raises InputError for an entry without what is read of it later."""
    missing = sorted(_FIELDS[kind] - value.keys())
    good = value.get("status") == "ok"
    if not missing and kind == "times" and good and not isinstance(value.get("seconds"), int | float):
        missing = ["seconds"]
    if not missing and kind == "builds" and good:
        candidates = value.get("candidates")
        listed = [each.keys() if isinstance(each, Mapping) else () for each in candidates or ()]
        missing = sorted({name for keys in listed for name in CANDIDATE - set(keys)})
        missing = missing if isinstance(candidates, list) else ["candidates"]
    if missing:
        hint = "Give a file that --export wrote."
        raise InputError(f"{where} lacks {', '.join(missing)}.", hint=hint, location=source)
