"""Loops in sequence to one Graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from twill.errors import Unsupported
from twill.frontend.merge.between import divided
from twill.frontend.merge.bodies import Bodies
from twill.frontend.merge.builder import I1, Builder, renamed
from twill.frontend.merge.forms import Forms
from twill.frontend.merge.space import Space, begins_second, both_indices, joined, without_inductions
from twill.ir.graph import Carried, Loop, Op, Value


@dataclass(frozen=True)
class Passage:
    """A loop and the straight-line code that follows it."""

    loop: Loop
    then: tuple[Op, ...]


@dataclass(frozen=True)
class Code:
    """One loop, and the straight-line code around it."""

    before: tuple[Op, ...]
    loop: Loop
    after: tuple[Op, ...]


def merge(
    visible: Sequence[Value],
    before: Sequence[Op],
    passages: Sequence[Passage],
    multiples: Mapping[str, int],
    hints: Mapping[str, int],
) -> Code:
    """Loops in sequence as one; a single one stays as it is. All names are unique.

    visible: arguments, and what else is there before. multiples: what arguments are known to be a multiple of; hints:
    the same of any integer (tl.multiple_of). Raises Unsupported for loops that cannot be one, with both places.
    """
    if len(passages) == 1:
        return Code(tuple(before), passages[0].loop, passages[0].then)
    taken = {value.name for value in visible}
    taken |= {value.name for op in before for value in op.results}
    for passage in passages:
        taken |= _names(passage.loop) | {value.name for op in passage.then for value in op.results}
    start = Builder(Forms(multiples, hints), visible, taken)
    names: dict[str, str] = {}
    for op in before:
        op = renamed(op, names)
        result = start.write(op)
        if op.results:
            names[op.result.name] = result
    first, *others = passages
    loop, results = without_inductions(start, _renamed_loop(first.loop, names), set())
    names |= results
    then = tuple(renamed(op, names) for op in first.then)
    for number, passage in enumerate(others):
        rest = [passage.then, *(each for later in others[number + 1 :] for each in (later.loop.body, later.then))]
        used = {name for ops in rest for op in ops for name in op.operands}
        for later in others[number + 1 :]:
            used |= {each.initial for each in later.loop.carried} | {each.yielded for each in later.loop.carried}
            used |= {later.loop.lower, later.loop.upper, later.loop.step}
        pair = _Pair(start, loop, then, passage.loop, names, used)
        loop, then, names = pair.merged()
        then = (*then, *(renamed(op, names) for op in passage.then))
        others[number + 1 :] = [
            Passage(_renamed_loop(each.loop, names), tuple(renamed(op, names) for op in each.then))
            for each in others[number + 1 :]
        ]
    return Code(tuple(start.ops), loop, then)


class _Pair:
    """Two loops on their way to one. used: names that the code after both uses."""

    def __init__(
        self, before: Builder, first: Loop, between: Sequence[Op], second: Loop, names: dict[str, str], used: set[str]
    ) -> None:
        self.before = before
        self.first = first
        self.between = divided(before, names, first, between, second)
        results = {carried.result.name: carried for carried in first.carried}
        unknown = set(results) | {value.name for op in self.between.late for value in op.results}
        second = _renamed_loop(second, self.between.early)
        self._require_known_bounds(second, unknown)
        self.second, moved = without_inductions(before, second, unknown)
        self.names = {**self.between.early, **moved}
        self.results = results
        self.late = {value.name for op in self.between.late for value in op.results}
        self.used = used
        self.space: Space = joined(before, first, self.second)
        self.kept = self._kept()

    def merged(self) -> tuple[Loop, tuple[Op, ...], dict[str, str]]:
        """The loop of both, the code between that comes after it now, and new names for what follows."""
        plan = self._positions()
        body = self.before.inside([self.space.index, *(position.argument for position in plan)])
        is_first = body.scalar(
            "cmp", self.space.index.name, self.space.border, type=I1, name="first", predicate="lt", signed=True
        )
        index = both_indices(body, self.space, self.first, self.second, is_first)
        first = {self.first.index.name: index}
        second = {self.second.index.name: index}
        for position in plan:
            if position.first is not None:
                first.setdefault(position.first.argument.name, position.argument.name)
            if position.frozen and position.first is not None:
                second[position.first.result.name] = position.argument.name
        for position in plan:
            if position.first is not None:
                second.setdefault(position.first.result.name, position.argument.name)
            if position.second is not None:
                second[position.second.argument.name] = position.argument.name
        self._write_late(body, second)
        for position in plan:
            if position.second is not None and position.second.initial in self.late:
                start = begins_second(body, self.space)
                op = Op("select", (), (position.argument,), {}, self.second.location)
                value = (start, second[position.second.initial], position.argument.name)
                second[position.second.argument.name] = body.made("select", value, position.argument.type, op)
        bodies = Bodies(body, is_first, first, second)
        bodies.merge(self.first, self.second)
        carried = tuple(self._carried(position, bodies) for position in plan)
        loop = Loop(
            self.space.index, self.space.lower, self.space.upper, self.space.step, carried, tuple(body.ops),
            self.first.location,
        )  # fmt: skip
        return loop, *self._after(plan)

    # what of the first loop is needed when --------------------------------------------------------

    def _kept(self) -> set[str]:
        """Results of the first loop that are used as they are while the second one runs, or after it."""
        inside = {name for op in self.second.body for name in op.operands}
        inside |= {carried.yielded for carried in self.second.carried}
        stores = {name for op in self.between.late if not op.results for name in op.operands}
        return self.between.behind(inside | stores | self.used) & set(self.results)

    def _require_known_bounds(self, second: Loop, unknown: set[str]) -> None:
        if not unknown.isdisjoint((second.lower, second.upper, second.step)):
            raise Unsupported(
                "the bounds of this loop depend on what the loop before it computes.",
                hint="Compute the bounds before the first loop, or put this loop in a kernel of its own.",
                location=second.location,
            )

    def _positions(self) -> list[_Position]:
        """What the loop of both carries."""
        found: list[_Position] = []
        for carried in self.first.carried:
            name = carried.result.name
            if name in self.kept:
                found.append(_Position(carried.argument, carried.initial, carried.result, carried, None, True))
            heirs = [each for each in self.second.carried if each.initial == name]
            for heir in heirs:
                argument = carried.argument if heir is heirs[0] and name not in self.kept else heir.argument
                found.append(_Position(argument, carried.initial, heir.result, carried, heir))
            if name not in self.kept and not heirs:
                found.append(_Position(carried.argument, carried.initial, carried.result, carried, None))
        for carried in self.second.carried:
            if carried.initial in self.late:
                zero = 0.0 if carried.argument.type.is_float else 0
                initial = self.before.constant(zero, carried.argument.type)
                result = Value(self.before.fresh(carried.result.name), carried.result.type)
                found.append(_Position(carried.argument, initial, result, None, carried))
            elif carried.initial not in self.results:
                found.append(_Position(carried.argument, carried.initial, carried.result, None, carried))
        return found

    def _write_late(self, body: Builder, names: dict[str, str]) -> None:
        """The code between that the second loop needs, in its body. names: of the values there; results are added."""
        needed = {name for op in self.second.body for name in op.operands}
        needed |= {name for carried in self.second.carried for name in (carried.initial, carried.yielded)}
        needed = self.between.behind(needed)
        for op in self.between.late:
            if op.results and op.result.name in needed:
                if op.opcode == "dot":
                    raise Unsupported(
                        "a product between two loops that the second one needs would be done in every iteration.",
                        hint="Put the second loop in a kernel of its own.",
                        location=op.location,
                    )
                value = Value(body.fresh(op.result.name), op.result.type)
                names[op.result.name] = body.write(replace(renamed(op, names), results=(value,)))

    def _carried(self, position: _Position, bodies: Bodies) -> Carried:
        first, second = position.first, position.second
        names = bodies.names
        like = Op("select", (), (position.argument,), {}, self.second.location)
        yielded = position.argument.name
        if first is not None:
            a = names[0].get(first.yielded, first.yielded)
            yielded = a
            if second is not None:
                yielded = bodies.chosen(a, names[1].get(second.yielded, second.yielded), like)
            elif position.frozen:
                yielded = bodies.chosen(a, position.argument.name, like)
        elif second is not None:
            yielded = names[1].get(second.yielded, second.yielded)
            if second.initial not in self.late:
                yielded = bodies.chosen(position.argument.name, yielded, like)
        return Carried(position.argument, position.initial, yielded, position.result)

    def _after(self, plan: Sequence[_Position]) -> tuple[tuple[Op, ...], dict[str, str]]:
        """The late code, after both loops, and what values are called there."""
        names = dict(self.names)
        for position in plan:
            if position.first is not None and position.first.result.name not in self.kept:
                names.setdefault(position.first.result.name, position.result.name)
        late = [renamed(op, names) for op in self.between.late]
        empty = ""
        for position in plan:
            if position.second is not None and position.second.initial in self.late:
                if not empty:  # the second loop may not run at all
                    empty = self.before.scalar(
                        "cmp", self.second.lower, self.second.upper, type=I1, name="second_empty", predicate="ge",
                        signed=True,
                    )  # fmt: skip
                operands = (empty, position.second.initial, position.result.name)
                late.append(Op("select", operands, (position.second.result,), {}, self.second.location))
        return tuple(late), names


@dataclass(frozen=True)
class _Position:
    """One carried value of the loop of both: which it is in each loop.

    frozen: it keeps the result of the first loop while the second runs.
    """

    argument: Value
    initial: str
    result: Value
    first: Carried | None
    second: Carried | None
    frozen: bool = False


def _names(loop: Loop) -> set[str]:
    found = {loop.index.name} | {value.name for op in loop.body for value in op.results}
    return found | {value.name for carried in loop.carried for value in (carried.argument, carried.result)}


def _renamed_loop(loop: Loop, names: Mapping[str, str]) -> Loop:
    """The loop with what it takes from outside as it is called now."""

    def name(value: str) -> str:
        return names.get(value, value)

    carried = tuple(replace(c, initial=name(c.initial), yielded=name(c.yielded)) for c in loop.carried)
    body = tuple(renamed(op, names) for op in loop.body)
    return replace(
        loop, lower=name(loop.lower), upper=name(loop.upper), step=name(loop.step), carried=carried, body=body
    )
