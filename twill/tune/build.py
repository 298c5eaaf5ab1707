"""The job that compiles one point: its best schedules, each written, compiled to machine code, and predicted."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from twill.errors import InputError, Unsupported
from twill.tune.target import found

if TYPE_CHECKING:
    from twill.compiler import Compiled


def build(request: Mapping[str, Any]) -> dict[str, Any]:
    """`candidates`: the kernels of one point, best schedule first.

    request: target, arch, constants (tile sizes among them), example, subtiles, best (how many schedules), time_limit
    (seconds to solve). Raises as `twill.compile` does.
    """
    from twill.alternatives import alternatives
    from twill.compiler import compile

    with found(request["target"]) as kernel:
        compiled = compile(
            kernel,
            request["arch"],
            constants=request["constants"],
            example=request["example"],
            subtiles=request["subtiles"],
            tune=False,
            time_limit=request["time_limit"],
        )
        made = [candidate(compiled, 1, ())]
        if request["best"] > 1:
            others = alternatives(compiled, request["best"], request["time_limit"], lambda message: None)
            first = others.optima.schedules[0]
            for place, other in enumerate(others.others, start=2):
                if other.compiled is not None:
                    from twill import ties

                    said = ties.differs(other.schedule, first)
                    made.append(candidate(other.compiled, place, said))
    return {"candidates": made}


def candidate(
    compiled: Compiled, place: int, differs: Sequence[str], sizes: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A compiled kernel as JSON: what it is, what is predicted of it, its module and its schedule file.

    sizes: integer arguments to predict for, by default the example's. predicted_seconds: of the launch by the
    simulator, null where it cannot be; sm_cycles: of its loops by the schedule.
    """
    from twill.alternatives import code
    from twill.frontend.launch import to_json
    from twill.ir.text import print_graph
    from twill.schedule.files import schedule_json
    from twill.simulate.report import prediction_of_compiled

    schedule = compiled.schedule
    work = compiled.candidates[0].work if compiled.candidates else None
    try:
        predicted = prediction_of_compiled(compiled, sizes)
    except (InputError, Unsupported):
        predicted = None
    return {
        "candidate": hashlib.sha256(code(compiled.source).encode()).hexdigest()[:16],
        "place": place,
        "differs": list(differs),
        "entry": compiled.plan.name,
        "ii": schedule.ii,
        "status": schedule.status,
        "sm_cycles": work.sm_cycles(schedule.ii, schedule.length) if work is not None else None,
        "predicted_seconds": predicted.seconds if predicted is not None else None,
        "problems": list(compiled.code.problems) if compiled.code is not None else [],
        "module": compiled.source,
        "schedule": schedule_json(schedule, graph=print_graph(compiled.graph), launch=to_json(compiled.launch)),
    }
