"""Reading JSON documents a stranger may have written: strict parsing, then a JSON Schema, with errors for people.

Every function raises InputError naming the file, the path inside it (`ops[3].occupancy`), what is
wrong, and something to try.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from functools import cache
from importlib import resources
from math import isinf
from pathlib import Path
from typing import Any, NoReturn

from twill.errors import InputError

MAX_FILE_BYTES = 16 * 1024 * 1024
MAX_NUMBER_DIGITS = 40  # far above every maximum in the schemas; keeps hostile digits from being converted


def read_json(path: str | Path) -> Any:
    """The JSON value in the file at `path`; the file must be UTF-8 and at most 16 MiB."""
    source = str(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}.", location=source) from None
    if len(content) > MAX_FILE_BYTES:
        raise InputError(f"is larger than {MAX_FILE_BYTES // 2**20} MiB, the most Twill reads.", location=source)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"is not UTF-8 text (byte {error.start}).", hint="JSON files are UTF-8; convert it.", location=source
        ) from None
    return parse_json(text, source)


def parse_json(text: str, source: str) -> Any:
    """The JSON value of `text`; no duplicate keys, no NaN or Infinity, no number of more than 40 digits."""

    def whole(digits: str) -> int:
        if len(digits) > MAX_NUMBER_DIGITS:
            raise InputError(f"has a number of {len(digits)} digits ({digits[:12]}...).", location=source)
        return int(digits)

    def finite(digits: str) -> float:
        number = float(digits)
        return constant(digits[:20]) if isinf(number) else number

    def constant(name: str) -> NoReturn:
        raise InputError(f"uses {name}, which is no finite number.", hint="Give a finite number.", location=source)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                hint = "Keep one of them."
                raise InputError(f'has the key "{shown(key)}" twice in one object.', hint=hint, location=source)
            found[key] = value
        return found

    try:
        return json.loads(text, parse_int=whole, parse_float=finite, parse_constant=constant, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        where = f"{source}:{error.lineno}:{error.colno}"
        hint = "Check for a missing quote, comma or bracket there."
        raise InputError(f"is not JSON: {error.msg}.", hint=hint, location=where) from None
    except RecursionError:
        raise InputError("is nested too deeply to be read.", location=source) from None


def require_format(data: Any, expected: str, source: str, what: str) -> None:
    """Check that `data` is an object whose "format" is `expected` ("name/version"); `what` names the kind of file."""
    if not isinstance(data, dict):
        raise InputError(
            f"holds {kind(data)}, not {what}.", hint='It must be an object {"format": ...}.', location=source
        )
    given = data.get("format")
    if given == expected:
        return
    if given is None:
        hint = f'Add "format": "{expected}".'
        raise InputError(f'has no "format", so it is not known to be {what}.', hint=hint, location=source)
    name = expected.partition("/")[0]
    if isinstance(given, str) and given.startswith(name + "/"):
        message = f"was written as {shown(given)}, but this Twill reads {expected}."
        hint = "Write it again with this version, or read it with the Twill that wrote it."
        raise InputError(message, hint=hint, location=source)
    message = f"has the format {shown(given)}, but {what} is {expected}."
    hint = "" if not str(given).startswith("twill-") else "Is it the right file for this command?"
    if (str(given).partition("/")[0], name) == ("twill-graph", "twill-schedule"):
        hint += " Solve the graph first: `twill schedule GRAPH.json -o SCHEDULE.json`, then give SCHEDULE.json."
    raise InputError(message, hint=hint, location=source)


def validate(data: Any, schema_name: str, source: str) -> None:
    """Check `data` against the JSON Schema `schema_name` of this package; the first error becomes an InputError.

    Where jsonschema is not installed, as on a machine that only runs kernels, what reads the data must do.
    """
    try:
        validator = _validator(schema_name)
    except ImportError:
        return
    error = next(validator.iter_errors(data), None)
    if error is None:
        return
    path = json_path(error.absolute_path)
    instance, rule, limit, schema = error.instance, error.validator, error.validator_value, error.schema
    if rule == "required":
        missing = next(key for key in limit if key not in instance)
        fail(source, path, f'"{missing}" is missing.', schema.get("properties", {}).get(missing, {}).get("description"))
    if rule == "additionalProperties" and limit is False:
        known = list(schema.get("properties", {}))
        unknown = next(key for key in instance if key not in known)
        message = f'"{shown(unknown)}" is not a known key.'
        fail(source, path, message, suggestion(unknown, known) or f"Known keys: {', '.join(known)}.")
    description = schema.get("description")
    if rule == "type":
        wanted = {"integer": "a whole number", "number": "a number", "string": "a string", "boolean": "true or false",
                  "array": "a list", "object": "an object", "null": "null"}  # fmt: skip
        types = [limit] if isinstance(limit, str) else limit
        fail(source, path, f"{kind(instance)}, not {' or '.join(wanted[each] for each in types)}.", description)
    if rule == "minimum":
        fail(source, path, f"{instance} is below the minimum, {limit}.", description)
    if rule == "maximum":
        fail(source, path, f"{instance} is above the maximum Twill accepts, {limit}.", description)
    if rule in ("minItems", "minProperties"):
        fail(source, path, f"is empty, but needs {limit} or more.", description)
    if rule in ("maxItems", "maxProperties"):
        fail(source, path, f"has {len(instance)} entries, above the maximum Twill accepts, {limit}.", description)
    if rule == "minLength":
        fail(source, path, "is empty.", description)
    if rule == "maxLength":
        fail(source, path, f"has {len(instance)} characters, above the maximum Twill accepts, {limit}.", description)
    if rule == "enum":
        fail(source, path, f"{shown(instance)} is none of {', '.join(map(str, limit))}.", description)
    fail(source, path, f"{error.message[:200]}.", description)


@cache
def _validator(schema_name: str) -> Any:
    from jsonschema import Draft202012Validator  # a tenth of a second to import

    schema = json.loads(resources.files("twill.schedule").joinpath(schema_name).read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def fail(source: str, path: str, message: str, hint: str | None = None) -> NoReturn:
    """Raise the InputError `source: path: message hint`."""
    raise InputError(message, hint=hint or "", location=f"{source}: {path}" if path else source)


def json_path(parts: Iterable[str | int]) -> str:
    """["ops", 3, "occupancy"] as `ops[3].occupancy`."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{shown(part)}" if path else shown(part)
    return path


