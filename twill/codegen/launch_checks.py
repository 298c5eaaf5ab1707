"""The launcher's calls of `argument_checks`: what each argument of a Plan must be."""

from __future__ import annotations

from collections.abc import Iterator

from twill.codegen.host import host
from twill.codegen.plan import HostDescriptor, Plan
from twill.codegen.statements import Apply, Expr, Name
from twill.frontend.launch import ArgumentSpec
from twill.ir.graph import Graph
from twill.ir.vectors import vectors

TORCH_DTYPES = {
    "i1": "torch.bool", "i8": "torch.int8", "i16": "torch.int16", "i32": "torch.int32", "i64": "torch.int64",
    "f8e4m3": "torch.float8_e4m3fn", "f8e5m2": "torch.float8_e5m2", "f16": "torch.float16",
    "bf16": "torch.bfloat16", "f32": "torch.float32", "f64": "torch.float64", "u8": "torch.uint8",
}  # fmt: skip
DEVICE_LINE = 'DEVICE_TYPE = "cpu" if triton.__version__.endswith("+twill") else "cuda"  # the emulator\'s is the CPU'


def argument_lines(plan: Plan) -> list[str]:
    """Checks of each argument by itself, and that all tensors are on one device."""
    specs = plan.launch.arguments
    ranks = {d.base: len(d.block_shape) for d in plan.descriptors if not d.sizes}
    described = [spec for spec in specs if spec.kind == "descriptor" and spec.name in ranks]
    tensors = [
        f"{spec.name}=({spec.name}{'.base' if spec in described else ''}, {TORCH_DTYPES[spec.dtype]})"
        for spec in specs
        if spec.kind == "tensor" or spec in described
    ]
    scalars = [f'{spec.name}=({spec.name}, "{spec.dtype}")' for spec in specs if spec.kind == "scalar"]
    checked = [f"{spec.name}=({spec.name}, {ranks[spec.name]})" for spec in described]
    lines = _call("require_descriptors", checked) if described else []
    lines += _call("require_tensors", ["DEVICE_TYPE", *tensors]) if tensors else []
    return lines + (_call("require_scalars", scalars) if scalars else [])


def _call(function: str, arguments: list[str]) -> list[str]:
    """A call as a statement, one argument a line where it is long."""
    line = f"    {function}({', '.join(arguments)})"
    if len(line) <= 112:
        return [line]
    return [f"    {function}(", *(f"        {argument}," for argument in arguments), "    )"]


def memory_lines(plan: Plan) -> list[str]:
    """Checks of what the kernel reads and writes of each tensor: by tensor descriptors, then by pointers."""
    views = dict.fromkeys(_view(plan, descriptor) for descriptor in plan.descriptors)
    return [*views, *(_pointer(plan, name) for name in _pointers(plan)), *_vectors(plan)]


def _view(plan: Plan, descriptor: HostDescriptor) -> str:
    base = descriptor.base
    if not descriptor.sizes:
        seen = f"list({base}.shape), list({base}.strides)"
        return f'    require_view("{base}", {base}.base, {seen}, told=True)'
    seen = ", ".join(f"[{', '.join(map(host, numbers))}]" for numbers in (descriptor.sizes, descriptor.strides))
    sizes = {name for size in descriptor.sizes for name in _names(size)}
    more = ""
    if any(name not in sizes for stride in descriptor.strides for name in _names(stride)):
        more = ", told=True"
    elif order := _order(plan.launch.argument(base)):
        more = f", order={order}"
    return f'    require_view("{base}", {base}, {seen}{more})'


def _names(expr: Expr) -> Iterator[str]:
    if isinstance(expr, Name):
        yield expr.text
    elif isinstance(expr, Apply):
        for operand in expr.operands:
            yield from _names(operand)


def _dims(spec: ArgumentSpec) -> list[tuple[int, int, int]]:
    """(stride, size, dimension) of the example's dimensions that have more than one element; none without one."""
    if spec.strides is None or spec.shape is None:
        return []
    sizes = zip(spec.strides, spec.shape, strict=True)
    return [(stride, size, at) for at, (stride, size) in enumerate(sizes) if size != 1]


