"""Results and gradients of the operators judged against float64."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from benchmarks.ops.works import Sizes, Work
from twill.ir.tolerance import tolerance

_NAMES = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32", torch.float64: "f64"}
DTYPE_NAMES = {torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64"}


def judge(work: Work, sizes: Sizes, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """The largest error over what rounding explains, of each result and gradient: 1 is the limit; what failed.

    said: what the operator said of running as torch operations on this device.
    """
    made = work.inputs(sizes, dtype, device)
    exact_inputs = {name: x.double() if x.is_floating_point() else x for name, x in made.items()}
    row: dict[str, Any] = {"work": work.name, "dtype": DTYPE_NAMES[dtype], "sizes": dict(sizes), "device": device}
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = _with_gradients(work, made, work.call, sizes)
    except Exception as error:
        return {**row, "ratios": {}, "said": [], "failure": f"{type(error).__name__}: {error}"}
    exact = _with_gradients(work, exact_inputs, work.exact, sizes)
    ratios = {name: _ratio(work, found[name], exact[name], sizes) for name in exact}
    bad = [name for name, ratio in ratios.items() if not ratio <= 1]
    failure = f"{', '.join(bad)}: the error is more than rounding explains" if bad else ""
    return {**row, "ratios": ratios, "said": [str(each.message) for each in said], "failure": failure}


def _with_gradients(work: Work, tensors: dict[str, Tensor], call: Any, sizes: Sizes) -> dict[str, Tensor]:
    """The results, and the gradients of their first one's product with fixed numbers."""
    inputs = {name: x.detach().requires_grad_(name in work.gradients) for name, x in tensors.items()}
    results = call(inputs, sizes)
    found = {name: x.detach() for name, x in results.items()}
    if not work.gradients:
        return found
    first = next(iter(results.values()))
    random = torch.Generator().manual_seed(7)
    # Rounded as the narrowest dtype would: the same numbers whatever the results' dtype.
    upstream = torch.randn(first.shape, generator=random).bfloat16().to(first.dtype).to(first.device)
    gradients = torch.autograd.grad(first, [inputs[name] for name in work.gradients], upstream)
    return {**found, **{f"d{name}": x for name, x in zip(work.gradients, gradients, strict=True)}}


def _ratio(work: Work, found: Tensor, exact: Tensor, sizes: Sizes) -> float:
    """The largest error over the tolerance; infinite for a wrong shape and NaN."""
    if found.shape != exact.shape:
        return float("inf")
    scale, length = float(exact.abs().max()), work.length(sizes)
    narrow = _NAMES[found.dtype]
    wide = "f64" if narrow == "f64" else "f32"
    allowed = tolerance(narrow, length, scale, roundings=work.roundings)
    allowed += (work.amplified - 1) * tolerance(wide, length, scale)
    error = float((found.double() - exact).abs().max())
    ratio = error / allowed if allowed else float(error > 0)
    return ratio if ratio == ratio else float("inf")
