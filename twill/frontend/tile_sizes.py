"""What `@twill.kernel(tune=...)` may say: lists of tile sizes by constexpr."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from twill.errors import InputError, Location
from twill.frontend.source import KernelSource, def_line


def require_tile_sizes(source: KernelSource) -> None:
    """The kernel's `tune`, if it has one, maps constexprs of it to lists of positive ints. Raises InputError."""
    tune: Any = source.info.tune if source.info is not None else {}
    if not isinstance(tune, Mapping):
        _refuse(source, f"{tune!r} is no dict of tile sizes")
    known = [parameter.name for parameter in source.parameters if parameter.constexpr]
    for name, sizes in tune.items():
        if name not in known:
            _refuse(source, f"`{name}` is no tl.constexpr of the kernel (it has {', '.join(known) or 'none'})")
        if not isinstance(sizes, tuple):
            _refuse(source, f"`{name}` has {sizes!r} for a list of sizes")
        if not sizes:
            _refuse(source, f"`{name}` has no sizes to choose from")
        for size in sizes:
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                _refuse(source, f"`{name}` has the size {size!r}, which is no positive int")
        if len(set(sizes)) < len(sizes):
            _refuse(source, f"`{name}` has a size twice")


def _refuse(source: KernelSource, what: str) -> NoReturn:
    raise InputError(
        f"tune of kernel `{source.name}`: {what}.",
        hint='Write it as tune={"BLOCK_M": [64, 128]}.',
        location=Location(source.path, _line(source.function)),
    )


def _line(function: Any) -> int:
    """The line of `tune=` among a JITFunction's decorators; that of its `def` when it is not there."""
    first, last = int(function.starting_line_number), def_line(function)
    for line, text in enumerate(function.raw_src[: last - first], first):
        if "tune=" in text:
            return line
    return last
