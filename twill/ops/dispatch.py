"""Whether a generated kernel or torch runs an operator."""

from __future__ import annotations

import contextlib
import functools
import importlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch

HOPPER = (9, 0)


def on_hopper(*tensors: torch.Tensor) -> bool:
    """Whether all tensors are on one GPU whose compute capability is Hopper's."""
    devices = {tensor.device for tensor in tensors}
    if len(devices) != 1 or next(iter(devices)).type != "cuda":
        return False
    return torch.cuda.get_device_capability(next(iter(devices))) == HOPPER


def on_gpu(tensor: torch.Tensor) -> bool:
    """Whether the tensor is on a GPU."""
    return tensor.is_cuda


def multiprocessors(device: torch.device) -> int:
    """Of a GPU; an H100's where there is none, as when generated kernels are emulated."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 132


@functools.cache
def launcher(variant: str, entry: str) -> Callable[..., Any]:
    """The launcher `entry` of the generated module `variant` of `twill.kernels.generated.hopper`."""
    module = importlib.import_module(f"twill.kernels.generated.hopper.{variant}")
    found: Callable[..., Any] = getattr(module, entry)
    return found


@functools.cache
def decline(operator: str, why: str) -> None:
    """Say once for each operator and reason that torch runs it on a Hopper GPU."""
    warnings.warn(f"twill.ops.{operator} runs as torch operations: {why}.", stacklevel=3)


FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""What every operator takes; some narrower floats exist that torch itself hardly computes with."""
KERNEL_DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16"}
"""What most generated kernels take, and how their names end."""
LARGEST = 2**31 - 1
"""Of a size or an offset in a kernel: its coordinates have 32 bits."""


def require_tensors(operator: str, **tensors: object) -> None:
    """Raise TypeError for an argument that is no dense torch tensor."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{operator}: {name} must be a torch tensor, got {type(tensor).__name__}.")
        if tensor.layout != torch.strided:
            raise TypeError(f"{operator}: {name} must be a dense tensor, got {tensor.layout}: call to_dense() first.")


def require_int(operator: str, name: str, value: object) -> None:
    """Raise TypeError for what is no whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, torch.SymInt)):
        raise TypeError(f"{operator}: {name} must be an int, got {type(value).__name__}.")


def autocast(first: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors as torch's own products see them: under autocast in its dtype, but for float64."""
    kind = first.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return (first, *others)
    dtype = torch.get_autocast_dtype(kind)
    return tuple(x.to(dtype) if x.dtype in FLOATS and x.dtype != torch.float64 else x for x in (first, *others))


@contextlib.contextmanager
def without_autocast(x: torch.Tensor) -> Iterator[None]:
    """Inside an operator: products in the dtypes of their operands, which were chosen already."""
    kind = x.device.type
    if not torch.amp.is_autocast_available(kind):
        yield
        return
    with torch.autocast(kind, enabled=False):
        yield


def aligned(x: torch.Tensor) -> torch.Tensor:
    """The tensor, or a copy of it that is contiguous and begins where TMA can read: at a multiple of 16 bytes."""
    x = x.contiguous()
    return x if x.data_ptr() % 16 == 0 else x.clone()
