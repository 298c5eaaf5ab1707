"""What a user would call instead of an operator."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.gpu import cases
from benchmarks.gpu.contenders import STOCK, Contender, Unavailable, reason, stock
from benchmarks.ops.works import EPSILON, ITERATIONS, Sizes, Tensors, Work, experts_loop
from twill.measure.timer import Call, Timer

OWN = "twill.ops"
_DTYPES = {torch.float16: "fp16", torch.bfloat16: "bf16"}
Builds = list[tuple[str, Callable[[], tuple[Call, str]]]]
"""A contender's name, and what makes its call and a note of what differs."""


def contenders(work: Work, inputs: Tensors, sizes: Sizes, timer: Timer) -> list[Contender | Unavailable]:
    """All contenders, the operator first; every one of them has run once. Raises what the operator raises."""
    flops = work.flops(sizes)

    def own() -> object:
        return work.call(inputs, sizes)

    own()
    found: list[Contender | Unavailable] = [Contender(OWN, own, flops)]
    for name, build in _PEERS[work.name](inputs, sizes, timer):
        try:
            call, note = build()
            call()
            found.append(Contender(name, call, flops, note))
        except Exception as error:
            found.append(Unavailable(name, reason(error)))
    return found


def _stock(variant: str, sizes: Mapping[str, int], timer: Timer) -> tuple[Call, str]:
    """Stock Triton on the source of a shipped kernel, the fastest of its launch options and tile sizes."""
    kernel = cases.load(cases.variant_named(variant))
    found = stock(kernel, cases.timed_arguments(kernel, sizes, "cuda"), timer)
    return found.call, found.note


