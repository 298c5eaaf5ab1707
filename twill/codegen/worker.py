"""A consumer role's slice of the kernel: its ops, its sub-tiles, its warps, the layouts of its values."""

from __future__ import annotations

from twill.codegen.layouts import Layout, Slice, infer
from twill.codegen.pipeline import Stream
from twill.codegen.role import Role
from twill.codegen.scope import Kernel
from twill.codegen.statements import TILE, Barrier, Iteration, Views
from twill.errors import Unsupported
from twill.ir.graph import Op


class Worker(Role):
    """Resolves values for a group that computes.

    ops: the graph's ops behind each scheduled op of the group, in source order. subtiles: those whose
    code outside the loop is this role's; the first worker also takes the code of no sub-tile.
    """

    def __init__(self, kernel: Kernel, stream: Stream, *, first: bool) -> None:
        super().__init__(kernel)
        self.stream = stream
        self.warps = kernel.schedule.groups[stream.group].warps
        scheduled = [step.op for step in stream.steps]
        self.ops = {name: [op for op in kernel.graph.loop.body if kernel.member_of(op) == name] for name in scheduled}
        self.subtiles = {kernel.schedule.problem.op(name).subtile for name in scheduled}
        if first:
            self.subtiles.add(None)
        self.staged = {
            step: value
            for ops in self.ops.values()
            for op in ops
            if op.opcode == "dot"
            for found in self.staged_operands(op).values()
            for step, value in (found[:2],)
        }
        self._infer_homes()

    def _infer_homes(self) -> None:
        kernel = self.kernel
        yielded: dict[str, str] = {}
        for argument, carried in kernel.carried.items():
            if self.computes(carried.yielded):
                yielded[argument] = carried.yielded
                yielded[carried.result.name] = carried.yielded
        body = [op for op in kernel.graph.loop.body if kernel.member_of(op) in {None, *self.ops}]
        outside = [
            op
            for op in (*kernel.graph.before, *kernel.graph.after)
            if op.subtile in self.subtiles or op.subtile is None
        ]
        self.homes = infer(kernel.graph, (*body, *outside), yielded, self.warps)

    def staged_operands(self, dot: Op) -> dict[int, tuple[str, str, Views]]:
        """Of each operand that a scheduled op puts into shared memory for the dot: that op, the value, views of it.

        Without those that wgmma takes as they are: loaded, or a left one from registers untransposed.
        Raises Unsupported for one that no scheduled op puts there.
        """
        problem, member = self.kernel.schedule.problem, self.kernel.member_of(dot)
        steps = {dep.src for dep in problem.deps if dep.dst == member and not dep.distance}
        found: dict[int, tuple[str, str, Views]] = {}
        for position, name in enumerate(dot.operands[:2]):
            if self.kernel.tile_load(name) is not None:
                continue
            value, views = self.transposed(name)
            step = next((step for step in sorted(steps) if step.startswith(f"{value}.stage")), None)
            if step is not None:
                found[position] = step, value, views
            elif position == 0 and views:
                raise Unsupported(
                    f"the left operand of this dot is `{value}` transposed, which is not computed in the loop.",
                    hint="Transpose what the iteration itself computes.",
                    location=dot.location,
                )
        return found

    def transposed(self, name: str) -> tuple[str, Views]:
        """The value that `name` is, or of which it is a transpose, and the views that make it that."""
        source = self.kernel.body.get(name)
        if source is None or source.opcode != "trans":
            return name, ()
        order = source.attributes["order"]
        assert isinstance(order, tuple)
        return source.operands[0], (("permute", order),)

    def computes(self, value: str) -> bool:
        """This role makes the value, in the loop."""
        op = self.kernel.body.get(value)
        return op is not None and self.kernel.member_of(op) in self.ops

    def reduced(self, op: Op) -> Layout:
        """The layout in which a reduction's result comes out."""
        axis = op.attributes["axis"]
        assert isinstance(axis, int)
        return Slice(axis, self.homes[op.operands[0]])

    def multiplies(self, load: Op) -> bool:
        """A dot of this role reads the tile where the load puts it."""
        dots = (op for ops in self.ops.values() for op in ops if op.opcode == "dot")
        tiles = (self.kernel.tile_load(name) for op in dots for name in op.operands[:2])
        return any(tile is not None and tile[0] is load for tile in tiles)

    def source(self, name: str) -> tuple[str, int]:
        """The body value behind a loop-carried argument and how many iterations ago it was made.

        Raises Unsupported when no op of the body makes it.
        """
        carried = self.kernel.carried.get(name)
        if carried is None:
            return name, 0
        source = carried.yielded
        if source not in self.kernel.body or source in self.kernel.carried:
            raise Unsupported(
                f"the loop carries `{name}`, whose next value is not computed by the iteration before it.",
                hint="Carry only values that each iteration computes.",
                location=self.kernel.graph.loop.location,
            )
        return source, 1

    def source_position(self, scheduled: str) -> int:
        """Where a scheduled op stands in the source; a move that the source does not spell out stands first."""
        return min((self.kernel.position[self.kernel.name_of(op)] for op in self.ops[scheduled]), default=-1)

    def full_barrier(self, load: Op, iteration: Iteration) -> Barrier:
        """Completes when the tile of `iteration` (of a ring) or the only tile has landed."""
        return self._barrier(load, "full", iteration)

    def empty_barrier(self, load: Op, iteration: Iteration) -> Barrier:
        """Completes when every reader is done with the tile of `iteration`."""
        return self._barrier(load, "empty", iteration)

    def _barrier(self, load: Op, suffix: str, iteration: Iteration) -> Barrier:
        name = f"{self.kernel.buffer_name(load)}_{suffix}"
        self.parameters.add(name)
        if self.kernel.once_a_tile(load):
            return Barrier(name, 1, TILE)
        depth = self.kernel.depth(load)
        return Barrier(name, depth, iteration, self.kernel.since if depth else "")
