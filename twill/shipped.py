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
    """What attention in `twill.ops` launches beside `attention_dq_d128`: forward, packed or not, and backward."""
    for dtype in ("fp16", "bf16"):
        for head in (64, 128):
            for causal in (False, True):
                name = f"d{head}{'_causal' if causal else ''}_{dtype}"
                constants = {"D": head, "CAUSAL": causal}
                yield Variant(f"attention_fwd_{name}", "attention_fwd.py", constants, {"dtype": dtype})
                yield Variant(f"attention_dkdv_{name}", "attention_dkdv.py", constants, {"dtype": dtype})
                if head != 128 or causal:
                    yield Variant(f"attention_dq_{name}", "attention_dq.py", constants, {"dtype": dtype})
        for causal in (False, True):
            name = f"attention_fwd_d256{'_causal' if causal else ''}_{dtype}"
            yield Variant(name, "attention_fwd.py", {"D": 256, "CAUSAL": causal}, {"dtype": dtype})
        yield Variant(f"attention_backward_d64_{dtype}", "attention_backward.py", {"D": 64}, {"dtype": dtype})
        for head in (64, 128, 256):
            for causal in (False, True):
                name = f"attention_varlen_d{head}{'_causal' if causal else ''}_{dtype}"
                yield Variant(name, "attention_varlen.py", {"D": head, "CAUSAL": causal}, {"dtype": dtype})
        for head, causal in ((64, False), (64, True), (128, False), (128, True), (256, True)):
            name = f"attention_fwd_d{head}{'_causal' if causal else ''}_windowed_{dtype}"
            windowed = {"D": head, "CAUSAL": causal, "WINDOWED": True}
            yield Variant(name, "attention_fwd.py", windowed, {"dtype": dtype})


def _experts() -> Iterable[Variant]:
    """What `twill.ops.grouped_matmul` launches: the product, of gathered rows, with SwiGLU, its gradient."""
    for dtype in ("fp16", "bf16"):
        for transposed in (False, True):
            name = f"grouped_matmul{'_transposed' if transposed else ''}_{dtype}"
            options = {"dtype": dtype, "TRANSPOSED": transposed}
            yield Variant(name, "grouped_matmul.py", {"TRANSPOSED": transposed}, options)
        for name in ("grouped_matmul_gather", "grouped_swiglu_gather"):
            yield Variant(f"{name}_{dtype}", f"{name}.py", {}, {"dtype": dtype})
        for name in ("grouped_swiglu", "grouped_swiglu_gradient"):
            yield Variant(f"{name}_{dtype}", f"{name}.py", {}, {"dtype": dtype})
        yield Variant(f"grouped_weight_gradient_{dtype}", "grouped_weight_gradient.py", {}, {"dtype": dtype})


def _routing() -> Iterable[Variant]:
    """What brings tokens to experts and back in `twill.ops`: a counting sort of ids, then rows moved and summed."""
    for name in ("moe_histogram", "moe_scan", "moe_tile_table", "moe_positions"):
        yield Variant(name, f"{name}.py")
    for dtype in ("int64", "int32"):
        yield Variant(f"moe_sources_{dtype}", "moe_sources.py", {}, {"dtype": dtype})
    for name in ("moe_gather", "moe_combine", "moe_combine_gradient"):
        for dtype in ("fp16", "bf16"):
            yield Variant(f"{name}_{dtype}", f"{name}.py", {}, {"dtype": dtype})


def _matmul_persistent() -> Iterable[Variant]:
    """What `twill.ops.matmul` launches where programs have several tiles: with silu, and with a residual."""
    for dtype in ("fp16", "bf16"):
        yield Variant(f"matmul_persistent_{dtype}", "matmul_persistent.py", {}, {"dtype": dtype})
        plain = {"ACTIVATION": "none", "RESIDUAL": True}
        options = {"dtype": dtype, **plain}
        yield Variant(f"matmul_persistent_residual_{dtype}", "matmul_persistent.py", plain, options)


VARIANTS: tuple[Variant, ...] = (
    *_attention(),
    *_attention_operator(),
    *_experts(),
    *_routing(),
    *(Variant(f"attention_dq_d128_{dtype}", "attention_dq.py", {}, {"dtype": dtype}) for dtype in ("fp16", "bf16")),
    *(Variant(f"matmul_{dtype}", "matmul.py", {}, {"dtype": dtype}) for dtype in ("fp16", "bf16")),
    *(
        Variant(f"{name}_{dtype}", f"{name}.py", {}, {"dtype": dtype})
        for name in ("symmetric_matmul", "symmetric_polynomial", "scaled_add_matmul")
        for dtype in ("fp16", "bf16")
    ),
    *(Variant(f"matmul_residual_{dtype}", "matmul_residual.py", {}, {"dtype": dtype}) for dtype in ("fp16", "bf16")),
    *_matmul_persistent(),
    *(
        Variant(f"sinkhorn_d{size}_{dtype}", "sinkhorn.py", {"D": size}, {"dtype": dtype})
        for size in (64, 128)
        for dtype in ("fp16", "bf16")
    ),
    *(Variant(f"sinkhorn_dense_{dtype}", "sinkhorn_dense.py", {}, {"dtype": dtype}) for dtype in ("fp32", "bf16")),
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


def found_schedule(module: Path) -> Path | None:
    """The schedule file of an emitted module: beside it, or among the shipped schedules of its architecture."""
    beside = module.with_suffix(".json")
    shipped = schedules_folder() / module.resolve().parent.name / beside.name
    return next((path for path in (beside, shipped) if path.is_file()), None)


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
    if schedule.exists() and _worth(made := json.loads(json.dumps(made))) == _worth(kept := read_json(schedule)):
        kept["provenance"].update({key: made["provenance"][key] for key in _ORIGIN})
        write_json(schedule, kept)
        return module, schedule
    write_json(schedule, made)
    write_text(module, compiled.source)
    return module, schedule


# The files that a schedule was last made from, in its provenance.
_ORIGIN = ("machine_sha256", "source_sha256")


def _worth(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a schedule file is about and claims, without the placements and the seconds they took to find."""
    made = {key: data["provenance"].get(key) for key in ("feedback", "isolation", "form")}
    kept = ("status", "ii", "lower_bound", "reason", "tiers", "problem", "graph", "launch")
    return {**{key: data.get(key) for key in kept}, **made}


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