def kind(value: Any) -> str:
    """A JSON value in words for an error message: `the string "12"`, `12.5`, `a list`."""
    if isinstance(value, str):
        return f'the string "{shown(value)}"'
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return str(value)
    return "a list" if isinstance(value, list) else "an object"


def shown(text: Any) -> str:
    """`text` made safe to print on one line: no control characters, at most 60 characters."""
    safe = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in str(text)[:61])
    return safe if len(safe) <= 60 else safe[:57] + "..."


def suggestion(name: str, known: Iterable[str]) -> str:
    """`Did you mean "x"?` for the known name nearest to `name`; empty when none is near."""
    near = get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f'Did you mean "{near[0]}"?' if near else ""


def require_printable(text: str, source: str, path: str) -> None:
    """Names go into pictures, comments and terminals: no line breaks, control characters or half characters."""
    for each in text:
        if not each.isprintable():
            fail(source, path, f"the name has the character {each!a}.", "Use printable characters on one line.")


def write_json(path: str | Path, data: Mapping[str, Any]) -> None:
    """Write `data` to `path` as JSON, whole or not at all."""
    write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write `text` to `path` as one whole: a reader sees the old file or the new one, never a part.

    A device or a pipe such as /dev/stdout is written to, not replaced. Raises InputError when the place cannot be
    written.
    """
    target = Path(path)
    try:
        if target.exists() and not target.is_file():
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target, text)
    except OSError as error:
        hint = "Does the folder exist, and may you write to it?"
        raise InputError(f"cannot be written: {error.strerror or error}.", hint=hint, location=str(target)) from None


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".{target.name[:50]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, target)
    finally:
        with suppress(OSError):  # gone already when the rename went through
            temporary.unlink()
