"""The text form of each stage, as `twill compile --emit STAGE` prints it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pprint import pformat
from typing import Any


def print_stage(
    kernel: Any, arch: str, stage: str, options: dict[str, Any], tell: Callable[[str], None] = lambda message: None
) -> str:
    """The text of `stage`: ttir, graph, problem, schedule, plan or source.

    options: the keyword arguments of `twill.compile`. ttir and graph are of the example's tile sizes where
    none are given, graph is simplified and not yet divided; problem and what follows are of the chosen tile
    sizes and number of sub-tiles. Raises as `twill.compile` does.
    """
    from twill import frontend
    from twill.candidates import Request, search
    from twill.compiler import compile
    from twill.frontend.specialize import specialize
    from twill.ir.async_loads import fetch_by_loader
    from twill.ir.simplify import simplify
    from twill.ir.text import print_graph
    from twill.machine import load
    from twill.schedule.files import schedule_json
    from twill.schedule.graph_file import problem_json

    machine = load(arch)
    source = frontend.load(kernel)
    given = (options["constants"], options["signature"], options["example"])
    if stage == "ttir":
        return frontend.ttir(source, specialize(source, *given), arch)
    if stage == "graph":
        return print_graph(fetch_by_loader(simplify(frontend.lower(source, given[0], given[1], arch, given[2])[0])))
    if stage in {"problem", "schedule"}:
        request = Request(
            source, machine, arch, given[0] or {}, given[1], given[2] or {}, options["subtiles"], options["tune"]
        )
        best = search(request, options["time_limit"], tell)[0].schedule
        assert best is not None  # search raises when there is none
        return json.dumps(problem_json(best.problem) if stage == "problem" else schedule_json(best), indent=1)
    compiled = compile(kernel, arch, progress=tell, **options)
    if stage == "plan":
        return "\n\n".join(f"{name} = {pformat(getattr(compiled.plan, name), width=110)}" for name in
                           ("buffers", "tokens", "descriptors", "scalars", "roles"))  # fmt: skip
    return compiled.source
