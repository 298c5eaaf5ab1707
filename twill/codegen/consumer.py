"""The consumer roles: one group's software pipeline, with its waits, releases and order tokens.

The steady state is emitted as a loop whose body j works on iteration j - stage of each op; the same
emitter runs the prologue (bodies 0 .. stages - 2), the epilogue, and, for trip counts too small to
fill the pipeline, the plain sequential loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from twill.codegen.layouts import Layout, Mma as MmaLayout, Operand, accumulator, infer, k_width
from twill.codegen.pipeline import Step, Stream, Token
from twill.codegen.producer import trip_count
from twill.codegen.role import Role
from twill.codegen.scope import Kernel
from twill.codegen.statements import (
    Apply,
    Arrive,
    Barrier,
    Call,
    Comment,
    Condition,
    Expr,
    For,
    If,
    Iteration,
    Let,
    Mma,
    MmaWait,
    Name,
    ReadTile,
    Stmt,
    StoreTile,
    StoreWait,
    Tile,
    TmaStore,
    Wait,
)
from twill.errors import Unsupported
from twill.ir.graph import Op

FIRST = Iteration("first")
END = Iteration("end")


@dataclass(frozen=True)
class Flight:
    """An asynchronous MMA of this role not waited for: the value it makes, the ring slots it reads."""

    value: str
    alive: bool  # False once a chained MMA took its accumulator over
    releases: tuple[tuple[str, int, Iteration], ...] = ()
    fed: bool = False  # its left operand is in registers
    absent: tuple[Condition, ...] = ()  # holds when it really is in flight


@dataclass(frozen=True)
class Place:
    """Where an op stands in a body: its step, its position among all ops of the body, its stage."""

    step: Step
    position: int

    @property
    def time(self) -> tuple[int, int]:
        return (self.step.stage, self.position)


class Consumer(Role):
    """Builds the statements of one consumer group."""

    def __init__(
        self,
        kernel: Kernel,
        stream: Stream,
        tokens: tuple[tuple[str, Token], ...],
        threshold: int,
        isolation: int,
        *,
        first: bool,
    ) -> None:
        super().__init__(kernel)
        self.stream = stream
        self.tokens = tokens
        self.threshold = threshold
        self.isolation = isolation
        self.subtiles = {
            kernel.schedule.problem.op(step.op).subtile for step in stream.steps
        } | ({None} if first else set())  # fmt: skip
        self.warps = kernel.schedule.groups[stream.group].warps
        self.ops = {
            step.op: [op for op in kernel.graph.loop.body if kernel.member_of(op) == step.op] for step in stream.steps
        }
        self.flights: list[Flight] = []
        self.defined: set[str] = set()
        self._infer_homes()

    # -- the whole role -------------------------------------------------------------------------------

    def statements(self) -> tuple[Stmt, ...]:
        """The role's program: preamble, pipelined loop (and its sequential fallback), what follows."""
        pipelined = self._path(self.stream.steps, pipelined=True)
        if self.threshold <= 0:
            loop: tuple[Stmt, ...] = pipelined
        else:
            fallback: tuple[Stmt, ...] = ()
            if self.threshold > 1:
                ids = [step.op for step in self.stream.steps]
                order = sorted(ids, key=lambda name: self._source_position(name))
                fallback = self._path(tuple(Step(id, 0, 0) for id in order), pipelined=False)
            loop = (If(self.threshold, pipelined, fallback),)
        after = self._after()
        initial = self._initial()
        count = trip_count(self)
        preamble = self.preamble()
        waits = tuple(
            Wait(Barrier(f"{self.kernel.buffer_name(op)}_full", 0, FIRST))
            for op in self.kernel.preloads()
            if f"{self.kernel.buffer_name(op)}_full" in self.parameters
        )
        return (*waits, *preamble, *initial, count, *loop, *after)

    def _source_position(self, id_: str) -> int:
        """Where a scheduled op stands in the source; a move that the source does not spell out stands first."""
        return min((self.kernel.position[id(op)] for op in self.ops[id_]), default=-1)

    def _initial(self) -> tuple[Stmt, ...]:
        """Loop-carried values before the first iteration."""
        found: list[Stmt] = []
        for argument in self.kernel.carried:
            source, distance = self._source(argument)
            if distance and self._mine(source):
                home = self.homes.get(source)
                initial = self.kernel.carried[argument].initial
                found.append(Let(self.variable(source), self.outer(initial, home)))
        return tuple(found)

    def _mine(self, value: str) -> bool:
        """This role computes the value."""
        op = self.kernel.body.get(value)
        return op is not None and self.kernel.member_of(op) in self.ops

    def _source(self, name: str) -> tuple[str, int]:
        """The body value behind a loop-carried argument and how many iterations ago it was made."""
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

    def _infer_homes(self) -> None:
        kernel = self.kernel
        yielded: dict[str, str] = {}
        for argument, carried in kernel.carried.items():
            if self._mine(carried.yielded):
                yielded[argument] = carried.yielded
                yielded[carried.result.name] = carried.yielded
        ours = [op for ops in self.ops.values() for op in ops]
        body = [op for op in kernel.graph.loop.body if op in ours or kernel.member_of(op) is None]
        wanted = [
            op
            for op in (*kernel.graph.before, *kernel.graph.after)
            if op.subtile in self.subtiles or op.subtile is None
        ]
        self.homes = infer(kernel.graph, (*body, *wanted), yielded, self.warps)

    # -- one path through the loop ----------------------------------------------------------------------

    def _path(self, steps: tuple[Step, ...], *, pipelined: bool) -> tuple[Stmt, ...]:
        stages = 1 + max(step.stage for step in steps)
        self.pipelined = pipelined
        self.stages = stages
        self.tail = 0
        self.flights = []
        self._order(steps)
        self.defined = {
            self.variable(source) for argument in self.kernel.carried for source, _ in [self._source(argument)]
        }
        out: list[Stmt] = []
        for body in range(stages - 1):
            out.append(Comment(f"prologue, body {body}"))
            out.extend(self._body([step for step in steps if step.stage <= body], Iteration("first", body)))
        entry, defined = list(self.flights), set(self.defined)
        current = Iteration("index")
        self._body(list(steps), current)  # a dry run: what is in flight at the back edge
        self.defined = defined
        carried = [self._shift(flight, entry) for flight in self.flights]
        self.flights = list(carried)
        loop = For(stages - 1, tuple(self._body(list(steps), current)))
        if stages > 1:
            out.append(Comment("steady state"))
        out.append(loop)
        # After the last body, iteration i of the loop is n - 1.
        ran = Condition(END, ">=", Iteration("first", stages))
        self.flights = [
            replace(
                flight,
                releases=tuple((ring, depth, Iteration("end", at.offset)) for ring, depth, at in flight.releases),
                absent=(ran,) if flight.absent else (),
            )
            for flight in carried
        ]
        for tail in range(1, stages):
            self.tail = tail
            out.append(Comment(f"epilogue, body {tail}"))
            out.extend(self._body([step for step in steps if step.stage >= tail], Iteration("end", tail - 1)))
        out.extend(self._drain(keep=False))
        return tuple(out)

    def _shift(self, flight: Flight, entry: list[Flight]) -> Flight:
        """A flight of the previous body as the next body sees it."""
        releases = tuple((ring, depth, at.shifted(-1)) for ring, depth, at in flight.releases)
        known = any(other.value == flight.value for other in entry)
        absent = () if known else (Condition(Iteration("index"), ">=", Iteration("first", self.stages)),)
        return replace(flight, releases=releases, absent=absent)

    def _order(self, steps: tuple[Step, ...]) -> None:
        """Positions of all ops of the body, copies each value needs, first and last use of each tile."""
        kernel = self.kernel
        self.places: dict[int, Place] = {}
        for step in steps:
            for op in self.ops[step.op]:
                self.places[id(op)] = Place(step, len(self.places))
        self.made: dict[str, Place] = {
            value.name: self.places[id(op)] for step in steps for op in self.ops[step.op] for value in op.results
        }
        self.copies: dict[str, int] = {}
        uses: dict[str, list[tuple[tuple[int, int], int]]] = {}
        for step in steps:
            for op in self.ops[step.op]:
                place = self.places[id(op)]
                for name in kernel.reached(op):
                    load = kernel.tile_load(name)
                    if load is not None and load[0].result.name in kernel.body:
                        uses.setdefault(load[0].result.name, []).append((place.time, id(op)))
                    source, distance = self._source(name)
                    if source in self.made:
                        copy = self._copy(source, distance, place)
                        self.copies[source] = max(self.copies.get(source, 0), copy)
        self.first_use = {name: min(times)[1] for name, times in uses.items()}
        self.last_use = {name: max(times)[1] for name, times in uses.items()}

    def _copy(self, source: str, distance: int, place: Place) -> int:
        """How many definitions back the value used at `place` was made.

        In epilogue body `tail` the ops of earlier stages have stopped: their last value is newer
        than the steady state would have it.
        """
        made = self.made[source]
        age = place.step.stage + distance - made.step.stage
        stopped = self.tail - made.step.stage
        if made.position >= place.position:
            age, stopped = age - 1, stopped - 1
        copy = age - max(0, stopped)
        if copy < 0:
            raise AssertionError(f"{source} is used before it is made: the schedule breaks a dependence")
        return copy

    # -- one body -----------------------------------------------------------------------------------

    def _body(self, steps: list[Step], base: Iteration) -> list[Stmt]:
        out: list[Stmt] = []
        for step in steps:
            iteration = base.shifted(-step.stage)
            placement = self.kernel.schedule.placements[step.op]
            unit = self.kernel.schedule.problem.op(step.op).unit
            out.append(Comment(f"{step.op} on {unit}: stage {placement.stage}, slot {placement.slot}"))
            for op in self.ops[step.op]:
                out.extend(self._emit(op, step, iteration))
        out.extend(self._drain(keep=base.base == "index" or base.base == "first"))
        return out

    def _emit(self, op: Op, step: Step, iteration: Iteration) -> list[Stmt]:
        out: list[Stmt] = []
        place = self.places[id(op)]
        self._landed: set[str] = set()
        if op.opcode == "dot":
            self._dot(op, place, iteration, out)
        elif op.opcode == "descriptor_store":
            self._store(op, lambda name, layout: self._value(name, layout, place, iteration, out), iteration, out)
        elif op.opcode == "store":
            operands = tuple(
                self._value(name, self.homes.get(op.operands[0]), place, iteration, out) for name in op.operands
            )
            out.append(Call(self._apply(op, operands, None)))
        else:
            home = self.homes.get(op.result.name)
            wanted = self.homes[op.operands[0]] if op.opcode == "reduce" else home
            operands = tuple(self._value(name, wanted, place, iteration, out) for name in op.operands)
            out.extend(self._rotate(op.result.name))
            out.append(Let(self.variable(op.result.name), self._apply(op, operands, home)))
        if op.opcode != "dot":
            out.extend(self._release_read(op, iteration))
        return out

    def _apply(self, op: Op, operands: tuple[Expr, ...], layout: Layout | None) -> Apply:
        types = tuple(self.kernel.types[name] for name in op.operands)
        type = op.result.type if op.results else self.kernel.types[op.operands[1]]
        return Apply(op.opcode, operands, op.attributes, type, layout, types)

    def _rotate(self, name: str) -> list[Stmt]:
        """Keep the older copies of a value that is about to be redefined."""
        out: list[Stmt] = []
        for k in range(self.copies.get(name, 0), 0, -1):
            newer = self.variable(name, k - 1)
            if newer in self.defined:
                self.defined.add(self.variable(name, k))
                out.append(Let(self.variable(name, k), Name(newer)))
        self.defined.add(self.variable(name))
        return out

    def _value(self, name: str, layout: Layout | None, place: Place, iteration: Iteration, out: list[Stmt]) -> Expr:
        """The expression for an operand of the op at `place`; waits it needs go to `out`."""
        kernel = self.kernel
        type = kernel.types[name]
        if not type.shape and type.kind == "value" and not self._computed(name):
            return self.scalar(name, iteration)
        source, distance = self._source(name)
        if source in self.made:
            copy = self._copy(source, distance, place)
            if copy == 0 and any(flight.value == source for flight in self.flights):
                out.extend(self._retire(source))
            return self.converted(Name(self.variable(source, copy)), source, layout)
        load = kernel.tile_load(name)
        if load is not None and load[0].result.name in kernel.body:
            out.extend(self._await_tile(load[0], place, iteration))
            if layout is None:
                raise AssertionError(f"no layout for the tile {name}")
            return ReadTile(self._ring_tile(load, iteration), layout)
        op = kernel.body.get(name)
        if op is None:
            return self.outer(name, layout)
        if kernel.is_free(op):
            return self.free(op, layout, lambda n, wanted: self._value(n, wanted, place, iteration, out))
        raise Unsupported(
            f"`{name}` is computed by another warp group; moving registers between groups is not emitted yet.",
            location=op.location,
        )

    def _computed(self, name: str) -> bool:
        """A scalar that is a member op's result (a full reduction), not index arithmetic."""
        source = self.kernel.carried[name].yielded if name in self.kernel.carried else name
        return source in self.made

    # -- tiles in shared memory -----------------------------------------------------------------------

    def _ring_tile(self, load: tuple[Op, tuple[tuple[str, tuple[int, ...]], ...]], iteration: Iteration) -> Tile:
        op, views = load
        buffer = self.kernel.buffer_name(op)
        self.parameters.add(buffer)
        return Tile(buffer, self.kernel.depth(op), iteration, views)

    def _await_tile(self, load: Op, place: Place, iteration: Iteration) -> list[Stmt]:
        """Wait for the tile to land, before this role's first use of it."""
        first = self.first_use[load.result.name]
        if self.places[first] is not place or load.result.name in self._landed:
            return []
        self._landed.add(load.result.name)
        full = f"{self.kernel.buffer_name(load)}_full"
        self.parameters.add(full)
        return [Wait(Barrier(full, self.kernel.depth(load), iteration))]

    def _release_read(self, op: Op, iteration: Iteration) -> list[Stmt]:
        """Give back the tiles this op read into registers for the last time."""
        return [Arrive(self._empty(ring, depth, at)) for ring, depth, at in self._last_reads(op, iteration)]

    def _last_reads(self, op: Op, iteration: Iteration) -> tuple[tuple[str, int, Iteration], ...]:
        found = []
        for load in self.kernel.ring_loads():
            if self.last_use.get(load.result.name) == id(op):
                found.append((self.kernel.buffer_name(load), self.kernel.depth(load), iteration))
        return tuple(found)

    def _empty(self, ring: str, depth: int, iteration: Iteration) -> Barrier:
        self.parameters.add(f"{ring}_empty")
        return Barrier(f"{ring}_empty", depth, iteration)

    # -- dots -------------------------------------------------------------------------------------

    def _dot(self, op: Op, place: Place, iteration: Iteration, out: list[Stmt]) -> None:
        a, b, c = op.operands
        self._require_precision(op)
        layout = accumulator(op.result.type, self.kernel.types[a], self.warps)
        left = self._left(op, a, layout, place, iteration, out)
        right = self._right(op, b, place, iteration, out)
        self._require_contiguous_k(op, left, right)
        before = self._accumulator(c, layout, place, iteration, out)
        fed = not isinstance(left, Tile)
        if self.isolation > 2 or (self.isolation > 0 and (fed or any(flight.fed for flight in self.flights))):
            out.extend(self._drain(keep=False))
        out.extend(self._token_waits(op, iteration))
        out.extend(self._rotate(op.result.name))
        target = self.variable(op.result.name)
        out.append(Mma(target, left, right, before, op.result.type, layout))
        out.extend(self._token_arrivals(op, iteration))
        self.flights.append(Flight(op.result.name, True, self._last_reads(op, iteration), fed))
        if self.isolation > 2 or (self.isolation > 1 and fed):
            out.extend(self._drain(keep=False))

    def _require_precision(self, op: Op) -> None:
        """32-bit operands go through the tensor core as tf32, Triton's default; nothing else is emitted."""
        precision = str(op.attributes.get("precision", "tf32"))
        if self.kernel.types[op.operands[0]].bits == 32 and precision != "tf32":
            raise Unsupported(
                f'a dot of 32-bit operands with input_precision="{precision}" is not emitted: wgmma reads them as tf32.',
                hint='Use input_precision="tf32", or 16-bit operands.',
                location=op.location,
            )

    def _require_contiguous_k(self, op: Op, left: Expr, right: Tile) -> None:
        """wgmma transposes operands in shared memory only when they are 16 bits wide."""
        if self.kernel.types[op.operands[0]].bits == 16:
            return
        for name, tile, wanted in (("left", left, False), ("right", right, True)):
            if isinstance(tile, Tile) and any(view == "permute" for view, _ in tile.views) != wanted:
                raise Unsupported(
                    f"the {name} operand of this dot is not contiguous along K, which wgmma needs "
                    "for operands that are not 16 bits wide.",
                    hint="Load [M, K] for the left operand, [N, K] for the right one and transpose that: tl.dot(a, b.T).",
                    location=op.location,
                )

    def _tile(self, name: str, place: Place, iteration: Iteration, out: list[Stmt]) -> Tile | None:
        load = self.kernel.tile_load(name)
        if load is None:
            return None
        if load[0].result.name in self.kernel.body:
            out.extend(self._await_tile(load[0], place, iteration))
            return self._ring_tile(load, iteration)
        return replace(self.static_tile(load[0]), views=load[1])

    def _left(self, op: Op, name: str, layout: MmaLayout, place: Place, iteration: Iteration, out: list[Stmt]) -> Expr:
        tile = self._tile(name, place, iteration, out)
        if tile is not None:
            return tile
        operand = Operand(layout, k_width(self.kernel.types[name]))
        return self._value(name, operand, place, iteration, out)

    def _right(self, op: Op, name: str, place: Place, iteration: Iteration, out: list[Stmt]) -> Tile:
        tile = self._tile(name, place, iteration, out)
        if tile is not None:
            return tile
        # Computed in registers: staged through shared memory, after every earlier reader is done.
        views: list[tuple[str, tuple[int, ...]]] = []
        source = self.kernel.body.get(name)
        if source is not None and source.opcode == "trans":
            order = source.attributes["order"]
            assert isinstance(order, tuple)
            views.append(("permute", order))
            name = source.operands[0]
        type = self.kernel.types[name]
        value = self._value(name, None, place, iteration, out)
        out.extend(self._drain(keep=False))
        buffer = self.kernel.stage_buffer(f"{self.kernel.identifier(op.result.name)}_stage", type)
        self.parameters.add(buffer)
        out.append(StoreTile(Tile(buffer), value))
        return Tile(buffer, views=tuple(views))

    def _accumulator(
        self, name: str, layout: Layout, place: Place, iteration: Iteration, out: list[Stmt]
    ) -> Expr | None:
        constant = self.kernel.producers.get(name)
        if constant is not None and constant.opcode == "constant" and constant.attributes["value"] == 0:
            return None
        source, distance = self._source(name)
        if source in self.made and self.homes[source] == layout and self._copy(source, distance, place) == 0:
            # A chain of MMAs on one accumulator needs no wait: the tensor core runs them in order.
            chained = [k for k, flight in enumerate(self.flights) if flight.value == source]
            for k in chained:
                self.flights[k] = replace(self.flights[k], alive=False)
            if chained:
                return Name(self.variable(source))
        return self._value(name, layout, place, iteration, out)

    # -- asynchronous MMAs ------------------------------------------------------------------------

    def _retire(self, value: str) -> list[Stmt]:
        """Wait until the MMA that makes `value` is done (and with it all earlier ones)."""
        last = max(k for k, flight in enumerate(self.flights) if flight.value == value)
        done, self.flights = self.flights[: last + 1], self.flights[last + 1 :]
        return self._wait(done, pending=len(self.flights), keep=())

    def _wait(self, done: list[Flight], pending: int, keep: tuple[str, ...]) -> list[Stmt]:
        targets = tuple(dict.fromkeys(self.variable(flight.value) for flight in done if flight.alive))
        out: list[Stmt] = [MmaWait(pending, (*targets, *keep))] if targets or keep else []
        for flight in done:
            for ring, depth, iteration in flight.releases:
                out.append(Arrive(self._empty(ring, depth, iteration), flight.absent))
        return out

    def _drain(self, *, keep: bool) -> list[Stmt]:
        """Wait for everything in flight; with `keep`, all but an accumulator that the next body chains on."""
        kept = 0
        while keep and kept < len(self.flights) and self._chains(self.flights[-1 - kept]):
            kept += 1
        kept = min(kept, 1)
        cut = len(self.flights) - kept
        done, rest = self.flights[:cut], self.flights[cut:]
        if not done and not rest:
            return []
        self.flights = rest
        if not done:
            # The accumulator crosses the back edge in flight, but as a tensor, like its initial value.
            names = tuple(self.variable(flight.value) for flight in rest)
            return [MmaWait(kept, names)]
        return self._wait(done, kept, tuple(self.variable(flight.value) for flight in rest))

    def _chains(self, flight: Flight) -> bool:
        """The value is a loop-carried accumulator that only the next iteration's same MMA touches.

        An MMA that reads its left operand from registers may not cross the back edge: ptxas would
        serialize every MMA of the kernel for want of registers to keep that operand in.
        """
        if not flight.alive:
            return False
        op = self.kernel.body[flight.value]
        if self.kernel.tile_load(op.operands[0]) is None:
            return False
        source, distance = self._source(op.operands[2])
        if source != flight.value or distance != 1:
            return False
        users = [
            other
            for other in self.kernel.graph.loop.body
            for name in other.operands
            if self.kernel.carried.get(name) is not None and self.kernel.carried[name].yielded == flight.value
        ]
        users += [other for other in self.kernel.graph.loop.body if flight.value in other.operands]
        return users == [op]

    # -- order tokens -------------------------------------------------------------------------------

    def _token_waits(self, op: Op, iteration: Iteration) -> list[Stmt]:
        return [
            Wait(Barrier(name, token.depth, iteration.shifted(token.shift)), conditions=conditions)
            for name, token in self.tokens
            if self.pipelined and token.waiter == self.kernel.member_of(op)
            for conditions in self._in_range(iteration.shifted(token.shift), name)
        ]

    def _token_arrivals(self, op: Op, iteration: Iteration) -> list[Stmt]:
        out: list[Stmt] = []
        for name, token in self.tokens:
            if self.pipelined and token.signaller == self.kernel.member_of(op):
                self.parameters.add(name)
                out.append(Arrive(Barrier(name, token.depth, iteration)))
        return out

    def _in_range(self, iteration: Iteration, name: str) -> list[tuple[Condition, ...]]:
        """Conditions under which `iteration` exists: [] never, [()] always."""
        self.parameters.add(name)
        low, high = {
            "first": (iteration.offset >= 0, iteration.offset < self.threshold),
            "index": (self.stages - 1 + iteration.offset >= 0, iteration.offset <= 0),
            "end": (self.threshold + iteration.offset >= 0, iteration.offset < 0),
        }[iteration.base]
        if (iteration.base == "first" and not low) or (iteration.base == "end" and not high):
            return []
        conditions = []
        if not low:
            conditions.append(Condition(iteration, ">=", FIRST))
        if not high:
            conditions.append(Condition(iteration, "<", END))
        return [tuple(conditions)]

    # -- stores and what follows the loop ---------------------------------------------------------------

    def _store(self, op: Op, resolve: object, iteration: Iteration, out: list[Stmt]) -> None:
        assert callable(resolve)
        rank = len(self.kernel.types[op.operands[0]].shape)
        descriptor = self.kernel.descriptor(op.operands[0])
        value = op.operands[-1]
        block = self.kernel.types[op.operands[0]]
        views = () if block.shape == self.kernel.types[value].shape else (("reshape", self.kernel.types[value].shape),)
        tag = "" if op.subtile is None else f"_{op.subtile}"
        buffer = self.kernel.stage_buffer(f"{descriptor}{tag}_stage", block)
        self.parameters.update({descriptor, buffer})
        expression = resolve(value, self.homes.get(value))
        offsets = tuple(resolve(name, None) for name in op.operands[1 : 1 + rank])
        out.append(StoreWait(0))
        out.append(StoreTile(Tile(buffer, views=views), expression))
        out.append(TmaStore(descriptor, offsets, Tile(buffer)))
        self.stored = True

    def _after(self) -> tuple[Stmt, ...]:
        """The straight-line code after the loop that this role's sub-tiles need."""
        kernel = self.kernel
        out: list[Stmt] = []
        self.stored = any(op.opcode == "descriptor_store" for ops in self.ops.values() for op in ops)
        defined: set[str] = set()
        after = {op.result.name: op for op in kernel.graph.after if op.results}

        def resolve(name: str, layout: Layout | None) -> Expr:
            if name in kernel.results:
                source, distance = self._source(kernel.results[name].argument.name)
                assert distance == 1
                if not self._mine(source):
                    raise Unsupported(
                        f"`{name}` is computed by another warp group than the one that stores it.",
                        location=kernel.graph.loop.location,
                    )
                return self.converted(Name(self.variable(source)), source, layout)
            op = after.get(name)
            if op is None:
                return self.outer(name, layout)
            if kernel.is_free(op):
                return self.free(op, layout, resolve)
            define(op)
            return self.converted(Name(self.variable(name)), name, layout)

        def define(op: Op) -> None:
            if op.result.name in defined:
                return
            defined.add(op.result.name)
            home = self.homes.get(op.result.name)
            wanted = self.homes[op.operands[0]] if op.opcode == "reduce" else home
            if op.opcode == "descriptor_load":
                home = self.homes[op.result.name]
                out.append(Let(self.variable(op.result.name), ReadTile(self.static_tile(op), home)))
                return
            if op.opcode == "dot":
                raise Unsupported(
                    "a dot after the loop is not emitted yet.",
                    hint="Move it into the loop or into a kernel of its own.",
                    location=op.location,
                )
            operands = tuple(resolve(name, wanted if kernel.types[name].shape else None) for name in op.operands)
            out.append(Let(self.variable(op.result.name), self._apply(op, operands, home)))

        if kernel.graph.after:
            out.append(Comment("after the loop"))
        for op in kernel.graph.after:
            if op.results or op.subtile not in self.subtiles:
                continue
            if op.opcode == "descriptor_store":
                self._store(op, resolve, FIRST, out)
            else:
                layout = self.homes.get(op.operands[0])
                operands = tuple(resolve(name, layout) for name in op.operands)
                out.append(Call(self._apply(op, operands, None)))
        if self.stored:
            out.append(StoreWait(0))
        return tuple(out)
