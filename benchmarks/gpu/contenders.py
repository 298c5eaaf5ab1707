"""Who does the work of a generated kernel: itself, stock Triton, and PyTorch's own kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from statistics import median
from typing import Any

from benchmarks.gpu.cases import Kernel
from twill.measure.timer import Call, Timer

GENERATED = "generated"
STOCK = "stock Triton"


@dataclass(frozen=True)
class Contender:
    """A way to do the work. flops: of one call, as its own work is counted; note: what differs, if anything."""

    name: str
    call: Call
    flops: float
    note: str = ""


@dataclass(frozen=True)
class Unavailable:
    """A contender that does not run here, and why."""

    name: str
    reason: str


def contenders(kernel: Kernel, arguments: Mapping[str, Any], timer: Timer) -> list[Contender | Unavailable]:
    """All contenders for one launch, the generated kernel first. Every one of them has run once."""
    flops = kernel.family.flops(arguments)
    wanted: list[tuple[str, Callable[[], Contender]]] = [
        (GENERATED, lambda: Contender(GENERATED, lambda: kernel.launch(**arguments), flops)),
        (STOCK, lambda: stock(kernel, arguments, timer)),
        *_PEERS.get(kernel.variant.source, _none)(arguments, flops),
    ]
    found: list[Contender | Unavailable] = []
    for name, build in wanted:
        try:
            contender = build()
            contender.call()
            found.append(contender)
        except Exception as error:
            if name == GENERATED:
                raise
            found.append(Unavailable(name, reason(error)))
    return found


def reason(error: BaseException) -> str:
    """The first line of an error, with its type."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:300]}" if text else type(error).__name__


# stock Triton -----------------------------------------------------------------------------------


def stock(kernel: Kernel, arguments: Mapping[str, Any], timer: Timer) -> Contender:
    """The source kernel as Triton compiles it, with the fastest of its launch options and tile sizes.

    First every num_warps and num_stages at the kernel's own tile sizes, then every other tile size the
    kernel allows with the best of them. Raises RuntimeError when no choice runs.
    """
    _give_triton_memory()
    best: tuple[float, Call, str] | None = None
    options: Mapping[str, int] = {}
    last: Exception | None = None
    for choice in _launch_options():
        seconds, call, error = _try(kernel, arguments, choice, {}, timer)
        last = error or last
        if best is None or seconds < best[0]:
            best, options = (seconds, call, _described(choice)), choice
    if best is None or best[0] == float("inf"):
        raise RuntimeError(f"no launch option runs; the last failed with {reason(last)}" if last else "none was tried")
    for tiles in _other_tiles(kernel, arguments):
        seconds, call, _ = _try(kernel, arguments, options, tiles, timer)
        if seconds < best[0]:
            best = seconds, call, _described({**tiles, **options})
    return Contender(STOCK, best[1], kernel.family.flops(arguments), best[2])


def _launch_options() -> Iterator[Mapping[str, int]]:
    for warps in (4, 8):
        for stages in (2, 3):
            yield {"num_warps": warps, "num_stages": stages}


def _other_tiles(kernel: Kernel, arguments: Mapping[str, Any]) -> Iterator[Mapping[str, int]]:
    """Every combination of the tile sizes the kernel allows, but for its own; those that divide what they must."""
    info = kernel.source.info
    assert info is not None
    for sizes in product(*info.tune.values()):
        tiles = dict(zip(info.tune, sizes, strict=True))
        changed = {**arguments, **tiles}
        fits = all(
            changed[name] % (changed[m] if isinstance(m, str) else m) == 0 for name, m in info.multiple_of.items()
        )
        if fits and any(arguments[name] != size for name, size in tiles.items()):
            yield tiles


def _try(
    kernel: Kernel, arguments: Mapping[str, Any], options: Mapping[str, int], tiles: Mapping[str, int], timer: Timer
) -> tuple[float, Call, Exception | None]:
    """Median seconds of one choice, infinite with the error when it does not run, and the call."""
    info = kernel.source.info
    assert info is not None
    assert callable(info.grid)
    changed = {**arguments, **tiles}
    grid = info.grid(changed)

    def call() -> object:
        return kernel.source.function[grid](**changed, **options)

    try:
        return median(timer.samples(call, 5)), call, None
    except Exception as error:  # too much shared memory, mostly
        return float("inf"), call, error


