"""`orthogonalize`: the singular values of a matrix brought near 1 by an odd polynomial, with products only.

For x = U Σ Vᵀ the result is U p(Σ / ‖x‖) Vᵀ with p = p_steps ∘ … ∘ p_1 and p_i(σ) = a σ + b σ³ + c σ⁵.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from twill.ops.dispatch import FLOATS, require_int
from twill.ops.symmetric import MULTIPLE, require, scaled_add_matmul, symmetric_matmul, symmetric_polynomial

Coefficients = tuple[float, float, float]

KELLER_JORDAN: tuple[Coefficients, ...] = ((3.4445, -4.7750, 2.0315),)
"""One polynomial for every step, steepest at 0: K. Jordan's Muon, and `torch.optim.Muon`'s default."""

YOU_JIACHENG: tuple[Coefficients, ...] = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""Five polynomials fitted together by J. You; the singular values end closest to 1."""

_MINIMAX: tuple[Coefficients, ...] = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
)
_SAFETY = 1.05
"""Each σ is divided by it before its step: the minimax polynomials grow fast beyond the interval they are made for."""

POLAR_EXPRESS: tuple[Coefficients, ...] = (
    *((a / _SAFETY, b / _SAFETY**3, c / _SAFETY**5) for a, b, c in _MINIMAX),
    (1.875, -1.25, 0.375),
)
"""Minimax polynomials, one after the other: Polar Express (Amsel et al., arXiv 2505.16932), with a safety factor.

The last one, in which the others end, converges to 1.
"""

METHODS = {"newton_schulz": KELLER_JORDAN, "polar_express": POLAR_EXPRESS, "gram": POLAR_EXPRESS}
"""The methods, and the coefficients of each when none are given."""

RESTART = 2
"""After how many steps the Gram form applies its product to x and begins anew with x xᵀ: what it neglects has grown."""


