"""Launch arguments made up from a Launch alone: random tensors of the recorded shapes and spread."""

from __future__ import annotations

from typing import Any

from twill.errors import InputError
from twill.frontend.launch import ArgumentSpec, Launch

_TORCH = {
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
    "f8e4m3": "float8_e4m3fn", "f8e5m2": "float8_e5m2", "i1": "bool",
    "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64",
}  # fmt: skip


def materialize(launch: Launch, seed: int = 0) -> dict[str, Any]:
    """Every argument by name: CPU torch tensors, scalars, constexprs; the same ones for the same seed.

    Floats are normal with the example's mean and standard deviation, integers uniform between its
    extremes, or the example's own where the launch holds them. A tensor owns exactly the elements its
    strides reach. Raises InputError when the launch has no shapes (it came from a signature).
    """
    import torch

    random = torch.Generator().manual_seed(seed)
    return {spec.name: _value(spec, random) for spec in launch.arguments}


def argument(launch: Launch, name: str) -> Any:
    """One argument whose value the launch holds: a scalar, a constexpr, or a tensor with contents."""
    import torch

    return _value(launch.argument(name), torch.Generator())


def _value(spec: ArgumentSpec, random: Any) -> Any:
    if spec.kind in ("constexpr", "scalar"):
        if spec.kind == "scalar" and spec.value is None:
            raise _unknown(spec)
        return spec.value
    tensor = _tensor(spec, random)
    if spec.kind == "tensor":
        return tensor
    from triton.tools.tensor_descriptor import TensorDescriptor

    if spec.shape is None or spec.strides is None or spec.block_shape is None:
        raise _unknown(spec)
    return TensorDescriptor(tensor, list(spec.shape), list(spec.strides), list(spec.block_shape))


def _tensor(spec: ArgumentSpec, random: Any) -> Any:
    import torch

    if spec.shape is None or spec.strides is None:
        raise _unknown(spec)
    dtype = getattr(torch, _TORCH[spec.dtype])
    elements = 1 + sum((extent - 1) * stride for extent, stride in zip(spec.shape, spec.strides, strict=True))
    count = elements if all(spec.shape) else 0
    if spec.contents is not None:
        flat = torch.tensor(spec.contents, dtype=dtype)
    elif dtype.is_floating_point:
        flat = (torch.randn(count, generator=random) * spec.std + spec.mean).to(dtype)
    else:
        flat = torch.randint(spec.low, spec.high + 1, (count,), generator=random).to(dtype)
    return flat.as_strided(spec.shape, spec.strides)


def _unknown(spec: ArgumentSpec) -> InputError:
    return InputError(
        f"the value of argument `{spec.name}` is not known.",
        hint="The launch came from a signature; give @twill.kernel(example=...).",
    )
