"""A launch at other sizes than its example's."""

from __future__ import annotations

from collections.abc import Mapping

from twill.errors import InputError
from twill.frontend.launch import Launch


def with_sizes(launch: Launch, sizes: Mapping[str, str]) -> Launch:
    """The launch with integer arguments changed, and the grid that follows.

    Raises InputError for an argument that the kernel does not have, is no integer, or is no multiple it asks for.
    """
    known = [spec.name for spec in launch.arguments if spec.kind == "scalar" and spec.dtype in ("i32", "i64")]
    values: dict[str, int] = {}
    for name, text in sizes.items():
        if name not in known:
            hint = f"Its sizes: {', '.join(known) or 'none'}."
            raise InputError(f"`{launch.kernel}` has no integer argument `{name}`.", hint=hint, location=launch.source)
        if not text.isdecimal() or not 0 < int(text) < 2**31:
            raise InputError(f"--size {name}={text} is no positive whole number.", hint=f"Such as --size {name}=4096.")
        multiple = launch.multiple(name)
        if int(text) % multiple:
            raise InputError(
                f"--size {name}={text} is no multiple of {multiple}, as `{launch.kernel}` asks.",
                hint=f"Try {max(1, round(int(text) / multiple)) * multiple}.",
                location=launch.source,
            )
        values[name] = int(text)
    return launch.with_values(values) if values else launch
