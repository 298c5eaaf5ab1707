"""Finding a Triton kernel: a file and perhaps a name, or the function itself."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from twill.errors import InputError, Location, Unsupported
from twill.frontend.kernel import ATTRIBUTE, KernelInfo
from twill.frontend.places import shown_path


@dataclass(frozen=True)
class Parameter:
    """A parameter of the kernel; `default` is `inspect.Parameter.empty` when it has none."""

    name: str
    constexpr: bool
    default: Any = inspect.Parameter.empty

    @property
    def has_default(self) -> bool:
        return self.default is not inspect.Parameter.empty


@dataclass(frozen=True)
class KernelSource:
    """A kernel found in a file.

    path: as shown to people; file: absolute. function: Triton's JITFunction. info: what
    `twill.kernel` attached, None for a kernel without the decorator. configured: constexprs of the
    first autotune configuration. computed: constexprs that `triton.heuristics` computes, as
    functions of the arguments. sha256: of the file's bytes.
    """

    path: str
    file: str
    name: str
    function: Any
    info: KernelInfo | None
    parameters: tuple[Parameter, ...]
    configured: Mapping[str, Any] = field(default_factory=dict)
    computed: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""

    @property
    def location(self) -> Location:
        """The `def` line of the kernel."""
        return Location(self.path, def_line(self.function), 1)


def load(target: str | Path | Any) -> KernelSource:
    """The kernel in a file given as `path` or `path::name`, or of a kernel function given itself.

    Where there is no such path, the dotted name of an importable module stands for its file.

    Raises InputError: no such file, a syntax or import error (with its line), no kernel, several
    kernels and no name, an unknown name.
    """
    if not isinstance(target, (str, Path)):
        return from_function(target)
    text, _, name = str(target).partition("::")
    path = _module_file(text) or Path(text)
    if not path.exists():
        hint = "Give the path of a Python file, path::kernel_name, or a module such as twill.kernels.matmul."
        raise InputError(f"there is no file `{text}`.", hint=hint)
    if path.is_dir() or path.suffix != ".py":
        raise InputError(f"`{text}` is not a Python file.", hint="Give the path of a .py file with a Triton kernel.")
    module = _execute(path)
    kernels = _kernels(module)
    return from_function(_choose(kernels, name, text), shown=shown_path(path))


def _module_file(text: str) -> Path | None:
    """The file of an importable module given by its dotted name; None for anything else, paths above all."""
    if os.path.exists(text) or not all(part.isidentifier() for part in text.split(".")) or text.endswith(".py"):
        return None
    try:
        found = importlib.util.find_spec(text)
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found is not None and found.origin and found.origin.endswith(".py") else None


def from_function(function: Any, shown: str | None = None) -> KernelSource:
    """The KernelSource of a `@triton.jit` function, also when autotuned or with heuristics. Raises InputError."""
    from triton.runtime.autotuner import Autotuner, Heuristics
    from triton.runtime.jit import JITFunction

    from twill.frontend.tile_sizes import require_tile_sizes

    info = getattr(function, ATTRIBUTE, None)
    configured: dict[str, Any] = {}
    computed: dict[str, Any] = {}
    inner = function
    while isinstance(inner, (Autotuner, Heuristics)):
        if isinstance(inner, Autotuner) and inner.configs:
            configured = {**inner.configs[0].kwargs, **configured}
        if isinstance(inner, Heuristics):
            computed = {**inner.values, **computed}
        inner = inner.fn
        info = info or getattr(inner, ATTRIBUTE, None)
    name = getattr(inner, "__name__", str(inner))
    if type(inner).__name__ == "InterpretedFunction":
        raise InputError(
            f"kernel `{name}` was made for Triton's interpreter.", hint="Unset the variable TRITON_INTERPRET."
        )
    if not isinstance(inner, JITFunction):
        raise InputError(f"`{name}` is not a Triton kernel.", hint="Put @triton.jit above its `def`.")
    file = os.path.abspath(inspect.getsourcefile(inner.fn) or "")
    path = shown or shown_path(file)
    if inner.is_gluon():
        raise Unsupported(
            f"`{name}` is a Gluon kernel; Twill reads Triton kernels and writes Gluon.",
            hint="Give the Triton kernel it came from.",
            location=Location(path, def_line(inner), 1),
        )
    source = KernelSource(
        path, file, name, inner, info, _parameters(inner), configured, computed,
        hashlib.sha256(Path(file).read_bytes()).hexdigest(),
    )  # fmt: skip
    require_tile_sizes(source)
    return source


def def_line(function: Any) -> int:
    """The line of a JITFunction's `def`, decorators skipped."""
    for offset, line in enumerate(function.raw_src):
        if line.strip().startswith("def "):
            return int(function.starting_line_number) + offset
    return int(function.starting_line_number)


