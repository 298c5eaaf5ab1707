"""From a kernel and the user's wishes to one Launch: which arguments, types, shapes and constants."""

from __future__ import annotations

import ast
import contextlib
import inspect
import sys
from collections.abc import Mapping
from typing import Any

from twill.errors import InputError, Location
from twill.frontend.arguments import argument_spec, article, constant
from twill.frontend.grid import grid_text, padded_grid
from twill.frontend.launch import ArgumentSpec, Constant, Launch
from twill.frontend.signature import parse_signature
from twill.frontend.source import KernelSource, error_location

# Launch options of Triton that are no arguments of the kernel.
_LAUNCH_OPTIONS = frozenset({"num_warps", "num_stages", "num_ctas", "maxnreg", "grid"})


def parse_value(text: str) -> Constant:
    """A value typed on the command line: a number, True, False or None, otherwise the text itself."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
    return value if value is None or isinstance(value, (bool, int, float, str)) else text


def specialize(
    source: KernelSource,
    constants: Mapping[str, Any] | None = None,
    signature: str | None = None,
    example_options: Mapping[str, Any] | None = None,
) -> Launch:
    """The launch described by the kernel's example, or by a signature, with `constants` on top.

    constants: constexprs by name, values or their text. signature: in the style of Triton's
    ahead-of-time compiler, for a kernel without an example. example_options: keyword arguments of
    the example that are not constexprs. Raises InputError.
    """
    chosen = _constants(source, constants or {})
    if signature is not None:
        return _from_signature(source, chosen, signature)
    if source.info is None or source.info.example is None:
        raise InputError(
            f"kernel `{source.name}` does not say how it is launched.",
            hint='Add @twill.kernel(example=...) above it, or give --signature, such as "*fp16, *fp16, i32".',
            location=source.location,
        )
    return _from_example(source, chosen, dict(example_options or {}))


def example_arguments(
    source: KernelSource,
    constants: Mapping[str, Any] | None = None,
    example_options: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Every launch argument by name, tensors included, as `specialize` sees them. Raises InputError."""
    return _example(source, _constants(source, constants or {}), dict(example_options or {}))


# constants --------------------------------------------------------------------------------------


def _constants(source: KernelSource, constants: Mapping[str, Any]) -> dict[str, Any]:
    """The user's constexprs, read from text where they are text. Raises InputError."""
    known = [parameter.name for parameter in source.parameters if parameter.constexpr]
    for name in constants:
        if name not in known:
            others = [parameter.name for parameter in source.parameters]
            what = "is an argument, not a tl.constexpr," if name in others else "is no parameter"
            raise InputError(
                f"`{name}` {what} of kernel `{source.name}`.",
                hint=f"Its constexprs are {', '.join(known) or 'none'}.",
                location=source.location,
            )
    return {name: parse_value(value) if isinstance(value, str) else value for name, value in constants.items()}


def _agree(name: str, value: Any, model: Any, location: Location) -> Any:
    """`value` in the type of `model`, the value it replaces. Raises InputError."""
    if model is None or (isinstance(value, type(model)) and not isinstance(value, bool)):
        return value
    if isinstance(model, bool) and value in (0, 1):
        return bool(value)
    if isinstance(model, int) and not isinstance(model, bool) and isinstance(value, bool):
        return int(value)
    if isinstance(model, float) and isinstance(value, int):
        return float(value)
    raise InputError(
        f"constexpr `{name}` is {value!r}, but it takes {article(model)}, such as {model!r}.",
        hint=f"Give -D {name}={model!r}.",
        location=location,
    )


def _complete(source: KernelSource, given: dict[str, Any]) -> dict[str, Any]:
    """`given` with defaults, heuristics and the first autotune configuration filled in. Raises InputError."""
    complete = dict(given)
    for parameter in source.parameters:
        if parameter.name in complete:
            continue
        if parameter.name in source.computed:
            try:
                complete[parameter.name] = source.computed[parameter.name](complete)
            except Exception as error:
                raise InputError(
                    f"the heuristic for `{parameter.name}` raised {type(error).__name__}: {error}.",
                    hint=f"Give -D {parameter.name}=VALUE.",
                    location=source.location,
                ) from None
        elif parameter.name in source.configured:
            complete[parameter.name] = source.configured[parameter.name]
        elif parameter.has_default:
            complete[parameter.name] = parameter.default
        elif parameter.constexpr:
            raise InputError(
                f"the constexpr `{parameter.name}` of kernel `{source.name}` has no value.",
                hint=f"Give -D {parameter.name}=VALUE, or let the example return it.",
                location=source.location,
            )
        else:
            raise InputError(
                f"the argument `{parameter.name}` of kernel `{source.name}` has no value.",
                hint="Let the example return it.",
                location=source.location,
            )
    return complete


