"""Bring your own dependence graph: no kernel, no torch, no triton. What if the chip had twice the SFU?

python examples/03_schedule_a_graph.py
twill schedule examples/softmax_graph.json
"""

import json
from pathlib import Path

from twill.explain import explain
from twill.schedule.graph_file import problem_from_json
from twill.solve import solve

path = Path(__file__).with_name("softmax_graph.json")
graph = json.loads(path.read_text())

before = solve(problem_from_json(graph, path.name))
print(explain(before))

for op in graph["ops"]:
    if op["unit"] == "SFU":
        op["latency"] -= op["occupancy"] // 2
        op["occupancy"] //= 2
after = solve(problem_from_json(graph, "the same with twice the SFU"))
print(f"\nwith twice the SFU: II = {after.ii} instead of {before.ii} ({after.reason})")
assert after.ii < before.ii
