"""Register values: tensors and scalars as numpy arrays, computed and rounded as the machine does.

A Tensor never changes; an operation makes a new one in the dtype Triton's promotion rules give, so that
every intermediate is rounded to its own precision. Half types round after each operation.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from twill.emulate import dtypes, layouts
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import BlockType, DType, PointerType
from twill.emulate.report import LayoutMismatch
from twill.emulate.scheduler import active, running
from twill.emulate.tokens import Accumulator
from twill.errors import Unsupported

if TYPE_CHECKING:
    from twill.emulate.memory import GlobalMemory

Array = np.ndarray[Any, Any]


def refuse(message: str) -> NoReturn:
    """Report operands that the compiler would not combine, at the running line."""
    raise LayoutMismatch(message, location=active().here() if running() else None)


class Tensor:
    """An immutable value of shape () or a block; `memory` is what the offsets of a pointer refer to."""

    __slots__ = ("data", "dtype", "layout", "memory")
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, data: Any, dtype: DType | PointerType, layout: Any = None, memory: GlobalMemory | None = None
    ) -> None:
        self.data: Array = np.asarray(data)
        self.dtype: Any = dtype  # DType, or PointerType
        self.layout = layout if self.data.ndim else None
        self.memory = memory

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def numel(self) -> int:
        return self.data.size

    @property
    def type(self) -> Any:
        return BlockType(self.dtype, self.shape, self.layout) if self.shape else self.dtype

    @property
    def T(self) -> Tensor:
        return Tensor(self.data.T, self.dtype, layouts.ANY, self.memory)

    def __repr__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"

    def __bool__(self) -> bool:
        if self.shape:
            unsupported("the truth value of a block")
        return bool(self.data)

    def __index__(self) -> int:
        if self.shape or self.dtype.is_floating():
            unsupported(f"a value of type {self!r} as an integer")
        return int(self.data)

    def __float__(self) -> float:
        return float(self.data)

    def __neg__(self) -> Tensor:
        return Tensor(-self.data, self.dtype, self.layout)

    def __pos__(self) -> Tensor:
        return self

    def __invert__(self) -> Tensor:
        return Tensor(~self.data, self.dtype, self.layout)

    def __getitem__(self, key: Any) -> Tensor:
        result = self
        for axis, item in enumerate(key if isinstance(key, (tuple, list)) else (key,)):
            item = unwrap(item)
            if item is None:
                result = expand_dims(result, axis)
            elif item != slice(None):
                unsupported(f"the tensor index {item}")
        return result

    def __getattr__(self, name: str) -> Any:
        from twill.emulate import language

        if name.startswith("__"):
            raise AttributeError(name)
        function = getattr(language, name, None) if name in language.METHODS else None
        if function is None:
            unsupported(f"the tensor attribute .{name}")
        return lambda *args, **kwargs: function(self, *args, **kwargs)

    def to(self, dtype: Any, fp_downcast_rounding: Any = None, bitcast: bool = False) -> Tensor:
        dtype = unwrap(dtype)
        if bitcast:
            if self.dtype.primitive_bitwidth != dtype.primitive_bitwidth:
                refuse(f"bitcast of {self!r} to {dtype}: the widths differ.")
            return Tensor(self.data.view(dtype.numpy), dtype, self.layout)
        if unwrap(fp_downcast_rounding) == "rtz":
            unsupported("rounding toward zero")
        return cast(self, dtype)


def unsupported(what: str) -> NoReturn:
    """Exit 3, naming the construct and the line that runs."""
    raise Unsupported(
        f"the emulator does not know {what}.",
        hint="Write it with the operations that twill.emulate.language lists.",
        location=active().here() if running() else None,
    )


def as_tensor(value: Any) -> Tensor:
    """Numbers become scalars of their own type; an accumulator still in flight is refused."""
    value = unwrap(value)
    if isinstance(value, Tensor):
        return value
    if isinstance(value, numbers.Number):
        dtype = dtypes.of_number(value)  # type: ignore[arg-type]
        return Tensor(np.asarray(value).astype(dtype.numpy), dtype)
    if isinstance(value, Accumulator):
        value.misused("as a tensor")
    unsupported(f"a value of type {type(value).__name__} as a tensor")


def cast(value: Tensor, dtype: DType | PointerType) -> Tensor:
    """Convert elementwise: to nearest even between floats, saturating to fp8, toward zero to integers."""
    source = value.dtype
    if source == dtype:
        return value
    if isinstance(source, PointerType) or isinstance(dtype, PointerType):
        unsupported(f"the conversion of {source} to {dtype}")
    data = value.data
    if dtype.is_bool():
        data = data != 0
    elif dtype.is_fp8() and source.is_floating():
        limit = dtypes.FP8_MAXIMUM[dtype.name]
        wide = data.astype(np.float32)
        data = np.where(np.isinf(wide), wide, np.clip(wide, -limit, limit)).astype(dtype.numpy)
    elif dtype.is_int() and source.is_floating():
        data = np.trunc(data.astype(np.float64)).astype(dtype.numpy)
    else:
        data = data.astype(dtype.numpy)
    return Tensor(data, dtype, value.layout)


def expand_dims(value: Tensor, axis: int) -> Tensor:
    """One more axis; in Gluon the operand's layout must be the slice along it."""
    layout = value.layout
    if not value.shape:
        unsupported("expand_dims of a scalar")
    if axis < 0:
        axis += len(value.shape) + 1
    if isinstance(layout, layouts.SliceLayout):
        if layout.dim != axis:
            refuse(f"expand_dims at axis {axis} of a tensor sliced along axis {layout.dim}.")
        layout = layout.parent
    elif not layouts.is_open(layout):
        refuse(f"expand_dims needs a SliceLayout, but the operand has {layout}.")
    return Tensor(np.expand_dims(value.data, axis), value.dtype, layout, value.memory)


