"""What the launcher of a generated module refuses: functions whose text is copied into the module, and run there.

So they use builtins, torch and TensorDescriptor only. Each raises TypeError or ValueError with the argument's name,
what is wrong and what to try. Shapes and strides are in elements.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from triton.experimental.gluon.nvidia.hopper import TensorDescriptor


def names() -> list[str]:
    """The functions that are copied."""
    return list(_functions())


def module_lines(calling: list[str]) -> list[str]:
    """Source of those functions that the lines `calling` need, two blank lines after each."""
    text = "\n".join(calling)
    lines: list[str] = []
    for name, source in reversed(_functions().items()):  # a function comes after those it calls
        if f"{name}(" in text:
            text += source
            lines = [*source.splitlines(), "", "", *lines]
    return lines


def _functions() -> dict[str, str]:
    blocks = Path(__file__).read_text().split("\n\n\n")
    copied = blocks[1 + [block.startswith("def _functions") for block in blocks].index(True) :]
    return {block[4 : block.index("(")]: block.strip() for block in copied}


def require_tensors(device_type: str | None, /, **arguments: tuple[torch.Tensor, torch.dtype]) -> None:
    """Each is a tensor of its dtype, all on the current device, which is of `device_type`."""
    (first, (tensor, _)), *_ = arguments.items()
    device = getattr(tensor, "device", None)
    for name, (tensor, dtype) in arguments.items():
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
        if tensor.dtype != dtype:
            raise ValueError(f"{name} must be {dtype}, got {tensor.dtype}: convert it, or compile the kernel for it")
        if tensor.device != device:
            raise ValueError(f"{name} is on {tensor.device} but {first} on {device}: move them to one GPU")
    if device_type and tensor.device.type != device_type:
        raise ValueError(f"{first} is on {device}, where the kernel does not run: move the tensors to {device_type}")
    if device_type == "cuda" and tensor.device.index != torch.cuda.current_device():
        raise ValueError(
            f"{first} is on {device}, not on the current GPU: use `with torch.cuda.device({first}.device)`"
        )


def require_scalars(**arguments: tuple[float, str]) -> None:
    """Each is a number that its dtype holds."""
    for name, (value, dtype) in arguments.items():
        if not isinstance(value, (int, float) if "f" in dtype else int):
            kind = "a number" if "f" in dtype else "an int"
            raise TypeError(f"{name} must be {kind}, got {type(value).__name__}: convert it")
        if dtype == "i32" and not -(2**31) <= value < 2**31:
            raise ValueError(f"{name}={value} overflows the 32 bits the kernel computes in: split the launch")


def require_descriptors(**arguments: tuple[TensorDescriptor, int]) -> None:
    """Each is a tensor descriptor of its rank."""
    for name, (descriptor, rank) in arguments.items():
        if not all(hasattr(descriptor, field) for field in ("base", "shape", "strides")):
            raise TypeError(f"{name} must be a TensorDescriptor, got {type(descriptor).__name__}")
        if len(descriptor.shape) != rank:
            raise ValueError(f"{name} must have rank {rank}, got shape {list(descriptor.shape)}: reshape its tensor")


def require_grid(grid: tuple[int, ...]) -> None:
    """One to three numbers of programs that a GPU launches; any of them may be zero."""
    if not isinstance(grid, (tuple, list)) or not 1 <= len(grid) <= 3:
        raise TypeError(f"grid must be a tuple of one to three ints, got {grid!r}")
    for extent, most in zip(grid, (2**31 - 1, 65535, 65535), strict=False):
        if not 0 <= extent <= most:
            raise ValueError(f"grid {tuple(grid)} has {extent}, not in 0..{most}: check the sizes, or split the launch")


def merged(dims: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """(size, stride) of dimensions, outermost first: without sizes of 1, and those that continue each other as one."""
    found: list[tuple[int, int]] = []
    for size, stride in dims:
        if size == 1:
            continue
        if found and found[-1][1] == size * stride:
            size *= found.pop()[0]
        found.append((size, stride))
    return found


def require_view(
    name: str,
    tensor: torch.Tensor,
    shape: list[int],
    strides: list[int],
    *,
    order: tuple[int, ...] = (),
    told: bool = False,
) -> None:
    """What TMA reads as `shape` and `strides` from the tensor's start are the tensor's elements, in its order.

    order: of the dimensions, outermost first, of the tensor compiled for, where that is not 0, 1, ... told: the caller
    gives the strides, so any order is meant.
    """
    size = tensor.element_size()
    wrong, reach = "", 1
    for extent, stride in zip(shape, strides, strict=True):
        reach += (extent - 1) * stride
        if not 0 <= extent < 2**31:
            wrong = "sizes must be in 0..2**31-1: check them, or split the launch"
    if strides[-1] != 1:
        wrong = wrong or "TMA needs a last stride of 1: make it contiguous"
    for stride in strides[:-1]:
        if stride * size % 16 or not 0 <= stride * size < 2**40:
            wrong = wrong or f"TMA needs strides of a multiple of 16 bytes, {16 // size} elements: pad its rows"
    if tensor.data_ptr() % 16:
        wrong = wrong or "TMA needs it to begin at a multiple of 16 bytes: use a tensor of its own"
    if order and tensor.dim() != len(order):
        wrong = wrong or f"it was compiled for {len(order)} dimensions: pass as many"
    if not wrong and 0 not in shape:
        own = tensor.permute(order) if order else tensor
        if own.is_contiguous():
            if reach > own.numel():
                wrong = f"that is {reach} elements: pass a tensor that large"
        else:
            held, read = zip(own.shape, own.stride(), strict=True), zip(shape, strides, strict=True)
            dims = [sorted(each, key=lambda dim: -dim[1]) if told else list(each) for each in (held, read)]
            rest = iter(merged(dims[0]))
            if not all(any(step == by and count <= most for most, step in rest) for count, by in merged(dims[1])):
                wrong = "those are other elements: pass a contiguous tensor that is as large"
    if wrong:
        got = f"{name} has shape {list(tensor.shape)} and strides {list(tensor.stride())}"
        raise ValueError(f"{got}, the kernel takes it as shape {shape} and strides {strides}; {wrong}")


def require_pointer(
    name: str, tensor: torch.Tensor, *, strides: list[int] | tuple[()] | None = (), narrow: bool = True
) -> None:
    """A tensor reached by pointers is contiguous, or its strides are among those the caller gives.

    strides: the arguments that are strides; None where it was compiled for a tensor that is not contiguous. narrow:
    its offsets have 32 bits.
    """
    last = tensor.numel() - 1
    if not tensor.is_contiguous():
        dims = merged(list(zip(tensor.shape, tensor.stride(), strict=True)))
        last = sum((size - 1) * step for size, step in dims)
        if strides is not None and any(step not in (1, *strides) for _, step in dims):
            got = f"{name} has shape {list(tensor.shape)} and strides {list(tensor.stride())}"
            raise ValueError(f"{got}, the kernel takes it as contiguous: pass a contiguous tensor")
    if narrow and last >= 2**31:
        raise ValueError(f"{name} reaches beyond the kernel's 32-bit offsets: split the launch, or use int64 offsets")


def require_vectors(name: str, tensor: torch.Tensor, elements: int, /, **counts: int) -> None:
    """The tensor, copied 16 bytes or `elements` at a time, begins at a multiple of that, and by `counts` rows do."""
    if tensor.data_ptr() % 16:
        raise ValueError(f"{name} is copied 16 bytes at a time, and begins elsewhere: use a tensor of its own")
    for what, count in counts.items():
        if count % elements:
            raise ValueError(
                f"{what} must be a multiple of {elements}, got {count}: {name} is copied 16 bytes at a time"
            )
