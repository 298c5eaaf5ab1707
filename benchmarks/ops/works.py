"""What the operators are run on, and the right answers by plain torch operations, which are exact in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

import twill.ops

Tensors = Mapping[str, Tensor]
Sizes = Mapping[str, Any]
EPSILON = 0.2
ITERATIONS = 100
NARROW = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(frozen=True)
class Work:
    """One operator on one kind of input.

    name: of the work; operator: the function of `twill.ops` it needs. inputs: sizes, dtype and device to tensors by
    name, of unit scale. call: the operator's results by name. exact: the same by plain operations. gradients: of these
    inputs. length: terms summed into one number. roundings: how often a value is rounded to the dtype on its way.
    amplified: by how much later steps may enlarge what the sums of an early one round. small: sizes that are judged;
    large: that are timed. flops: of one call.
    """

    name: str
    operator: str
    inputs: Callable[[Sizes, torch.dtype, str], dict[str, Tensor]]
    call: Callable[[Tensors, Sizes], dict[str, Tensor]]
    exact: Callable[[Tensors, Sizes], dict[str, Tensor]]
    gradients: tuple[str, ...]
    length: Callable[[Sizes], int]
    small: tuple[Sizes, ...]
    large: tuple[Sizes, ...]
    flops: Callable[[Sizes], float]
    roundings: int = 2
    amplified: float = 1.0
    dtypes: tuple[torch.dtype, ...] = NARROW

    @property
    def present(self) -> bool:
        """Whether the operator exists."""
        return hasattr(twill.ops, self.operator)


def normal(*shape: int, dtype: torch.dtype, device: str, seed: int, scale: float = 1.0) -> Tensor:
    """Reproducible normal numbers, made on the CPU."""
    random = torch.Generator().manual_seed(seed)
    return (torch.randn(*shape, generator=random) * scale).to(dtype).to(device)


def _attention_inputs(s: Sizes, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    heads = {"q": s["H"], "k": s["HK"], "v": s["HK"]}
    return {
        name: normal(s["B"], count, s["S"], s["D"], dtype=dtype, device=device, seed=seed)
        for seed, (name, count) in enumerate(heads.items())
    }


def _attention_exact(t: Tensors, s: Sizes) -> dict[str, Tensor]:
    k, v = (t[name].repeat_interleave(s["H"] // s["HK"], 1) for name in "kv")
    scores = t["q"] @ k.mT * s["D"] ** -0.5
    if s["causal"]:
        scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), float("-inf"))
    return {"o": scores.softmax(-1) @ v}


ATTENTION = Work(
    "attention", "attention", _attention_inputs,
    lambda t, s: {"o": twill.ops.attention(t["q"], t["k"], t["v"], causal=bool(s["causal"]))},
    _attention_exact, ("q", "k", "v"), lambda s: max(s["S"], s["D"]),
    tuple({"B": 2, "H": 4, "HK": hk, "S": 256, "D": d, "causal": c} for hk, d, c in ((4, 64, 0), (2, 128, 1))),
    tuple(
        {"B": 16384 // n, "H": 16, "HK": 16, "S": n, "D": 128, "causal": c}
        for n in (1024, 4096, 16384) for c in (0, 1)
    ),
    lambda s: 4 * s["B"] * s["H"] * s["D"] * (s["S"] * (s["S"] + 1) / 2 if s["causal"] else s["S"] ** 2),
    roundings=4,
)  # fmt: skip


def _packed_inputs(s: Sizes, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """S tokens in sequences of S / 2, 0, 3 S / 8 and the rest; queries and keys of the same lengths."""
    starts = torch.tensor([0, s["S"] // 2, s["S"] // 2, s["S"] * 7 // 8, s["S"]], dtype=torch.int32)
    made = {
        name: normal(s["S"], s[heads], s["D"], dtype=dtype, device=device, seed=seed)
        for seed, (name, heads) in enumerate((("q", "H"), ("k", "HK"), ("v", "HK")))
    }
    return {**made, "starts": starts.to(device)}


def _packed(t: Tensors, s: Sizes) -> dict[str, Tensor]:
    options: dict[str, Any] = {"max_seqlen_q": s["S"] // 2, "causal": bool(s["causal"])}
    return {"o": twill.ops.attention_varlen(t["q"], t["k"], t["v"], t["starts"], **options)}


def _packed_exact(t: Tensors, s: Sizes) -> dict[str, Tensor]:
    """One sequence after the other."""
    parts = []
    for begin, end in pairwise(t["starts"].tolist()):
        single = {name: t[name][begin:end].transpose(0, 1)[None] for name in "qkv"}
        parts.append(_attention_exact(single, s)["o"][0].transpose(0, 1))
    return {"o": torch.cat(parts)}


def _packed_pairs(s: Sizes) -> float:
    lengths = (s["S"] // 2, s["S"] * 7 // 8 - s["S"] // 2, s["S"] - s["S"] * 7 // 8)
    return sum(n * (n + 1) / 2 if s["causal"] else float(n * n) for n in lengths)


ATTENTION_VARLEN = Work(
    "attention of packed sequences", "attention_varlen", _packed_inputs, _packed, _packed_exact, ("q", "k", "v"),
    lambda s: max(s["S"], s["D"]),
    tuple({"H": 4, "HK": hk, "S": 200, "D": d, "causal": c} for hk, d, c in ((4, 64, 0), (2, 128, 1))),
    tuple({"H": 16, "HK": 16, "S": n, "D": 128, "causal": c} for n in (4096, 16384) for c in (0, 1)),
    lambda s: 4 * s["H"] * s["D"] * _packed_pairs(s), roundings=4,
)  # fmt: skip


def _matmul_inputs(s: Sizes, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    more = {"dtype": dtype, "device": device}
    return {
        "a": normal(s["M"], s["K"], seed=0, **more),
        "b": normal(s["K"], s["N"], seed=1, scale=s["K"] ** -0.5, **more),
        "bias": normal(s["N"], seed=2, **more),
        "residual": normal(s["M"], s["N"], seed=3, **more),
    }


_PRODUCTS = tuple({"M": n, "N": n, "K": n} for n in (1024, 2048, 4096, 8192))
MATMUL_RESIDUAL = Work(
    "matmul + bias + residual", "matmul", _matmul_inputs,
    lambda t, s: {"c": twill.ops.matmul(t["a"], t["b"], t["bias"], residual=t["residual"])},
    lambda t, s: {"c": t["a"] @ t["b"] + t["bias"] + t["residual"]},
    ("a", "b", "bias", "residual"), lambda s: max(s.values()),
    ({"M": 200, "N": 264, "K": 168},), _PRODUCTS, lambda s: 2.0 * s["M"] * s["N"] * s["K"],
)  # fmt: skip
MATMUL_SILU = Work(
    "silu(matmul + bias)", "matmul", lambda s, d, v: {k: x for k, x in _matmul_inputs(s, d, v).items() if k[0] != "r"},
    lambda t, s: {"c": twill.ops.matmul(t["a"], t["b"], t["bias"], "silu")},
    lambda t, s: {"c": functional.silu(t["a"] @ t["b"] + t["bias"])},
    ("a", "b", "bias"), lambda s: max(s.values()),
    ({"M": 200, "N": 264, "K": 168},), _PRODUCTS, lambda s: 2.0 * s["M"] * s["N"] * s["K"], roundings=3,
)  # fmt: skip

SYMMETRIC = Work(
    "symmetric_matmul", "symmetric_matmul",
    lambda s, dtype, device: {"x": normal(s["M"], s["N"], dtype=dtype, device=device, seed=0, scale=s["N"] ** -0.5)},
    lambda t, s: {"c": twill.ops.symmetric_matmul(t["x"])}, lambda t, s: {"c": t["x"] @ t["x"].mT},
    ("x",), lambda s: max(s.values()), ({"M": 96, "N": 160},),
    tuple({"M": n, "N": n} for n in (1024, 2048, 4096, 8192, 16384)), lambda s: 1.0 * s["M"] ** 2 * s["N"],
)  # fmt: skip

_KELLER_JORDAN = (3.4445, -4.7750, 2.0315)


def _orthogonal(t: Tensors, s: Sizes) -> dict[str, Tensor]:
    """By the singular values: U p(Σ / norm) Vᵀ."""
    u, sigma, v = torch.linalg.svd(t["x"], full_matrices=False)
    sigma = sigma / (sigma.square().sum().sqrt() + 1e-7)
    a, b, c = _KELLER_JORDAN
    for _ in range(5):
        sigma = a * sigma + b * sigma**3 + c * sigma**5
    return {"y": (u * sigma) @ v}


ORTHOGONALIZE = Work(
    "orthogonalize", "orthogonalize",
    lambda s, dtype, device: {"x": normal(s["M"], s["N"], dtype=dtype, device=device, seed=0)},
    lambda t, s: {"y": twill.ops.orthogonalize(t["x"])}, _orthogonal,
    (), lambda s: max(s.values()), ({"M": 48, "N": 80}, {"M": 80, "N": 48}),
    (
        *({"M": n, "N": n} for n in (256, 512, 1024, 2048, 4096, 8192, 16384)), {"M": 8192, "N": 1024},
        {"M": 1024, "N": 8192},
    ),
    # Of five steps without using symmetry, as of the contenders.
    lambda s: 5 * (4.0 * min(s.values()) ** 2 * max(s.values()) + 2.0 * min(s.values()) ** 3),
    roundings=5,
    amplified=_KELLER_JORDAN[0] ** 5,  # the steepest slope of each step
    dtypes=(torch.float32, torch.float64),
)  # fmt: skip


def _experts_inputs(s: Sizes, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    """x: [T, H]; up: [E, H, 2 I]; down: [E, I, H]; ids and weights: [T, k]; the last expert gets nothing."""
    more = {"dtype": dtype, "device": device}
    scores = normal(s["T"], s["E"], dtype=torch.float32, device="cpu", seed=3)
    scores[:, -1] = float("-inf")
    weights, ids = scores.softmax(1).topk(s["k"], 1)
    return {
        "x": normal(s["T"], s["H"], seed=0, **more),
        "up": normal(s["E"], s["H"], 2 * s["I"], seed=1, scale=s["H"] ** -0.5, **more),
        "down": normal(s["E"], s["I"], s["H"], seed=2, scale=s["I"] ** -0.5, **more),
        "weights": (weights / weights.sum(1, keepdim=True)).to(dtype).to(device),
        "ids": ids.to(device),
    }


def _experts(t: Tensors, s: Sizes) -> dict[str, Tensor]:
    rows, routing = twill.ops.moe_dispatch(t["x"], t["ids"], s["E"])
    hidden = twill.ops.grouped_matmul(rows, t["up"], routing, activation="swiglu")
    return {"y": twill.ops.moe_combine(twill.ops.grouped_matmul(hidden, t["down"], routing), routing, t["weights"])}


def experts_loop(t: Tensors, s: Sizes) -> dict[str, Tensor]:
    """One expert after the other."""
    y = torch.zeros_like(t["x"])
    for expert in range(s["E"]):
        token, choice = (t["ids"] == expert).nonzero(as_tuple=True)
        gate, up = (t["x"][token] @ t["up"][expert]).chunk(2, 1)
        out = (functional.silu(gate) * up) @ t["down"][expert]
        y = y.index_add(0, token, out * t["weights"][token, choice, None])
    return {"y": y}


EXPERTS = Work(
    "experts", "grouped_matmul", _experts_inputs, _experts, experts_loop, ("x", "up", "down", "weights"),
    lambda s: max(s["T"], s["H"], s["I"]), ({"T": 150, "H": 64, "I": 128, "E": 5, "k": 2},),
    (
        {"T": 16384, "H": 2048, "I": 768, "E": 128, "k": 8}, {"T": 16384, "H": 4096, "I": 2048, "E": 16, "k": 2},
        {"T": 1024, "H": 2048, "I": 768, "E": 128, "k": 8},
    ),
    lambda s: 6.0 * s["T"] * s["k"] * s["H"] * s["I"], roundings=5,
)  # fmt: skip


def _points(s: Sizes, dtype: torch.dtype, device: str) -> dict[str, Tensor]:
    counts = {"x": s["N"], "y": s["M"]}
    return {
        name: normal(count, s["D"], dtype=dtype, device=device, seed=seed, scale=s["D"] ** -0.5)
        for seed, (name, count) in enumerate(counts.items())
    }


def _transport(cost: Tensor) -> dict[str, Tensor]:
    """The regularized cost and its potentials, the matrix in memory; iterated until nothing changes."""
    rows, columns = (torch.full((n,), 1 / n, dtype=cost.dtype, device=cost.device).log() for n in cost.shape)
    with torch.no_grad():
        f = torch.zeros_like(rows)
        for _ in range(ITERATIONS):
            g = -EPSILON * ((f[:, None] - cost) / EPSILON + rows[:, None]).logsumexp(0)
            f = -EPSILON * ((g - cost) / EPSILON + columns).logsumexp(1)
    # The dual value: its derivative in the cost is the plan's.
    plan = ((f[:, None] + g - cost) / EPSILON + rows[:, None] + columns).exp()
    return {"cost": f.mean() + g.mean() - EPSILON * (plan.sum() - 1), "f": f, "g": g}


def _found(transport: Any) -> dict[str, Tensor]:
    return {"cost": transport.cost, "f": transport.f, "g": transport.g}


# Half steps are nonexpansive in the largest difference: their errors add up, with random signs, and none grows. The
# plan's are divided by epsilon.
_HALF_STEPS = (2 * ITERATIONS) ** 0.5 / EPSILON

SINKHORN = Work(
    "sinkhorn", "sinkhorn", _points,
    lambda t, s: _found(twill.ops.sinkhorn(t["x"], t["y"], epsilon=EPSILON, iterations=ITERATIONS)),
    lambda t, s: _transport((t["x"][:, None] - t["y"]).square().sum(2)),
    ("x", "y"), lambda s: max(s.values()), ({"N": 100, "M": 130, "D": 20},),
    tuple({"N": n, "M": n, "D": d} for d in (64, 128) for n in (4096, 16384, 49152)),
    lambda s: 4.0 * ITERATIONS * s["N"] * s["M"] * s["D"], amplified=_HALF_STEPS,
)  # fmt: skip
SINKHORN_DENSE = Work(
    "sinkhorn_dense", "sinkhorn_dense",
    lambda s, dtype, device: {"cost": normal(s["N"], s["M"], dtype=dtype, device=device, seed=0).square()},
    lambda t, s: _found(twill.ops.sinkhorn_dense(t["cost"], epsilon=EPSILON, iterations=ITERATIONS)),
    lambda t, s: _transport(t["cost"]), ("cost",), lambda s: max(s.values()), ({"N": 100, "M": 130},),
    tuple({"N": n, "M": n} for n in (4096, 16384)), lambda s: 10.0 * ITERATIONS * s["N"] * s["M"],
    amplified=_HALF_STEPS,
)  # fmt: skip

WORKS: tuple[Work, ...] = (
    ATTENTION, ATTENTION_VARLEN, MATMUL_SILU, MATMUL_RESIDUAL, SYMMETRIC, ORTHOGONALIZE, EXPERTS, SINKHORN,
    SINKHORN_DENSE,
)  # fmt: skip


def work_named(name: str) -> Work:
    """The work of that name. Raises KeyError."""
    return {work.name: work for work in WORKS}[name]
