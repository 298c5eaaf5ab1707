"""Every state that the barriers of an emitted module let its roles reach: for survivors whose runs are not ordered.

    python -m benchmarks.mutation_states NAME [NUMBER ...] [--iterations N ...]

goes through the unbroken module and its mutants of these numbers (those of the result file). Nothing is computed: a
role is the list of its waits, arrivals, loads, MMAs and waits for MMAs at n iterations. A state is how far each role
has come, and which loads are under way; a load lands at any time, and an MMA reads its tile from its issue to the wait
for it. Wrong is a load into a tile that is read or being loaded, an MMA whose tile has not landed or is another than
its turn's, and a state from which nothing moves. Exit code 1 when there is one.

Of kernels with consumers and a loader, whose iterations are `n`, a number that all of them have alike, and each tile of
which a role reads by one MMA: forward attention.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import click

from benchmarks.mutants import mutants
from benchmarks.mutation_trial import NAMES, paths

Place = tuple[str, int]  # a barrier or a tile, and its slot


@dataclass(frozen=True)
class Operation:
    """kind: wait, arrive, load, mma, or drain. place: a barrier's; of a load or an MMA the tile's. barrier: on which a
    load completes. number: a wait's parity, the turn of a load or an MMA in its ring, how many MMAs a drain leaves."""

    kind: str
    place: Place = ("", 0)
    number: int = 0
    barrier: Place = ("", 0)


@dataclass
class _Role:
    """A role's operations in their order. variables: n, and those of the loops it is in; turns: of each ring so far."""

    variables: dict[str, Any]
    operations: list[Operation] = field(default_factory=list)
    turns: Counter[str] = field(default_factory=Counter)

    def read(self, statements: Sequence[ast.stmt]) -> None:
        for statement in statements:
            match statement:
                case ast.For(target=ast.Name(id=name), iter=ast.Call(args=[first, last])):
                    for value in range(self.value(first), self.value(last)):
                        self.variables[name] = value
                        self.read(statement.body)
                case ast.If():
                    self.read(statement.body if self.value(statement.test) else statement.orelse)
                case ast.Expr(value=ast.Call() as call) | ast.Assign(value=ast.Call() as call):
                    self.operations += self.called(call)

    def called(self, call: ast.Call) -> Iterator[Operation]:
        pred = next((keyword.value for keyword in call.keywords if keyword.arg == "pred"), None)
        if pred is not None and not self.value(pred):
            return
        match ast.unparse(call.func):
            case "mbarrier.wait":
                yield Operation("wait", self.place(call.args[0]), self.value(call.args[1]))
            case "mbarrier.arrive":
                yield Operation("arrive", self.place(call.args[0]))
            case "tma_load":
                place = self.place(call.args[3])
                yield Operation("load", place, self.turn(place), self.place(call.args[2]))
            case "warpgroup_mma":
                for node in ast.walk(call):
                    if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("_ring.index"):
                        place = self.place(node)
                        yield Operation("mma", place, self.turn(place))
            case "warpgroup_mma_wait":
                yield Operation("drain", number=self.value(call.args[0]))

    def turn(self, place: Place) -> int:
        self.turns[place[0]] += 1
        return self.turns[place[0]] - 1

    def place(self, node: ast.expr) -> Place:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "index":
            return ast.unparse(node.func.value), self.value(node.args[0])
        return ast.unparse(node), 0

    def value(self, node: ast.expr) -> int:
        return int(eval(compile(ast.Expression(node), "index", "eval"), {}, self.variables))

    def reads(self) -> list[tuple[Place, ...]]:
        """By position, the tiles of MMAs that are issued and not waited for."""
        found: list[tuple[Place, ...]] = [()]
        for operation in self.operations:
            flight = (*found[-1], operation.place) if operation.kind == "mma" else found[-1]
            found.append(flight[max(len(flight) - operation.number, 0) :] if operation.kind == "drain" else flight)
        return found

    def arrivals(self) -> list[Counter[Place]]:
        """By position, how often each barrier was arrived at."""
        found = [Counter[Place]()]
        for operation in self.operations:
            found.append(found[-1] + Counter([operation.place] if operation.kind == "arrive" else []))
        return found


