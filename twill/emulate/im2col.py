"""Tensor descriptors of im2col mode, and the loads through them.

A block is [pixels, channels]. The pixels are taken from a box of the innermost spatial axes and the batch, in row-major
order, from the coordinates of the load on: past the box's end an axis starts again at its beginning and the next outer
one goes on. The offsets of a load move every pixel read, not the box that is walked. What lies outside the tensor is
filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twill.emulate import cluster, descriptors, tma
from twill.emulate.constants import unwrap
from twill.emulate.global_accesses import record_async
from twill.emulate.memory import SharedMemory
from twill.emulate.python_errors import HostError
from twill.emulate.scheduler import active
from twill.emulate.values import Array, Tensor, refuse

_CORNERS = {3: (-32768, 32767), 4: (-128, 127), 5: (-16, 15)}
_OFFSETS = {3: (0, 65535), 4: (0, 255), 5: (0, 31)}


@dataclass
class TensorDescriptorIm2Col:
    """Host side: a torch tensor [batch, *spatial, channels] whose pixels TMA moves. The checks are the driver's.

    block_shape: [pixels, channels], powers of two; element_strides: between pixels, of every axis;
    pixel_box_lower_corner, pixel_box_upper_corner: of the box, from the first and from the last pixel, per spatial
    axis.
    """

    base: Any
    shape: Sequence[int]
    strides: Sequence[int]
    block_shape: Sequence[int]
    layout: Any = None
    padding: str = "zero"
    round_f32_to_tf32: bool = False
    element_strides: Sequence[int] | None = None
    pixel_box_lower_corner: Sequence[int] | None = None
    pixel_box_upper_corner: Sequence[int] | None = None

    def __post_init__(self) -> None:
        self.block_shape, self.layout = unwrap(list(self.block_shape)), unwrap(self.layout)
        rank = len(self.shape)
        if rank not in _CORNERS or len(self.block_shape) != 2:
            raise HostError(f"im2col moves [pixels, channels] of a tensor of rank 3 to 5, not {rank}")
        descriptors.check_host(self.base, self.shape, self.strides, self.block_shape, self.layout)
        low, high = _CORNERS[rank]
        for corner in (self.pixel_box_lower_corner, self.pixel_box_upper_corner):
            if corner is None or len(corner) != rank - 2 or not all(low <= at <= high for at in corner):
                raise HostError(f"a corner of the pixel box is {corner}: {rank - 2} numbers from {low} to {high}")
        steps = self.element_strides
        if steps is not None and (len(steps) != rank or steps[-1] != 1 or not all(0 < step <= 8 for step in steps)):
            raise HostError(f"element strides {steps}: {rank} numbers from 1 to 8, the last one 1")

    @staticmethod
    def from_tensor(tensor: Any, block_shape: Sequence[int], layout: Any, **options: Any) -> TensorDescriptorIm2Col:
        return TensorDescriptorIm2Col(tensor, tensor.shape, tensor.stride(), block_shape, layout, **options)


class Im2ColDescriptor(descriptors.DeviceDescriptor):
    """Device side: blocks of [pixels, channels]."""

    def __init__(self, base: Tensor, host: TensorDescriptorIm2Col) -> None:
        super().__init__(base, host.shape, host.strides, host.block_shape, host.layout, host.padding)
        spatial = self.array.shape[1:-1]
        assert host.pixel_box_lower_corner is not None
        assert host.pixel_box_upper_corner is not None
        self.lower = [int(at) for at in host.pixel_box_lower_corner]
        self.upper = [size - 1 + int(at) for size, at in zip(spatial, host.pixel_box_upper_corner, strict=True)]
        self.steps = [int(step) for step in (host.element_strides or [1] * len(host.shape))][:-1]
        if any(high < low for low, high in zip(self.lower, self.upper, strict=True)):
            refuse(f"the pixel box from {self.lower} to {self.upper} of a tensor descriptor is empty.")

    def pixels(self, at: Sequence[int], offsets: Sequence[int]) -> Array:
        """[pixels, 1 + spatial axes]: batch and position of each pixel of a block that starts at `at`."""
        position, walked = list(at[:-1]), []
        for _ in range(self.block_shape[0]):
            walked.append([position[0], *(p + o for p, o in zip(position[1:], offsets, strict=True))])
            for axis in reversed(range(len(position))):
                position[axis] += self.steps[axis]
                if axis == 0 or position[axis] <= self.upper[axis - 1]:
                    break
                position[axis] = self.lower[axis - 1]
        return np.array(walked)

    def gather(self, pixels: Array, channel: int) -> tuple[Array, Array]:
        """The block [pixels, channels], and the offsets in memory of the elements that it reads."""
        fill = float("nan") if self.padding == "nan" else 0
        block = np.full(self.block_shape, fill, self.dtype.numpy)
        inside = ((pixels >= 0) & (pixels < np.array(self.array.shape[:-1]))).all(axis=1)
        channels = slice(max(channel, 0), max(min(channel + self.block_shape[1], self.array.shape[-1]), 0))
        into = slice(channels.start - channel, channels.stop - channel)
        at = tuple(pixels[inside].T)
        block[inside, into] = self.array[at][:, channels]
        return block, self.numbers[at][:, channels]


def async_load_im2col(
    tensor_desc: Im2ColDescriptor,
    coord: Sequence[Any],
    offsets: Sequence[Any],
    barrier: SharedMemory,
    result: SharedMemory,
    pred: Any = True,
    multicast: Any = False,
    cache_policy: Any = None,
) -> None:
    """Start a load of the block that begins at `coord` [batch, *spatial, channel]; see `tma.async_load`."""
    scheduler = active()
    scheduler.pause()
    cluster.refuse("an im2col load")
    if not pred:
        return
    at, moved = _check(tensor_desc, coord, offsets, result)
    place = scheduler.place("im2col load")
    pixels = tensor_desc.pixels(at, moved)
    _, elements = tensor_desc.gather(pixels, at[-1])
    started = tma.deliver(
        place, barrier, result, multicast, lambda _: pixels, lambda each: tensor_desc.gather(each, at[-1])[0]
    )
    for access, _ in started:
        record_async(tensor_desc.memory.history, access, elements, write=False)


async_copy_global_to_shared_im2col = async_load_im2col  # its name in earlier versions


def _check(
    descriptor: Any, coord: Sequence[Any], offsets: Sequence[Any], buffer: SharedMemory
) -> tuple[list[int], list[int]]:
    if not isinstance(descriptor, Im2ColDescriptor):
        refuse("an im2col load needs a TensorDescriptorIm2Col.")
    at, moved = [int(unwrap(c)) for c in coord], [int(unwrap(o)) for o in offsets]
    rank = descriptor.array.ndim
    low, high = _OFFSETS[rank]
    if len(at) != rank or len(moved) != rank - 2:
        refuse(f"an im2col load of rank {rank} takes {rank} coordinates and {rank - 2} offsets, not {at} and {moved}.")
    if not all(low <= offset <= high for offset in moved):
        refuse(f"offsets {moved} of an im2col load of rank {rank} must lie from {low} to {high}.")
    if buffer.shape != list(descriptor.block_shape) or buffer.dtype != descriptor.dtype:
        refuse(f"{buffer.path} of {buffer.dtype}{buffer.shape} for blocks {descriptor.block_shape}.")
    if buffer.layout != descriptor.layout:
        refuse(f"{buffer.path} has layout {buffer.layout}, its descriptor {descriptor.layout}.")
    if at[-1] * descriptor.dtype.itemsize % 16:
        refuse(f"the channel {at[-1]} is not a multiple of 16 bytes.")
    return at, moved