def _parameters(function: Any) -> tuple[Parameter, ...]:
    return tuple(Parameter(p.name, bool(p.is_constexpr), p._param.default) for p in function.params)


def _execute(path: Path) -> ModuleType:
    """The module of a file, run afresh. Raises InputError."""
    shown = shown_path(path)
    file = os.path.abspath(path)
    try:
        code = compile(path.read_bytes(), file, "exec")
    except SyntaxError as error:
        where = Location(shown, error.lineno or 0, error.offset or 0)
        raise InputError(f"syntax error: {error.msg}.", hint="Correct the file.", location=where) from None
    except (OSError, ValueError) as error:
        raise InputError(f"the file cannot be read: {error}.", location=shown) from None
    module = ModuleType(f"twill_source_{hashlib.sha256(file.encode()).hexdigest()[:12]}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses and inspect look modules up by name
    sys.path.insert(0, os.path.dirname(file))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"importing the file raised {_describe(error)}",
            hint="It must be importable on this machine, without a GPU.",
            location=error_location(error, file, shown) or shown,
        ) from None
    finally:
        sys.path.remove(os.path.dirname(file))
    return module


def _describe(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text}." if text else f"{type(error).__name__}."


def error_location(error: BaseException, file: str, shown: str) -> Location | None:
    """Where in the user's `file` an exception passed last, None when it never did."""
    if isinstance(error, SyntaxError) and error.filename:
        return Location(shown_path(error.filename), error.lineno or 0, error.offset or 0)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return Location(shown, frames[-1].lineno or 0) if frames else None


def _kernels(module: ModuleType) -> dict[str, Any]:
    """Functions under @triton.jit written in this module, by name; wrapped ones too."""
    found: dict[str, Any] = {}
    for value in vars(module).values():
        inner = value
        while hasattr(inner, "fn") and type(inner).__module__.startswith("triton."):
            inner = inner.fn
            if getattr(inner, "__module__", None) == module.__name__ and not hasattr(inner, "fn"):
                name = getattr(inner, "__name__", "")
                if name not in found or _depth(value) > _depth(found[name]):
                    found[name] = value
    return found


def _depth(function: Any) -> int:
    return 1 + _depth(function.fn) if hasattr(function, "fn") else 0


def _choose(kernels: dict[str, Any], name: str, path: str) -> Any:
    """The kernel meant: by name, else the only decorated one, else the only one no other calls."""
    if not kernels:
        raise InputError(
            "there is no Triton kernel in this file.", hint="Put @triton.jit above the kernel's `def`.", location=path
        )
    if name:
        if name not in kernels:
            raise InputError(
                f"there is no kernel `{name}` in this file; it has {_listed(kernels)}.",
                hint=f"Give one of them as {path}::NAME.",
                location=path,
            )
        return kernels[name]
    decorated = {key: value for key, value in kernels.items() if _decorated(value)}
    candidates = decorated or {key: value for key, value in kernels.items() if not _called(key, kernels)} or kernels
    if len(candidates) > 1:
        raise InputError(
            f"there are {len(candidates)} kernels in this file: {_listed(candidates)}.",
            hint=f"Say which one, as {path}::{next(iter(candidates))}.",
            location=path,
        )
    return next(iter(candidates.values()))


def _listed(kernels: Mapping[str, Any]) -> str:
    return ", ".join(f"`{name}`" for name in kernels)


def _decorated(function: Any) -> bool:
    return hasattr(function, ATTRIBUTE) or (hasattr(function, "fn") and _decorated(function.fn))


def _called(name: str, kernels: Mapping[str, Any]) -> bool:
    """Whether another kernel of the file mentions `name`: a helper function, then."""

    def code(function: Any) -> Any:
        return code(function.fn) if hasattr(function, "fn") else function.__code__

    return any(other != name and name in code(function).co_names for other, function in kernels.items())
