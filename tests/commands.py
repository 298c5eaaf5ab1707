"""Commands typed in tests, and a small graph file for them."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from twill.cli import main

# II 45: the load takes 20 cycles and its result 50 more, two slots of the ring must cover 20 + 50 + 30
GRAPH: dict[str, Any] = {
    "format": "twill-graph/1",
    "name": "loop",
    "machine": {"units": {"TC": 1, "SFU": 1, "TMA": 1}, "smem_bytes": 1000},
    "trip_count": 8,
    "ops": [
        {"id": "load", "unit": "TMA", "occupancy": 20, "latency": 50, "smem_bytes": 400, "variable_latency": True},
        {"id": "dot", "unit": "TC", "occupancy": 30, "issue": 2, "latency": 40, "registers": 10},
        {"id": "exp", "unit": "SFU", "occupancy": 25, "latency": 25},
    ],
    "deps": [{"src": "load", "dst": "dot", "blocking": True}, {"src": "dot", "dst": "exp"}],
}


def twill(*args: object, code: int = 0) -> Result:
    """What the command says; it exits with `code`."""
    done = CliRunner().invoke(main, [str(arg) for arg in args])
    assert done.exit_code == code, done.output
    return done


def answer(*args: object, code: int = 0) -> Any:
    """The one object of --json: stdout is that and its line end, nothing else."""
    out = twill(*args, "--json", code=code).stdout
    assert out.count("\n") == 1
    assert out.startswith("{")
    return json.loads(out)
