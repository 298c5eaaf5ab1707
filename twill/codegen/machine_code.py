"""Compiles a generated module for its target without a GPU and reads back what the machine code costs."""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import subprocess
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twill.codegen import compat
from twill.codegen.disassembly import WGMMA, RoleCode, roles_of
from twill.codegen.imported import imported
from twill.errors import CheckFailed, InputError, Location, Unsupported
from twill.machine import Machine
from twill.machine import load as load_machine

CAPABILITY = {"hopper": 90}
_SHORT = {
    "torch.float16": "fp16", "torch.bfloat16": "bf16", "torch.float32": "fp32", "torch.float64": "fp64",
    "torch.float8_e4m3fn": "fp8e4nv", "torch.float8_e5m2": "fp8e5", "torch.int8": "i8", "torch.int16": "i16",
    "torch.int32": "i32", "torch.int64": "i64", "torch.bool": "i1", "torch.uint8": "u8",
}  # fmt: skip


@dataclass(frozen=True)
class MachineCode:
    """What ptxas and the disassembly say about one kernel.

    registers: per thread at launch (roles then trade them by setmaxnreg). role_registers: every count
    that a setmaxnreg in it asks for. spill_bytes: stores and loads of spilled registers. stack_bytes: of a
    thread, in local memory. shared_bytes: dynamic, what the limit of a thread block counts. hgmma:
    number of wgmma machine instructions. serialized: ptxas gave up on overlapping wgmma (its warnings
    C7510 to C7519). roles: the code of each role, in the order of the plan's roles (and perhaps roles that
    only fill up a warp group after them). mma: which of `disassembly.WGMMA` the wgmma instructions are.
    """

    triton: str
    registers: int
    role_registers: tuple[int, ...]
    spill_bytes: int
    stack_bytes: int
    shared_bytes: int
    shared_limit: int
    hgmma: int
    serialized: bool
    seconds: float
    notes: tuple[str, ...] = ()
    roles: tuple[RoleCode, ...] = ()
    mma: str = "HGMMA"

    @property
    def problems(self) -> tuple[str, ...]:
        """What must not be in a shipped kernel."""
        found = []
        if self.shared_bytes > self.shared_limit:
            found.append(f"{self.shared_bytes} bytes of shared memory do not fit in {self.shared_limit}")
        if self.spill_bytes:
            found.append(f"registers spill to memory: {self.spill_bytes} bytes")
        if self.serialized:
            found.append("ptxas serializes the wgmma instructions: " + "; ".join(self.notes))
        return tuple(found)


@dataclass
class _Captured:
    """Stands where the Gluon kernel is while the launcher runs, and keeps what it was launched with."""

    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] | None = None

    def __getitem__(self, grid: object) -> _Captured:
        return self

    def __call__(self, *args: Any, **options: Any) -> None:
        self.args, self.options = args, options


def require_code(machine: Machine, location: str | Location) -> None:
    """Raise Unsupported, naming the kernel at `location`, for a machine that no code is generated for."""
    if machine.count("capability") not in CAPABILITY.values():
        raise Unsupported(
            f"no code is generated for `{machine.name}` yet, only for {', '.join(CAPABILITY)}.",
            hint="Its schedule can be had: `twill compile --emit schedule`.",
            location=location,
        )


def compile_module(path: str | Path, name: str, arguments: Mapping[str, Any], arch: str = "hopper") -> MachineCode:
    """Machine code of the kernel that launcher `name` in `path` launches for `arguments`.

    arguments: the launcher's keyword arguments (CPU tensors do; only dtypes and shapes matter, and no grid is needed).
    Raises InputError for an unknown architecture, CheckFailed when Triton rejects the module.
    """
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.experimental.gluon._runtime import GluonASTSource

    if arch not in CAPABILITY:
        raise InputError(f"no code is generated for `{arch}`.", hint=f"Known: {', '.join(CAPABILITY)}.")
    began = time.perf_counter()
    module = imported(Path(path))
    kernel = getattr(module, f"{name}_kernel")
    captured = _Captured()
    setattr(module, f"{name}_kernel", captured)
    vars(module)["DEVICE_TYPE"] = None  # nothing runs, so the tensors may be anywhere
    launcher = getattr(module, name)
    if "grid" in inspect.signature(launcher).parameters:  # the caller's to give: any will do
        arguments = {"grid": (1,), **arguments}
    try:
        launcher(**arguments)
    except (AssertionError, ValueError, TypeError) as error:
        raise InputError(
            f"the launcher of `{name}` does not take these arguments: {error or type(error).__name__}.",
            hint="TMA wants rows and addresses at multiples of 16 bytes." if isinstance(error, AssertionError) else "",
            location=str(path),
        ) from error
    if captured.options is None:
        raise InputError(
            f"the launcher of `{name}` launches nothing for these arguments: the grid is empty.",
            hint="Give the example sizes that fill at least one tile.",
            location=str(path),
        )
    parameters = list(kernel.arg_names)
    signature = dict(zip(parameters, (_signature(value) for value in captured.args), strict=True))
    aligned = {
        (position,): [["tt.divisibility", 16]] for position, value in enumerate(captured.args) if _divisible(value)
    }
    options = {**compat.COMPILE_OPTIONS, **(captured.options or {})}
    # Triton prints the PTX when ptxas crashes.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            source = GluonASTSource(kernel, signature, {}, aligned)
            built = triton.compile(source, target=GPUTarget("cuda", CAPABILITY[arch], 32), options=options)
        except Exception as error:
            reason = _innermost(error)
            raise CheckFailed(
                f"Triton {triton.__version__} does not compile the generated kernel: {reason}", location=str(path)
            ) from error
    limit = load_machine(arch).count("smem_bytes")
    return _read_back(built, triton.__version__, limit, time.perf_counter() - began)


