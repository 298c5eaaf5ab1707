"""The Python launcher of a generated module: the source kernel's arguments in, a launch out."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from twill.codegen import argument_checks, stamps
from twill.codegen.host import host
from twill.codegen.launch_checks import argument_lines, memory_lines
from twill.codegen.literals import GLUON_DTYPES
from twill.codegen.plan import HostDescriptor, Plan
from twill.codegen.statements import Expr, Literal
from twill.errors import Unsupported
from twill.frontend.launch import Launch


def launcher_lines(plan: Plan) -> list[str]:
    """Source of the function that checks its arguments, builds the descriptors and launches."""
    launch = plan.launch
    _require_names(plan)
    tensors = [spec for spec in launch.arguments if spec.kind == "tensor"]
    constants = [spec for spec in launch.arguments if spec.kind == "constexpr"]
    parameters = [f"{spec.name}={spec.value!r}" if spec.kind == "constexpr" else spec.name for spec in launch.arguments]
    # A parameter without default may follow one with: then all from there on are keywords.
    seen_default = False
    for position, spec in enumerate(launch.arguments):
        if seen_default and spec.kind != "constexpr":
            parameters.insert(position, "*")
            break
        seen_default |= spec.kind == "constexpr"
    if launch.grid_text is None:
        parameters += ([] if "*" in parameters else ["*"]) + ["grid"]
    if plan.stamps is not None:
        parameters += [*([] if "*" in parameters else ["*"]), "twill_records=None"]
    lines = [
        f"def {plan.name}({', '.join(parameters)}):",
        f'    """Launch the kernel on the current stream; arguments as of the source kernel `{launch.kernel}`.',
        "",
        "    Raises TypeError or ValueError when an argument is not what the kernel was compiled for.",
        '    """',
    ]
    for spec in constants:
        message = f"compiled for {spec.name}={spec.value!r}, got {{{spec.name}!r}}: compile it again"
        lines += [f"    if {spec.name} != {spec.value!r}:", f'        raise ValueError(f"{message}")']
    lines += argument_lines(plan)
    for name, wanted in launch.multiple_of.items():
        lines += [
            f"    if {name} % {wanted}:",
            f'        raise ValueError(f"{name} must be a multiple of {wanted}, got {{{name}}}")',
        ]
    if launch.grid_text is not None:
        lines.append(f"    grid = {_inlined(launch.grid_text)}")
    lines += ["    require_grid(grid)", *memory_lines(plan)]
    if plan.stamps is not None:
        lines += stamps.launcher_lines(plan.stamps, tensors[0].name)
    lines += ["    if 0 in grid:", f"        return{' twill_records' if plan.stamps else ''}  # there is nothing to do"]
    views = _views(launch)
    for descriptor in plan.descriptors:
        lines.append(_descriptor(descriptor, views))
    names = [descriptor.name for descriptor in plan.descriptors]
    names += [views.get(argument, argument) for _, argument in plan.scalars]
    if plan.stamps is not None:
        names += stamps.PARAMETERS
    lines.append(f"    {plan.name}_kernel[grid]({', '.join(names)}, num_warps={plan.roles[0].warps})")
    if plan.stamps is not None:
        lines.append("    return twill_records")
    return lines


def _require_names(plan: Plan) -> None:
    """The launcher's parameters are the source kernel's, by name, and must not hide what it uses itself."""
    own = {"grid", "gl", "list", "max", "torch", "triton", "TensorDescriptor", "DEVICE_TYPE", *argument_checks.names()}
    taken = [("kernel", plan.name)] if plan.name in own else []
    own |= {plan.name, f"{plan.name}_kernel"}
    taken += [("kernel parameter", spec.name) for spec in plan.launch.arguments if spec.name in own]
    for what, name in taken:
        raise Unsupported(
            f"a {what} named `{name}` is not emitted: the launcher uses that name itself.",
            hint=f"Rename the {what.split()[-1]}.",
            location=plan.graph.loop.location,
        )


class _Inline(ast.NodeTransformer):
    """Replaces `a["NAME"]` by `NAME`, where `a` is the lambda's parameter."""

    def __init__(self, parameter: str) -> None:
        self.parameter = parameter

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        key = node.slice
        if isinstance(node.value, ast.Name) and node.value.id == self.parameter and isinstance(key, ast.Constant):
            return ast.copy_location(ast.Name(str(key.value), ast.Load()), node)
        return node


def _inlined(grid_text: str) -> str:
    """The grid as an expression of the launcher's own parameters."""
    function = ast.parse(grid_text, mode="eval").body
    assert isinstance(function, ast.Lambda)
    return ast.unparse(_Inline(function.args.args[0].arg).visit(function.body))


def _extent(size: Expr) -> str:
    """An extent as TMA takes it: at least 1, so that an empty tensor still has a descriptor."""
    return host(size) if isinstance(size, Literal) else f"max({host(size)}, 1)"


def _views(launch: Launch) -> dict[str, str]:
    """The tensors of unsigned integers as the kernel takes them: its types have no sign, its operators say it."""
    return {
        spec.name: f"{spec.name}{'.base' * (spec.kind == 'descriptor')}.view(torch.int{spec.dtype[1:]})"
        for spec in launch.arguments
        if spec.kind in ("tensor", "descriptor") and spec.dtype.startswith("u")
    }


def _descriptor(descriptor: HostDescriptor, views: Mapping[str, str]) -> str:
    block = list(descriptor.block_shape)
    layout = f"gl.NVMMASharedLayout.get_default_for({block}, {GLUON_DTYPES[descriptor.dtype]})"
    if descriptor.sizes:
        base = views.get(descriptor.base, descriptor.base)
        shape = "[" + ", ".join(_extent(size) for size in descriptor.sizes) + "]"
        strides = "[" + ", ".join(host(stride) for stride in descriptor.strides) + "]"
    else:
        base = views.get(descriptor.base, f"{descriptor.base}.base")
        shape, strides = f"list({descriptor.base}.shape)", f"list({descriptor.base}.strides)"
    return f"    {descriptor.name} = TensorDescriptor({base}, {shape}, {strides}, {block}, {layout})"
