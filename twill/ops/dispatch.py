"""Whether a generated kernel or torch runs an operator."""

from __future__ import annotations

import functools
import importlib
import warnings
from collections.abc import Callable
from typing import Any

import torch

HOPPER = (9, 0)


def on_hopper(*tensors: torch.Tensor) -> bool:
    """Whether all tensors are on one GPU whose compute capability is Hopper's."""
    devices = {tensor.device for tensor in tensors}
    if len(devices) != 1 or next(iter(devices)).type != "cuda":
        return False
    return torch.cuda.get_device_capability(next(iter(devices))) == HOPPER


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
