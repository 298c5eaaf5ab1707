"""Compile-time constants: Gluon's `constexpr` and `constexpr_function`.

Inside an emulated kernel a compile-time value is simply a Python value; the wrapper exists for the
module-level `X = gl.constexpr(128)` that a kernel may read, and computes like the value it holds.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from typing import Any


class constexpr:
    """A value known at compile time; every operator acts on `value` and wraps the answer."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = unwrap(value)

    def __repr__(self) -> str:
        return f"constexpr[{self.value}]"

    def __hash__(self) -> int:
        return hash(self.value)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __index__(self) -> int:
        return operator.index(self.value)

    def __int__(self) -> int:
        return int(self.value)

    def __float__(self) -> float:
        return float(self.value)

    def __iter__(self) -> Any:
        return iter(self.value)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Any:
        return self.value[unwrap(key)]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.value(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.value, name)


def unwrap(value: Any) -> Any:
    """The value without constexpr wrappers, through lists and tuples."""
    if isinstance(value, constexpr):
        return unwrap(value.value)
    if type(value) is list:
        return [unwrap(item) for item in value]
    if type(value) is tuple:
        return tuple(unwrap(item) for item in value)
    return value


def _binary(function: Callable[[Any, Any], Any], swapped: bool) -> Callable[[constexpr, Any], Any]:
    def apply(self: constexpr, other: Any) -> Any:
        other = unwrap(other)
        answer = function(other, self.value) if swapped else function(self.value, other)
        # With a tensor on the other side the answer is a tensor and must not be wrapped.
        return constexpr(answer) if isinstance(answer, (bool, int, float, str, tuple, list)) else answer

    return apply


def _install() -> None:
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and", "or", "xor", "lshift", "rshift"):
        function = getattr(operator, f"{name}_" if name in ("and", "or") else name)
        setattr(constexpr, f"__{name}__", _binary(function, swapped=False))
        setattr(constexpr, f"__r{name}__", _binary(function, swapped=True))
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(constexpr, f"__{name}__", _binary(getattr(operator, name), swapped=False))
    for name in ("neg", "pos", "invert"):
        function = getattr(operator, name)
        setattr(constexpr, f"__{name}__", lambda self, function=function: constexpr(function(self.value)))


_install()


_depth = 0


def at_compile_time() -> bool:
    """Does a constexpr_function run? Then loops and numbers are Python's own."""
    return _depth > 0


def constexpr_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function run at compile time: wrappers off on the way in, a plain value out."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        global _depth
        _depth += 1
        try:
            return unwrap(function(*unwrap(args), **{key: unwrap(value) for key, value in kwargs.items()}))
        finally:
            _depth -= 1

    return call
