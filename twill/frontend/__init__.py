"""From a Triton kernel to its Graph: Triton's own front end run offline, and what it wrote, read.

source (a file) -> KernelSource -> specialize -> Launch -> ttir -> text -> lower_ttir -> Graph
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twill.frontend.launch import Launch
    from twill.frontend.source import KernelSource
    from twill.ir.graph import Graph


def load(target: str | Path | Any) -> KernelSource:
    """The kernel in `path.py` or `path.py::name`, or of a kernel function. Raises InputError."""
    from twill.frontend.source import load

    return load(target)


def lower(
    source: KernelSource,
    constants: Mapping[str, Any] | None = None,
    signature: str | None = None,
    arch: str = "hopper",
    example_options: Mapping[str, Any] | None = None,
) -> tuple[Graph, Launch]:
    """The kernel's Graph, not yet simplified, and the launch it was specialized for.

    constants: constexprs by name (values, or text as typed after -D). signature: Triton AOT style,
    for kernels without an example. example_options: keyword arguments of the example.
    Raises InputError (exit code 2) and Unsupported (exit code 3).
    """
    from twill.frontend.lowering import lower_ttir
    from twill.frontend.specialize import specialize

    launch = specialize(source, constants, signature, example_options)
    graph = lower_ttir(ttir(source, launch, arch), launch, source.file)
    return graph, with_access(launch, graph)


def ttir(source: KernelSource, launch: Launch, arch: str = "hopper") -> str:
    """The text of Triton's tile-level IR for this launch."""
    from twill.frontend.triton_ttir import ttir

    return ttir(source, launch, arch)


def with_access(launch: Launch, graph: Graph) -> Launch:
    """The launch with each tensor's `access` (r, w, rw) as the graph reads and writes it.

    What is only written loses the spread of its example values: those were uninitialized memory. Contents stay
    with what is read by pointers alone.
    """
    from twill.frontend.access import accesses, read_by_pointers

    found, pointed = accesses(graph), read_by_pointers(graph)
    arguments = []
    for spec in launch.arguments:
        access = found.get(spec.name, "")
        spread: dict[str, Any] = {} if access != "w" else {"mean": 0.0, "std": 1.0, "low": 0, "high": 1}
        if access != "r" or spec.name not in pointed:
            spread["contents"] = None
        arguments.append(replace(spec, access=access, **spread))
    return replace(launch, arguments=tuple(arguments))
