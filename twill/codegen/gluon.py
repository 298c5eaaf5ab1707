"""Prints a Plan as one readable Gluon module. Everything was decided before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from twill.codegen import argument_checks, compat, stamps
from twill.codegen.block import Block
from twill.codegen.expressions import Printer
from twill.codegen.launch_checks import DEVICE_LINE
from twill.codegen.launcher import launcher_lines
from twill.codegen.literals import GLUON_DTYPES
from twill.codegen.plan import Buffer, Plan, Role
from twill.codegen.turns import TURNS_OVER
from twill.schedule.reservation import reservation_table


def emit(plan: Plan) -> str:
    """The source of the generated module: standalone (torch and triton), with its schedule drawn on top."""
    printer = Printer()
    roles = [line for role in plan.roles for line in ("", "", *_role(plan, role, printer))]
    kernel = _kernel(plan)
    launcher = launcher_lines(plan)
    definitions = printer.layouts.definitions()
    lines = [
        *_header(plan),
        "",
        "import torch",
        "import triton",
        "from triton.experimental import gluon",
        "from triton.experimental.gluon import language as gl",
        "from triton.experimental.gluon.language.nvidia.hopper import (",
        *(["    async_copy,"] if any(buffer.arrivals > 1 for buffer in plan.buffers) else []),
        "    fence_async_shared,",
        "    mbarrier,",
        "    tma,",
        "    warpgroup_mma,",
        "    warpgroup_mma_wait,",
        ")",
        "from triton.experimental.gluon.nvidia.hopper import TensorDescriptor",
        "",
        *compat.MODULE_LINES,
        *(compat.ASYNC_COPY_LINES if any(buffer.arrivals > 1 for buffer in plan.buffers) else ()),
        *(compat.MEET_LINES if any("meet()" in line for line in roles) else ()),
        DEVICE_LINE,
        "",
        *definitions,
        *(_stage_layout(buffer) for buffer in plan.buffers if buffer.descriptor is None),
        *(("", "", *stamps.module_lines()) if plan.stamps else ()),
        *roles,
        "",
        "",
        *kernel,
        "",
        "",
        *argument_checks.module_lines(launcher),
        *launcher,
    ]
    return "\n".join(lines).replace("\n\n\n\n", "\n\n\n") + "\n"


def _header(plan: Plan) -> list[str]:
    schedule = plan.schedule
    constants = ", ".join(f"{name}={value}" for name, value in plan.launch.constants.items())
    roles = [
        f"  {role.name}: {role.warps} warps"
        + (f", {role.registers} registers a thread" if role.registers else "")
        + (f", {role.stages} stages" if not role.producer else "")
        for role in plan.roles
    ]
    rings = [
        f"  {buffer.name}: {buffer.depth} x {list(buffer.shape)} {buffer.dtype}"
        for buffer in plan.buffers
        if buffer.depth
    ]
    text = [
        f"{plan.name} for Hopper, written by Twill from {PurePath(plan.launch.source).name}. Do not edit: change the",
        "kernel and compile it again.",
        "",
        f"Compiled for {constants}." if constants else "Compiled without constants.",
        f"Schedule: II = {schedule.ii} cycles, {schedule.status} ({schedule.reason}); "
        f"one iteration takes {schedule.length}.",
        "",
        "Roles:",
        *roles,
        "",
        "Rings:",
        *rings,
        "",
        "Steady state, one II:",
        *reservation_table(schedule).splitlines(),
    ]
    return ['r"""' + text[0], *(line.rstrip() for line in text[1:]), '"""']


def _stage_layout(buffer: Buffer) -> str:
    layout = f"gl.NVMMASharedLayout.get_default_for({list(buffer.shape)}, {GLUON_DTYPES[buffer.dtype]})"
    return f"{_stage_name(buffer)}: gl.constexpr = gl.constexpr({layout})"


def _stage_name(buffer: Buffer) -> str:
    return f"{buffer.name.upper()}_LAYOUT"


def _role(plan: Plan, role: Role, printer: Printer) -> list[str]:
    body = Block(printer, plan.stamps).render(role.body)
    if plan.stamps is not None:
        body = [*stamps.opening_lines(plan.stamps, role), *body, *stamps.closing_lines(plan.stamps, role)]
    what = "producer" if role.producer else "consumer"
    return [
        "@gluon.jit",
        *_wrap(f"def {role.name}(", role.parameters, "):"),
        f'    """{what.capitalize()}: warp group {role.group} of the schedule."""',
        *(f"    {line}" if line else "" for line in body),
    ]


def _kernel(plan: Plan) -> list[str]:
    names = [descriptor.name for descriptor in plan.descriptors] + [parameter for parameter, _ in plan.scalars]
    names += stamps.PARAMETERS if plan.stamps else ()
    body: list[str] = []
    sizes = {descriptor.name: descriptor for descriptor in plan.descriptors}
    body.append("barrier: gl.constexpr = mbarrier.MBarrierLayout()")
    inits: list[str] = []
    for buffer in plan.buffers:
        dtype = GLUON_DTYPES[buffer.dtype]
        shape = [buffer.depth, *buffer.shape] if buffer.depth else list(buffer.shape)
        layout = f"{buffer.descriptor}.layout" if buffer.descriptor in sizes else _stage_name(buffer)
        body.append(f"{buffer.name} = gl.allocate_shared_memory({dtype}, {shape}, {layout})")
        if not buffer.filled:
            continue
        bars = [(f"{buffer.name}_full", buffer.arrivals)]
        bars += [(f"{buffer.name}_empty", buffer.readers)] if buffer.reused else []
        for name, count in bars:
            body.append(f"{name} = gl.allocate_shared_memory(gl.int64, [{buffer.slots}, 1], barrier)")
            inits.append(f"for slot in gl.static_range({buffer.slots}):")
            inits.append(f"    mbarrier.init({name}.index(slot), count={count})")
    for name, token in plan.tokens:
        body.append(f"# {name}: after {token.signaller}, {token.waiter} may be issued")
        body.append(f"{name} = gl.allocate_shared_memory(gl.int64, [{token.depth}, 1], barrier)")
        inits.append(f"for slot in gl.static_range({token.depth}):")
        inits.append(f"    mbarrier.init({name}.index(slot), count=1)")
    if plan.turning:
        body.append(f"# {TURNS_OVER}: every group that takes turns has issued the last MMA of a tile")
        body.append(f"{TURNS_OVER} = gl.allocate_shared_memory(gl.int64, [1, 1], barrier)")
        inits.append(f"mbarrier.init({TURNS_OVER}.index(0), count={plan.turning})")
    body += inits
    body.append("fence_async_shared()  # the barriers are set up before TMA or another role sees them")
    body += _roles(plan)
    return [
        "@gluon.jit",
        *_wrap(f"def {plan.name}_kernel(", names, "):"),
        f'    """Shared memory, barriers, and one warp group for each of {", ".join(r.name for r in plan.roles)}."""',
        *(f"    {line}" for line in body),
    ]


def _roles(plan: Plan) -> list[str]:
    """The roles side by side; one alone is called, for Triton divides no launch that has nothing to divide among."""
    first, *workers = plan.roles  # the first role runs in the launch's own warps
    if not workers:
        return _wrap(f"{first.name}(", first.parameters, ")")
    return [
        "gl.warp_specialize(",
        "    [",
        *(f"        {line}" for role in plan.roles for line in _wrap(f"({role.name}, (", role.parameters, ",)),")),
        "    ],",
        f"    {[role.warps for role in workers]},",
        f"    {[role.registers for role in workers]},",
        ")",
    ]


def _wrap(start: str, names: Iterable[str], end: str, width: int = 112) -> list[str]:
    """`start name, name, ... end`, broken over indented lines when it is too long."""
    names = list(names)
    one = start + ", ".join(names) + end
    if len(one) <= width:
        return [one]
    lines, line = [start.rstrip()], "   "
    for name in names:
        if len(line) + len(name) + 2 > width:
            lines.append(line)
            line = "   "
        line += f" {name},"
    lines.append(line)
    return [*lines, end.removeprefix(",")]