def _innermost(error: BaseException) -> str:
    """What went wrong at the bottom of a chain of compilation errors, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:2000] or type(error).__name__


def _signature(value: Any) -> str:
    """Triton's type of a launch argument, as the runtime would infer it."""
    if hasattr(value, "block_shape"):
        dtype = _SHORT[str(value.base.dtype)]
        return compat.descriptor_signature(dtype, tuple(value.block_shape), value.layout)
    if hasattr(value, "data_ptr"):
        return "*" + _SHORT[str(value.dtype)]
    if isinstance(value, bool):
        return "i1"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    return "fp32"


def _divisible(value: Any) -> bool:
    if hasattr(value, "data_ptr"):
        return bool(value.data_ptr() % 16 == 0)
    return isinstance(value, int) and not isinstance(value, bool) and value % 16 == 0


def _read_back(built: Any, version: str, shared_limit: int, seconds: float) -> MachineCode:
    from triton.backends.nvidia import compiler as nvidia

    tools = Path(nvidia.__file__).parent / "bin"
    with tempfile.TemporaryDirectory() as folder:
        ptx, cubin = Path(folder, "kernel.ptx"), Path(folder, "kernel.cubin")
        ptx.write_text(built.asm["ptx"])
        cubin.write_bytes(built.asm["cubin"])
        capability = int(re.search(r"\.target sm_(\d+)", built.asm["ptx"]).group(1))  # type: ignore[union-attr]
        ptxas = nvidia.get_ptxas(capability).path
        log = _run(ptxas, "-v", f"-arch=sm_{capability}a", str(ptx), "-o", f"{folder}/again.cubin")
        usage = _run(str(tools / "cuobjdump"), "-res-usage", str(cubin))
        sass, roles = _disassemble(str(tools / "nvdisasm"), str(cubin))
    spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill (?:stores|loads)", log))
    resources = dict(re.findall(r"(REG|STACK|SHARED):(\d+)", usage))
    notes = tuple(line.split(":", 1)[1].strip() for line in log.splitlines() if re.search(r"\(C75\d\d\)", line))
    found = Counter(re.findall(rf"\b(?:{'|'.join(WGMMA)})\b", sass))
    quotas = re.findall(r"USETMAXREG\.\w+\.CTAPOOL\s+(?:UP\d+,\s*)?0x([0-9a-f]+)", sass)
    return MachineCode(
        triton=version,
        registers=int(resources["REG"]),
        role_registers=tuple(sorted({int(quota, 16) for quota in quotas})),
        spill_bytes=spills,
        stack_bytes=int(resources["STACK"]),
        shared_bytes=int(built.metadata.shared),
        shared_limit=shared_limit,
        hgmma=sum(found.values()),
        mma="/".join(found) or "HGMMA",
        serialized=any("serialized" in note for note in notes),
        seconds=seconds,
        notes=notes,
        roles=roles,
    )


def _disassemble(nvdisasm: str, cubin: str) -> tuple[str, tuple[RoleCode, ...]]:
    """The listing and what it says of each role: nothing where nvdisasm cannot count live registers.

    It ends with "Invalid register count" for some kernels that use all 255.
    """
    try:
        listing = _run(nvdisasm, "-c", "-lrm", "count", cubin)
    except CheckFailed:
        return _run(nvdisasm, "-c", cubin), ()
    return listing, roles_of(listing)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CheckFailed(f"{Path(command[0]).name} failed: {done.stderr.strip()[:1000]}")
    return done.stdout + done.stderr
