"""TMA reductions: a block of shared memory combined into global memory, element by element atomically.

In flight from its issue until `store_wait` covers it; relaxed, so it orders nothing. Triton has them since 3.9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twill.emulate import atomics, cluster, trace
from twill.emulate.global_accesses import record_async
from twill.emulate.memory import SharedMemory
from twill.emulate.scheduler import active
from twill.emulate.tma import DeviceDescriptor, check_block, read_later

__all__ = [
    "async_atomic_add", "async_atomic_and", "async_atomic_max", "async_atomic_min", "async_atomic_or",
    "async_atomic_xor",
]  # fmt: skip


def _reduction(name: str) -> Callable[..., None]:
    def reduce(tensor_desc: DeviceDescriptor, coord: Sequence[Any], src: SharedMemory) -> None:
        scheduler = active()
        scheduler.pause()
        cluster.refuse("a TMA reduction")
        at = check_block(tensor_desc, coord, src)
        atomics.check_dtype(name, tensor_desc.dtype, halves=True)
        part = tensor_desc.part(at, scheduler.current().cta)

        def combine() -> None:
            trace.touch("atomics", True)
            before = tensor_desc.read(part).reshape(src.data.shape)
            tensor_desc.write(part, atomics.update(name, before, src.data, tensor_desc.dtype))

        access = read_later(f"TMA reduction ({name})", src, combine)
        scheduler.current().stores.pending[-1].seen = True
        record_async(tensor_desc.memory.history, access, tensor_desc.elements(part), write=True, scope="gpu")

    reduce.__name__ = f"async_atomic_{name}"
    reduce.__doc__ = f"Start combining `src` into the block of global memory at `coord` by `{name}`."
    return reduce


async_atomic_add, async_atomic_min, async_atomic_max = _reduction("add"), _reduction("min"), _reduction("max")
async_atomic_and, async_atomic_or, async_atomic_xor = _reduction("and"), _reduction("or"), _reduction("xor")