def _order(spec: ArgumentSpec) -> tuple[int, ...]:
    """The example's dimensions from its largest stride to its smallest; empty where that is their own order."""
    dims = _dims(spec)
    if dims == sorted(dims, key=lambda dim: -dim[0]):
        return ()
    assert spec.strides is not None
    strides = spec.strides
    return tuple(sorted(range(len(strides)), key=lambda at: -strides[at]))


def _contiguous(spec: ArgumentSpec) -> bool:
    expected = 1
    for stride, size, _ in reversed(_dims(spec)):
        if stride != expected:
            return False
        expected *= size
    return True


def _pointers(plan: Plan) -> list[str]:
    tensors = {spec.name for spec in plan.launch.arguments if spec.kind == "tensor"}
    return [argument for _, argument in plan.scalars if argument in tensors]


def _pointer(plan: Plan, name: str) -> str:
    more = ""
    given = _stride_arguments(plan)
    if not _contiguous(plan.launch.argument(name)):
        more = ", strides=None"
    elif given:
        more = f", strides=[{', '.join(given)}]"
    return f'    require_pointer("{name}", {name}{more}{"" if _narrow(plan.graph, name) else ", narrow=False"})'


def _vectors(plan: Plan) -> list[str]:
    """Checks of the tensors that are copied in vectors: where they begin, and the scalars that rows begin by."""
    found: dict[str, tuple[int, set[str]]] = {}
    for op in plan.graph.loop.body:
        if op.opcode == "async_load":
            about = vectors(plan.graph, op)
            _, needs = found.setdefault(about.base, (about.elements, set()))
            needs.update(about.needs)
    return [
        f'    require_vectors("{base}", {base}, {elements}{"".join(f", {name}={name}" for name in sorted(needs))})'
        for base, (elements, needs) in found.items()
    ]


def _stride_arguments(plan: Plan) -> list[str]:
    """Integer arguments that only multiply or move a position by pointers, and no size, grid or bound is made of."""
    graph, launch = plan.graph, plan.launch
    sizes = {name for d in plan.descriptors for size in d.sizes for name in _names(size)}
    text = launch.grid_text or ""
    bounds = {graph.loop.lower, graph.loop.upper, graph.loop.step}
    found = []
    for spec in launch.arguments:
        if spec.kind != "scalar" or not spec.dtype.startswith("i"):
            continue
        if spec.name in sizes or spec.name in launch.multiple_of or f'"{spec.name}"' in text.replace("'", '"'):
            continue
        uses = set(_uses(graph, spec.name, bounds))
        if uses & {"mul", "addptr"} and uses <= {"mul", "addptr", "descriptor"}:
            found.append(spec.name)
    return found


def _uses(graph: Graph, name: str, bounds: set[str]) -> Iterator[str]:
    """Opcodes of what uses a value, whatever its shape and type there; "loop" where it bounds the loop."""
    if name in bounds:
        yield "loop"
    for op in graph.ops():
        if name not in op.operands:
            continue
        if op.opcode in {"cast", "splat", "broadcast", "expand_dims"}:
            yield from _uses(graph, op.result.name, bounds)
        else:
            yield op.opcode


def _narrow(graph: Graph, pointer: str) -> bool:
    """One addition of 32 bits leads from the pointer to every element."""
    types = {name: value.type for name, value in graph.values().items()}
    same, moved = {pointer}, set[str]()
    for op in graph.ops():
        base = op.operands[0] if op.operands else ""
        if base not in same | moved:
            continue
        if op.opcode == "addptr":
            if base in moved or types[op.operands[1]].bits > 32:
                return False
            moved.add(op.result.name)
        elif op.opcode in {"splat", "broadcast", "expand_dims"}:
            (same if base in same else moved).add(op.result.name)
    return not any(carried.initial in same | moved for carried in graph.loop.carried)
