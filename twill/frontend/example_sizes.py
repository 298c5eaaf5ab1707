"""A launch at other sizes, with the integer tensors that its kernel's example makes of them.

Tables of tiles, offsets and indices follow from sizes in a way that the example alone knows. Its floating tensors may
be large and their values do not matter: they are made without elements.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from twill import frontend
from twill.errors import InputError
from twill.frontend.launch import ArgumentSpec, Launch
from twill.frontend.source import KernelSource
from twill.frontend.specialize import example_arguments

_MOST_ELEMENTS = 1 << 20  # of an integer tensor whose contents are kept
_MAKERS = tuple(getattr(torch.ops.aten, name) for name in ("randn", "rand", "empty", "zeros", "ones", "full"))


def at_sizes(launch: Launch, values: Mapping[str, int], folders: tuple[Path, ...] = ()) -> Launch:
    """The launch with these integer arguments, and what follows: grid, extents and contents of tensors, other sizes.

    All but the grid are those of the kernel's example, where its source is found, at the path of the launch or in one
    of `folders`, and its example takes the sizes; otherwise they stay as they are. Raises InputError.
    """
    changed = launch.with_values(values)
    source = _source(launch, folders)
    if source is None or source.info is None or source.info.example is None:
        return changed
    options = inspect.signature(source.info.example).parameters
    sizes = {name: value for name, value in changed.scalars.items() if type(value) is int}
    asked = {name: value for name, value in sizes.items() if name in options}
    try:
        with _WithoutFloats():
            made = example_arguments(source, launch.constants, asked)
    except InputError:
        return changed  # the example computes with values of its floating tensors
    if any(made.get(name) != value for name, value in (asked | dict(values)).items()):
        return changed
    changed = changed.with_values({name: made[name] for name in sizes if type(made.get(name)) is int})
    return replace(changed, arguments=tuple(_of_example(spec, made.get(spec.name)) for spec in changed.arguments))


def _source(launch: Launch, folders: tuple[Path, ...]) -> KernelSource | None:
    name = Path(launch.source).name
    for path in (Path(launch.source), *(folder / name for folder in folders)):
        if path.is_file():
            try:
                return frontend.load(f"{path}::{launch.kernel}")
            except InputError:
                return None
    return None


def _of_example(spec: ArgumentSpec, made: Any) -> ArgumentSpec:
    if spec.kind != "tensor" or not isinstance(made, torch.Tensor) or spec.shape is None:
        return spec
    spec = replace(spec, shape=tuple(made.shape), strides=tuple(made.stride()))
    if spec.contents is None:
        return spec
    if not made.is_contiguous() or not 0 < made.numel() <= _MOST_ELEMENTS:
        return replace(spec, contents=None)
    contents = tuple(map(int, made.flatten().tolist()))
    return replace(spec, contents=contents, low=min(contents), high=max(contents))


class _WithoutFloats(TorchDispatchMode):
    """Floating tensors of the usual makers are on the meta device: they have extents and no elements."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = dict(kwargs or {})
        floating = (kwargs.get("dtype") or torch.get_default_dtype()).is_floating_point
        if func.overloadpacket is torch.ops.aten.full and kwargs.get("dtype") is None:
            floating = isinstance(args[1], float)
        if floating and func.overloadpacket in _MAKERS:
            kwargs["device"] = torch.device("meta")
            if "generator" in kwargs:
                kwargs["generator"] = None
        return func(*args, **kwargs)
