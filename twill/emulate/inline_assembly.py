"""Stand-in for `gluon.language.inline_asm_elementwise`: a few lines of PTX over the elements of blocks.

The text is read as declarations and straight-line instructions; `ptx.py` has the instructions that are known.
Control flow, predicates and memory are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from twill.emulate import ptx, special_registers
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import DType
from twill.emulate.values import Array, Tensor, as_tensor, check_ranks, common_layout, refuse, unsupported

__all__ = ["inline_asm_elementwise"]

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_DECLARATION = re.compile(r"\.reg\s+\.\w+\s+(.+)", re.DOTALL)


def inline_asm_elementwise(asm: Any, constraints: Any, args: Any, dtype: Any, is_pure: Any, pack: Any) -> Any:
    """Each element (or `pack` elements) of the broadcast `args` through the instructions of `asm`.

    dtype: of the result, or a list of them, one for each `=` constraint. Elements narrower than 32 bits share
    registers when `pack` takes more than one of them.
    """
    blocks = [as_tensor(value) for value in unwrap(list(args))]
    outputs = unwrap(dtype)
    many = isinstance(outputs, (list, tuple))
    types: list[DType] = list(outputs) if many else [outputs]
    check_ranks(*blocks)
    pack = int(unwrap(pack))
    shape = np.broadcast_shapes(*(block.shape for block in blocks))
    count = int(np.prod(shape, dtype=np.int64))
    if count % pack:
        refuse(f"inline assembly with pack={pack} over a block of {count} elements.")
    names = [constraint.strip() for constraint in str(unwrap(constraints)).split(",")]
    written = sum(name.startswith("=") for name in names)
    registers: dict[str, Array] = {}
    for block in blocks:
        for register in _registers(np.broadcast_to(block.data, shape).reshape(-1), pack):
            registers[f"${written + len(registers)}"] = register
    if written + len(registers) != len(names):
        refuse(f"inline assembly with {len(names)} constraints for {written} results and {len(registers)} operands.")
    _run(str(unwrap(asm)), registers)
    results, taken = [], 0
    layout = common_layout(*blocks)
    for each in types:
        data, used = _elements(registers, taken, each, pack, count)
        taken += used
        results.append(Tensor(data.reshape(shape), each, layout))
    if taken != written:
        refuse(f"inline assembly writes {written} registers, but {taken} hold results of {types} with pack={pack}.")
    return tuple(results) if many else results[0]


def _registers(flat: Array, pack: int) -> list[Array]:
    """The bits of `pack` consecutive elements, in registers of 32 bits, or of the element's width if that is more."""
    bits = ptx.raw(flat.view(np.uint8) if flat.dtype == np.bool_ else flat)
    size = bits.dtype.itemsize * 8
    shared = min(pack, max(1, 32 // size))
    grouped = bits.reshape(-1, pack)
    starts = range(0, pack, shared)
    return [
        grouped[:, at].copy() if shared == 1 else ptx.join([grouped[:, at + i] for i in range(shared)]) for at in starts
    ]


def _elements(registers: dict[str, Array], first: int, dtype: DType, pack: int, count: int) -> tuple[Array, int]:
    size = dtype.itemsize * 8
    shared = min(pack, max(1, 32 // size))
    grouped = np.empty((count // pack, pack), ptx.BITS[size])
    for number, at in enumerate(range(0, pack, shared)):
        register = registers.get(f"${first + number}")
        if register is None:
            refuse(f"inline assembly never writes ${first + number}.")
        if register.dtype.itemsize * 8 != size * shared:
            refuse(f"inline assembly leaves {register.dtype.itemsize * 8} bits in ${first + number} for {dtype}.")
        for i in range(shared):
            grouped[:, at + i] = register if shared == 1 else ptx.part(register, shared, i)
    return grouped.reshape(-1).view(dtype.numpy), -(-pack // shared)


def _run(text: str, registers: dict[str, Array]) -> None:
    """Execute the statements; names of declared registers live in `registers` beside the operands."""
    for statement in _COMMENT.sub(" ", text).split(";"):
        statement = statement.strip().lstrip("{}").strip()
        if statement and not _DECLARATION.fullmatch(statement):
            _instruction(statement, registers)


def _instruction(statement: str, registers: dict[str, Array]) -> None:
    mnemonic, _, rest = statement.partition(" ")
    mnemonic = mnemonic.strip()
    operands = _operands(rest)
    if mnemonic.startswith("@") or len(operands) < 2:
        unsupported(f"the PTX statement {statement!r}")
    target, *sources = operands
    width = _width_of(mnemonic)
    values = [_read(source, registers, width) for source in sources]
    if mnemonic.split(".")[0] == "mov":
        if len(values) != 1 or "." not in mnemonic:
            unsupported(f"the PTX statement {statement!r}")
        result = values[0]
    else:
        result = ptx.compute(mnemonic, values)
    names = _vector(target)
    if names is None:
        registers[target] = result
        return
    for number, name in enumerate(names):
        registers[name] = ptx.part(result, len(names), number)


def _operands(text: str) -> list[str]:
    """Split at the commas outside of braces."""
    return [item.strip() for item in re.findall(r"\{[^}]*\}|[^,{}]+", text) if item.strip()]


def _vector(operand: str) -> Sequence[str] | None:
    return [name.strip() for name in operand[1:-1].split(",")] if operand.startswith("{") else None


def _width_of(mnemonic: str) -> int:
    kind = mnemonic.split(".")[-1]
    return ptx.width(kind) if kind.removesuffix("x2") in ptx.STORAGE else 32


def _read(operand: str, registers: dict[str, Array], width: int) -> Array:
    names = _vector(operand)
    if names is not None:
        return ptx.join([_read(name, registers, width // len(names)) for name in names])
    if operand in registers:
        return registers[operand]
    if re.fullmatch(r"0[fF][0-9a-fA-F]{8}", operand):
        return np.asarray([int(operand[2:], 16)], np.uint32)
    if re.fullmatch(r"-?(0[xX][0-9a-fA-F]+|\d+)", operand):
        return np.asarray([int(operand, 0) % (1 << width)], ptx.BITS[width])
    special = special_registers.read(operand)
    if special is not None:
        return special
    unsupported(f"the PTX operand {operand}, which nothing has written,")