def orthogonalize(
    x: Tensor,
    method: str = "newton_schulz",
    steps: int = 5,
    coefficients: Sequence[float] | Sequence[Sequence[float]] | None = None,
    eps: float = 1e-7,
    *,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """x [..., m, n] with its singular values brought near 1: contiguous, of x's dtype; x itself stays as it is.

    Each matrix is divided by its Frobenius norm + eps in fp32 (fp64 for fp64), one whose norm would overflow made
    smaller first, and then goes through `steps` odd polynomials. How near 1 a singular value ends is a matter of the
    coefficients: of σ / ‖x‖ in [0.01, 1] five steps make 0.68 to 1.13 (newton_schulz) and 0.85 to 1.12 (polar_express,
    gram); smaller ones end lower. A zero matrix stays zero (with eps = 0 it is NaN).

    method: "newton_schulz" and "polar_express" are one iteration on x, with other coefficients; "gram" is the same
    polynomial, by products of x xᵀ, [m, m], which are fewer operations where n is larger than m (or m than n).
    coefficients: one (a, b, c) for every step, or one for each; the last is repeated when there are more steps.
    dtype: what the products run in. By default fp16 and fp64 run in their own; fp32 and bf16 in their own on a CPU, in
    bf16 on a GPU. "gram" runs in bf16 only when asked to, else in fp16 on a GPU and in fp32 on a CPU: it rounds factors
    that are larger than their product, which costs some per cent of the result in fp16 and half of it in bf16.

    Differentiable in x, through every product; the steps keep their operands for that, so an optimizer calls it under
    `torch.no_grad()`. Raises ValueError or TypeError for a wrong rank, dtype or option. NaN or Inf in a matrix makes
    that matrix NaN, and no other of the batch.
    """
    require("orthogonalize", x=x)
    polynomials = _polynomials(method, steps, coefficients)
    if not 0 <= eps < math.inf:
        raise ValueError(f"orthogonalize: eps must be finite and 0 or more, got {eps}.")
    kind = _products_in(x, method) if dtype is None else dtype
    if kind not in FLOATS:
        raise TypeError(f"orthogonalize: dtype must be float16, bfloat16, float32 or float64, got {kind}.")
    if x.numel() == 0:
        return x.clone(memory_format=torch.contiguous_format)

    rows, columns = x.shape[-2:]
    wide = x if rows <= columns else x.mT
    exact = wide if x.dtype == torch.float64 else wide.float()
    exact = _within_range(exact)
    norm = torch.linalg.vector_norm(exact, dim=(-2, -1), keepdim=True)
    y = (exact / (norm + eps)).to(kind)
    if y.device.type != "cpu":
        # Once here rather than in each product: rows and columns of zeros stay zero.
        y = torch.nn.functional.pad(y, (0, -y.shape[-1] % MULTIPLE, 0, -y.shape[-2] % MULTIPLE))
    y = _gram(y, polynomials) if method == "gram" else _plain(y, polynomials)
    y = y[..., : wide.shape[-2], : wide.shape[-1]]
    return (y if rows <= columns else y.mT).to(x.dtype).contiguous()


def _within_range(x: Tensor) -> Tensor:
    """x, or where its largest element's square could overflow in a sum, x times a power of two: [..., m, n]."""
    large, smaller = (2.0**480, 2.0**-640) if x.dtype == torch.float64 else (2.0**48, 2.0**-88)
    largest = x.detach().abs().amax(dim=(-2, -1), keepdim=True)
    return x * torch.where(largest > large, torch.full_like(largest, smaller), torch.ones_like(largest))


def _plain(x: Tensor, polynomials: Sequence[Coefficients]) -> Tensor:
    """x ← a x + (b A + c A²) x with A = x xᵀ, for each polynomial."""
    for a, b, c in polynomials:
        gram = symmetric_matmul(x)
        x = scaled_add_matmul(symmetric_polynomial(gram, gram, gram, b, c), x, a)
    return x


def _gram(x: Tensor, polynomials: Sequence[Coefficients]) -> Tensor:
    """The same by R = x xᵀ and Q, the product of the steps' factors, both symmetric; polynomials in R, they commute.

    A step is Z = b R + c R², Q ← Q (a + Z), R ← (a + Z) R (a + Z).
    """
    for part in (polynomials[:RESTART], polynomials[RESTART:]):
        if not part:
            continue
        r, q = symmetric_matmul(x), None
        for step, (a, b, c) in enumerate(part, 1):
            z = symmetric_polynomial(r, r, r, b, c)
            if q is None:
                q = z + a * torch.eye(z.shape[-1], dtype=z.dtype, device=z.device)
            else:
                q = symmetric_polynomial(q, z, q, a, 1.0)
            if step < len(part):
                half = symmetric_polynomial(r, r, z, a, 1.0)
                r = symmetric_polynomial(half, z, half, a, 1.0)
        assert q is not None
        x = scaled_add_matmul(q, x, 0.0)
    return x


def _products_in(x: Tensor, method: str) -> torch.dtype:
    """The dtype that the products run in when none is asked for."""
    if x.dtype in (torch.float16, torch.float64):
        return x.dtype
    if x.device.type == "cpu":
        return torch.float32 if method == "gram" else x.dtype
    return torch.float16 if method == "gram" else torch.bfloat16


def _polynomials(
    method: str, steps: int, coefficients: Sequence[float] | Sequence[Sequence[float]] | None
) -> list[Coefficients]:
    """(a, b, c) of each step. Raises ValueError, TypeError."""
    if method not in METHODS:
        raise ValueError(f"orthogonalize: method must be one of {', '.join(METHODS)}, got {method!r}.")
    require_int("orthogonalize", "steps", steps)
    if steps < 1:
        raise ValueError(f"orthogonalize: steps must be 1 or more, got {steps}.")
    given = METHODS[method] if coefficients is None else _triples(coefficients)
    return [given[min(step, len(given) - 1)] for step in range(steps)]


def _triples(coefficients: Sequence[float] | Sequence[Sequence[float]]) -> tuple[Coefficients, ...]:
    given: list[Any] = list(coefficients)
    listed: list[Sequence[float]] = [each for each in given if isinstance(each, Sequence)]
    if given and not listed:
        listed = [[value for value in given if not isinstance(value, Sequence)]]
    elif len(listed) < len(given):
        listed = []
    if not listed or any(len(each) != 3 for each in listed):
        raise ValueError(
            f"orthogonalize: coefficients must be (a, b, c), or one (a, b, c) for each step, got {given!r}."
        )
    triples = tuple((float(a), float(b), float(c)) for a, b, c in listed)
    if not all(abs(value) < math.inf for each in triples for value in each):
        raise ValueError(f"orthogonalize: coefficients must be finite, got {given!r}.")
    return triples
