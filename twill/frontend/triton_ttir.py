"""Triton's own front end, run without a GPU: a kernel and its launch to TTIR text."""

from __future__ import annotations

import contextlib
import re
import sys
import traceback
from typing import Any

from twill.errors import InputError, Location, TwillError, Unsupported
from twill.frontend.launch import ArgumentSpec, Launch
from twill.frontend.signature import TRITON_NAMES
from twill.frontend.source import KernelSource, def_line

_CAPABILITIES = {"hopper": 90, "blackwell": 100}


def ttir(source: KernelSource, launch: Launch, arch: str = "hopper") -> str:
    """The kernel's TTIR after Triton's own clean-up passes, with locations.

    arch: a machine's name; one that is neither Hopper nor Blackwell is compiled as Hopper. Raises
    InputError with file:line for what Triton rejects, Unsupported for Python it does not know.
    """
    from triton._C.libtriton import ir
    from triton.backends.compiler import GPUTarget
    from triton.compiler.compiler import make_backend
    from triton.compiler.errors import CompilationError

    target = GPUTarget("cuda", _CAPABILITIES.get(arch, 90), 32)
    backend = make_backend(target)
    # What FP fusion is set to changes nothing in TTIR; saying it keeps newer Tritons from asking.
    options = backend.parse_options({"num_warps": 4, "enable_fp_fusion": True})
    context = ir.context()
    ir.load_dialects(context)
    backend.load_dialects(context)
    program = ast_source(source, launch)
    stages: dict[str, Any] = {}
    backend.add_stages(stages, options, program.language)
    functions, modules = backend.get_codegen_implementation(options), backend.get_module_map()
    try:
        with contextlib.redirect_stdout(sys.stderr):  # tl.static_print writes while the kernel is read
            return str(stages["ttir"](program.make_ir(target, options, functions, modules, context), {}))
    except CompilationError as error:
        raise _rejected(source, error) from None
    except Exception as error:
        raise InputError(
            f"Triton's front end failed on kernel `{source.name}`: {type(error).__name__}: {error}.",
            location=source.location,
        ) from None


def ast_source(source: KernelSource, launch: Launch) -> Any:
    """The kernel with this launch's types and constexprs, as `triton.compile` takes it (an ASTSource)."""
    from triton.compiler import ASTSource

    signature = {spec.name: _signature(spec) for spec in launch.arguments}
    constants = {spec.name: _value(spec) for spec in launch.arguments if spec.kind == "constexpr"}
    return ASTSource(source.function, signature, constants)


def _signature(spec: ArgumentSpec) -> str:
    """The argument's type as Triton writes it."""
    if spec.kind == "constexpr":
        return "constexpr"
    name = TRITON_NAMES[spec.dtype]
    if spec.kind == "tensor":
        return f"*{name}"
    if spec.kind == "descriptor":
        return f"tensordesc<{name}{list(spec.block_shape or ())}>"
    return "u1" if name == "i1" else name


def _value(spec: ArgumentSpec) -> Any:
    """A constexpr's value; `tl.float16` was text in the launch."""
    import triton.language as tl

    if isinstance(spec.value, str) and spec.value.startswith("tl."):
        return getattr(tl, spec.value[3:], spec.value)
    return spec.value


def _rejected(source: KernelSource, error: Any) -> TwillError:
    """What Triton said, at the line of the kernel where it happened."""
    from triton.compiler.errors import UnsupportedLanguageConstruct

    innermost: Any = error
    while innermost.__cause__ is not None:
        innermost = innermost.__cause__
    text = getattr(innermost, "error_message", None) or getattr(error, "error_message", None)
    if text is None:
        text = str(innermost) if not hasattr(innermost, "node") else "this is not valid Triton"
    if not text.strip():  # an assertion of Triton's own says nothing but what it asserts
        text = traceback.extract_tb(innermost.__traceback__)[-1].line or type(innermost).__name__
    node = error.node
    line = def_line(source.function) + getattr(node, "lineno", 1) - 1
    where = Location(source.path, line, getattr(node, "col_offset", -1) + 1)
    message = " ".join(str(text).split()).rstrip(".")
    wrapped = re.fullmatch(r"\w+(?:Error|Failure)\((['\"])(.*)\1,?\)", message)
    message = wrapped.group(2).rstrip(".") if wrapped else message
    if isinstance(innermost, UnsupportedLanguageConstruct) or isinstance(error, UnsupportedLanguageConstruct):
        return Unsupported(
            f"Triton does not know this Python construct: {message}.", hint="Write it another way.", location=where
        )
    return InputError(f"Triton rejects kernel `{source.name}`: {message}.", hint="Correct the kernel.", location=where)
