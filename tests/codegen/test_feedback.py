"""What machine code teaches, with machine code made up for the purpose."""

from dataclasses import replace
from pathlib import Path

import pytest

from twill import feedback
from twill.codegen.gluon import emit
from twill.codegen.machine_code import MachineCode
from twill.codegen.plan import ISOLATION, plan
from twill.errors import CheckFailed
from twill.feedback import ATTEMPTS, refine, tightened
from twill.frontend.launch import from_json
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path

LIMIT = 232_448
CLEAN = MachineCode("3.6.0", 168, (24, 240), 0, 0, 200_000, LIMIT, 8, False, 0.0)
SERIALIZED = replace(CLEAN, serialized=True, notes=("wgmma serialized",))
SPILLS = replace(CLEAN, spill_bytes=100)
TOO_LARGE = replace(CLEAN, shared_bytes=LIMIT + 4096)


@pytest.fixture(scope="module")
def attention():
    """(graph, schedule, launch) of a shipped kernel."""
    (variant,) = [variant for variant in VARIANTS if variant.name == "attention_d64_fp16"]
    file = files.read(schedule_path(variant))
    return parse_graph(file.graph), file.schedule, from_json(file.launch)


class Compiler:
    """Answers with the given machine codes in turn, the last one for ever; keeps what it was asked."""

    def __init__(self, monkeypatch, *codes):
        self.codes = list(codes)
        self.sources = []
        self.limits = []
        monkeypatch.setattr(feedback, "compile_module", self.compile)

    def compile(self, path, name, arguments):
        assert name == "attn_fwd"
        assert "q" in arguments
        self.sources.append(Path(path).read_text())
        return self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]

    def solve(self, tighter):
        """The same schedule under the new limits."""
        self.limits.append(tighter.problem.limits)
        return tighter

    def refine(self, attention):
        return refine(*attention, self.solve, lambda message: None)


# -- the arithmetic -----------------------------------------------------------------------------------


def test_shared_memory_gives_up_the_excess(attention):
    schedule = attention[1]
    had = schedule.problem.limits
    changed, why = tightened(schedule, TOO_LARGE)
    assert changed.problem.limits == replace(had, smem_bytes=had.smem_bytes - 4096)
    assert why == f"4096 bytes too many of shared memory: rings may take {had.smem_bytes - 4096}"
    assert changed.placements == schedule.placements


@pytest.mark.parametrize(("spilled", "fewer"), [
    (1, 8),  # a step of setmaxnreg at least
    (32, 8),  # 8 registers of 4 bytes
    (33, 16),
    (64, 16),
    (128, 32),
    (10_000, 32),  # four steps at most
])  # fmt: skip
def test_spills_give_up_registers_in_steps(attention, spilled, fewer):
    schedule = attention[1]
    most = max(group.registers for group in schedule.groups if not group.producer)
    changed, why = tightened(schedule, replace(CLEAN, spill_bytes=spilled))
    assert changed.problem.limits.registers_per_thread == most - fewer
    assert changed.problem.limits.smem_bytes == schedule.problem.limits.smem_bytes
    assert why == f"{spilled} bytes spilled: values may take {most - fewer} registers a thread"


def test_shared_memory_comes_before_spills(attention):
    changed, _ = tightened(attention[1], replace(TOO_LARGE, spill_bytes=100))
    assert changed.problem.limits.registers_per_thread == attention[1].problem.limits.registers_per_thread


def test_serialization_and_clean_code_ask_for_no_limit(attention):
    assert tightened(attention[1], SERIALIZED) == (None, "")
    assert tightened(attention[1], CLEAN) == (None, "")


def test_no_limit_goes_to_zero(attention):
    schedule = attention[1]
    assert tightened(schedule, replace(CLEAN, shared_bytes=LIMIT + schedule.problem.limits.smem_bytes))[0] is None
    thin = replace(schedule, groups=tuple(replace(group, registers=8) for group in schedule.groups))
    assert tightened(thin, SPILLS)[0] is None


# -- the loop -----------------------------------------------------------------------------------------


def test_clean_code_changes_nothing(attention, monkeypatch):
    compiler = Compiler(monkeypatch, CLEAN)
    found = compiler.refine(attention)
    assert (found.history, found.plan.isolation, found.code) == ((), 0, CLEAN)
    assert found.schedule is attention[1]
    assert found.source == emit(plan(*attention)) == compiler.sources[0]