def _described(choice: Mapping[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in choice.items())


def _give_triton_memory() -> None:
    """Tensor descriptors made on the device need memory that the host allocates."""
    import torch
    import triton

    def allocate(size: int, alignment: int, stream: int | None) -> torch.Tensor:
        return torch.empty(size, dtype=torch.int8, device="cuda")

    triton.set_allocator(allocate)


# PyTorch ----------------------------------------------------------------------------------------

Peers = list[tuple[str, Callable[[], Contender]]]
_BACKENDS = {"SDPA cuDNN": "CUDNN_ATTENTION", "SDPA flash": "FLASH_ATTENTION"}


def _attention(arguments: Mapping[str, Any], flops: float) -> Peers:
    """scaled_dot_product_attention with each backend; q, k, v: [H, S, D], taken as one batch of H heads."""
    a = arguments

    def build(name: str, backend: str) -> Contender:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        q, k, v = (a[tensor][None] for tensor in "qkv")

        def call() -> torch.Tensor:
            with sdpa_kernel(getattr(SDPBackend, backend)):
                return torch.nn.functional.scaled_dot_product_attention(
                    q, k, v, is_causal=a["CAUSAL"], scale=a["scale"]
                )

        return Contender(name, call, flops)

    return [(name, partial(build, name, _BACKENDS[name])) for name in _BACKENDS]


def _none(arguments: Mapping[str, Any], flops: float) -> Peers:
    """PyTorch has no call for what the kernel alone does."""
    return []


def _attention_backward(arguments: Mapping[str, Any], flops: float, products: int = 5) -> Peers:
    """The whole backward pass of scaled_dot_product_attention, for a kernel of so many of its five products."""
    a = arguments

    def build(name: str, backend: str) -> Contender:
        import torch
        from torch.nn.attention import SDPBackend, sdpa_kernel

        q, k, v = (a[tensor][None].detach().clone().requires_grad_() for tensor in "qkv")
        with sdpa_kernel(getattr(SDPBackend, backend)):
            out = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=a["CAUSAL"], scale=a["scale"])

        def call() -> object:
            return torch.autograd.grad(out, (q, k, v), a["do"][None], retain_graph=True)

        # S, dP, dV, dK and dQ, where dQ alone needs three; PyTorch has no call for that.
        return Contender(name, call, flops * 5 / products, "computes dQ, dK and dV")

    names = {name.replace("SDPA", "SDPA backward"): backend for name, backend in _BACKENDS.items()}
    return [(name, partial(build, name, names[name])) for name in names]


def _matmul(arguments: Mapping[str, Any], flops: float) -> Peers:
    """torch.matmul, which has no epilogue, and the product with its epilogue as separate operators."""
    a = arguments

    def plain() -> Contender:
        return Contender("torch.matmul", lambda: a["a"] @ a["b"], flops, "no bias, no activation")

    def whole() -> Contender:
        import torch
        from torch.nn import functional

        bias = a["bias"].to(a["a"].dtype)
        activation = {
            "silu": functional.silu,
            "gelu": lambda x: functional.gelu(x, approximate="tanh"),
            "none": lambda x: x,
        }[a["ACTIVATION"]]
        return Contender("torch addmm + activation", lambda: activation(torch.addmm(bias, a["a"], a["b"])), flops)

    return [("torch.matmul", plain), ("torch addmm + activation", whole)]


def _matmul_residual(arguments: Mapping[str, Any], flops: float) -> Peers:
    """The product and its epilogue as separate operators."""
    a = arguments

    def whole() -> Contender:
        import torch

        bias = a["bias"].to(a["a"].dtype)
        return Contender(
            "torch addmm + residual", lambda: torch.addmm(bias, a["a"], a["b"]) + a["residual"], flops, "no activation"
        )

    return [("torch addmm + residual", whole)]


def _sinkhorn(arguments: Mapping[str, Any], flops: float) -> Peers:
    """The half step with its matrix in memory, by cuBLAS and torch.logsumexp."""
    a = arguments
    name = "torch addmm + logsumexp"

    def whole() -> Contender:
        import torch

        h = a["h"][: a["M"]].to(a["x"].dtype)

        def call() -> torch.Tensor:
            z = torch.addmm(h, a["x"], a["y"].mT, alpha=2).float()
            return a["shift"] - a["eps"] * (z / a["eps"]).logsumexp(1)

        return Contender(name, call, flops, "the products rounded to 16 bits")

    return [(name, whole)]


