"""What a tuned result is valid for: kernel source, architecture, shape class and versions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twill import __version__

if TYPE_CHECKING:
    from twill.frontend.source import KernelSource
    from twill.machine import Machine

_DECIDES = (
    "frontend", "ir", "machine", "candidates", "solve", "schedule", "codegen", "compiler.py", "feedback.py", "forms.py",
)  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """One kernel on one architecture for one class of shapes, under the versions that decide its machine code.

    source_sha256: of the kernel file's bytes. machine_sha256: of the machine's numbers. shape_class: see there.
    """

    kernel: str
    source_sha256: str
    arch: str
    machine_sha256: str
    shape_class: str
    versions: Mapping[str, str]

    @property
    def key(self) -> str:
        """The same for equal problems, on any machine."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


def problem_of(source: KernelSource, machine: Machine, arguments: Mapping[str, Any]) -> Problem:
    """The problem that these launch arguments are one of."""
    return Problem(source.name, source.sha256, machine.name, machine.digest, shape_class(source, arguments), versions())


def shape_class(source: KernelSource, arguments: Mapping[str, Any]) -> str:
    """What of the launch arguments decides which candidate is best, in words.

    Types and constexprs count exactly; extents of tensors and integer arguments count by the power of two that they
    do not exceed: M=3000 and M=4096 are one class. Tile sizes, which are what is sought, do not count.
    """
    tuned = source.info.tune if source.info is not None else {}
    return " ".join(
        f"{parameter.name}={_class(arguments[parameter.name], parameter.constexpr)}"
        for parameter in source.parameters
        if parameter.name in arguments and parameter.name not in tuned
    )


def _class(value: Any, exact: bool) -> str:
    shape = getattr(value, "shape", None)
    if shape is not None:
        dtype = str(getattr(value, "dtype", None) or value.base.dtype).removeprefix("torch.")
        return f"{dtype}[{','.join(_at_most(int(extent)) for extent in shape)}]"
    if exact or isinstance(value, bool) or value is None:
        return repr(value)
    return _at_most(value) if isinstance(value, int) else type(value).__name__


def _at_most(extent: int) -> str:
    """The least power of two that is not smaller; small and negative numbers as they are."""
    return str(extent if extent < 2 else 1 << (extent - 1).bit_length())


@cache
def versions() -> dict[str, str]:
    """Of Twill, of its rooms that decide what a kernel becomes (a digest), of Triton and PyTorch.

    PyTorch's builds for different CUDA versions count as one.
    """
    found = {"twill": __version__, "compiler": _digest()}
    for name in ("triton", "torch"):
        try:
            found[name] = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def _digest() -> str:
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for place in _DECIDES:
        path = root / place
        for file in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]
