"""Tuned results as one `twill-tuned/1` JSON file, to take to another machine or to ship."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twill.errors import InputError
from twill.schedule.document import parse_json, require_format, write_text
from twill.tune.store import TABLES, Store

FORMAT = "twill-tuned/1"


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
    for table, columns in TABLES.items():
        listed = data.get(table)
        if not isinstance(listed, list):
            raise InputError(f"`{table}` is no list.", hint="Give a file that --export wrote.", location=source)
        rows[table] = [_values(each, columns, f"{table}[{number}]", source) for number, each in enumerate(listed)]
    store.prepare()
    return store.merge(rows)


def _values(row: Any, columns: tuple[str, ...], where: str, source: str) -> tuple[str, ...]:
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
        found.append(json.dumps(value) if isinstance(value, Mapping) else str(value))
    return tuple(found)
