"""Machine files: TOML in, a checked Machine out."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from twill.errors import InputError, Location
from twill.machine.machine import PIPES, QUANTITIES, UNITS, Fact, Instruction, Machine

_FOLDER = Path(__file__).parent
_TOP_LEVEL = ("name", "title", "base", "facts", "units", "instructions")


def known() -> tuple[str, ...]:
    """Names of the machines that ship with Twill."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load(name_or_path: str | Path) -> Machine:
    """The machine of that name, or the one a TOML file describes.

    A file may name a shipped machine as its `base` and give only what differs. Raises InputError,
    naming the file and the key, for an unknown name, a file that is not TOML, and a missing, unknown,
    negative or mistyped field.
    """
    name = str(name_or_path)
    if name in known():
        return _read(_FOLDER / f"{name}.toml")
    if not name.endswith(".toml"):
        raise InputError(
            f"unknown machine {name!r}.", hint=f"Known: {', '.join(known())}; or the path of a .toml file."
        )
    return replace(_read(Path(name)), file=name)


def _read(path: Path) -> Machine:
    where = Location(str(path))
    try:
        content = path.read_bytes()
        document = tomllib.loads(content.decode())
    except OSError as error:
        raise InputError(f"cannot read the machine file: {error.strerror}.", location=where) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"not a TOML file: {error}.", location=where) from None
    _reject_unknown(document, _TOP_LEVEL, "", where)

    base = _base(document.get("base"), where)
    facts = {name: _fact(f"facts.{name}", entry, QUANTITIES[name].unit, where, integer=QUANTITIES[name].integer,
                         positive=QUANTITIES[name].positive)
             for name, entry in _section(document, "facts", QUANTITIES, where).items()}  # fmt: skip
    units = {name: _fact(f"units.{name}", entry, "", where, integer=True, positive=False)
             for name, entry in _section(document, "units", UNITS, where).items()}  # fmt: skip
    instructions = {name: _instruction(name, entry, where)
                    for name, entry in _section(document, "instructions", None, where).items()}  # fmt: skip
    digest = hashlib.sha256(content).hexdigest()
    title = _text(document, "title", base.title if base else "", where)
    name = _text(document, "name", path.stem, where)
    if base:
        return replace(
            base,
            name=name,
            title=title,
            facts={**base.facts, **facts},
            units={**base.units, **units},
            instructions={**base.instructions, **instructions},
            digest=hashlib.sha256((base.digest + digest).encode()).hexdigest(),
        )
    _reject_missing(facts, QUANTITIES, "facts", where)
    _reject_missing(units, UNITS, "units", where)
    return Machine(name, title, {key: facts[key] for key in QUANTITIES}, units, instructions, digest)


def _base(name: Any, where: Location) -> Machine | None:
    if name is None:
        return None
    if name not in known():
        raise InputError(
            f"`base` is {name!r}, not a known machine.", hint=f"Known: {', '.join(known())}.", location=where
        )
    return load(name)


def _section(
    document: Mapping[str, Any], key: str, allowed: Mapping[str, Any] | None, where: Location
) -> dict[str, Any]:
    section = document.get(key, {})
    if not isinstance(section, dict):
        raise InputError(f"`{key}` must be a table, not {section!r}.", location=where)
    if allowed is not None:
        _reject_unknown(section, allowed, f"{key}.", where)
    return section


def _fact(key: str, entry: Any, unit: str, where: Location, *, integer: bool, positive: bool) -> Fact:
    """A table {value, unit, source}, or a bare number, whose source is then the file itself."""
    fields = entry if isinstance(entry, dict) else {"value": entry, "source": where.file}
    _reject_unknown(fields, ("value", "unit", "source"), f"{key}.", where)
    _reject_missing(fields, ("value", "source"), key, where)
    if fields.get("unit", unit) != unit:
        raise InputError(f"`{key}.unit` is {fields['unit']!r}; this number is in {unit!r}.", location=where)
    value = _number(f"{key}.value", fields["value"], where, integer=integer, positive=positive)
    return Fact(key.split(".")[1], value, unit, _text(fields, "source", "", where))


def _instruction(opcode: str, entry: Any, where: Location) -> Instruction:
    key = f"instructions.{opcode}"
    if not isinstance(entry, dict):
        raise InputError(f"`{key}` must be a table of {', '.join(PIPES)} and source, not {entry!r}.", location=where)
    _reject_unknown(entry, (*PIPES, "source"), f"{key}.", where)
    _reject_missing(entry, ("source",), key, where)
    counts = {pipe: float(_number(f"{key}.{pipe}", entry[pipe], where)) for pipe in PIPES if pipe in entry}
    return Instruction(opcode, _text(entry, "source", "", where), counts)


def _number(key: str, value: Any, where: Location, *, integer: bool = False, positive: bool = False) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"`{key}` must be a finite number, not {value!r}.", location=where)
    if integer and not isinstance(value, int):
        raise InputError(f"`{key}` must be a whole number, not {value!r}.", location=where)
    if value < 0 or (positive and value == 0):
        raise InputError(
            f"`{key}` must be {'positive' if positive else 'zero or more'}, not {value!r}.", location=where
        )
    return value


def _text(fields: Mapping[str, Any], key: str, default: str, where: Location) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str):
        raise InputError(f"`{key}` must be a string, not {value!r}.", location=where)
    return value


def _reject_unknown(fields: Mapping[str, Any], allowed: Any, prefix: str, where: Location) -> None:
    for key in fields:
        if key not in allowed:
            hint = f"Known: {', '.join(allowed)}."
            raise InputError(f"unknown field `{prefix}{key}`.", hint=hint, location=where)


def _reject_missing(fields: Mapping[str, Any], wanted: Any, key: str, where: Location) -> None:
    missing = [name for name in wanted if name not in fields]
    if missing:
        hint = 'Give it, or start from a machine that has it with base = "hopper".'
        raise InputError(f"missing field `{key}.{missing[0]}`.", hint=hint, location=where)
