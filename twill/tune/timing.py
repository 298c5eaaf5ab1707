"""The job that times one candidate: launched on the kernel's example, judged against float64, then timed.

What launches and times it is one function of a module that the request names: `timed(module, entry, arguments,
inspect)` returns seconds of repeated launches. It launches once, calls `inspect()`, which raises WrongNumbers when the
outputs among the arguments are not what they should be, and times only then. Its DEVICE is where arguments are made.
"""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from twill.tune.target import found

if TYPE_CHECKING:
    import torch

    from twill.frontend.launch import Launch
    from twill.frontend.source import KernelSource
    from twill.ir.graph import Graph

GPU = "twill.tune.cuda"
ROWS = 128  # whose largest element is the scale of their tolerance: rows of causal attention shrink


class WrongNumbers(Exception):
    """The outputs of a candidate are not what rounding explains."""


def time_candidate(request: Mapping[str, Any]) -> dict[str, Any]:
    """`status` ok with seconds (median), samples and device, or wrong with why.

    request: target, constants, example, timer (a module), candidate (as `twill.tune.build` writes it).
    """
    from twill import frontend
    from twill.frontend.launch import from_json
    from twill.frontend.specialize import example_arguments
    from twill.ir.parser import parse_graph

    timer = importlib.import_module(request["timer"])
    candidate = request["candidate"]
    graph, launch = parse_graph(candidate["schedule"]["graph"]), from_json(candidate["schedule"]["launch"])
    with found(request["target"]) as kernel, tempfile.TemporaryDirectory() as folder:
        source = frontend.load(kernel)
        arguments = {
            name: value.to(timer.DEVICE) if hasattr(value, "to") else value
            for name, value in example_arguments(source, request["constants"], request["example"]).items()
        }
        expected = truth(source, graph, launch, arguments)
        poison(graph, launch, arguments)
        module = Path(folder, f"{candidate['entry']}.py")
        module.write_text(candidate["module"])
        worst = 0.0

        def inspect() -> None:
            nonlocal worst
            worst = judge(graph, launch, arguments, expected)

        try:
            samples = timer.timed(module, candidate["entry"], arguments, inspect)
        except WrongNumbers as error:
            return {"status": "wrong", "why": str(error), "device": timer.device()}
    return {
        "status": "ok", "seconds": median(samples), "samples": samples, "error_over_tolerance": worst,
        "device": timer.device(),
    }  # fmt: skip


def truth(source: KernelSource, graph: Graph, launch: Launch, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The expected outputs in float64: by the kernel's reference, else by its sequential meaning, which is slow."""
    import torch

    info = source.info
    if info is not None and info.reference is not None:
        return {name: torch.as_tensor(value) for name, value in info.reference(**arguments).items()}
    from twill.ir.evaluate import run

    assert launch.grid is not None
    on_host = {name: value.cpu() if hasattr(value, "cpu") else value for name, value in arguments.items()}
    return {name: torch.from_numpy(found) for name, found in run(graph, on_host, launch.grid, "float64").items()}


def poison(graph: Graph, launch: Launch, arguments: Mapping[str, Any]) -> None:
    """Fill what the kernel only writes with NaN, so that what it leaves out is seen."""
    import torch

    for name in launch.outputs:
        spec, value = launch.argument(name), arguments[name]
        accumulates = any(op.opcode.startswith("atomic") for op in graph.ops())
        if spec.access == "w" and not accumulates and isinstance(value, torch.Tensor) and value.is_floating_point():
            value.fill_(float("nan"))


def judge(graph: Graph, launch: Launch, arguments: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
    """Largest error over its tolerance, at most 1. Raises WrongNumbers, naming the output."""
    from twill.candidates import work_of
    from twill.ir.arithmetic import arithmetic
    from twill.ir.tolerance import tolerance, unit_roundoff

    length, narrow, roundings = arithmetic(graph, work_of(graph, launch).longest)
    worst = 0.0
    for name, exact in expected.items():
        dtype = min(narrow, launch.argument(name).dtype, key=lambda each: -unit_roundoff(each))
        ratio = _error_over_scale(arguments[name], exact) / tolerance(dtype, length, roundings=roundings)
        if not ratio <= 1:
            how = (
                "holds what is not a number"
                if ratio == float("inf")
                else f"is off by {ratio:.3g} times what rounding explains"
            )
            raise WrongNumbers(f"`{name}` {how}")
        worst = max(worst, ratio)
    return worst


def _error_over_scale(found: torch.Tensor, exact: torch.Tensor) -> float:
    """Largest error relative to the largest element of its rows; infinite where one of both is not finite alone."""
    import torch

    truth = exact.to(found.device).double().reshape(found.shape)
    columns = truth.shape[-1] if truth.dim() > 1 else truth.numel()
    rows, got = truth.reshape(-1, max(1, columns)), found.double().reshape(-1, max(1, columns))
    worst = 0.0
    for start in range(0, rows.shape[0], ROWS):
        one, other = rows[start : start + ROWS], got[start : start + ROWS]
        same = (one == other) | (one.isnan() & other.isnan())
        error = torch.where(same, 0.0, (one - other).abs())
        scale = one[one.isfinite()].abs().max() if bool(one.isfinite().any()) else one.new_ones(())
        ratio = torch.where(error == 0, 0.0, error / scale).nan_to_num(nan=float("inf"), posinf=float("inf"))
        worst = max(worst, float(ratio.max()) if ratio.numel() else 0.0)
    return worst