class States:
    """The reachable states of a module's roles at n iterations."""

    def __init__(self, text: str, n: int) -> None:
        functions = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
        self.names = [name for name in functions if name == "loader" or name.startswith("consumer")]
        roles = [_Role({"n": n}) for _ in self.names]
        for name, role in zip(self.names, roles, strict=True):
            role.read(functions[name].body)
        self.operations = [role.operations for role in roles]
        self.arrivals = [role.arrivals() for role in roles]
        self.reads = [role.reads() for role in roles]
        self.loader = self.names.index("loader")
        self.loads = [each for each in self.operations[self.loader] if each.kind == "load"]
        self.issued = [0]
        for operation in self.operations[self.loader]:
            self.issued.append(self.issued[-1] + (operation.kind == "load"))
        self.filled = {load.barrier[0] for load in self.loads}
        self.counts = {
            ast.unparse(node.args[0].func.value): int(ast.unparse(node.keywords[0].value))  # type: ignore[attr-defined]
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "mbarrier.init"
        }

    def hazard(self) -> str | None:
        """The first thing found wrong in a reachable state, in words; None when there is none."""
        start = ((0,) * len(self.names), frozenset[int]())
        seen, left = {start}, [start]
        while left:
            at, flying = left.pop()
            following = [(at, flying - {load}) for load in flying]
            for role, name in enumerate(self.names):
                if at[role] == len(self.operations[role]):
                    continue
                operation = self.operations[role][at[role]]
                if operation.kind == "wait" and self._phase(at, flying, operation.place) & 1 == operation.number:
                    continue
                wrong = self._wrong(at, flying, operation)
                if wrong:
                    return f"{name}: {wrong}"
                after = (*at[:role], at[role] + 1, *at[role + 1 :])
                following.append((after, flying | {self.issued[at[role]]} if operation.kind == "load" else flying))
            if not following and any(here < len(each) for here, each in zip(at, self.operations, strict=True)):
                return "nothing moves"
            new = [state for state in following if state not in seen]
            seen.update(new)
            left += new
        return None

    def _phase(self, at: tuple[int, ...], flying: frozenset[int], barrier: Place) -> int:
        """How many phases of a barrier are over."""
        if barrier[0] in self.filled:
            issued = range(self.issued[at[self.loader]])
            return sum(self.loads[load].barrier == barrier and load not in flying for load in issued)
        return sum(each[here][barrier] for here, each in zip(at, self.arrivals, strict=True)) // self.counts[barrier[0]]

    def _wrong(self, at: tuple[int, ...], flying: frozenset[int], operation: Operation) -> str:
        tile = f"{operation.place[0]}[{operation.place[1]}]"
        if operation.kind == "load":
            if any(self.loads[load].place == operation.place for load in flying):
                return f"two loads to {tile}"
            if any(operation.place in each[here] for here, each in zip(at, self.reads, strict=True)):
                return f"load over {tile}, which is read"
        if operation.kind == "mma":
            issued = range(self.issued[at[self.loader]])
            last = max((load for load in issued if self.loads[load].place == operation.place), default=-1)
            if last < 0 or last in flying or self.loads[last].number != operation.number:
                return f"MMA reads {tile} without tile {operation.number}"
        return ""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", type=click.Choice(NAMES), metavar="NAME")
@click.argument("numbers", nargs=-1, type=int, metavar="[NUMBER ...]")
@click.option("--iterations", multiple=True, type=click.IntRange(0), default=(3, 5, 7), help="Repeat for several.")
def main(name: str, numbers: tuple[int, ...], iterations: tuple[int, ...]) -> None:
    """Go through every state of the barriers of a shipped module, and of its mutants of these numbers."""
    text = paths(name)[0].read_text()
    made = mutants(text)
    if any(not 0 <= number < len(made) for number in numbers):
        raise click.UsageError(f"{name} has mutants 0 to {len(made) - 1}.")
    wrong = False
    for number in (None, *numbers):
        mutant = None if number is None else made[number]
        source = text if mutant is None else mutant.apply(text)
        found = {n: States(source, n).hazard() for n in iterations}
        what = "unbroken" if mutant is None else f"{number}: {mutant.kind}, line {mutant.line}, {mutant.change}"
        said = "; ".join(f"{n} iterations: {hazard}" for n, hazard in found.items() if hazard)
        click.echo(f"{name} {what}: {said or 'no hazard at ' + ', '.join(map(str, iterations)) + ' iterations'}")
        wrong = wrong or bool(said)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
