"""Compile the shipped attention kernel, look at its schedule, and run every check that needs no GPU.

python examples/01_compile_attention.py
"""

from twill import compile
from twill.shipped import kernels_folder

compiled = compile(str(kernels_folder() / "attention.py"), arch="hopper", constants={"CAUSAL": True, "D": 64})

schedule = compiled.schedule
print(f"II = {schedule.ii} cycles, {schedule.status}: {schedule.reason}")
print(compiled.gantt("text"))

# The same ladder that `twill compile` climbs: meaning, schedule rules, adversarial emulation, machine code.
for check in compiled.verify():
    print(f"{check.name:9} {'ok' if check.passed else 'FAILED'}  {check.detail}")
    assert check.passed

for path in compiled.save("build/examples"):
    print("wrote", path)
