"""What the ops of one path through a loop read and define: values in registers, tiles in rings."""

from __future__ import annotations

from dataclasses import replace

from twill.codegen.flights import Flights
from twill.codegen.layouts import Layout
from twill.codegen.order import Order, Site
from twill.codegen.scope import fold
from twill.codegen.statements import Barrier, Expr, Fence, Let, Name, ReadTile, Stmt, Tile, Wait
from twill.codegen.worker import Worker
from twill.errors import Unsupported
from twill.ir.graph import Op


class Operands:
    """Resolves operands at a site, with the waits they need; keeps older copies of what is redefined.

    defined: variables that hold a value by now.
    """

    def __init__(self, worker: Worker, order: Order, flights: Flights) -> None:
        self.worker = worker
        self.order = order
        self.flights = flights
        self.defined = {worker.variable(worker.source(argument)[0]) for argument in worker.kernel.carried}

    def value(self, name: str, layout: Layout | None, site: Site) -> Expr:
        """The value in registers, as an op at `site` reads it."""
        worker, kernel = self.worker, self.worker.kernel
        type = kernel.types[name]
        if not type.shape and type.kind == "value" and not self._computed(name):
            made = kernel.body.get(name)
            if made is None:
                return worker.scalar(name, site.iteration)
            return fold(worker.apply(made, tuple(self.value(operand, None, site) for operand in made.operands), None))
        source, distance = worker.source(name)
        if source in self.order.made:
            copy = self.order.copy(source, distance, site.place, site.tail)
            if copy == 0:
                site.out.extend(self.flights.retire(source))
            return worker.converted(Name(worker.variable(source, copy)), source, layout)
        if kernel.ring_load(name) is not None:
            tile = self.tile(name, site)
            if tile is None or layout is None:
                raise AssertionError(f"no layout for the tile {name}")
            return ReadTile(tile, layout)
        op = kernel.body.get(name)
        if name in kernel.carried:
            raise Unsupported(
                f"the loop carries `{name}`, a tile that one iteration loads and the next one uses.",
                hint="Load the tile in the iteration that uses it: Twill pipelines the loads itself.",
                location=kernel.graph.loop.location,
            )
        if op is None:
            return worker.outer(name, layout)
        if kernel.is_free(op):
            return worker.free(op, layout, lambda operand, wanted: self.value(operand, wanted, site))
        raise Unsupported(
            f"`{name}` is computed by another warp group; moving registers between groups is not emitted yet.",
            location=op.location,
        )

    def _computed(self, name: str) -> bool:
        """A scalar that is a member op's result (a full reduction), not index arithmetic."""
        carried = self.worker.kernel.carried.get(name)
        return (carried.yielded if carried is not None else name) in self.order.made

    def accumulator_in_place(self, name: str, layout: Layout, site: Site) -> str | None:
        """The value behind an accumulator that an MMA at `site` may go on with where it is, else None.

        Nothing else may read that value: the MMA overwrites it.
        """
        source, distance = self.worker.source(name)
        if source not in self.order.made or self.worker.homes[source] != layout:
            return None
        if len(self.worker.kernel.uses(source)) > 1:
            return None
        return source if self.order.copy(source, distance, site.place, site.tail) == 0 else None

    def define(self, name: str) -> list[Stmt]:
        """Keep the older copies of a value that is about to be redefined."""
        variable = self.worker.variable
        out: list[Stmt] = []
        for copy in range(self.order.copies.get(name, 0), 0, -1):
            newer = variable(name, copy - 1)
            if newer in self.defined:
                self.defined.add(variable(name, copy))
                out.append(Let(variable(name, copy), Name(newer)))
        self.defined.add(variable(name))
        return out

    def tile(self, name: str, site: Site) -> Tile | None:
        """The tile in shared memory behind a value, waited for at its first use; None for any other value."""
        found = self.worker.kernel.tile_load(name)
        if found is None:
            return None
        load, views = found
        if load.result.name not in self.worker.kernel.body:
            return replace(self.worker.static_tile(load), views=views)
        site.out.extend(self._await(load, site))
        buffer = self.worker.kernel.buffer_name(load)
        self.worker.parameters.add(buffer)
        return Tile(buffer, self.worker.kernel.depth(load), site.iteration, views, self.worker.kernel.since)

    def _await(self, load: Op, site: Site) -> list[Stmt]:
        """Wait for the tile to land, before this role's first use of it."""
        name = load.result.name
        if self.order.first_use[name] != site.place or name in site.landed:
            return []
        site.landed.add(name)
        waits: list[Stmt] = [Wait(self.worker.full_barrier(load, site.iteration))]
        if load.opcode == "async_load" and self.worker.multiplies(load):
            waits.append(Fence())  # threads wrote the tile, MMAs read it
        return waits

    def releases(self, site: Site) -> tuple[Barrier, ...]:
        """Empty barriers of the tiles that the op at `site` is the last to read."""
        return tuple(
            self.worker.empty_barrier(load, site.iteration)
            for load in self.worker.kernel.ring_loads()
            if self.order.last_use.get(load.result.name) == site.place
        )