# from an example --------------------------------------------------------------------------------


def _example(source: KernelSource, constants: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    assert source.info is not None
    function = source.info.example
    assert function is not None
    accepted = inspect.signature(function).parameters
    settable = {name: p.default for name, p in accepted.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    for name in options:
        if name not in settable:
            raise InputError(
                f"the example of kernel `{source.name}` has no option `{name}`.",
                hint=f"Its options are {', '.join(settable) or 'none'}.",
                location=source.location,
            )
    passed = {name: parse_value(value) if isinstance(value, str) else value for name, value in options.items()}
    passed |= {name: value for name, value in constants.items() if name in settable}
    empty = inspect.Parameter.empty
    passed = {
        name: _agree(name, value, None if settable[name] is empty else settable[name], source.location)
        for name, value in passed.items()
    }
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = function(**passed)
    except Exception as error:
        raise InputError(
            f"the example of kernel `{source.name}` raised {type(error).__name__}: {error}.",
            hint="It must run on this machine, without a GPU.",
            location=error_location(error, source.file, source.path) or source.location,
        ) from None
    if not isinstance(found, Mapping):
        raise InputError(
            f"the example of kernel `{source.name}` returned {article(found)}, not a dict of launch arguments.",
            location=source.location,
        )
    names = {parameter.name for parameter in source.parameters}
    for name in found:
        if name not in names and name not in _LAUNCH_OPTIONS:
            raise InputError(
                f"the example returned `{name}`, which is no parameter of kernel `{source.name}`.",
                hint=f"Its parameters are {', '.join(p.name for p in source.parameters)}.",
                location=source.location,
            )
    arguments = {name: value for name, value in found.items() if name in names}
    for name, value in constants.items():
        model = arguments.get(name, _default(source, name))
        arguments[name] = _agree(name, value, model, source.location)
    return _complete(source, arguments)


def _default(source: KernelSource, name: str) -> Any:
    """A value of the parameter that shows its type: its default or configuration, None without one."""
    if name in source.configured:
        return source.configured[name]
    (parameter,) = (p for p in source.parameters if p.name == name)
    return parameter.default if parameter.has_default else None


def _from_example(source: KernelSource, constants: dict[str, Any], options: dict[str, Any]) -> Launch:
    arguments = _example(source, constants, options)
    assert source.info is not None
    specs = tuple(
        argument_spec(source, parameter.name, parameter.constexpr, arguments[parameter.name])
        for parameter in source.parameters
    )
    grid = source.info.grid
    _check_multiples(source, arguments)
    return Launch(
        source.name,
        source.path,
        specs,
        grid_text(grid) if grid is not None else None,
        padded_grid(grid, arguments) if grid is not None else None,
        source.info.multiple_of,
    )


def _check_multiples(source: KernelSource, arguments: Mapping[str, Any]) -> None:
    """The example keeps to `multiple_of`. Raises InputError."""
    assert source.info is not None
    for name, wanted in source.info.multiple_of.items():
        for mentioned in (name, wanted):
            if isinstance(mentioned, str) and mentioned not in arguments:
                raise InputError(
                    f"multiple_of names `{mentioned}`, which is no parameter of kernel `{source.name}`.",
                    location=source.location,
                )
        number = arguments[wanted] if isinstance(wanted, str) else wanted
        if arguments[name] % number:
            raise InputError(
                f"`{name}` is {arguments[name]}, which is not a multiple of {wanted} ({number})."
                if isinstance(wanted, str)
                else f"`{name}` is {arguments[name]}, which is not a multiple of {number}.",
                hint="Choose sizes that agree.",
                location=source.location,
            )


# from a signature -------------------------------------------------------------------------------


def _from_signature(source: KernelSource, constants: dict[str, Any], signature: str) -> Launch:
    types, inline = parse_signature(source, signature, constants)
    given = {**inline}
    for name, value in constants.items():
        given[name] = _agree(name, value, _default(source, name), source.location)
    specs = []
    values = _complete(source, {**dict.fromkeys(types), **given})
    for parameter in source.parameters:
        if parameter.name in types:
            specs.append(types[parameter.name])
        else:
            specs.append(
                ArgumentSpec(
                    parameter.name, "constexpr", value=constant(source, parameter.name, values[parameter.name])
                )
            )
    multiples = source.info.multiple_of if source.info is not None else {}
    text = grid_text(source.info.grid) if source.info is not None and source.info.grid is not None else None
    return Launch(source.name, source.path, tuple(specs), text, None, multiples)
