"""How far a result computed in narrow floats may lie from float64, derived from the arithmetic.

Model: an output is a sum of K = `reduction_length` products accumulated in float32, whose terms
and whose sum are rounded to `dtype` on the way (operands cast on chip, the final store). With unit
roundoff u(t) = 2^-p, p the number of significand bits of t:

* each rounding to `dtype` moves a value by at most u(dtype) of its size. The store rounds the
  result once, by <= u(dtype) |result|. Rounding K terms errs by at most u(dtype) each, with random
  signs, so their sum errs like the sum itself is formed: by about u(dtype) times its size;
* a float32 sum of K terms errs by at most lambda sqrt(K) u(f32) times the size of its partial sums
  with probability 1 - 2 exp(-lambda^2 / 2) (Higham and Mary, "A New Approach to Probabilistic
  Rounding Error Analysis", SIAM J. Sci. Comput. 41(5), 2019). lambda = 6 leaves 3e-8 an element.

So |computed - exact| <= scale (roundings u(dtype) + 6 sqrt(K) u(f32)), where scale bounds the
results. The inputs themselves carry no error: the reference starts from the same rounded inputs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twill.errors import InputError

_LAMBDA = 6.0

# Significand bits, the implicit one included.
_PRECISION = {"f64": 53, "f32": 24, "f16": 11, "bf16": 8, "f8e4m3": 4, "f8e5m2": 3}


def unit_roundoff(dtype: str) -> float:
    """Largest relative error of one rounding to nearest; 0 for integers."""
    if not dtype.startswith(("f", "bf")):
        return 0.0
    if dtype not in _PRECISION:
        raise InputError(f"unknown element type {dtype!r}.", hint=f"Known floats: {', '.join(_PRECISION)}.")
    return float(2.0 ** -_PRECISION[dtype])


def tolerance(dtype: str, reduction_length: int, scale: float = 1.0, *, roundings: int = 2) -> float:
    """Largest absolute difference from float64 that rounding explains.

    dtype: the narrowest float the values pass through. reduction_length: terms that are summed into
    one output over the whole loop. scale: largest magnitude among the reference results.
    roundings: how often a value is rounded to `dtype` on its way (default: once on chip, once at
    the store).
    """
    accumulation = "f64" if dtype == "f64" else "f32"
    terms = math.sqrt(max(1, reduction_length))
    return scale * (roundings * unit_roundoff(dtype) + _LAMBDA * terms * unit_roundoff(accumulation))


def magnitude(exact: np.ndarray[Any, Any]) -> float:
    """The largest magnitude of the reference's finite values: the `scale` of their tolerance."""
    return float(np.abs(exact[np.isfinite(exact)]).max(initial=0.0))


def differences(found: np.ndarray[Any, Any], exact: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """|found - exact| of arrays of one shape: 0 where both are the same infinity or both NaN, infinite where else one
    of them is not finite."""
    found = found.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinities that are equal
        apart = np.abs(found - exact)
    same = (found == exact) | (np.isnan(found) & np.isnan(exact))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
