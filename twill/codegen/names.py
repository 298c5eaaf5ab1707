"""Python names of emitted code: what the user called a value, kept clear of what the code itself needs."""

from __future__ import annotations

import keyword
import re

RESERVED = frozenset({
    *keyword.kwlist, "i", "n", "barrier", "slot", "float", "range", "max", "list", "gl", "gluon", "tma", "torch",
    "triton", "mbarrier", "tma_load", "tma_store", "fence_async_shared", "warpgroup_mma", "warpgroup_mma_wait",
    "TensorDescriptor", "done", "turned", "tile_number", "turns_over",
})  # fmt: skip

# Buffers and barriers of a tile, older copies of a value, order tokens, roles.
_MADE = re.compile(r"_(ring|smem|stage|full|empty|prev)\d*$|^(turn_|consumer|loader)\d*$")


def legal(name: str) -> str:
    """`name` as a Python name that hides nothing the emitted code uses or makes up."""
    text = re.sub(r"\W", "_", name) or "v"
    return f"{text}_" if text in RESERVED or _MADE.search(text) else text
