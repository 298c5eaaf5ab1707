"""Prints a Plan as one readable Gluon module. Everything was decided before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePath

from twill.codegen import argument_checks, compat, stamps
from twill.codegen.expressions import Printer, strip
from twill.codegen.iterations import condition_text, phase_text, running_text, slot_text
from twill.codegen.launch_checks import DEVICE_LINE
from twill.codegen.launcher import launcher_lines
from twill.codegen.literals import GLUON_DTYPES
from twill.codegen.plan import Buffer, Plan, Role
from twill.codegen.statements import (
    Arrive,
    AsyncCopy,
    Barrier,
    Call,
    Comment,
    Condition,
    Count,
    Fence,
    For,
    If,
    Let,
    Meet,
    Mma,
    MmaWait,
    Stamp,
    Stmt,
    StoreTile,
    StoreWait,
    Tiles,
    TmaLoad,
    TmaStore,
    TripCount,
    Wait,
)
from twill.codegen.turns import TURNS_OVER
from twill.ir.vectors import VECTOR_BYTES
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
    body = _Block(printer, plan.stamps).render(role.body)
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


class _Block:
    """Prints statements, one method a kind."""

    def __init__(self, printer: Printer, kept: stamps.Stamps | None = None) -> None:
        self.p = printer
        self.stamps = kept

    def render(self, statements: tuple[Stmt, ...]) -> list[str]:
        lines: list[str] = []
        for statement in statements:
            lines += getattr(self, f"_{type(statement).__name__.lower()}")(statement)
        return lines

    def _let(self, s: Let) -> list[str]:
        return [f"{s.target} = {self.p.full(s.value)}"]

    def _comment(self, s: Comment) -> list[str]:
        return [f"# {s.text}"]

    def _stamp(self, s: Stamp) -> list[str]:
        assert self.stamps is not None
        at = running_text(s.iteration, self.stamps.since)
        wanted = [f"{at} < twill_limit", *map(condition_text, s.conditions)]
        mask = wanted[0] if len(wanted) == 1 else " & ".join(f"({each})" for each in wanted)
        return [f"twill_stamp(twill_at + {self.stamps.offset(s.number)} + ({at}), {mask})"]

    def _barrier(self, barrier: Barrier) -> str:
        slot = slot_text(barrier.iteration, barrier.depth, barrier.since) if barrier.depth else "0"
        return f"{barrier.name}.index({slot})"

    def _pred(self, conditions: tuple[Condition, ...]) -> str:
        if not conditions:
            return ""
        texts = [condition_text(condition) for condition in conditions]
        return ", pred=" + (texts[0] if len(texts) == 1 else " & ".join(f"({text})" for text in texts))

    def _wait(self, s: Wait) -> list[str]:
        phase = phase_text(s.barrier.iteration, s.barrier.depth, s.barrier.since)
        if s.empty:
            # The slot is free once the phase before the one this iteration will complete is over.
            phase = str(int(phase) ^ 1) if phase.isdigit() else f"({phase}) ^ 1"
        return [f"mbarrier.wait({self._barrier(s.barrier)}, {phase}{self._pred(s.conditions)})"]

    def _arrive(self, s: Arrive) -> list[str]:
        return [f"mbarrier.arrive({self._barrier(s.barrier)}, count=1{self._pred(s.conditions)})"]

    def _tmaload(self, s: TmaLoad) -> list[str]:
        barrier, pred = self._barrier(s.barrier), self._pred(s.conditions)
        offsets = ", ".join(self.p.expr(offset) for offset in s.offsets)
        if s.indexed and s.conditions:
            return self._where(s.conditions, self._tmaload(replace(s, conditions=())))
        return [
            f"mbarrier.expect({barrier}, {s.nbytes}{pred})",
            f"tma_load({s.descriptor}, [{offsets}], {barrier}, {self.p.tile(s.tile)}{pred})",
        ]

    def _asynccopy(self, s: AsyncCopy) -> list[str]:
        base, offset = (self.p.atom(s.source.operands[0]), strip(self.p.full(s.source.operands[1])))
        pointers = f"gl.max_contiguous(gl.multiple_of({s.target}, [1, {VECTOR_BYTES}]), [1, {s.vector}])"
        mask = f", mask=gl.max_constancy({self.p.full(s.mask)}, [1, {s.vector}])" if s.mask is not None else ""
        lines = [
            f"{s.target} = {base} + ({offset})",
            f"copy_async({self.p.tile(s.tile)}, {pointers}{mask})",
            f"async_copy.mbarrier_arrive({self._barrier(s.barrier)}, increment_count=False)",
        ]
        return self._where(s.conditions, lines)

    def _where(self, conditions: tuple[Condition, ...], lines: list[str]) -> list[str]:
        """The lines, where the conditions hold."""
        if not conditions:
            return lines
        return [f"if {self._pred(conditions).removeprefix(', pred=')}:", *(f"    {line}" for line in lines)]

    def _fence(self, s: Fence) -> list[str]:
        return ["fence_async_shared()"]

    def _meet(self, s: Meet) -> list[str]:
        return ["meet()"]

    def _mma(self, s: Mma) -> list[str]:
        a = self.p.full(s.a)
        b = self.p.tile(s.b)
        if s.c is None:
            zero = f"gl.zeros({list(s.type.shape)}, {GLUON_DTYPES[s.type.dtype]}, {self.p.layouts.name(s.layout)})"
            return [f"{s.target} = warpgroup_mma({a}, {b}, {zero}, use_acc=False, is_async=True)"]
        return [f"{s.target} = warpgroup_mma({a}, {b}, {self.p.full(s.c)}, is_async=True)"]

    def _mmawait(self, s: MmaWait) -> list[str]:
        names = ", ".join(s.targets)
        return [f"{names} = warpgroup_mma_wait({s.pending}, deps=[{names}])"]

    def _storetile(self, s: StoreTile) -> list[str]:
        return [f"{self.p.tile(s.tile)}.store({self.p.full(s.value)})", "fence_async_shared()"]

    def _tmastore(self, s: TmaStore) -> list[str]:
        offsets = ", ".join(self.p.expr(offset) for offset in s.offsets)
        return [f"tma_store({s.descriptor}, [{offsets}], {self.p.tile(s.tile)})"]

    def _storewait(self, s: StoreWait) -> list[str]:
        return [f"tma.store_wait({s.pending})"]

    def _call(self, s: Call) -> list[str]:
        return [self.p.expr(s.value)]

    def _tripcount(self, s: TripCount) -> list[str]:
        low, high, by = (self.p.expr(bound) for bound in (s.lower, s.upper, s.step))
        if all(text.lstrip("-").isdigit() for text in (low, high, by)):
            return [f"n = {max(0, -(-(int(high) - int(low)) // int(by)))}"]
        extent = high if low == "0" else f"{self.p.atom(s.upper)} - {self.p.atom(s.lower)}"
        count = extent if by == "1" else f"gl.cdiv({extent}, {by})"
        return [f"n = gl.maximum({count}, 0)" if s.exact else f"n = {count}"]

    def _for(self, s: For) -> list[str]:
        end = f"n + {s.extra}" if s.extra else "n"
        return [f"for i in range({s.start}, {end}):", *self._indent(s.body)]

    def _count(self, s: Count) -> list[str]:
        return [f"{s.counter} += {'n' if s.by is None else s.by}"]

    def _tiles(self, s: Tiles) -> list[str]:
        bounds = ", ".join(self.p.expr(bound) for bound in (s.lower, s.upper, s.step))
        return [f"for {s.index} in range({bounds}):", *self._indent(s.body)]

    def _if(self, s: If) -> list[str]:
        lines = [f"if n >= {s.at_least}:", *self._indent(s.then)]
        if s.orelse:
            lines += [
                "else:",
                "    # too few iterations to fill the pipeline: one after the other",
                *self._indent(s.orelse),
            ]
        return lines

    def _indent(self, body: tuple[Stmt, ...]) -> list[str]:
        return [f"    {line}" for line in self.render(body)]