def _attention(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    def build(backend: str) -> tuple[Call, str]:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        def call() -> Tensor:
            with sdpa_kernel(getattr(SDPBackend, backend)):
                return functional.scaled_dot_product_attention(
                    t["q"], t["k"], t["v"], is_causal=bool(s["causal"]), enable_gqa=s["H"] != s["HK"]
                )

        return call, ""

    variant = f"attention_fwd_d{s['D']}{'_causal' if s['causal'] else ''}_{_DTYPES[t['q'].dtype]}"
    launch = {"H": s["B"] * s["H"], "M": s["S"], "N": s["S"]}
    return [
        ("SDPA cuDNN", functools.partial(build, "CUDNN_ATTENTION")),
        ("SDPA flash", functools.partial(build, "FLASH_ATTENTION")),
        (STOCK, lambda: _stock(variant, launch, timer)),
    ]


def _attention_varlen(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    def packed() -> tuple[Call, str]:
        from torch.nn.attention.varlen import varlen_attn

        starts, longest = t["starts"], s["S"] // 2
        window = (-1, 0) if s["causal"] else (-1, -1)
        options: dict[str, Any] = {"window_size": window, "enable_gqa": s["H"] != s["HK"]}
        return lambda: varlen_attn(t["q"], t["k"], t["v"], starts, starts, longest, longest, **options), ""

    def each() -> tuple[Call, str]:
        parts = [
            [t[name][begin:end].transpose(0, 1)[None] for name in "qkv"]
            for begin, end in pairwise(t["starts"].tolist())
            if end > begin
        ]
        options: dict[str, Any] = {"is_causal": bool(s["causal"]), "enable_gqa": s["H"] != s["HK"]}
        return lambda: [functional.scaled_dot_product_attention(*part, **options) for part in parts], "lengths known"

    return [("torch varlen_attn", packed), ("SDPA per sequence", each)]


def _matmul_silu(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    return [
        ("torch addmm + silu", lambda: (lambda: functional.silu(torch.addmm(t["bias"], t["a"], t["b"])), "")),
        ("torch.matmul", lambda: (lambda: t["a"] @ t["b"], "no bias, no activation")),
        (STOCK, lambda: _stock(f"matmul_{_DTYPES[t['a'].dtype]}", s, timer)),
    ]


def _matmul_residual(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    return [
        ("torch addmm + residual", lambda: (lambda: torch.addmm(t["bias"], t["a"], t["b"]) + t["residual"], "")),
        ("torch.matmul", lambda: (lambda: t["a"] @ t["b"], "no bias, no residual")),
        (STOCK, lambda: _stock(f"matmul_residual_{_DTYPES[t['a'].dtype]}", s, timer)),
    ]


def _symmetric(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    return [("torch.matmul", lambda: (lambda: t["x"] @ t["x"].mT, "computes both halves"))]


def _orthogonalize(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    coefficients = (3.4445, -4.7750, 2.0315)

    def muon() -> tuple[Call, str]:
        from torch.optim._muon import _zeropower_via_newtonschulz

        return lambda: _zeropower_via_newtonschulz(t["x"], coefficients, 5, 1e-7), ""

    def cublas() -> Tensor:
        a, b, c = coefficients
        x = t["x"] if s["M"] <= s["N"] else t["x"].mT
        x = (x / (x.float().norm() + 1e-7)).bfloat16()
        for _ in range(5):
            gram = x @ x.mT
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return x if s["M"] <= s["N"] else x.mT

    return [("torch.optim.Muon's iteration", muon), ("cuBLAS", lambda: (cublas, "torch.addmm in bfloat16"))]


def _experts(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    def grouped() -> tuple[Call, str]:
        def call() -> Tensor:
            flat = t["ids"].flatten()
            order = flat.argsort(stable=True)
            ends = torch.bincount(flat, minlength=s["E"]).cumsum(0).int()
            rows = t["x"][order // s["k"]]
            gate, up = torch._grouped_mm(rows, t["up"], offs=ends).chunk(2, 1)
            out = torch._grouped_mm(functional.silu(gate) * up, t["down"], offs=ends)
            out = out * t["weights"].flatten()[order, None]
            return torch.zeros_like(t["x"]).index_add_(0, order // s["k"], out)

        return call, "sort, gather, index_add by torch"

    return [
        ("torch._grouped_mm", grouped),
        ("loop over experts", lambda: (lambda: experts_loop(t, s), "waits for the device")),
    ]


def _sinkhorn(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    def pot() -> tuple[Call, str]:
        import ot

        x, y = t["x"].float(), t["y"].float()
        a, b = (torch.full((len(z),), 1 / len(z), device=z.device) for z in (x, y))

        def call() -> object:
            cost = ot.dist(x, y)
            return ot.bregman.sinkhorn_log(a, b, cost, EPSILON, numItermax=ITERATIONS, stopThr=0.0, warn=False)

        return call, "float32, the cost matrix in memory"

    def geomloss(backend: str) -> tuple[Call, str]:
        from geomloss import SamplesLoss

        x, y = t["x"].float(), t["y"].float()
        # Its cost is half the squared distance, its temperature blur^2, which it approaches in steps of its own.
        loss = SamplesLoss("sinkhorn", p=2, blur=(EPSILON / 2) ** 0.5, debias=False, backend=backend)
        return lambda: loss(x, y), "float32; fewer iterations, by annealing"

    return [
        ("POT", pot),
        ("geomloss online", lambda: geomloss("online")),
        ("geomloss tensorized", lambda: geomloss("tensorized")),
    ]


def _sinkhorn_dense(t: Tensors, s: Sizes, timer: Timer) -> Builds:
    def pot() -> tuple[Call, str]:
        import ot

        cost = t["cost"].float()
        a, b = (torch.full((n,), 1 / n, device=cost.device) for n in cost.shape)
        return (
            lambda: ot.bregman.sinkhorn_log(a, b, cost, EPSILON, numItermax=ITERATIONS, stopThr=0.0, warn=False),
            "float32",
        )

    return [("POT", pot)]


_PEERS: Mapping[str, Callable[[Tensors, Sizes, Timer], Builds]] = {
    "attention": _attention,
    "attention of packed sequences": _attention_varlen,
    "silu(matmul + bias)": _matmul_silu,
    "matmul + bias + residual": _matmul_residual,
    "symmetric_matmul": _symmetric,
    "orthogonalize": _orthogonalize,
    "experts": _experts,
    "sinkhorn": _sinkhorn,
    "sinkhorn_dense": _sinkhorn_dense,
}
