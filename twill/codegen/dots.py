"""A dot as an asynchronous wgmma: operands in shared memory or registers, accumulator in place, order tokens."""

from __future__ import annotations

from twill.codegen.flights import Flight, Flights
from twill.codegen.layouts import Layout, Operand, accumulator, k_width
from twill.codegen.operands import Operands
from twill.codegen.order import Site
from twill.codegen.scope import Kernel
from twill.codegen.statements import Expr, Mma, Name, Stmt, StoreTile, Tile
from twill.codegen.turns import Turns
from twill.codegen.worker import Worker
from twill.errors import Unsupported
from twill.ir.graph import Op


class Dots:
    """Emits the dots of one path. isolation: a level of `plan.ISOLATION`."""

    def __init__(self, worker: Worker, operands: Operands, flights: Flights, turns: Turns, isolation: int) -> None:
        self.worker = worker
        self.operands = operands
        self.flights = flights
        self.turns = turns
        self.isolation = isolation

    def emit(self, op: Op, site: Site) -> None:
        """Start the MMA of `op`; it is in flight after this.

        Raises Unsupported for operands that wgmma does not read as they are.
        """
        worker, out = self.worker, site.out
        a, b, c = op.operands
        require_precision(worker.kernel, op)
        layout = accumulator(op.result.type, worker.kernel.types[a], worker.warps)
        moved = worker.staged_operands(op)
        staged = {at: Tile(self._buffer(value), views=views) for at, (_, value, views) in moved.items()}
        left: Expr | None = self.operands.tile(a, site) or staged.get(0)
        fed = left is None
        if left is None:
            left = self.operands.value(a, Operand(layout, k_width(worker.kernel.types[a])), site)
        right = self.operands.tile(b, site) or staged.get(1) or self._staged(op, b, site)
        require_contiguous_k(worker.kernel, op, left, right)
        before = self._accumulator(c, layout, site)
        out += self._isolate_before(fed)
        scheduled = worker.kernel.member_of(op)
        out += self.turns.waits(scheduled, site.iteration)
        out += self.operands.define(op.result.name)
        out.append(Mma(worker.variable(op.result.name), left, right, before, op.result.type, layout))
        out += self.turns.arrivals(scheduled, site.iteration)
        self.flights.now.append(Flight(op.result.name, site.iteration, self.operands.releases(site), fed))
        out += self._isolate_after(fed)

    def stage(self, step: str, site: Site) -> None:
        """Put an operand into shared memory for the dots that read it there, once the last ones are done with it."""
        worker = self.worker
        value = worker.staged[step]
        stored = self.operands.value(value, None, site)
        for ops in worker.ops.values():
            for op in ops:
                if op.opcode == "dot" and any(found[0] == step for found in worker.staged_operands(op).values()):
                    site.out.extend(self.flights.retire(op.result.name))
        site.out.append(StoreTile(Tile(self._buffer(value)), stored))

    def _buffer(self, value: str) -> str:
        """The staging buffer of a value that the loop computes."""
        kernel = self.worker.kernel
        name = kernel.stage_buffer(f"{kernel.identifier(value)}_stage", kernel.types[value])
        self.worker.parameters.add(name)
        return name

    def _isolate_before(self, fed: bool) -> list[Stmt]:
        """From level 1 an MMA that reads registers is alone among MMAs; from level 3 every one is."""
        apart = self.isolation > 2 or (self.isolation > 0 and (fed or self.flights.fed))
        return self.flights.drain() if apart else []

    def _isolate_after(self, fed: bool) -> list[Stmt]:
        """From level 2 an MMA that reads registers is waited for at once; from level 3 every one is."""
        apart = self.isolation > 2 or (self.isolation > 1 and fed)
        return self.flights.drain() if apart else []

    def _staged(self, op: Op, name: str, site: Site) -> Tile:
        """A right operand in registers since before the loop, put into shared memory once earlier readers are done."""
        kernel = self.worker.kernel
        name, views = self.worker.transposed(name)
        value = self.operands.value(name, None, site)
        site.out.extend(self.flights.drain())
        buffer = kernel.stage_buffer(f"{kernel.identifier(op.result.name)}_stage", kernel.types[name])
        self.worker.parameters.add(buffer)
        site.out.append(StoreTile(Tile(buffer), value))
        return Tile(buffer, views=views)

    def _accumulator(self, name: str, layout: Layout, site: Site) -> Expr | None:
        """What the MMA adds to; None for zeros. A chain of MMAs on one accumulator needs no wait between them."""
        constant = self.worker.kernel.producers.get(name)
        if constant is not None and constant.opcode == "constant" and constant.attributes["value"] == 0:
            return None
        source = self.operands.accumulator_in_place(name, layout, site)
        if source is not None and self.flights.chain(source):
            return Name(self.worker.variable(source))
        return self.operands.value(name, layout, site)


def require_precision(kernel: Kernel, op: Op) -> None:
    """32-bit operands go through the tensor core as tf32, Triton's default; nothing else is emitted."""
    precision = str(op.attributes.get("precision", "tf32"))
    if kernel.types[op.operands[0]].bits == 32 and precision != "tf32":
        raise Unsupported(
            f'a dot of 32-bit operands with input_precision="{precision}" is not emitted: wgmma reads them as tf32.',
            hint='Use input_precision="tf32", or 16-bit operands.',
            location=op.location,
        )


def require_contiguous_k(kernel: Kernel, op: Op, left: Expr, right: Tile) -> None:
    """wgmma transposes operands in shared memory only when they are 16 bits wide."""
    if kernel.types[op.operands[0]].bits == 16:
        return
    for side, tile, transposed in (("left", left, False), ("right", right, True)):
        if isinstance(tile, Tile) and any(view == "permute" for view, _ in tile.views) != transposed:
            raise Unsupported(
                f"the {side} operand of this dot is not contiguous along K, which wgmma needs "
                "for operands that are not 16 bits wide.",
                hint="Load [M, K] for the left operand, [N, K] for the right one and transpose that: tl.dot(a, b.T).",
                location=op.location,
            )