def common_layout(*values: Tensor) -> Any:
    """The layout of a result; blocks of different known layouts are refused."""
    found: Any = None
    for value in values:
        if not value.shape:
            continue
        if found is None or layouts.is_open(found):
            found = value.layout
        elif not layouts.agree(found, value.layout):
            refuse(f"the operands have different layouts: {found} and {value.layout}; convert_layout one of them.")
    return found


def check_ranks(*values: Tensor) -> None:
    """Blocks broadcast only along axes of extent 1 that are there."""
    shapes = [value.shape for value in values if value.shape]
    for shape in shapes[1:]:
        if len(shape) != len(shapes[0]) or any(
            a != b and 1 not in (a, b) for a, b in zip(shape, shapes[0], strict=True)
        ):
            refuse(f"shapes {list(shapes[0])} and {list(shape)} do not broadcast.")


def operands(a: Any, b: Any, *, division: bool = False, numbers_adapt: bool = True) -> tuple[Tensor, Tensor]:
    """Both operands in the type they are computed in, with shapes and layouts checked."""
    a, b = unwrap(a), unwrap(b)
    x, y = as_tensor(a), as_tensor(b)
    if isinstance(x.dtype, PointerType) or isinstance(y.dtype, PointerType):
        unsupported(f"arithmetic on {x.dtype} and {y.dtype}")
    a_number = numbers_adapt and not isinstance(a, Tensor)
    b_number = numbers_adapt and not isinstance(b, Tensor)
    if x.dtype != y.dtype or division:
        dtype = dtypes.promote(x.dtype, a_number, y.dtype, b_number, division)
        x, y = cast(x, dtype), cast(y, dtype)
    if x.shape != y.shape:
        check_ranks(x, y)
    return x, y


