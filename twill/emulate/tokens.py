"""Tokens of asynchronous wgmmas: results that are not values yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from twill.emulate.dtypes import BlockType, DType
from twill.emulate.report import Place, TokenMisuse
from twill.emulate.scheduler import active

if TYPE_CHECKING:
    from twill.emulate.values import Tensor


class Result:
    """What an asynchronous wgmma computes: its value once it has happened, and whether a wait covered it."""

    __slots__ = ("retired", "value")

    def __init__(self) -> None:
        self.value: Any = None
        self.retired = False


class Accumulator:
    """The token of an asynchronous wgmma: not a tensor until a wait that covers it returns one.

    waited_at: the wait that listed it in `deps`; from then on only what that wait returned may be used.
    """

    def __init__(
        self, issued: Place, shape: tuple[int, ...], dtype: DType, layout: Any, result: Result | None = None
    ) -> None:
        self.issued = issued
        self.shape = shape
        self.dtype = dtype
        self.layout = layout
        self.result = result or Result()
        self.waited_at: Place | None = None

    def waited(self) -> Tensor | Accumulator:
        """What a wait returns for it: the value when the wait covered it, else a token still."""
        from twill.emulate.values import Tensor

        if self.result.retired:
            return Tensor(self.result.value, self.dtype, self.layout)
        return Accumulator(self.issued, self.shape, self.dtype, self.layout, self.result)

    @property
    def type(self) -> Any:
        return BlockType(self.dtype, self.shape, self.layout)

    def misused(self, how: str) -> NoReturn:
        if self.waited_at is not None:
            message = f"the result of {self.issued} is used {how} under its old name after {self.waited_at} returned it"
            hint = "Use the value that warpgroup_mma_wait returns: `acc = warpgroup_mma_wait(n, deps=[acc])`."
        else:
            message = f"the result of {self.issued} is used {how} before a wait made it a value"
            hint = "Pass it through warpgroup_mma_wait(n, deps=[...]) with n small enough to cover it."
        use = active().place("use")
        places = tuple(place for place in (self.issued, self.waited_at, use) if place is not None)
        raise TokenMisuse(f"{message}.", hint=hint, location=use.where, places=places)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.misused(f"as a tensor (.{name})")


def _install_misuse() -> None:
    def operator_of(symbol: str) -> Callable[..., NoReturn]:
        def fail(self: Accumulator, *_: Any) -> NoReturn:
            self.misused(f"as an operand ({symbol})")

        return fail

    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "and", "or", "xor"):
        setattr(Accumulator, f"__{name}__", operator_of(name))
        setattr(Accumulator, f"__r{name}__", operator_of(name))
    for name in ("lt", "le", "gt", "ge", "neg", "bool", "getitem", "index", "float"):
        setattr(Accumulator, f"__{name}__", operator_of(name))


_install_misuse()
