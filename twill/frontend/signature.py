"""Signatures in the style of Triton's ahead-of-time compiler: `*fp16:16, i32, 128, fp32`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twill.errors import InputError
from twill.frontend.launch import ArgumentSpec
from twill.frontend.source import KernelSource

# Triton's names of element types -> the Graph's (unsigned ones keep their own).
DTYPES = {
    "fp16": "f16", "bf16": "bf16", "fp32": "f32", "fp64": "f64", "fp8e4nv": "f8e4m3", "fp8e5": "f8e5m2",
    "i1": "i1", "u1": "i1", "i8": "i8", "i16": "i16", "i32": "i32", "i64": "i64",
    "u8": "u8", "u16": "u16", "u32": "u32", "u64": "u64",
}  # fmt: skip
TRITON_NAMES = {ours: theirs for theirs, ours in DTYPES.items() if theirs != "u1"}


def parse_signature(
    source: KernelSource, text: str, constants: Mapping[str, Any]
) -> tuple[dict[str, ArgumentSpec], dict[str, Any]]:
    """(arguments by name, constexprs by name) of a signature string.

    One entry per parameter, or one per parameter that is not a constexpr: a type, `*` before it for
    a pointer, `:16` after it for an aligned one; a number stands for a constexpr. Raises InputError.
    """
    entries = [entry.strip() for entry in _split(text)]
    everything = list(source.parameters)
    positional = [p for p in everything if not p.constexpr]
    if len(entries) == len(everything):
        parameters = everything
    elif len(entries) == len(positional):
        parameters = positional
    else:
        raise InputError(
            f"the signature has {len(entries)} entries; kernel `{source.name}` has {len(everything)} parameters, "
            f"{len(positional)} of them not constexpr: {', '.join(p.name for p in positional)}.",
            hint='Give one entry for each, such as "*fp16:16, i32, fp32".',
            location=source.location,
        )
    arguments: dict[str, ArgumentSpec] = {}
    inline: dict[str, Any] = {}
    for parameter, entry in zip(parameters, entries, strict=True):
        number = _number(entry)
        if number is not None:
            inline[parameter.name] = number
        elif parameter.constexpr:
            if parameter.name not in constants and entry != "constexpr":
                raise InputError(
                    f"the signature says `{entry}` for `{parameter.name}`, which is a tl.constexpr.",
                    hint=f"Write its value there, or `constexpr` with -D {parameter.name}=VALUE.",
                    location=source.location,
                )
        else:
            arguments[parameter.name] = _argument(source, parameter.name, entry)
    return arguments, inline


def _split(text: str) -> list[str]:
    """The entries; commas inside brackets do not separate."""
    entries, depth = [""], 0
    for character in text:
        depth += (character in "[<") - (character in "]>")
        if character == "," and depth == 0:
            entries.append("")
        else:
            entries[-1] += character
    return entries


def _number(entry: str) -> int | float | None:
    for convert in (int, float):
        try:
            return convert(entry)
        except ValueError:
            continue
    return None


def _argument(source: KernelSource, name: str, entry: str) -> ArgumentSpec:
    kind, _, hint = entry.partition(":")
    kind = kind.strip()
    if kind.startswith("tensordesc<"):
        element, _, block = kind[len("tensordesc<") : -1].partition("[")
        shape = tuple(int(extent) for extent in block.rstrip("]").split(",") if extent.strip().isdigit())
        if element in DTYPES and shape:
            return ArgumentSpec(name, "descriptor", DTYPES[element], alignment=16, block_shape=shape)
    pointer = kind.startswith("*")
    dtype = DTYPES.get(kind.lstrip("*").removeprefix("k"))
    if dtype is None or (hint and hint.strip() not in ("1", "16")):
        raise InputError(
            f"the signature's entry `{entry}` for `{name}` is not a type.",
            hint=f"Write one of {', '.join(DTYPES)}, `*` before it for a pointer, `:16` after it when aligned.",
            location=source.location,
        )
    if pointer:
        return ArgumentSpec(name, "tensor", dtype, alignment=16 if hint.strip() == "16" else 0)
    return ArgumentSpec(name, "scalar", dtype, value=1 if hint.strip() == "1" else None)
