"""The kernels that ship compiled: which variants, where their files are, and how they are made again.

python -m twill.shipped            compile every variant into kernels/generated and schedules
python -m twill.shipped NAME ...   only these
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

ARCH = "hopper"


@dataclass(frozen=True)
class Variant:
    """One shipped kernel: the source in `kernels/`, its constexprs and the options of its example."""

    name: str
    source: str
    constants: Mapping[str, object] = field(default_factory=dict)
    example: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "constants", MappingProxyType(dict(self.constants)))
        object.__setattr__(self, "example", MappingProxyType(dict(self.example)))


def _attention() -> Iterable[Variant]:
    for head in (64, 128):
        for causal in (False, True):
            for dtype in ("fp16", "bf16"):
                name = f"attention_d{head}{'_causal' if causal else ''}_{dtype}"
                yield Variant(name, "attention.py", {"D": head, "CAUSAL": causal}, {"dtype": dtype})


def _attention_operator() -> Iterable[Variant]:
    """What `twill.ops.attention` launches beside `attention_dq_d128`: forward with lse, dK and dV, dQ."""
    for dtype in ("fp16", "bf16"):
        for head in (64, 128):
            for causal in (False, True):
                name = f"d{head}{'_causal' if causal else ''}_{dtype}"
                constants = {"D": head, "CAUSAL": causal}
                yield Variant(f"attention_fwd_{name}", "attention_fwd.py", constants, {"dtype": dtype})
                yield Variant(f"attention_dkdv_{name}", "attention_dkdv.py", constants, {"dtype": dtype})
                if head != 128 or causal:
                    yield Variant(f"attention_dq_{name}", "attention_dq.py", constants, {"dtype": dtype})
        windowed = {"D": 128, "CAUSAL": True, "WINDOWED": True}
        yield Variant(f"attention_fwd_d128_causal_windowed_{dtype}", "attention_fwd.py", windowed, {"dtype": dtype})


def _experts() -> Iterable[Variant]:
    """What `twill.ops.grouped_matmul` launches: the product, with transposed weights, with SwiGLU, its gradient."""
    for dtype in ("fp16", "bf16"):
        for transposed in (False, True):
            name = f"grouped_matmul{'_transposed' if transposed else ''}_{dtype}"
            options = {"dtype": dtype, "TRANSPOSED": transposed}
            yield Variant(name, "grouped_matmul.py", {"TRANSPOSED": transposed}, options)
        yield Variant(f"grouped_swiglu_{dtype}", "grouped_swiglu.py", {}, {"dtype": dtype})
        yield Variant(f"grouped_weight_gradient_{dtype}", "grouped_weight_gradient.py", {}, {"dtype": dtype})


VARIANTS: tuple[Variant, ...] = (
    *_attention(),
    *_attention_operator(),
    *_experts(),
    *(Variant(f"attention_dq_d128_{dtype}", "attention_dq.py", {}, {"dtype": dtype}) for dtype in ("fp16", "bf16")),
    *(Variant(f"matmul_{dtype}", "matmul.py", {}, {"dtype": dtype}) for dtype in ("fp16", "bf16")),
    *(
        Variant(f"{name}_{dtype}", f"{name}.py", {}, {"dtype": dtype})
        for name in ("symmetric_matmul", "symmetric_polynomial", "scaled_add_matmul")
        for dtype in ("fp16", "bf16")
    ),
    *(Variant(f"matmul_residual_{dtype}", "matmul_residual.py", {}, {"dtype": dtype}) for dtype in ("fp16", "bf16")),
    *(
        Variant(f"sinkhorn_d{size}_{dtype}", "sinkhorn.py", {"D": size}, {"dtype": dtype})
        for size in (64, 128)
        for dtype in ("fp16", "bf16")
    ),
    *(Variant(f"sinkhorn_dense_{dtype}", "sinkhorn_dense.py", {}, {"dtype": dtype}) for dtype in ("fp32", "bf16")),
)


# Those that the mutation suite and the report on registers have gone over; the operators' other kernels are not yet.
EXAMINED: tuple[Variant, ...] = tuple(
    variant
    for variant in VARIANTS
    if variant.name.removesuffix("_fp16").removesuffix("_bf16")
    in (
        "attention_d64",
        "attention_d64_causal",
        "attention_d128",
        "attention_d128_causal",
        "attention_dq_d128",
        "matmul",
    )
)


def kernels_folder() -> Path:
    """The folder of the kernel sources, in a checkout or as installed."""
    return _folder("kernels")


def schedules_folder() -> Path:
    """The folder of the shipped schedules, in a checkout or as installed."""
    return _folder("schedules")


def _folder(name: str) -> Path:
    """The folder installed as `twill.NAME`; in a checkout that is not installed, the one beside `twill`."""
    if importlib.util.find_spec(f"twill.{name}") is None:
        return Path(__file__).resolve().parents[1] / name
    return Path(next(iter(importlib.import_module(f"twill.{name}").__path__)))


def module_path(variant: Variant) -> Path:
    """The emitted module of a variant."""
    return kernels_folder() / "generated" / ARCH / f"{variant.name}.py"


def schedule_path(variant: Variant) -> Path:
    """The schedule file of a variant."""
    return schedules_folder() / ARCH / f"{variant.name}.json"


def make(variant: Variant) -> tuple[Path, Path]:
    """Compile a variant anew and write its module and its schedule, unless they are as good; returns their paths.

    Where the committed schedule stays, `tests/golden` emits its module anew.
    """
    from twill.compiler import compile
    from twill.frontend.launch import to_json
    from twill.ir.text import print_graph
    from twill.schedule import files
    from twill.schedule.document import read_json, write_json, write_text

    compiled = compile(
        str(kernels_folder() / variant.source),
        ARCH,
        constants=variant.constants,
        example=variant.example,
        tune=False,
    )
    module, schedule = module_path(variant), schedule_path(variant)
    module.parent.mkdir(parents=True, exist_ok=True)
    schedule.parent.mkdir(parents=True, exist_ok=True)
    made = files.schedule_json(
        compiled.schedule, graph=print_graph(compiled.graph), launch=to_json(compiled.launch)
    )  # fmt: skip
    # Schedules tie in thousands: one that scores the same in every tier is no difference to review.
    if schedule.exists() and _worth(json.loads(json.dumps(made))) == _worth(read_json(schedule)):
        return module, schedule
    write_json(schedule, made)
    write_text(module, compiled.source)
    return module, schedule


def _worth(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a schedule file is about and claims, without the placements and the seconds they took to find."""
    origin = {
        key: data["provenance"].get(key) for key in ("machine_sha256", "source_sha256", "feedback", "isolation", "form")
    }
    kept = ("status", "ii", "lower_bound", "reason", "tiers", "problem", "graph", "launch")
    return {**{key: data.get(key) for key in kept}, **origin}


def main(names: list[str]) -> None:
    """Make the named variants, or all of them."""
    from rich.progress import track

    unknown = set(names) - {variant.name for variant in VARIANTS}
    if unknown:
        raise SystemExit(
            f"no shipped kernel {', '.join(sorted(unknown))}; known: {', '.join(v.name for v in VARIANTS)}"
        )
    wanted = [variant for variant in VARIANTS if not names or variant.name in names]
    for variant in track(wanted, "compiling"):
        make(variant)


if __name__ == "__main__":
    main(sys.argv[1:])
