"""Every shipped kernel compiles to clean machine code, on the Triton installed and on the newest."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from twill.codegen.gluon import emit
from twill.codegen.machine_code import compile_module
from twill.codegen.plan import plan
from twill.errors import CheckFailed, InputError
from twill.frontend.launch import from_json
from twill.frontend.materialize import materialize
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, module_path, schedule_path

ROOT = Path(__file__).resolve().parents[2]
NAMES = [variant.name for variant in VARIANTS]
# On a second Triton one variant of each kernel: the versions differ in API, not in schedules.
REPRESENTATIVES = [variant for variant in VARIANTS if variant.name in {
    "attention_d128_fp16", "attention_d64_causal_bf16", "attention_dq_d128_fp16", "matmul_fp16"}]  # fmt: skip


def stored(variant):
    file = files.read(schedule_path(variant))
    return file.schedule, from_json(file.launch)


def require_clean(registers, spill_bytes, serialized, shared_bytes, shared_limit, **_):
    assert spill_bytes == 0
    assert not serialized
    assert registers <= 255
    assert shared_bytes <= shared_limit


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids=NAMES)
def test_no_spills_and_hgmma(variant):
    schedule, launch = stored(variant)
    code = compile_module(module_path(variant), schedule.problem.name, materialize(launch, 0))
    require_clean(**vars(code))
    # setmaxnreg hands the consumers what the schedule counted on; one alone gets what the block can have.
    multiplies = any(op.unit == "TC" for op in schedule.problem.ops)
    assert code.stack_bytes == 0
    assert (code.hgmma > 0) == multiplies
    consumers = {group.registers for group in schedule.groups if not group.producer}
    wanted = {-(-(count + schedule.problem.limits.reserved_registers) // 8) * 8 for count in consumers}
    if len(schedule.groups) == 1:  # nothing is divided among roles: the threads have what ptxas gave them
        assert code.registers <= max(wanted)
        assert not code.role_registers
        return
    alone = sum(not group.producer for group in schedule.groups) == 1
    assert all(count in code.role_registers or (alone and count < max(code.role_registers)) for count in wanted)
    if not code.roles:  # nvdisasm does not count the live registers of some kernels that use all
        assert code.registers == 255
        return
    # The disassembly shows the code of every role: those that compute have a wgmma in a loop, the loader has none.
    roles = code.roles[: len(schedule.groups)]
    computing = sorted((not group.producer for group in schedule.groups), reverse=True)
    assert [role.live_in_loop > 0 for role in roles] == [multiplies and computes for computes in computing]
    assert all(0 < role.live <= max(role.quotas) and role.highest <= max(role.quotas) for role in roles)
    # The loader may hold values for the dispatcher without ever naming them.
    assert all(role.live <= role.highest + 1 for role, computes in zip(roles, computing, strict=True) if computes)
    assert sum(role.spill_bytes for role in code.roles) == 0


@pytest.mark.slow
def test_the_role_with_too_few_registers_is_the_one_that_spills(tmp_path):
    (variant,) = [variant for variant in VARIANTS if variant.name == "matmul_fp16"]
    schedule, launch = stored(variant)
    text = module_path(variant).read_text()
    assert "[240, 24]" in text  # of the second consumer, and the loader
    starved = tmp_path / "starved.py"
    starved.write_text(text.replace("[240, 24]", "[184, 24]"))
    code = compile_module(starved, schedule.problem.name, materialize(launch, 0))
    assert code.roles[1].quotas[0] == 184
    assert code.roles[1].spill_bytes > 0
    assert [role.spill_bytes for role in (code.roles[0], code.roles[2])] == [0, 0]
    # ptxas counts what is stored and loaded, as the disassembly does.
    assert code.roles[1].spill_bytes == code.spill_bytes
    assert code.stack_bytes > 0


@pytest.mark.slow
@pytest.mark.parametrize("variant", REPRESENTATIVES, ids=[variant.name for variant in REPRESENTATIVES])
def test_the_newest_triton_compiles_them_too(variant):
    folder = os.environ.get("TWILL_NEWEST_TRITON")
    if not folder:
        pytest.skip("TWILL_NEWEST_TRITON does not name a folder with another Triton; `make test` sets it")
    code = (
        "import dataclasses, json, sys\n"
        "from twill.codegen.machine_code import compile_module\n"
        "from twill.frontend.launch import from_json\n"
        "from twill.frontend.materialize import materialize\n"
        "data = json.load(open(sys.argv[2]))\n"
        "code = compile_module(sys.argv[1], data['problem']['name'], materialize(from_json(data['launch']), 0))\n"
        "print(json.dumps(dataclasses.asdict(code)))\n"
    )
    path = os.pathsep.join([folder, str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(module_path(variant)), str(schedule_path(variant))],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert tuple(map(int, found["triton"].split(".")[:2])) >= (3, 9)
    require_clean(**found)
    assert found["hgmma"] > 0


def test_an_unknown_architecture_is_refused():
    variant = VARIANTS[0]
    schedule, launch = stored(variant)
    with pytest.raises(InputError, match="hopper"):
        compile_module(module_path(variant), schedule.problem.name, materialize(launch, 0), "volta")


def test_a_module_that_triton_rejects_says_why(tmp_path):
    variant = VARIANTS[0]
    schedule, launch = stored(variant)
    broken = tmp_path / "broken.py"
    broken.write_text(module_path(variant).read_text().replace("gl.exp2(", "gl.no_such_function("))
    with pytest.raises(CheckFailed, match="no_such_function"):
        compile_module(broken, schedule.problem.name, materialize(launch, 0))


def test_no_grid_is_needed(tmp_path):
    """Of a launcher that asks the caller for one."""
    variant = next(each for each in VARIANTS if each.name == "matmul_fp16")
    file = files.read(schedule_path(variant))
    launch = replace(from_json(file.launch), grid_text=None, grid=None)
    module = tmp_path / "asks.py"
    module.write_text(emit(plan(parse_graph(file.graph), file.schedule, launch)))
    assert not compile_module(module, file.schedule.problem.name, materialize(launch, 0)).problems