def _sinkhorn_dense(arguments: Mapping[str, Any], flops: float) -> Peers:
    """The half step by torch.logsumexp."""
    a = arguments

    def call() -> object:
        return a["shift"] - a["eps"] * ((a["h"][: a["M"]] - a["cost"]) / a["eps"]).logsumexp(1)

    return [("torch.logsumexp", lambda: Contender("torch.logsumexp", call, flops))]


def _grouped(arguments: Mapping[str, Any], flops: float, kind: str) -> Peers:
    """torch._grouped_mm, and a loop over the experts that knows their rows beforehand (no wait for the GPU).

    kind: "plain", "gather", "swiglu" and "swiglu gradient" (the rows are found, the activation and its gradient
    computed, by operators of their own), or "gradient".
    """
    import torch

    a = arguments

    def rows_of() -> torch.Tensor:
        return a["x"][a["tokens"].clamp(min=0).long()] if kind == "gather" else a["x"][: a["P"]]

    rows = rows_of()
    if kind == "gradient":
        bounds = a["offsets"]
    else:
        w = a["w"].mT if a.get("TRANSPOSED") else a["w"]
        counts = [int((a["experts"] == e).sum()) * 128 for e in range(a["E"])]
        bounds = torch.tensor([0, *counts], device=rows.device).cumsum(0).to(torch.int32)
    on_host = bounds.tolist()
    ranges = list(pairwise(on_host))

    def finished(y: torch.Tensor, at: slice = slice(None)) -> torch.Tensor:
        """What becomes of the product of these rows."""
        if not kind.startswith("swiglu"):
            return y
        gate, up = y.chunk(2, dim=-1)
        if kind == "swiglu":
            return torch.nn.functional.silu(gate) * up
        dy = a["dy"][at]
        dgate = torch.ops.aten.silu_backward(dy * up, gate)
        return torch.cat([dgate, dy * torch.nn.functional.silu(gate)], dim=-1)

    def grouped() -> object:
        if kind == "gradient":
            return torch._grouped_mm(rows.mT, a["dy"], offs=bounds[1:])
        return finished(torch._grouped_mm(rows_of(), w, offs=bounds[1:]))

    def loop() -> object:
        if kind == "gradient":
            return [rows[begin:end].mT @ a["dy"][begin:end] for begin, end in ranges]
        found = rows_of()
        return [finished(found[begin:end] @ w[e], slice(begin, end)) for e, (begin, end) in enumerate(ranges)]

    calls = {"torch._grouped_mm": grouped, "loop over experts": loop}
    return [(name, partial(Contender, name, call, flops)) for name, call in calls.items()]


def _moe_sources(arguments: Mapping[str, Any], flops: float) -> Peers:
    """The same by a scatter of torch."""
    from twill.ops.routing import sources

    a = arguments
    positions = a["positions"].view(-1, a["K"])

    def call() -> object:
        return sources(positions, len(a["sources"])).div(a["K"], rounding_mode="floor").to(a["sources"].dtype)

    return [("torch scatter", lambda: Contender("torch scatter", call, flops))]


_PEERS: Mapping[str, Callable[[Mapping[str, Any], float], Peers]] = {
    "attention.py": _attention,
    "attention_backward.py": _attention_backward,
    "attention_dq.py": partial(_attention_backward, products=3),
    "grouped_matmul.py": partial(_grouped, kind="plain"),
    "grouped_matmul_gather.py": partial(_grouped, kind="gather"),
    "grouped_swiglu.py": partial(_grouped, kind="swiglu"),
    "grouped_swiglu_gradient.py": partial(_grouped, kind="swiglu gradient"),
    "grouped_weight_gradient.py": partial(_grouped, kind="gradient"),
    "moe_sources.py": _moe_sources,
    "matmul.py": _matmul,
    "matmul_residual.py": _matmul_residual,
    "sinkhorn.py": _sinkhorn,
    "sinkhorn_dense.py": _sinkhorn_dense,
}
