"""Prints the statements of a role as Gluon, line by line."""

from __future__ import annotations

from dataclasses import replace

from twill.codegen.expressions import Printer, strip
from twill.codegen.iterations import condition_text, phase_text, running_text, slot_text
from twill.codegen.literals import GLUON_DTYPES
from twill.codegen.stamps import Stamps
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
from twill.ir.vectors import VECTOR_BYTES


class Block:
    """Prints statements, one method a kind."""

    def __init__(self, printer: Printer, kept: Stamps | None = None) -> None:
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
