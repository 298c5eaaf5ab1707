"""A loader's slice of the kernel: the addresses of what it fetches, computed by all of its threads."""

from __future__ import annotations

from twill.codegen.layouts import Copied, Layout
from twill.codegen.role import Role
from twill.codegen.scope import Kernel
from twill.codegen.statements import Apply, AsyncCopy, Barrier, Condition, Expr, Iteration, Tile
from twill.errors import Unsupported
from twill.ir.graph import Op
from twill.ir.vectors import vectors


class Loader(Role):
    """Resolves addresses for a group of `warps` warps that fetches."""

    def __init__(self, kernel: Kernel, warps: int) -> None:
        super().__init__(kernel)
        self.warps = warps

    def copy(self, op: Op, barrier: Barrier, tile: Tile, conditions: tuple[Condition, ...]) -> AsyncCopy:
        """An `async_load` at the iteration of its barrier."""
        elements = vectors(self.kernel.graph, op).elements
        layout = Copied(op.result.type.shape, self.warps, elements)
        source = self.address(op.operands[0], layout, barrier.iteration)
        assert isinstance(source, Apply)
        mask = self.address(op.operands[1], layout, barrier.iteration) if len(op.operands) > 1 else None
        return AsyncCopy(self.variable(op.operands[0]), source, mask, elements, barrier, tile, conditions)

    def address(self, name: str, layout: Layout | None, iteration: Iteration) -> Expr:
        """Pointers, offsets or a mask at an iteration, in `layout`; nothing of it is kept from one to the next."""
        kernel = self.kernel
        type = kernel.types[name]
        if not type.shape and type.kind == "value":
            return self.scalar(name, iteration)
        op = kernel.body.get(name)
        if op is not None:
            return self.free(op, layout, lambda operand, wanted: self.address(operand, wanted, iteration))
        if name in kernel.carried:
            raise Unsupported(
                f"the loop carries `{name}`, by which a loader finds a tile.",
                hint="Compute addresses from the loop index.",
                location=kernel.graph.loop.location,
            )
        return self.outer(name, layout)

    def outer(self, name: str, layout: Layout | None) -> Expr:
        """A value from before the loop lives in the layout in which it is asked for first."""
        if layout is not None and self.kernel.types[name].shape:
            self.homes.setdefault(name, layout)
        return super().outer(name, layout)
