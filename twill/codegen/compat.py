"""The differences between Triton versions that generated code and its compilation meet.

Everything version dependent about Gluon is here: the lines a generated module carries so that it
runs on every supported version, and the options it is compiled with.
"""

from __future__ import annotations

# Triton 3.9 renamed the TMA copies; 3.8 has both names, 3.6 and 3.7 the older ones.
MODULE_LINES = (
    'tma_load = getattr(tma, "async_load", None) or tma.async_copy_global_to_shared',
    'tma_store = getattr(tma, "async_store", None) or tma.async_copy_shared_to_global',
)

ASYNC_COPY_LINES = ('copy_async = getattr(async_copy, "async_load", None) or async_copy.async_copy_global_to_shared',)
MEET_LINES = ('meet = getattr(gl, "barrier", None) or gl.thread_barrier',)
"""The same of asynchronous copies, and of the barrier of one role's warps: `gl.barrier` in later versions."""

# From 3.10 on, multiply-add fusion is off unless asked for.
COMPILE_OPTIONS: dict[str, object] = {"enable_fp_fusion": True}


def descriptor_signature(dtype: str, block_shape: tuple[int, ...], layout: object) -> str:
    """Triton's signature string of a host tensor descriptor.

    dtype: Triton's short name ("fp16"). block_shape: of the copies. layout: an NVMMASharedLayout.
    """
    return f"tensordesc<{dtype}{list(block_shape)},{layout!r}>"
