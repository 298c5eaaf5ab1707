"""Mutants of an emitted Hopper module: one synchronisation, count, phase, slot or MMA of a role changed.

Edits are made at the exact source positions of the syntax tree; a dropped statement becomes `pass`, so most
mutants keep the numbers of their lines. Statements move in the dangerous direction only: a wait later, an
arrive earlier, an expect behind its load, a fence before what it covers or behind what it protects.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from twill.emulate.rings import allocated

BARRIER_CALLS = {
    "mbarrier.wait": "wait",
    "mbarrier.arrive": "arrive",
    "mbarrier.expect": "expect",
    "mbarrier.init": "init",
    "fence_async_shared": "fence",
    "warpgroup_mma_wait": "mma-wait",
    "tma.store_wait": "store-wait",
}
_OPERATIONS = {"warpgroup_mma", "tma_load", "tma_store", "store"}

KINDS = (
    *(f"drop-{name}" for name in BARRIER_CALLS.values()),
    *(f"move-{name}" for name in BARRIER_CALLS.values() if name != "init"),
    "phase-inverted", "phase-stuck", "predicate-dropped",
    "arrive-count", "init-count", "expect-bytes", "mma-wait-depth", "store-wait-depth",
    "ring-allocation", "ring-modulo", "ring-depth", "init-slots",
    "slot-read", "slot-loaded", "slot-waited", "slot-arrived", "slot-expected",
    "mma-swapped", "mma-operand-swapped",
)  # fmt: skip


@dataclass(frozen=True)
class Edit:
    """Bytes [start, end) of the UTF-8 source become `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Mutant:
    """One change of a module. role: the function it is in; line: its 1-based line in the unbroken source;
    statement: what stood there; change: what was done, in words."""

    kind: str
    role: str
    line: int
    statement: str
    change: str
    edits: tuple[Edit, ...]

    def apply(self, text: str) -> str:
        """The mutated source. text: the source that the mutant was made from."""
        source = text.encode()
        for edit in sorted(self.edits, key=lambda edit: (edit.start, edit.end), reverse=True):
            source = source[: edit.start] + edit.text.encode() + source[edit.end :]
        return source.decode()


def mutants(text: str) -> list[Mutant]:
    """All mutants of an emitted module, those of each statement together; none leaves the source as it was.

    Raises SyntaxError when `text` is not Python.
    """
    module = _Module(text)
    found = [mutant for role in module.roles for block in module.blocks(role) for mutant in _block(module, role, block)]
    found += [mutant for name in module.depths for mutant in _ring(module, name)]
    return [mutant for mutant in found if mutant.apply(text) != text]


class _Module:
    """The syntax tree of a module with positions in bytes, its kernels' functions, and its rings' depths."""

    def __init__(self, text: str) -> None:
        self.source = text.encode()
        self.starts = [0]
        for line in self.source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.roles = [
            node
            for node in ast.parse(text).body
            if isinstance(node, ast.FunctionDef) and any(_dotted(d) == "gluon.jit" for d in node.decorator_list)
        ]
        self.depths = {  # of rings of tiles and arrays of barriers
            name: extents[0] for name, kind, extents in allocated(text) if kind == "int64" or len(extents) == 3
        }

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.lineno - 1] + node.col_offset, self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    def replace(self, node: ast.expr | ast.stmt, text: str) -> Edit:
        return Edit(*self.span(node), text)

    def move(self, statement: ast.stmt, target: ast.stmt, after: bool) -> tuple[Edit, Edit]:
        """The edits that put `statement` before or after `target`, of the same block."""
        start, end = self.span(target)
        indent = " " * target.col_offset
        text = self.text(statement)
        placed = Edit(end, end, f"\n{indent}{text}") if after else Edit(start, start, f"{text}\n{indent}")
        return self.replace(statement, "pass"), placed

    @staticmethod
    def blocks(role: ast.FunctionDef) -> Iterator[list[ast.stmt]]:
        """The function's body and the bodies of its loops and branches."""
        for node in ast.walk(role):
            if isinstance(node, (ast.FunctionDef, ast.For, ast.If)):
                yield node.body
            if isinstance(node, ast.If) and node.orelse:
                yield node.orelse


def _block(module: _Module, role: ast.FunctionDef, block: Sequence[ast.stmt]) -> Iterator[Mutant]:
    """Mutants of the statements of one block."""
    for at, statement in enumerate(block):
        name = _called(statement)

        def made(kind: str, change: str, *edits: Edit, at: ast.stmt = statement) -> Mutant:
            return Mutant(kind, role.name, at.lineno, module.text(at), change, edits)

        if name in BARRIER_CALLS:
            short = BARRIER_CALLS[name]
            yield made(f"drop-{short}", "dropped", module.replace(statement, "pass"))
            for target, after in _targets(short, block, at):
                change = f"moved {'after' if after else 'before'} line {target.lineno}"
                yield made(f"move-{short}", change, *module.move(statement, target, after))
            yield from (made(kind, change, edit) for kind, change, edit in _numbers(module, short, _call(statement)))
        if name:
            yield from (made(*rest) for rest in _slots(module, name, statement))
            edits = _modulo(module, statement)
            if edits and any(_indices(statement)):  # else it counts rows, not slots
                yield made("ring-modulo", "indexed by a depth one less", *edits)
        if name == "gl.allocate_shared_memory":
            depth = module.depths.get(ast.unparse(statement.targets[0]), 0)  # type: ignore[attr-defined]
            if depth > 1:
                first = _call(statement).args[1].elts[0]  # type: ignore[attr-defined]
                yield made(
                    "ring-allocation", f"{depth} slots become {depth - 1}", module.replace(first, f"{depth - 1}")
                )
        if isinstance(statement, ast.For) and ast.unparse(statement.iter).startswith("gl.static_range("):
            argument = statement.iter.args[0]  # type: ignore[attr-defined]
            depth = int(ast.unparse(argument))
            inner = module.text(statement.body[0])
            if depth > 1:
                change = f"{depth - 1} of {depth} barriers initialised"
                edit = module.replace(argument, f"{depth - 1}")
                yield Mutant("init-slots", role.name, statement.lineno, inner, change, (edit,))
    yield from _swaps(module, role, block)


def _targets(short: str, block: Sequence[ast.stmt], at: int) -> Iterator[tuple[ast.stmt, bool]]:
    """(statement, whether behind it) that statement `at` moves to."""
    before, behind = block[:at][::-1], block[at + 1 :]
    if short in ("wait", "expect"):
        yield from [(target, True) for target in behind if _operates(target)][:1]
    if short == "arrive":
        held = ("warpgroup_mma_wait", "warpgroup_mma", "mbarrier.wait")
        yield from [(target, False) for target in before if _called(target) in held][:1]
    if short in ("fence", "store-wait"):
        yield from ((target, False) for target in before[:1])
    if short in ("fence", "mma-wait"):
        yield from ((target, True) for target in behind[:1])


def _operates(statement: ast.stmt) -> bool:
    """Whether it is, or holds, an operation on shared memory."""
    names = {_dotted(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)}
    return any(name.rpartition(".")[2] in _OPERATIONS for name in names)


def _numbers(module: _Module, short: str, call: ast.Call) -> Iterator[tuple[str, str, Edit]]:
    """(kind, change, edit) for the phase, the predicate and the counts of a synchronising call."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if short == "wait":
        phase = call.args[1]
        if isinstance(phase, ast.BinOp) and isinstance(phase.op, ast.BitXor):
            yield "phase-inverted", "phase inverted", module.replace(phase, module.text(phase.left))
        else:
            yield "phase-inverted", "phase inverted", module.replace(phase, f"({module.text(phase)}) ^ 1")
        if not isinstance(phase, ast.Constant):
            yield "phase-stuck", "phase always 0", module.replace(phase, "0")
    if "pred" in keywords:
        yield "predicate-dropped", "always", module.replace(keywords["pred"], "True")
    if short in ("arrive", "init") and isinstance(keywords.get("count"), ast.Constant):
        count = int(module.text(keywords["count"]))
        for new in (count - 1, count + 1):
            if new > 0:
                edit = module.replace(keywords["count"], f"{new}")
                yield f"{short}-count", f"count {count} becomes {new}", edit
    if short == "expect":
        size = int(module.text(call.args[1]))
        for new in (size // 2, size * 2):
            yield "expect-bytes", f"{size} bytes become {new}", module.replace(call.args[1], f"{new}")
    if short in ("mma-wait", "store-wait"):
        depth = int(module.text(call.args[0]))
        for new in (depth - 1, depth + 1):
            if new >= 0:
                yield f"{short}-depth", f"depth {depth} becomes {new}", module.replace(call.args[0], f"{new}")


_SLOTS = {
    "warpgroup_mma": "slot-read", "tma_load": "slot-loaded", "mbarrier.wait": "slot-waited",
    "mbarrier.arrive": "slot-arrived", "mbarrier.expect": "slot-expected",
}  # fmt: skip


def _slots(module: _Module, name: str, statement: ast.stmt) -> Iterator[tuple[str, str, Edit]]:
    """(kind, change, edit) for each ring slot that the statement names: the slot after it, so one slot early."""
    if name not in _SLOTS:
        return
    for ring, slot in _indices(statement):
        depth = module.depths.get(ring, 0)
        if depth < 2:
            continue
        next_slot = f"({module.text(slot)} + 1) % {depth}"
        yield _SLOTS[name], f"{ring}: the slot after it", module.replace(slot, next_slot)


def _indices(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """(name, index) of each `name.index(...)`."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "index":
            yield ast.unparse(node.func.value), node.args[0]


def _modulo(module: _Module, statement: ast.stmt) -> tuple[Edit, ...]:
    """Every `% depth` and `// depth` of the statement with a depth one less."""
    return tuple(
        module.replace(node.right, f"{node.right.value - 1}")
        for node in ast.walk(statement)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mod, ast.FloorDiv))
        if isinstance(node.right, ast.Constant) and isinstance(node.right.value, int) and node.right.value > 1
    )


