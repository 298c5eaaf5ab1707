"""How a kernel is launched: every argument with its type, shape and value, as data that travels.

A schedule file embeds a Launch, so that what it describes can be run without the kernel's source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal

from twill.errors import InputError
from twill.frontend.grid import Extents, evaluate_grid

Constant = bool | int | float | str | None

MOST_CONTENTS = 4096
"""Elements of an integer tensor whose values still travel with the launch."""


@dataclass(frozen=True)
class ArgumentSpec:
    """One parameter of the kernel.

    kind: tensor, scalar, descriptor (a host TensorDescriptor) or constexpr. dtype: element type, a
    name of `twill.ir.graph` or u8..u64; "" for a constexpr. shape, strides: in elements, None when
    only a signature was given. value: of a scalar (None when unknown) or constexpr. alignment: of
    the address, in bytes. block_shape: of a descriptor. mean, std, low, high: of a tensor's example
    elements (floats; integers). access: "r", "w" or "rw", "" when unknown or neither. contents: the
    example's elements in the order of memory, of a small integer tensor that is read by pointers:
    bounds, offsets and indices have a meaning that random numbers lack.
    """

    name: str
    kind: Literal["tensor", "scalar", "descriptor", "constexpr"]
    dtype: str = ""
    shape: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    value: Constant = None
    alignment: int = 0
    block_shape: tuple[int, ...] | None = None
    mean: float = 0.0
    std: float = 1.0
    low: int = 0
    high: int = 1
    access: str = ""
    contents: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel: arguments in signature order, and its grid.

    kernel: function name. source: path of the file, as shown to people. grid_text: a lambda over the
    dict of arguments that needs nothing but builtins and `triton`, None when the decorator's grid is
    not such a thing. grid: the example's grid, padded with 1. multiple_of: integer arguments that
    must be multiples of a constexpr (named) or number.
    """

    kernel: str
    source: str
    arguments: tuple[ArgumentSpec, ...]
    grid_text: str | None = None
    grid: tuple[int, int, int] | None = None
    multiple_of: Mapping[str, str | int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "multiple_of", MappingProxyType(dict(self.multiple_of)))

    def argument(self, name: str) -> ArgumentSpec:
        """The argument of that name. Raises KeyError."""
        for spec in self.arguments:
            if spec.name == name:
                return spec
        raise KeyError(name)

    @property
    def constants(self) -> dict[str, Constant]:
        """The constexprs by name."""
        return {spec.name: spec.value for spec in self.arguments if spec.kind == "constexpr"}

    @property
    def scalars(self) -> dict[str, Constant]:
        """The scalar arguments by name; None where only a signature is known."""
        return {spec.name: spec.value for spec in self.arguments if spec.kind == "scalar"}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The arguments the kernel writes."""
        return tuple(spec.name for spec in self.arguments if "w" in spec.access)

    def with_values(self, values: Mapping[str, Constant | tuple[int, ...]]) -> Launch:
        """The same launch with other scalars, or other contents of tensors, and the grid that follows from the scalars.

        Raises KeyError, InputError.
        """
        for name in values:
            self.argument(name)
        arguments = tuple(
            _with_value(spec, values[spec.name]) if spec.name in values else spec for spec in self.arguments
        )
        changed = replace(self, arguments=arguments)
        if self.grid_text is None:
            return changed
        extents = {spec.name: Extents(spec.shape) for spec in arguments if spec.shape is not None}
        return replace(changed, grid=evaluate_grid(self.grid_text, changed.constants | changed.scalars | extents))

    def multiple(self, name: str) -> int:
        """The number that argument `name` must be a multiple of; 1 when any value will do."""
        wanted = self.multiple_of.get(name, 1)
        return int(wanted if isinstance(wanted, int) else str(self.constants[wanted]))


def _with_value(spec: ArgumentSpec, value: Constant | tuple[int, ...]) -> ArgumentSpec:
    return replace(spec, contents=value) if isinstance(value, tuple) else replace(spec, value=value)


def to_json(launch: Launch) -> dict[str, Any]:
    """The launch as JSON values; fields at their defaults are left out."""
    arguments = []
    for spec in launch.arguments:
        kept = {
            entry.name: getattr(spec, entry.name)
            for entry in fields(spec)
            if entry.name in ("name", "kind") or getattr(spec, entry.name) != entry.default
        }
        arguments.append({key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()})
    return {
        "kernel": launch.kernel,
        "source": launch.source,
        "arguments": arguments,
        "grid_text": launch.grid_text,
        "grid": list(launch.grid) if launch.grid else None,
        "multiple_of": dict(launch.multiple_of),
    }


def from_json(data: Mapping[str, Any]) -> Launch:
    """The launch that `to_json` wrote. Raises InputError."""
    try:
        arguments = tuple(_argument_from_json(entry) for entry in data["arguments"])
        grid = data["grid"]
        launch = Launch(
            data["kernel"],
            data["source"],
            arguments,
            data["grid_text"],
            (int(grid[0]), int(grid[1]), int(grid[2])) if grid else None,
            data["multiple_of"],
        )
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"the launch in this file cannot be read: {error!r}.", hint="Compile the kernel again."
        ) from None
    return launch


def _argument_from_json(entry: Mapping[str, Any]) -> ArgumentSpec:
    read: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return ArgumentSpec(**read)