def test_serialized_mmas_climb_the_levels_of_isolation(attention, monkeypatch):
    compiler = Compiler(monkeypatch, SERIALIZED, SERIALIZED, CLEAN)
    found = compiler.refine(attention)
    assert found.plan.isolation == 2
    assert found.history == tuple(f"ptxas serialized the MMAs: {ISOLATION[level]}" for level in (1, 2))
    assert compiler.sources == [emit(plan(*attention, isolation=level)) for level in (0, 1, 2)]
    assert compiler.limits == []


def test_beyond_the_last_level_the_serialized_kernel_is_returned(attention, monkeypatch):
    compiler = Compiler(monkeypatch, SERIALIZED)
    found = compiler.refine(attention)
    assert found.plan.isolation == len(ISOLATION) - 1
    assert found.code.problems
    assert compiler.limits == []  # no limit of the schedule would help


def test_spills_isolate_once_and_then_take_registers(attention, monkeypatch):
    compiler = Compiler(monkeypatch, SPILLS, SPILLS, CLEAN)
    found = compiler.refine(attention)
    most = max(group.registers for group in attention[1].groups)
    # 100 bytes are 25 registers, in steps of 8: 32. The new schedule starts without isolation.
    assert [limits.registers_per_thread for limits in compiler.limits] == [most - 32]
    assert found.history == (
        f"ptxas spilled 100 bytes: {ISOLATION[1]}",
        f"100 bytes spilled: values may take {most - 32} registers a thread",
    )
    assert found.plan.isolation == 0
    assert found.schedule.problem.limits.registers_per_thread == most - 32


def test_too_much_shared_memory_takes_it_at_once(attention, monkeypatch):
    compiler = Compiler(monkeypatch, replace(TOO_LARGE, serialized=True), CLEAN)
    found = compiler.refine(attention)
    budget = attention[1].problem.limits.smem_bytes - 4096
    assert [limits.smem_bytes for limits in compiler.limits] == [budget]
    assert found.plan.isolation == 0
    assert found.history == (f"4096 bytes too many of shared memory: rings may take {budget}",)


def test_it_gives_up_after_so_many_attempts(attention, monkeypatch):
    compiler = Compiler(monkeypatch, TOO_LARGE)
    found = compiler.refine(attention)
    assert len(found.history) == ATTEMPTS
    assert len(compiler.sources) == ATTEMPTS + 1
    assert found.code == TOO_LARGE
    had = attention[1].problem.limits.smem_bytes
    assert [limits.smem_bytes for limits in compiler.limits] == [had - 4096 * k for k in range(1, ATTEMPTS + 1)]


def test_an_unsolvable_tighter_problem_leaves_the_last_kernel(attention, monkeypatch):
    compiler = Compiler(monkeypatch, TOO_LARGE)
    found = refine(
        *attention, lambda tighter: replace(tighter, placements={}, status="infeasible"), lambda message: None
    )
    assert found.code == TOO_LARGE
    assert found.history == ()
    assert found.schedule is attention[1]
    assert len(compiler.sources) == 1


def test_where_fewer_registers_have_no_schedule_overlap_is_given_up(attention, monkeypatch):
    compiler = Compiler(monkeypatch, SPILLS)
    solves = []

    def unsolvable(tighter):
        solves.append(tighter)
        return replace(tighter, placements={}, status="infeasible")

    found = refine(*attention, unsolvable, lambda message: None)
    assert len(solves) == 1  # the same question is not asked again
    assert found.plan.isolation == len(ISOLATION) - 1
    assert len(compiler.sources) == len(ISOLATION)


def test_without_an_example_there_is_nothing_to_compile(attention, monkeypatch):
    compiler = Compiler(monkeypatch, CLEAN)
    graph, schedule, launch = attention
    unknown = replace(launch, arguments=tuple(replace(spec, shape=None, value=None) for spec in launch.arguments))
    found = refine(graph, schedule, unknown, compiler.solve, lambda message: None)
    assert found.code is None
    assert compiler.sources == []
    assert found.plan.isolation == 0


def test_what_triton_rejects_is_raised(attention, monkeypatch):
    def reject(*arguments):
        raise CheckFailed("Triton does not compile the generated kernel: no")

    monkeypatch.setattr(feedback, "compile_module", reject)
    with pytest.raises(CheckFailed, match="does not compile"):
        refine(*attention, lambda tighter: tighter, lambda message: None)