def _ring(module: _Module, name: str) -> Iterator[Mutant]:
    """The ring `name` used as one slot less, by every role alike: data with both of its barriers."""
    if module.depths[name] < 2 or name.endswith(("_full", "_empty")):
        return
    names = {name, f"{name}_full", f"{name}_empty"}
    edits: dict[int, Edit] = {}
    for role in module.roles:
        for node in ast.walk(role):
            # The indices themselves; of a wait also its phase, which counts the turns of the ring.
            if isinstance(node, (ast.Expr, ast.Assign)) and _called(node):
                indices = [slot for ring, slot in _indices(node) if ring in names]
                if indices and _called(node) == "mbarrier.wait":
                    indices = [*_call(node).args]
                for index in indices:
                    edits.update(
                        {edit.start: edit for edit in _modulo(module, ast.copy_location(ast.Expr(index), index))}
                    )
    if edits:
        first = min(edits)
        line = module.source[:first].count(b"\n") + 1
        change = f"{module.depths[name]} slots become {module.depths[name] - 1} in every index and phase"
        yield Mutant("ring-depth", "every role", line, name, change, tuple(edits.values()))


def _swaps(module: _Module, role: ast.FunctionDef, block: Sequence[ast.stmt]) -> Iterator[Mutant]:
    """Neighbouring MMAs of one block change places; then only the shared tiles they multiply by."""
    mmas = [statement for statement in block if _called(statement) == "warpgroup_mma"]
    for one, other in itertools.pairwise(mmas):
        for kind, pair in (
            ("mma-swapped", (one, other)),
            ("mma-operand-swapped", (_call(one).args[1], _call(other).args[1])),
        ):
            edits = tuple(module.replace(a, module.text(b)) for a, b in (pair, pair[::-1]))
            yield Mutant(kind, role.name, one.lineno, module.text(one), f"exchanged with line {other.lineno}", edits)


def _call(statement: ast.stmt) -> ast.Call:
    value = getattr(statement, "value", None)
    assert isinstance(value, ast.Call)
    return value


def _called(statement: ast.stmt) -> str:
    """The dotted name of the function that an expression or assignment statement calls, "" for others."""
    if isinstance(statement, (ast.Expr, ast.Assign)) and isinstance(statement.value, ast.Call):
        return _dotted(statement.value.func)
    return ""


def _dotted(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
