"""Tensor descriptors on both sides of the launch: global memory seen as an array that TMA moves in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twill.emulate import cga, cluster, layouts
from twill.emulate.constants import unwrap
from twill.emulate.dtypes import BlockType
from twill.emulate.memory import GlobalMemory
from twill.emulate.python_errors import HostError
from twill.emulate.report import OutOfBounds
from twill.emulate.values import Array, Tensor, as_tensor, refuse

Part = tuple[tuple[int, ...], tuple[int, ...]]  # coordinates of the first element, extents


@dataclass
class TensorDescriptor:
    """Host side: a view of a torch tensor that TMA moves in blocks. The checks are the driver's.

    base: torch tensor; shape, strides: of the view, in elements, innermost last; block_shape: of one
    transfer; layout: of the shared-memory block.
    """

    base: Any
    shape: Sequence[int]
    strides: Sequence[int]
    block_shape: Sequence[int]
    layout: Any = None
    padding: str = "zero"
    round_f32_to_tf32: bool = False

    def __post_init__(self) -> None:
        self.block_shape, self.layout = unwrap(list(self.block_shape)), unwrap(self.layout)
        rank = len(self.shape)
        if not (rank == len(self.strides) == len(self.block_shape) and 1 <= rank <= 5):
            raise HostError(f"shape, strides and block shape must have one rank from 1 to 5, not {rank}")
        check_host(self.base, self.shape, self.strides, self.block_shape, self.layout)

    def check(self) -> None:
        """What holds at the launch: until then a file may still set the block."""
        if self.block_shape[-1] * self.base.dtype.itemsize < 16:
            raise HostError(f"the last extent of block {list(self.block_shape)} has less than 16 bytes")

    @staticmethod
    def from_tensor(tensor: Any, block_shape: Sequence[int], layout: Any = None, padding: str = "zero") -> Any:
        return TensorDescriptor(tensor, tensor.shape, tensor.stride(), block_shape, layout, padding)


def check_host(base: Any, shape: Any, strides: Any, block_shape: Any, layout: Any) -> None:
    """What the driver demands of any tensor descriptor. Raises HostError."""
    if base.data_ptr() % 16:
        raise HostError("the base of a tensor descriptor must be 16-byte aligned")
    if strides[-1] != 1 or any(stride * base.dtype.itemsize % 16 for stride in strides[:-1]):
        raise HostError(f"strides {list(strides)} must be multiples of 16 bytes, the last one 1")
    if min(shape) <= 0 or any(extent & (extent - 1) or extent <= 0 for extent in block_shape):
        raise HostError(f"shape {list(shape)} must be positive and block {block_shape} powers of two")
    if not isinstance(layout, layouts.NVMMASharedLayout):
        raise HostError(f"the layout of a tensor descriptor must be an NVMMASharedLayout, not {layout}")


class DeviceDescriptor:
    """Device side: global memory seen as an array of `shape`, moved in blocks of `block_shape`."""

    def __init__(self, base: Tensor, shape: Any, strides: Any, block_shape: Any, layout: Any, padding: str) -> None:
        if base.memory is None:
            refuse(f"a tensor descriptor of {base!r}, which is not a pointer.")
        self.memory: GlobalMemory = base.memory
        self.dtype = base.dtype.element_ty
        self.shape = tuple(as_tensor(int(extent)) for extent in shape)
        self.strides = tuple(as_tensor(int(stride)) for stride in strides)
        self.layout = layout
        self.padding = padding
        self.block_type = BlockType(self.dtype, tuple(block_shape), layout)
        extents, steps, start = [int(e) for e in shape], [int(s) for s in strides], int(base.data)
        last = start + sum((extent - 1) * step for extent, step in zip(extents, steps, strict=True))
        if start < 0 or last >= self.memory.flat.size:
            raise OutOfBounds(
                f"a tensor descriptor of shape {extents} and strides {steps} ends at element {last} of "
                f"{self.memory.name}, which has {self.memory.flat.size}.",
                hint="Check the shape and strides given to the descriptor.",
            )
        bytes = [step * self.dtype.itemsize for step in steps]
        self.array = np.lib.stride_tricks.as_strided(self.memory.flat[start:], extents, bytes)
        self.numbers = np.lib.stride_tricks.as_strided(
            self.memory.numbers[start:], extents, [8 * step for step in steps]
        )

    @property
    def block_shape(self) -> list[int]:
        return self.block_type.shape

    @property
    def nbytes_per_cta(self) -> int:
        return self.block_type.nbytes // cga.parts(cga.bases(self.layout) or ())

    def part(self, at: Sequence[int], cta: int) -> Part:
        """Where the part of the block at `at` lies that a CTA of the cluster moves, and its extents."""
        if cluster.current() is None:
            return tuple(at), tuple(self.block_shape)
        box = cga.box(cluster.layout_bases(self.layout, "a tensor descriptor"), tuple(self.block_shape), cta)
        return (
            tuple(start + piece.start for start, piece in zip(at, box, strict=True)),
            tuple(piece.stop - piece.start for piece in box),
        )

    @property
    def type(self) -> DeviceDescriptor:
        return self

    def read(self, part: Part) -> Array:
        """The elements of a part; what lies outside the tensor is zero (or NaN)."""
        fill = float("nan") if self.padding == "nan" else 0
        block = np.full(part[1], fill, self.dtype.numpy)
        inside, source = self._clip(*part)
        block[inside] = self.array[source]
        return block

    def write(self, part: Part, block: Array) -> None:
        """What of `block` lies inside the tensor."""
        inside, target = self._clip(*part)
        self.array[target] = block.reshape(part[1])[inside]

    def elements(self, part: Part) -> Array:
        """Offsets of a part's elements in the memory of the tensor."""
        elements: Array = self.numbers[self._clip(*part)[1]]
        return elements

    def read_rows(self, rows: Array, column: int) -> Array:
        """[len(rows), block columns]; rows and columns outside the tensor are zero (or NaN)."""
        fill = float("nan") if self.padding == "nan" else 0
        block = np.full((len(rows), self.block_shape[-1]), fill, self.dtype.numpy)
        inside = (rows >= 0) & (rows < self.array.shape[0])
        (_, into), (_, columns) = self._clip((0, column), self.block_shape)
        block[inside, into] = self.array[rows[inside], columns]
        return block

    def write_rows(self, rows: Array, column: int, block: Array) -> None:
        """The rows and columns of `block` that lie inside the tensor."""
        inside = (rows >= 0) & (rows < self.array.shape[0])
        (_, source), (_, columns) = self._clip((0, column), self.block_shape)
        self.array[rows[inside], columns] = block[inside, source]

    def row_elements(self, rows: Array, column: int) -> Array:
        """Offsets of what read_rows and write_rows touch in the memory of the tensor."""
        inside = (rows >= 0) & (rows < self.array.shape[0])
        elements: Array = self.numbers[rows[inside], self._clip((0, column), self.block_shape)[1][1]]
        return elements

    def _clip(self, at: Sequence[int], extents: Sequence[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        block, whole = [], []
        for start, extent, size in zip(at, extents, self.array.shape, strict=True):
            low, high = min(max(start, 0), size), max(min(start + extent, size), 0)
            block.append(slice(low - start, max(high, low) - start))
            whole.append(slice(low, max(high, low)))
        return tuple(block), tuple(whole)


def make_tensor_descriptor(
    base: Tensor, shape: Any, strides: Any, block_shape: Any, layout: Any, padding_option: str = "zero"
) -> DeviceDescriptor:
    """A descriptor built on the device."""
    return DeviceDescriptor(base, unwrap(shape), unwrap(strides), unwrap(block_shape), unwrap(layout), padding_option)
