"""What the generated kernels are run on: a kernel with its module, its shapes and its arguments."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from benchmarks.record import ROOT
from twill import frontend
from twill.codegen.imported import imported
from twill.errors import InputError
from twill.frontend.specialize import example_arguments
from twill.shipped import ARCH, VARIANTS, Variant

if TYPE_CHECKING:
    from twill.frontend.source import KernelSource

KERNELS = ROOT / "kernels"
Sizes = Mapping[str, int]


@dataclass(frozen=True)
class Family:
    """What is known of one kernel file beside the file itself.

    checks: example options of the launches that are judged. timings: of those that are timed, from
    the launch's constants. timeline: of the one whose ops are timed: 64 iterations or more, more programs than
    SMs. flops: floating-point operations of the two-dimensional products of a launch (masked pairs not
    counted), of the elements of one without products. reduction_length: terms summed into one output. started: outputs
    that hold the example's values before a launch, because it adds to them or writes some of them.
    """

    checks: tuple[Sizes, ...]
    timings: Callable[[Mapping[str, Any]], tuple[Sizes, ...]]
    timeline: Sizes
    flops: Callable[[Mapping[str, Any]], float]
    reduction_length: Callable[[Mapping[str, Any]], int]
    started: tuple[str, ...] = ()


def _pairs(arguments: Mapping[str, Any]) -> float:
    """Pairs of a query and a key that it sees, over all heads."""
    heads, queries, keys = (arguments[name] for name in ("H", "M", "N"))
    if arguments.get("WINDOWED"):
        window = arguments["window"]
        ahead = 1 if arguments["CAUSAL"] else window
        seen = (min(i + ahead, keys) - min(max(0, i - window + 1), keys) for i in range(queries))
        return float(heads * sum(seen))
    if not arguments["CAUSAL"]:
        return float(heads * queries * keys)
    full = min(queries, keys)
    return float(heads * (full * (full + 1) // 2 + (queries - full) * keys))


def _packed_pairs(arguments: Mapping[str, Any]) -> float:
    """The same for one head of packed sequences."""
    starts = (arguments["starts_q"].tolist(), arguments["starts_k"].tolist())
    lengths = zip(*([stop - start for start, stop in pairwise(each)] for each in starts), strict=True)
    return sum(_pairs({**arguments, "H": 1, "M": queries, "N": keys}) for queries, keys in lengths)


def _tokens(lengths: tuple[int, ...]) -> Callable[[Mapping[str, Any]], tuple[Sizes, ...]]:
    """Shapes of 16384 tokens with 2048 channels, whatever the sequence length and the head size."""
    return lambda a: tuple({"H": 2048 // a["D"] * (16384 // n), "M": n, "N": n} for n in lengths)


_ATTENTION_CHECKS: tuple[Sizes, ...] = (
    {"H": 3, "M": 128, "N": 128},
    {"H": 5, "M": 256, "N": 256},
    {"H": 2, "M": 384, "N": 384},
    {"H": 4, "M": 512, "N": 512},
    {"H": 33, "M": 1024, "N": 1024},
    {"H": 3, "M": 4096, "N": 4096},
    {"H": 2, "M": 256, "N": 1024},
    {"H": 2, "M": 1024, "N": 256},
)

_POINTS_CHECKS: tuple[Sizes, ...] = (
    {"N": 1, "M": 1},
    {"N": 128, "M": 128},
    {"N": 256, "M": 384},
    {"N": 200, "M": 77},
    {"N": 129, "M": 641},
    {"N": 1000, "M": 1031},
    {"N": 8192, "M": 4096},
)

_MATMUL = Family(
    # K of 0, 1, 2, 3 and more tiles of 64; ragged rows, columns and terms.
    checks=(
        {"M": 256, "N": 512, "K": 0},
        {"M": 128, "N": 256, "K": 64},
        {"M": 256, "N": 256, "K": 128},
        {"M": 256, "N": 512, "K": 192},
        {"M": 1, "N": 8, "K": 8},
        {"M": 200, "N": 264, "K": 168},
        {"M": 1000, "N": 1016, "K": 1000},
        {"M": 512, "N": 1024, "K": 512},
        {"M": 4096, "N": 4096, "K": 4096},
    ),
    timings=lambda a: (
        {"M": 2048, "N": 2048, "K": 2048},
        {"M": 4096, "N": 4096, "K": 4096},
        {"M": 8192, "N": 8192, "K": 8192},
        {"M": 8192, "N": 8192, "K": 1024},
    ),
    timeline={"M": 2048, "N": 4096, "K": 4096},
    flops=lambda a: 2.0 * a["M"] * a["N"] * a["K"],
    reduction_length=lambda a: int(a["K"]),
)

_PERSISTENT = replace(
    _MATMUL,
    # One tile more than programs, and several of each; the largest fill an H100 more than once.
    checks=(*({**sizes, "programs": 3} for sizes in _MATMUL.checks), {"M": 2048, "N": 2560, "K": 256, "programs": 132}),
    timings=lambda a: tuple({**sizes, "programs": 132} for sizes in _MATMUL.timings(a)),
    timeline={"M": 2048, "N": 4096, "K": 4096, "programs": 132},
)

_GROUPED_CHECKS: tuple[Sizes, ...] = (
    {"P": 128, "K": 64, "N": 8, "E": 1},
    {"P": 384, "K": 0, "N": 256, "E": 2},
    {"P": 256, "K": 64, "N": 264, "E": 1},
    {"P": 640, "K": 128, "N": 512, "E": 3},
    {"P": 1280, "K": 192, "N": 1000, "E": 4},
    {"P": 4224, "K": 1024, "N": 1024, "E": 9},
)


def _expert_rows(arguments: Mapping[str, Any]) -> int:
    """Rows that have an expert: all but those of the last tile."""
    return int(arguments["P"]) - 128


def _grouped_timings(_: Mapping[str, Any]) -> tuple[Sizes, ...]:
    """Few and many rows an expert, and few experts with large weights."""
    return (
        {"P": 2176, "K": 2048, "N": 2048, "E": 16},
        {"P": 16512, "K": 2048, "N": 2048, "E": 16},
        {"P": 16512, "K": 4096, "N": 4096, "E": 8},
    )


_CHOICES_CHECKS: tuple[Sizes, ...] = (
    {"C": 1, "E": 1},
    {"C": 1024, "E": 4},
    {"C": 1025, "E": 300},
    {"C": 5000, "E": 16},
    {"C": 100000, "E": 128},
)


def _choices_timings(_: Mapping[str, Any]) -> tuple[Sizes, ...]:
    """Choices of a batch of tokens, and of a large one."""
    return ({"C": 65536, "E": 64}, {"C": 1048576, "E": 256})


FAMILIES: Mapping[str, Family] = {
    "attention.py": Family(
        checks=_ATTENTION_CHECKS,
        timings=_tokens((1024, 4096, 16384)),
        timeline={"H": 4, "M": 8192, "N": 8192},
        flops=lambda a: 4 * a["D"] * _pairs(a),
        reduction_length=lambda a: max(a["N"], a["D"]),
    ),
    "attention_dq.py": Family(
        # Without keys the gradient is zero; attention without keys is not defined.
        checks=(*_ATTENTION_CHECKS, {"H": 2, "M": 128, "N": 0}),
        timings=_tokens((1024, 4096, 8192)),
        timeline={"H": 8, "M": 4096, "N": 4096},
        flops=lambda a: 6 * a["D"] * _pairs(a),
        reduction_length=lambda a: max(a["N"], a["D"]),
    ),
    "attention_fwd.py": Family(
        # Heads in whole groups and not; a window that ends within a tile, and queries beyond the last key.
        checks=(
            *_ATTENTION_CHECKS,
            {"H": 8, "G": 4, "M": 512, "N": 512, "window": 129},
            {"H": 2, "M": 512, "N": 128, "window": 60},
        ),
        timings=_tokens((1024, 4096, 16384)),
        timeline={"H": 4, "M": 8192, "N": 8192, "window": 8192},
        flops=lambda a: 4 * a["D"] * _pairs(a),
        reduction_length=lambda a: max(a["N"], a["D"]),
    ),
    "attention_dkdv.py": Family(
        checks=(*_ATTENTION_CHECKS, {"H": 2, "G": 3, "M": 256, "N": 384}, {"H": 2, "G": 2, "M": 384, "N": 256}),
        timings=_tokens((1024, 4096, 8192)),
        timeline={"H": 8, "M": 4096, "N": 4096},
        flops=lambda a: 8 * a["D"] * a["G"] * _pairs(a),
        reduction_length=lambda a: max(a["G"] * a["M"], a["D"]),
    ),
    "attention_backward.py": Family(
        checks=(*_ATTENTION_CHECKS, {"H": 2, "G": 3, "M": 256, "N": 384}, {"H": 2, "G": 2, "M": 384, "N": 256}),
        timings=_tokens((1024, 4096, 8192)),
        timeline={"H": 8, "M": 4096, "N": 4096},
        flops=lambda a: 10 * a["D"] * a["G"] * _pairs(a),
        # dq gets one addition more for each tile of keys.
        reduction_length=lambda a: max(a["G"] * a["M"], a["N"], a["D"]),
        started=("dq",),
    ),
    "attention_varlen.py": Family(
        # Four sequences, of which one has no queries and one no keys; tiles that are not full.
        checks=(
            {"TQ": 370, "TK": 524},
            {"TQ": 37, "TK": 37, "H": 3, "G": 1},
            {"TQ": 740, "TK": 131, "H": 4, "G": 4},
            {"TQ": 5920, "TK": 5240, "H": 3, "G": 2},
        ),
        timings=lambda a: tuple({"TQ": n, "TK": n, "H": 2048 // a["D"], "G": 1} for n in (4096, 16384)),
        timeline={"TQ": 30720, "TK": 20480, "H": 8, "G": 1},
        flops=lambda a: 4 * a["D"] * a["H"] * _packed_pairs(a),
        reduction_length=lambda a: max(a["TK"], a["D"]),
    ),
    "symmetric_matmul.py": Family(
        # Terms of 0, 1, 2, 3 and more tiles of 32; less than a tile, one on the diagonal, ragged rows and terms.
        checks=(
            {"BATCH": 2, "M": 256, "N": 0},
            {"BATCH": 1, "M": 128, "N": 32},
            {"BATCH": 2, "M": 512, "N": 64},
            {"BATCH": 3, "M": 256, "N": 96},
            {"BATCH": 1, "M": 16, "N": 16},
            {"BATCH": 2, "M": 400, "N": 176},
            {"BATCH": 1, "M": 1000, "N": 1016},
            {"BATCH": 2, "M": 2048, "N": 512},
        ),
        timings=lambda a: (
            {"BATCH": 1, "M": 4096, "N": 4096},
            {"BATCH": 1, "M": 8192, "N": 8192},
            {"BATCH": 1, "M": 4096, "N": 16384},
            {"BATCH": 64, "M": 1024, "N": 1024},
        ),
        timeline={"BATCH": 1, "M": 4096, "N": 2048},
        # Of the whole product: what a kernel that computes all of it would have to reach.
        flops=lambda a: 2.0 * a["BATCH"] * a["M"] ** 2 * a["N"],
        reduction_length=lambda a: int(a["N"]),
    ),
    "symmetric_polynomial.py": Family(
        checks=tuple(
            {"BATCH": batch, "M": m} for batch, m in ((1, 16), (2, 64), (1, 96), (3, 256), (2, 400), (1, 1000))
        ),
        timings=lambda a: (
            {"BATCH": 1, "M": 4096},
            {"BATCH": 1, "M": 8192},
            {"BATCH": 64, "M": 1024},
        ),
        timeline={"BATCH": 3, "M": 2048},
        flops=lambda a: 2.0 * a["BATCH"] * a["M"] ** 3,
        reduction_length=lambda a: int(a["M"]),
    ),
    "scaled_add_matmul.py": Family(
        checks=(
            {"BATCH": 1, "M": 16, "N": 16},
            {"BATCH": 2, "M": 128, "N": 256},
            {"BATCH": 3, "M": 192, "N": 512},
            {"BATCH": 2, "M": 400, "N": 176},
            {"BATCH": 1, "M": 1000, "N": 1016},
            {"BATCH": 1, "M": 1024, "N": 4096},
        ),
        timings=lambda a: (
            {"BATCH": 1, "M": 4096, "N": 4096},
            {"BATCH": 1, "M": 4096, "N": 16384},
            {"BATCH": 64, "M": 1024, "N": 1024},
        ),
        timeline={"BATCH": 1, "M": 4096, "N": 4096},
        flops=lambda a: 2.0 * a["BATCH"] * a["M"] ** 2 * a["N"],
        reduction_length=lambda a: int(a["M"]),
    ),
    "grouped_matmul.py": Family(
        # Tiles without an expert alone and at the end; 0, 1, 2, 3 and more tiles of K; ragged columns.
        checks=_GROUPED_CHECKS,
        timings=_grouped_timings,
        timeline={"P": 4224, "K": 4096, "N": 2048, "E": 8},
        flops=lambda a: 2.0 * _expert_rows(a) * a["K"] * a["N"],
        reduction_length=lambda a: int(a["K"]),
    ),
    "grouped_matmul_gather.py": Family(
        # As above; rows of few and many tokens, some of none.
        checks=_GROUPED_CHECKS,
        timings=lambda a: tuple({**sizes, "T": sizes["P"] // 2} for sizes in _grouped_timings(a)),
        timeline={"T": 2112, "P": 4224, "K": 4096, "N": 2048, "E": 8},
        flops=lambda a: 2.0 * _expert_rows(a) * a["K"] * a["N"],
        reduction_length=lambda a: int(a["K"]),
    ),
    "grouped_swiglu_gather.py": Family(
        checks=_GROUPED_CHECKS,
        timings=lambda a: tuple({**sizes, "T": sizes["P"] // 2} for sizes in _grouped_timings(a)),
        timeline={"T": 2112, "P": 4224, "K": 4096, "N": 1024, "E": 8},
        flops=lambda a: 4.0 * _expert_rows(a) * a["K"] * a["N"],
        reduction_length=lambda a: int(a["K"]),
    ),
    "grouped_swiglu.py": Family(
        checks=_GROUPED_CHECKS,
        timings=_grouped_timings,
        timeline={"P": 4224, "K": 4096, "N": 1024, "E": 8},
        flops=lambda a: 4.0 * _expert_rows(a) * a["K"] * a["N"],
        reduction_length=lambda a: int(a["K"]),
    ),
    "grouped_swiglu_gradient.py": Family(
        checks=_GROUPED_CHECKS,
        timings=_grouped_timings,
        timeline={"P": 4224, "K": 4096, "N": 1024, "E": 8},
        flops=lambda a: 4.0 * _expert_rows(a) * a["K"] * a["N"],
        reduction_length=lambda a: int(a["K"]),
    ),
    "grouped_weight_gradient.py": Family(
        # The second expert has no rows; one has all of them.
        checks=(
            {"P": 128, "K": 128, "N": 8, "E": 1},
            {"P": 256, "K": 128, "N": 264, "E": 2},
            {"P": 640, "K": 256, "N": 512, "E": 3},
            {"P": 1280, "K": 384, "N": 1000, "E": 4},
            {"P": 4224, "K": 1024, "N": 1024, "E": 9},
        ),
        timings=_grouped_timings,
        timeline={"P": 8192, "K": 2048, "N": 2048, "E": 3},
        flops=lambda a: 2.0 * a["P"] * a["K"] * a["N"],
        reduction_length=lambda a: a["P"] // max(a["E"] - 1, 1) + 128,
    ),
    "moe_histogram.py": Family(
        # One choice; blocks that are full and one that is not; more experts than threads.
        checks=_CHOICES_CHECKS,
        timings=_choices_timings,
        timeline={"C": 262144, "E": 64},
        flops=lambda a: float(a["C"]),
        reduction_length=lambda a: 1,
        started=("counts",),
    ),
    "moe_scan.py": Family(
        checks=({"B": 1, "E": 1}, {"B": 3, "E": 128}, {"B": 64, "E": 300}, {"B": 1000, "E": 64}),
        timings=lambda a: ({"B": 64, "E": 64}, {"B": 1024, "E": 256}),
        timeline={"B": 256, "E": 17024},
        flops=lambda a: float(a["B"] * a["E"]),
        reduction_length=lambda a: 1,
    ),
    "moe_tile_table.py": Family(
        checks=({"TILES": 1, "E": 1}, {"TILES": 128, "E": 8}, {"TILES": 700, "E": 300}, {"TILES": 9, "E": 64}),
        timings=lambda a: ({"TILES": 576, "E": 64}, {"TILES": 8448, "E": 256}),
        timeline={"TILES": 17024, "E": 128},
        flops=lambda a: float(a["TILES"] * a["E"]),
        reduction_length=lambda a: 1,
    ),
    "moe_positions.py": Family(
        checks=_CHOICES_CHECKS,
        timings=_choices_timings,
        timeline={"C": 262144, "E": 64},
        flops=lambda a: 128.0 * a["C"],
        reduction_length=lambda a: 1,
    ),
    "moe_sources.py": Family(
        # One choice; blocks and programs that are full and not; choices and tokens.
        checks=({"C": 1}, {"C": 4096}, {"C": 5000, "K": 2}, {"C": 100000, "K": 8}),
        timings=lambda a: ({"C": 65536}, {"C": 1048576}),
        timeline={"C": 1048576},
        flops=lambda a: float(a["C"]),
        reduction_length=lambda a: 1,
        started=("sources",),
    ),
    "moe_gather.py": Family(
        # Ragged rows and columns; one row; one token for all.
        checks=(
            {"P": 1, "N": 1},
            {"P": 128, "N": 128, "T": 1},
            {"P": 200, "N": 264},
            {"P": 4224, "N": 1000},
        ),
        timings=lambda a: ({"P": 16512, "N": 2048}, {"P": 73600, "N": 4096}),
        timeline={"P": 16384, "N": 8192},
        flops=lambda a: float(a["P"] * a["N"]),
        reduction_length=lambda a: 1,
    ),
    "moe_combine.py": Family(
        # One choice and many; ragged tokens and columns.
        checks=(
            {"T": 1, "K": 1, "N": 1},
            {"T": 16, "K": 1, "N": 256},
            {"T": 200, "K": 3, "N": 264},
            {"T": 77, "K": 8, "N": 1000},
            {"T": 4096, "K": 2, "N": 2048},
        ),
        timings=lambda a: ({"T": 8192, "K": 2, "N": 2048}, {"T": 8192, "K": 8, "N": 4096}),
        timeline={"T": 8192, "K": 2, "N": 8192},
        flops=lambda a: 2.0 * a["T"] * a["K"] * a["N"],
        reduction_length=lambda a: int(a["K"]),
    ),
    "moe_combine_gradient.py": Family(
        # Columns that fill no tile; one choice and many.
        checks=(
            {"P": 128, "K": 1, "N": 8},
            {"P": 256, "K": 2, "N": 64},
            {"P": 640, "K": 3, "N": 264},
            {"P": 4224, "K": 8, "N": 1000},
        ),
        timings=lambda a: ({"P": 16512, "K": 2, "N": 2048}, {"P": 73600, "K": 8, "N": 4096}),
        timeline={"P": 16384, "K": 2, "N": 8192},
        flops=lambda a: 3.0 * a["P"] * a["N"],
        reduction_length=lambda a: int(a["N"]),
        started=("dweights",),
    ),
    "matmul.py": _MATMUL,
    "matmul_residual.py": _MATMUL,
    "matmul_persistent.py": _PERSISTENT,
    "sinkhorn.py": Family(
        checks=_POINTS_CHECKS,
        timings=lambda a: ({"N": 4096, "M": 4096}, {"N": 16384, "M": 16384}, {"N": 65536, "M": 65536}),
        timeline={"N": 17024, "M": 8192},
        flops=lambda a: 2.0 * a["D"] * a["N"] * a["M"],
        reduction_length=lambda a: max(a["M"], a["D"]),
    ),
    "sinkhorn_dense.py": Family(
        # Rows of TMA's 16 bytes.
        checks=tuple({**sizes, "M": -(-sizes["M"] // 8) * 8} for sizes in _POINTS_CHECKS),
        timings=lambda a: ({"N": 4096, "M": 4096}, {"N": 16384, "M": 16384}),
        timeline={"N": 8512, "M": 8192},
        flops=lambda a: 5.0 * a["N"] * a["M"],
        reduction_length=lambda a: int(a["M"]),
    ),
}


@dataclass(frozen=True)
class Kernel:
    """A shipped kernel: its source, its generated launcher, and what is known of its family."""

    variant: Variant
    source: KernelSource
    launch: Callable[..., None]
    family: Family
    module_sha256: str = ""


def variant_named(name: str) -> Variant:
    """The shipped variant of that name. Raises KeyError."""
    return {variant.name: variant for variant in VARIANTS}[name]


def load(variant: Variant) -> Kernel:
    """The kernel with its generated module as it lies in the checkout. Raises InputError."""
    source = frontend.load(KERNELS / variant.source)
    path = KERNELS / "generated" / ARCH / f"{variant.name}.py"
    if not path.is_file():
        raise InputError("there is no such generated module.", hint="`make golden` writes it.", location=path.name)
    launch = getattr(imported(path), source.name)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Kernel(variant, source, launch, FAMILIES[variant.source], digest)


def arguments(kernel: Kernel, sizes: Sizes, device: str) -> dict[str, Any]:
    """Every launch argument by name, tensors on `device`.

    A size of 0 is launched with the tensors of size 64: a TMA descriptor needs an address, which a
    tensor without elements does not have.
    """
    import torch

    made = {name: size or 64 for name, size in sizes.items()}
    found = example_arguments(kernel.source, kernel.variant.constants, {**kernel.variant.example, **made})
    tensors = {name: value.to(device) for name, value in found.items() if isinstance(value, torch.Tensor)}
    return {**found, **tensors, **sizes}


def timed_arguments(kernel: Kernel, sizes: Sizes, device: str) -> dict[str, Any]:
    """The same for a launch that is only timed: the heads are copies of one, so that making them is cheap."""
    import torch

    if "H" not in sizes or "TQ" in sizes:  # packed sequences have their heads side by side
        return arguments(kernel, sizes, device)
    single = arguments(kernel, {**sizes, "H": 1}, device)
    copies = {
        name: value.repeat(sizes["H"], *[1] * (value.dim() - 1))
        for name, value in single.items()
        if isinstance(value, torch.Tensor)
    }
    return {**single, **copies, "H": sizes["H"]}
