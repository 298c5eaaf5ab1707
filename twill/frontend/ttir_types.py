"""The types of TTIR's text form as the types of the Graph."""

from __future__ import annotations

import re

from twill.ir.graph import DTYPE_BITS, Type

_FLOATS = {"f8E4M3FN": "f8e4m3", "f8E5M2": "f8e5m2"}


class UnknownType(Exception):
    """A type the Graph has no word for; the message is its text."""


def parse_type(text: str) -> Type:
    """`f32`, `tensor<128x64xf16>`, `!tt.ptr<f32>`, `tensor<128x!tt.ptr<f32>>`, `!tt.tensordesc<...>`."""
    if text.startswith("!tt.ptr<"):
        inner = _inside(text).split(",")[0].strip()
        return Type(_dtype(inner), (), "pointer")
    if text.startswith("!tt.tensordesc<"):
        inner = _inside(text)
        tile = parse_type(inner if inner.startswith("tensor<") else f"tensor<{inner}>")
        return Type(tile.dtype, tile.shape, "descriptor")
    if text.startswith("tensor<"):
        extents, element = _split_shape(_inside(text))
        if element.startswith("!tt.ptr<"):
            return Type(parse_type(element).dtype, extents, "pointer")
        return Type(_dtype(element), extents)
    return Type(_dtype(text))


def _inside(text: str) -> str:
    return text[text.index("<") + 1 : -1]


def _split_shape(text: str) -> tuple[tuple[int, ...], str]:
    """`128x64xf16` -> (128, 64), `f16`; an encoding after a comma is dropped."""
    match = re.match(r"(?:\d+x)*", text)
    assert match is not None
    extents = tuple(int(extent) for extent in match.group().split("x") if extent)
    return extents, re.sub(r",\s*#.*$", "", text[match.end() :])


def _dtype(text: str) -> str:
    name = _FLOATS.get(text, re.sub(r"^[su]i(?=\d)", "i", text))
    if name not in DTYPE_BITS:
        raise UnknownType(text)
    return name
