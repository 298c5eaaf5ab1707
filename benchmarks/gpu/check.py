"""Results judged against float64: every element, memory around the outputs, and repeated launches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.gpu import cases
from twill.ir.tolerance import tolerance

if TYPE_CHECKING:
    import torch

LAUNCHES = 5  # a race that spoils one launch in three escapes five with a chance of 13%, and many shapes are tried
TILE_ROWS = 128
_MARGIN = 1 << 16  # elements before and behind an output: more than its largest tile
_NAMES = {"torch.float16": "f16", "torch.bfloat16": "bf16", "torch.float32": "f32", "torch.float64": "f64"}
_NO_NUMBER = -(2**30) - 7  # where there is no NaN: no count, and no row


@dataclass(frozen=True)
class Outcome:
    """One launch shape. error_over_tolerance: the largest, 1 is the limit; failure: "" when all held."""

    sizes: Mapping[str, int]
    error_over_tolerance: float | None
    failure: str

    @property
    def passed(self) -> bool:
        return not self.failure


class Guarded:
    """An output tensor inside a larger one, all NaN before a launch; `started`: itself as given, to be added to."""

    def __init__(self, like: torch.Tensor, *, started: bool = False) -> None:
        import torch

        self._start = like.clone() if started else None
        self._poison = float("nan") if like.dtype.is_floating_point else _NO_NUMBER
        self._whole = torch.empty(like.numel() + 2 * _MARGIN, dtype=like.dtype, device=like.device)
        self.tensor = self._whole[_MARGIN : _MARGIN + like.numel()].view(like.shape)

    def poison(self) -> None:
        """Forget what was written."""
        self._whole.fill_(self._poison)
        if self._start is not None:
            self.tensor.copy_(self._start)

    @property
    def intact(self) -> bool:
        """Nothing was written outside the tensor."""
        around = (self._whole[:_MARGIN], self._whole[-_MARGIN:])
        return all(bool((part.isnan() | (part == self._poison)).all()) for part in around)


def check_shape(kernel: cases.Kernel, sizes: cases.Sizes, device: str) -> Outcome:
    """Launch a kernel several times on one shape and judge all it wrote.

    The outputs must lie within the tolerance of the float64 reference, the memory around them stay
    untouched, and all launches agree to the bit (no kernel that ships has a reason to differ).
    """
    arguments = cases.arguments(kernel, sizes, device)
    assert kernel.source.info is not None
    assert kernel.source.info.reference is not None
    expected = kernel.source.info.reference(**arguments)
    outputs = {name: Guarded(arguments[name], started=name in kernel.family.started) for name in expected}
    arguments |= {name: output.tensor for name, output in outputs.items()}
    worst = 0.0
    first: dict[str, torch.Tensor] = {}
    for number in range(LAUNCHES):
        for output in outputs.values():
            output.poison()
        kernel.launch(**arguments)
        synchronize(device)
        for name, output in outputs.items():
            if not output.intact:
                return Outcome(sizes, None, f"launch {number + 1} writes outside `{name}`")
            if number:
                if not _same_bits(output.tensor, first[name]):
                    return Outcome(sizes, None, f"launch {number + 1} writes another `{name}` than the first")
                continue
            first[name] = output.tensor.clone()
            length = kernel.family.reduction_length(arguments)
            worst = max(worst, error_over_tolerance(output.tensor, expected[name], length))
    failure = "" if worst <= 1 else f"the error is {worst:.3g} times what rounding explains"
    return Outcome(sizes, worst, failure)


def error_over_tolerance(found: torch.Tensor, exact: torch.Tensor, reduction_length: int) -> float:
    """Largest error divided by its tolerance; infinite where `found` is NaN, or where integers or infinities differ.

    found: [..., rows, columns] or [rows] in the kernel's dtype; exact: the same shape in float64, or integers. The
    scale of the tolerance is taken for each tile of 128 rows: the rows of causal attention shrink as they see more
    keys, and one scale for all would excuse a lost tile in the last of them.
    """
    import torch

    if not found.dtype.is_floating_point:
        return 0.0 if torch.equal(found.long(), exact.long()) else float("inf")
    allowed = tolerance(_NAMES[str(found.dtype)], reduction_length)
    if exact.dim() == 1:
        found, exact = found[:, None], exact[:, None]
    infinite = exact.isinf()
    if not torch.equal(found[infinite].double(), exact[infinite]):
        return float("inf")
    found, exact = found.masked_fill(infinite, 0), exact.masked_fill(infinite, 0)
    worst = 0.0
    for start in range(0, exact.shape[-2], TILE_ROWS):
        truth = exact[..., start : start + TILE_ROWS, :]
        error = (found[..., start : start + TILE_ROWS, :].double() - truth).abs().amax((-2, -1))
        scale = truth.abs().amax((-2, -1))
        ratio = torch.where(error == 0, 0.0, error / (allowed * scale)).nan_to_num(
            nan=float("inf"), posinf=float("inf")
        )
        worst = max(worst, float(ratio.max()))
    return worst


def synchronize(device: str) -> None:
    """Wait for the device; errors of earlier launches are raised here."""
    import torch

    if device != "cpu":
        torch.cuda.synchronize()


def _same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    import torch

    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[one.element_size()]
    return bool(torch.equal(one.contiguous().view(whole), other.contiguous().view(whole)))