def elementwise(function: Callable[[Array, Array], Array], x: Tensor, y: Tensor) -> Tensor:
    """`function` of two operands of one type, rounded to that type."""
    data = function(x.data, y.data)
    assert isinstance(x.dtype, DType)
    return Tensor(data.astype(x.dtype.numpy, copy=False), x.dtype, common_layout(x, y))


def arithmetic(name: str, a: Any, b: Any) -> Tensor:
    """+ - * and the bitwise operators; pointers move by elements."""
    a, b = unwrap(a), unwrap(b)
    if name in ("add", "sub") and isinstance(a, Tensor) and isinstance(a.dtype, PointerType):
        return _move(a, as_tensor(b), 1 if name == "add" else -1)
    if name == "add" and isinstance(b, Tensor) and isinstance(b.dtype, PointerType):
        return _move(b, as_tensor(a), 1)
    x, y = operands(a, b)
    if name in ("and_", "or_", "xor", "lshift", "rshift") and x.dtype.is_floating():
        refuse(f"a bitwise operator on {x!r} and {y!r}.")
    if x.dtype.is_bool() and name in ("add", "mul", "sub"):
        name = {"add": "xor", "sub": "xor", "mul": "and_"}[name]  # one-bit integers wrap
    return elementwise(getattr(operator, name), x, y)


def _move(pointer: Tensor, offset: Tensor, sign: int) -> Tensor:
    check_ranks(pointer, offset)
    data = pointer.data + sign * offset.data.astype(np.int64)
    return Tensor(data, pointer.dtype, common_layout(pointer, offset), pointer.memory)


def compare(name: str, a: Any, b: Any) -> Tensor:
    """Comparisons; a Python number does not adapt to the tensor's type here."""
    x, y = operands(a, b, numbers_adapt=False)
    return Tensor(getattr(operator, name)(x.data, y.data), dtypes.int1, common_layout(x, y))


def truediv(a: Any, b: Any) -> Tensor:
    x, y = operands(a, b, division=True)
    if not x.dtype.is_floating():
        x, y = cast(x, dtypes.float32), cast(y, dtypes.float32)
    return elementwise(operator.truediv, x, y)


def floordiv(a: Any, b: Any) -> Tensor:
    """Integer division toward zero, as the machine divides (Python rounds down)."""
    x, y = operands(a, b, division=True)
    if x.dtype.is_floating():
        refuse(f"// on {x!r} and {y!r}; it divides integers only.")
    if not np.all(y.data):
        refuse("integer division by zero.")
    return elementwise(lambda p, q: (p - np.fmod(p, q)) // q, x, y)


def remainder(a: Any, b: Any) -> Tensor:
    """Remainder with the sign of the dividend, as the machine has it (Python's has the divisor's)."""
    x, y = operands(a, b, division=True)
    if not x.dtype.is_floating() and not np.all(y.data):
        refuse("integer remainder by zero.")
    return elementwise(np.fmod, x, y)


def _operator(function: Callable[..., Tensor], *args: Any, swapped: bool = False) -> Callable[[Tensor, Any], Tensor]:
    if swapped:
        return lambda self, other: function(*args, other, self)
    return lambda self, other: function(*args, self, other)


def _install_operators() -> None:
    simple = {"add": "add", "sub": "sub", "mul": "mul", "and": "and_", "or": "or_", "xor": "xor"}
    for method, name in {**simple, "lshift": "lshift", "rshift": "rshift"}.items():
        setattr(Tensor, f"__{method}__", _operator(arithmetic, name))
        setattr(Tensor, f"__r{method}__", _operator(arithmetic, name, swapped=True))
    for method, function in (("truediv", truediv), ("floordiv", floordiv), ("mod", remainder)):
        setattr(Tensor, f"__{method}__", _operator(function))
        setattr(Tensor, f"__r{method}__", _operator(function, swapped=True))
    for method in ("lt", "le", "gt", "ge", "eq", "ne"):
        setattr(Tensor, f"__{method}__", _operator(compare, method))


_install_operators()
