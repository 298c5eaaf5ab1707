"""TTIR text to the Graph: the kernel's loop, what runs before and after it, and the loop around it, if any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

from twill.errors import Location, Unsupported
from twill.frontend.branches import Branch, If, Step
from twill.frontend.descriptors import check_descriptors
from twill.frontend.drafts import Draft, Refused, draft
from twill.frontend.launch import Launch
from twill.frontend.merge import Passage, divisibility, in_sequence, merge
from twill.frontend.nested import Counters, nest
from twill.frontend.opcodes import IGNORED, REFUSALS
from twill.frontend.places import Places
from twill.frontend.ttir_parser import parse_module
from twill.frontend.ttir_tokens import SyntaxProblem
from twill.frontend.ttir_tree import Function, Module, Statement
from twill.frontend.ttir_types import UnknownType, parse_type
from twill.frontend.value_names import value_names
from twill.ir.async_loads import LARGEST_POINTER_LOAD
from twill.ir.graph import Carried, Graph, Loop, Op, Outer, Type, Value
from twill.ir.outer import invariants_first

_TERMINATORS = frozenset({"scf.yield", "tt.return"})
_THROUGH_POINTERS = frozenset({"tt.load", "tt.store", "tt.atomic_rmw"})


def lower_ttir(text: str, launch: Launch, file: str) -> Graph:
    """The Graph of the module's kernel, not yet simplified; arguments are named as in `launch`.

    text: TTIR with locations; file: absolute path of the user's file, shown in locations as
    `launch.source`. Raises Unsupported naming file:line:column and the construct.
    """
    try:
        module = parse_module(text)
    except SyntaxProblem as problem:
        raise Unsupported(
            f"Triton's intermediate code could not be read ({problem}).",
            hint="This is a gap in Twill's reader, not in the kernel; please report it with `--emit ttir`.",
            location=launch.source,
        ) from None
    function = next(function for function in module.functions if function.public)
    column = module.resolve(function.location).column
    return _Lowering(module, function, launch, Places(file, launch.source, min(column, 1))).graph()


class _Lowering:
    """The state of one lowering: where locations resolve, and the drafts of each part."""

    def __init__(self, module: Module, function: Function, launch: Launch, places: Places) -> None:
        self.module = module
        self.function = function
        self.launch = launch
        self.places = places
        self.here = places.location(module.resolve(function.location))
        self.ifs = 0
        self.hints: dict[str, int] = {}  # what scalars are multiples of, as written in the source

    def graph(self) -> Graph:
        parts = nest(self.function.body.statements, self.find_loop)
        outer = parts.outer
        before = [
            *self.steps(parts.entry, inside=False),
            *(self.counters(outer, parts.loop) if outer is not None else ()),
            *self.steps(parts.before, inside=False),
        ]
        for statement in parts.rest:
            self.refuse(
                statement,
                "code after a loop around the loop",
                "Do it for each tile, inside the outer loop, or in a kernel of its own.",
            )
        loops, codes = in_sequence(parts.loop, parts.after)
        for loop in loops:
            self.require_signed(loop)
        bodies = [self.steps(loop.regions[0].statements, inside=True) for loop in loops]
        afters = [self.steps(code, inside=False) for code in codes]
        passages = [steps for pair in zip(bodies, afters, strict=True) for steps in pair]
        self.require_ignored(loops, [*before, *(step for steps in passages for step in steps)])
        chosen = self.names(loops, outer, before, *passages)

        def value(key: str, kind: Type) -> Value:
            return Value(chosen[key], kind)

        def ops(steps: Sequence[Step]) -> tuple[Op, ...]:
            return tuple(
                Op(
                    step.draft.opcode,
                    tuple(chosen[key] for key in step.draft.operands),
                    tuple(value(key, kind) for key, kind in step.draft.results),
                    step.draft.attributes,
                    step.location,
                )
                for step in steps
            )

        def lowered(loop: Statement, body: Sequence[Step]) -> Loop:
            ending = loop.regions[0].statements[-1:]
            yielded = ending[0].operands if ending and ending[0].name == "scf.yield" else []
            carried = tuple(
                Carried(value(argument, kind), chosen[initial], chosen[after_body], value(result, kind))
                for (argument, initial), after_body, result, kind in zip(
                    loop.carried, yielded, loop.results, self.types(loop, loop.outputs), strict=True
                )
            )
            (index_type,) = self.types(loop, loop.inputs)
            lower, upper, step = (chosen[key] for key in loop.operands)
            return Loop(value(loop.words[-1], index_type), lower, upper, step, carried, ops(body), self.location(loop))

        arguments = tuple(self.arguments())
        around = None
        if outer is not None:
            (kind,) = self.types(outer, outer.inputs)
            first, last, by = (chosen[key] for key in outer.operands)
            around = Outer(value(outer.words[-1], kind), first, last, by, self.location(outer))
        visible = arguments if around is None else (*arguments, around.index)
        multiples = {spec.name: self.launch.multiple(spec.name) for spec in self.launch.arguments}
        code = merge(
            visible,
            ops(before),
            [Passage(lowered(loops[i], bodies[i]), ops(afters[i])) for i in range(len(loops))],
            multiples,
            {chosen[key]: multiple for key, multiple in self.hints.items() if key in chosen},
        )
        graph = Graph(self.function.name, arguments, code.before, code.loop, code.after, outer=around)
        check_descriptors(graph)
        return invariants_first(graph)

    # structure ----------------------------------------------------------------------------------

    def find_loop(self, statements: Sequence[Statement]) -> int:
        """The position of the first loop. Raises Unsupported for none, or branches."""
        for statement in statements:
            if statement.name.startswith("cf."):
                self.refuse(statement, REFUSALS["cf.cond_br"].construct, REFUSALS["cf.cond_br"].advice)
        loops = [i for i, statement in enumerate(statements) if statement.name == "scf.for"]
        if not loops:
            for statement in statements:  # a `while` or an `if` around the loop is the better answer
                if statement.name == "scf.while" or _holds_loop(statement):
                    self.draft(statement, inside=False)
            raise Unsupported(
                f"kernel `{self.function.name}` has no loop: Twill schedules one loop over tiles, and here there is "
                "none (a loop of constant trip count one disappears, and tl.static_range is unrolled).",
                hint="Compile it with Triton as it is, or loop over tiles with `for ... in range(lower, upper, step)`.",
                location=self.here,
            )
        self.require_signed(statements[loops[0]])
        return loops[0]

    def require_signed(self, loop: Statement) -> None:
        if "unsigned" in loop.words:
            self.refuse(loop, "a loop over unsigned integers", "Use signed integers for the bounds.")

    def counters(self, outer: Statement, loop: Statement) -> list[Step]:
        """What the turns of the outer loop pass to one another, computed from its index."""
        (index,) = self.types(outer, outer.inputs)
        types = self.types(outer, outer.outputs)
        return Counters(outer, loop, index, types, self.refuse).steps(self.location(outer))

    def require_ignored(self, loops: Sequence[Statement], steps: Sequence[Step]) -> None:
        """Raises Unsupported when something uses a result that an op does not give here (an atomic's)."""
        used = {key for step in steps for key in step.draft.operands}
        used |= {key for loop in loops for end in loop.regions[0].statements[-1:] for key in end.operands}
        for step in steps:
            if not used.isdisjoint(step.draft.ignored):
                raise Unsupported(
                    "the value that an atomic returns is used, which is not supported.",
                    hint="Use atomics for their effect only; who came first is not known in any other way either.",
                    location=step.location or self.here,
                )

    def steps(self, statements: Sequence[Statement], *, inside: bool) -> list[Step]:
        """The drafted ops of a stretch of statements, in program order."""
        found = []
        for statement in statements:
            if statement.name in _TERMINATORS or statement.name in IGNORED:
                continue
            if statement.name == "scf.if":
                found += self.branches(statement, inside=inside)
                continue
            resolved = self.module.resolve(statement.location)
            location, variable = self.places.location(resolved, statement.name), self.places.variable(resolved)
            shape = parse_type(statement.inputs[0]).shape if statement.name in _THROUGH_POINTERS else ()
            found += [Step(op, location, variable, shape) for op in self.draft(statement, inside=inside)]
            if (multiple := divisibility(statement)) > 1:
                self.hints[statement.results[0]] = multiple
        return found

    def branches(self, statement: Statement, *, inside: bool) -> list[Step]:
        """An `if` made straight (`branches.py`), those in its branches too."""
        if _holds_loop(statement):
            self.refuse(statement, REFUSALS["scf.if"].construct, REFUSALS["scf.if"].advice)
        parts = []
        for region in statement.regions:
            last = region.statements[-1:]
            yielded = last[0].operands if last and last[0].name == "scf.yield" else []
            parts.append(Branch(self.steps(region.statements, inside=inside), yielded))
        self.ifs += 1
        made = If(statement, self.types(statement, statement.outputs), f"if{self.ifs}", self.location(statement))
        try:
            return list(made.steps(parts))
        except Refused as refused:
            self.refuse(statement, refused.construct, refused.advice)

    def draft(self, statement: Statement, *, inside: bool) -> list[Draft]:
        where = " in the loop" if inside else ""
        if inside and statement.name == "scf.for":
            self.refuse(statement, "a loop inside the loop", "Unroll the inner loop with tl.static_range.")
        if inside and statement.name == "tt.load" and len((tile := parse_type(statement.inputs[0])).shape) in (1, 3, 4):
            loaded = Type(tile.dtype, tile.shape)  # matrices may be the loader's (`ir.async_loads`)
            if loaded.nbytes > LARGEST_POINTER_LOAD:
                self.refuse(
                    statement,
                    f"a load of {loaded.nbytes // 1024} KiB through pointers in the loop (tl.load)",
                    "Load tiles with tl.make_tensor_descriptor(...).load([...]), or matrices with contiguous rows; "
                    f"other loads bring at most {LARGEST_POINTER_LOAD // 1024} KiB in an iteration, into registers.",
                )
        if inside and statement.name == "tt.make_tensor_descriptor":
            self.refuse(statement, "a tensor descriptor made in the loop", "Make it once before the loop.")
        try:
            drafts = draft(statement)
        except Refused as refused:
            self.refuse(statement, refused.construct + where, refused.advice)
        except UnknownType as unknown:
            self.refuse(statement, f"a value of type `{unknown}`{where}", "Use another element type.")
        if drafts is None:
            refusal = REFUSALS.get(statement.name)
            construct = refusal.construct if refusal else f"the operation `{statement.name}`"
            advice = refusal.advice if refusal else "Write it with the operations listed in the README."
            self.refuse(statement, construct + where, advice)
        return drafts

    def refuse(self, statement: Statement, construct: str, advice: str) -> NoReturn:
        line = self.places.text(self.module.resolve(statement.location), statement.name)
        quoted = f": `{line if len(line) <= 80 else line[:77] + '...'}`" if line else ""
        raise Unsupported(
            f"{construct} is not supported{quoted}.", hint=advice, location=self.location(statement) or self.here
        )

    def location(self, statement: Statement) -> Location | None:
        return self.places.location(self.module.resolve(statement.location), statement.name)

    def types(self, statement: Statement, texts: Sequence[str]) -> list[Type]:
        try:
            return [parse_type(text) for text in texts]
        except UnknownType as unknown:
            self.refuse(statement, f"a loop-carried value of type `{unknown}`", "Use another element type.")

    # arguments and names ------------------------------------------------------------------------

    def parameters(self) -> dict[str, str]:
        """SSA name -> parameter name. Triton adds sizes and strides after each host descriptor: left out."""
        found: dict[str, str] = {}
        keys = iter(key for key, _ in self.function.arguments)
        for spec in self.launch.arguments:
            if spec.kind == "constexpr":
                continue
            found[next(keys)] = spec.name
            for _ in range(2 * len(spec.block_shape or ())):
                next(keys)
        return found

    def arguments(self) -> Iterator[Value]:
        types = dict(self.function.arguments)
        for key, name in self.parameters().items():
            try:
                yield Value(name, parse_type(types[key]))
            except UnknownType as unknown:
                raise Unsupported(
                    f"argument `{name}` has type `{unknown}`, which is not supported.",
                    hint="Use another element type.",
                    location=self.here,
                ) from None

    def names(self, loops: Sequence[Statement], outer: Statement | None, *parts: Sequence[Step]) -> dict[str, str]:
        """A name for every SSA value of the function."""
        fixed = self.parameters()
        steps = [step for part in parts for step in part]
        hidden = {key for key, _ in self.function.arguments} - set(fixed)
        for step in steps:
            if not hidden.isdisjoint(step.draft.operands):
                raise Unsupported(
                    "the shape or strides of a host tensor descriptor are used in the kernel, which is not supported.",
                    hint="Pass the size as an argument of its own.",
                    location=step.location or self.here,
                )
        return value_names(fixed, loops, outer, steps)


def _holds_loop(statement: Statement) -> bool:
    """A loop stands somewhere in its regions."""
    inner = [each for region in statement.regions for each in region.statements]
    return any(each.name in ("scf.for", "scf.while") or _holds_loop(each) for each in inner)
