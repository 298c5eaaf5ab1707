"""A launch at other sizes than its example's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twill.errors import InputError
from twill.frontend.launch import Launch
from twill.shipped import kernels_folder


def whole_size(name: str, text: str) -> int:
    """The value of `--size NAME=TEXT`. Raises InputError for what is no positive 32-bit number."""
    if not text.isdecimal() or not 0 < int(text[:20]) < 2**31:
        raise InputError(f"--size {name}={text} is no positive whole number.", hint=f"Such as --size {name}=4096.")
    return int(text)


def with_sizes(launch: Launch, sizes: Mapping[str, str], location: str = "") -> Launch:
    """The launch with integer arguments changed, and the grid and the example's tables that follow.

    location: the schedule file, beside which the kernel's source is looked for too.

    Raises InputError for an argument that the kernel does not have, is no integer, or is no multiple it asks for.
    """
    known = [spec.name for spec in launch.arguments if spec.kind == "scalar" and spec.dtype in ("i32", "i64")]
    values: dict[str, int] = {}
    for name, text in sizes.items():
        if name not in known:
            hint = f"Its sizes: {', '.join(known) or 'none'}."
            raise InputError(f"`{launch.kernel}` has no integer argument `{name}`.", hint=hint, location=launch.source)
        value, multiple = whole_size(name, text), launch.multiple(name)
        if value % multiple:
            raise InputError(
                f"--size {name}={text} is no multiple of {multiple}, as `{launch.kernel}` asks.",
                hint=f"Try {max(1, round(value / multiple)) * multiple}.",
                location=launch.source,
            )
        values[name] = value
    if not values:
        return launch
    if all(spec.contents is None for spec in launch.arguments):
        return launch.with_values(values)
    from twill.frontend.example_sizes import at_sizes

    return at_sizes(launch, values, (Path(location).parent, kernels_folder()))
