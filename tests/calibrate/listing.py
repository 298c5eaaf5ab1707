"""Compiles a micro-benchmark for sm_90a, without a GPU, and gives its machine instructions."""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twill.calibrate.probes import Probe
from twill.codegen import compat

CLOCK = r"\bCS2R\b.*\bSR_CLOCKLO\b|\bS2UR\b.*\bSR_CLOCKLO\b|\bS2R\b.*\bSR_CLOCKLO\b"


@dataclass(frozen=True)
class Listing:
    """The machine instructions of a kernel in the order of their addresses."""

    lines: tuple[str, ...]

    def places(self, pattern: str) -> list[int]:
        """Where instructions that match the regular expression are."""
        return [place for place, line in enumerate(self.lines) if re.search(pattern, line)]

    @property
    def loops(self) -> list[tuple[int, int]]:
        """(first, last) of every backward branch's span."""
        starts: dict[str, int] = {}
        spans = []
        for place, line in enumerate(self.lines):
            label = re.match(r"(\.L_x_\d+):", line)
            if label:
                starts[label.group(1)] = place
            branch = re.search(r"\bBRA\b.*`\((\.L_x_\d+)\)", line)
            if branch and branch.group(1) in starts:
                spans.append((starts[branch.group(1)], place))
        return [(first, last) for first, last in spans if first < last]


def disassemble(probe: Probe) -> Listing:
    """Machine code of the probe's kernel; needs Triton and its disassembler, no GPU."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.backends.nvidia import compiler as nvidia
    from triton.experimental.gluon._runtime import GluonASTSource

    names = list(probe.kernel.arg_names)
    signature = {name: _type(name, probe) for name in names}
    constants = {(names.index(name),): value for name, value in probe.constants.items()}
    aligned = {(place,): [["tt.divisibility", 16]] for place, name in enumerate(names) if name in ("out", "sink", "n")}
    source = GluonASTSource(probe.kernel, signature, constants, aligned)
    options = {**compat.COMPILE_OPTIONS, "num_warps": probe.warps}
    built = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    tool = Path(nvidia.__file__).parent / "bin" / "nvdisasm"
    with tempfile.TemporaryDirectory() as folder:
        cubin = Path(folder, "kernel.cubin")
        cubin.write_bytes(built.asm["cubin"])
        text = subprocess.run([str(tool), "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
    return Listing(tuple(line.strip() for line in text.splitlines() if line.strip()))


def _type(name: str, probe: Probe) -> Any:
    if name in probe.constants:
        return "constexpr"
    if name == "desc":
        from triton.experimental.gluon import language as gl

        assert probe.tile is not None
        layout = gl.NVMMASharedLayout.get_default_for(list(probe.tile), gl.float16)
        return compat.descriptor_signature("fp16", probe.tile, layout)
    return {"out": "*i64", "sink": f"*{probe.sink_type}", "n": "i32"}[name]
