"""Host code written for a GPU, run on the CPU: tensors asked for on a CUDA device, and what the device would be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any


def _wide(function: Any, args: Any, kwargs: Any) -> Any:
    """A convolution of half types accumulated in float32, as a GPU does; the CPU's rounds on its way."""
    import torch

    halves = [x.dtype for x in args if isinstance(x, torch.Tensor) and x.dtype in (torch.float16, torch.bfloat16)]
    if not halves:
        return function(*args, **kwargs)
    answer = function(*(x.float() if isinstance(x, torch.Tensor) else x for x in args), **kwargs)
    if isinstance(answer, tuple):
        return tuple(x.to(halves[0]) if isinstance(x, torch.Tensor) else x for x in answer)
    return answer.to(halves[0])


_pretended: list[tuple[int, int]] = []


def pretended() -> tuple[int, int] | None:
    """The compute capability that host code sees now, None outside of `on_cpu`."""
    return _pretended[-1] if _pretended else None


@contextlib.contextmanager
def on_cpu(capability: tuple[int, int] = (10, 0), multiprocessors: int = 2) -> Iterator[None]:
    """torch as a file's host code expects it beside such a GPU: tensors of "cuda" are made on the CPU.

    multiprocessors: what a persistent kernel makes its grid of; few make each thread block long. Only this thread's
    calls are redirected, and all of it ends with the context.
    """
    import torch
    from torch.overrides import TorchFunctionMode

    class Redirected(TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            named = dict(kwargs or {})
            if "cuda" in str(named.get("device", "")):
                named["device"] = "cpu"
            placed = tuple("cpu" if isinstance(each, str) and each.startswith("cuda") else each for each in args)
            name = getattr(function, "__name__", "")
            if name == "cuda":
                return args[0]
            return _wide(function, placed, named) if "conv" in name else function(*placed, **named)

    properties = SimpleNamespace(
        name="emulator", major=capability[0], minor=capability[1], multi_processor_count=multiprocessors,
        shared_memory_per_block_optin=232448, total_memory=2**36, L2_cache_size=50 * 2**20,
    )  # fmt: skip
    stands_for: dict[str, Any] = {
        "get_device_properties": lambda *_: properties,
        "get_device_capability": lambda *_: capability,
        "current_device": lambda: 0,
        "synchronize": lambda *_: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_name": lambda *_: properties.name,
    }
    before = {name: getattr(torch.cuda, name) for name in stands_for}
    for name, value in stands_for.items():
        setattr(torch.cuda, name, value)
    _pretended.append(capability)
    try:
        with Redirected():
            yield
    finally:
        _pretended.pop()
        for name, value in before.items():
            setattr(torch.cuda, name, value)
