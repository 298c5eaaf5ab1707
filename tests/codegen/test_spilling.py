"""Forms, isolation and registers searched together, with machine code made up for the purpose."""

from dataclasses import replace

import pytest

from twill import spilling
from twill.codegen.gluon import emit
from twill.codegen.machine_code import MachineCode
from twill.codegen.pipeline import Form
from twill.codegen.plan import ISOLATION, plan
from twill.errors import CheckFailed
from twill.feedback import Emitted
from twill.forms import Choice
from twill.frontend.launch import from_json
from twill.ir.text import parse_graph
from twill.machine import load
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path

HOPPER = load("hopper")
CLEAN = MachineCode("3.6.0", 168, (24, 240), 0, 0, 200_000, 232_448, 8, False, 0.0)
SPILLS = replace(CLEAN, spill_bytes=100)
HOPELESS = replace(CLEAN, spill_bytes=spilling.HOPELESS + 4)


@pytest.fixture(scope="module")
def kernel():
    """(graph, schedule, launch) of a shipped kernel, and its own plan as one that spilled."""
    (variant,) = [variant for variant in VARIANTS if variant.name == "attention_d64_fp16"]
    file = files.read(schedule_path(variant))
    graph, schedule, launch = parse_graph(file.graph), file.schedule, from_json(file.launch)
    spilled = Emitted(schedule, plan(graph, schedule, launch), "", SPILLS, ("what was tried",), ({"spill_bytes": 100},))
    return spilled, graph, schedule, launch


class FewForms:
    """In place of `Forms`: the own form at every level, 1200 cycles and 100 more a level, and one other, faster."""

    def __init__(self, graph, schedule, launch, machine):
        self.known = {}
        self.cut = schedule.ii // 4

    def choices(self):
        yield self.choice(Form({1: self.cut}), 0)

    def choice(self, form, isolation):
        own = form == Form()
        cycles = 1200.0 + 100 * isolation if own else 1150.0
        return self.known.setdefault((own, isolation), Choice(form, isolation, cycles, 4))


class Compiler:
    """Answers with what `judge` says of the number of kernels compiled and of the cap solved last."""

    def __init__(self, monkeypatch, judge):
        self.judge, self.kernels, self.caps = judge, 0, []
        monkeypatch.setattr(spilling, "compile_module", self.compile)
        monkeypatch.setattr(spilling, "Forms", FewForms)
        # The schedules of all caps are the same here, and their kernels too but for this line.
        monkeypatch.setattr(spilling, "emit", lambda decided: f"{emit(decided)}\n{self.caps}, {decided.isolation}")

    def compile(self, path, name, arguments):
        self.kernels += 1
        return self.judge(self.kernels, self.caps[-1] if self.caps else None)

    def solve(self, tighter):
        """The same schedule, its groups with fewer registers."""
        cap = tighter.problem.limits.registers_per_thread
        self.caps.append(cap)
        groups = tuple(group if group.producer else replace(group, registers=cap) for group in tighter.groups)
        return replace(tighter, groups=groups)

    def search(self, kernel):
        return spilling.search(*kernel, self.solve, lambda message: None, HOPPER)


def test_the_fastest_clean_kernel_is_kept(kernel, monkeypatch):
    compiler = Compiler(monkeypatch, lambda number, cap: CLEAN)
    found = compiler.search(kernel)
    assert found.code is CLEAN
    # First the own form with MMAs kept apart, which tells whether the cap is worth more; then the fastest, the other
    # form. At a lower cap only the probe, 1300 cycles, is compiled: what is as fast as the best would be no better.
    assert [attempt["interval"] for attempt in found.attempts[1:]] == [1300, 1150] + [1300] * spilling.CAPS
    assert found.schedule.provenance["form"] == Form({1: kernel[2].ii // 4}).json()
    assert found.history[0] == "what was tried"
    assert f"of {2 + spilling.CAPS} kernels more, the fastest clean one" in found.history[1]


def test_a_slower_clean_kernel_gives_way_to_a_faster_one(kernel, monkeypatch):
    answers = iter([CLEAN, SPILLS, SPILLS, HOPELESS, SPILLS, CLEAN])
    compiler = Compiler(monkeypatch, lambda number, cap: next(answers, HOPELESS))
    found = compiler.search(kernel)
    # Of the first cap the probe is clean at 1300 cycles, the forms of 1150 and 1200 spill; the second is hopeless; of
    # the third the form of 1150 is clean.
    assert [attempt["interval"] for attempt in found.attempts[1:7]] == [1300, 1150, 1200, 1300, 1300, 1150]
    assert found.code is CLEAN
    assert found.schedule.problem.limits.registers_per_thread == compiler.caps[1]


def test_fewer_registers_are_tried_step_by_step(kernel, monkeypatch):
    most = max(group.registers for group in kernel[2].groups)
    compiler = Compiler(monkeypatch, lambda number, cap: CLEAN if cap == most - 16 else HOPELESS)
    found = compiler.search(kernel)
    assert found.code is CLEAN
    assert compiler.caps[:2] == [most - 8, most - 16]
    limits = found.schedule.problem.limits
    had = kernel[2].problem.limits
    assert limits.registers_per_thread == most - 16
    assert limits.reserved_registers == had.reserved_registers + 16
    assert [attempt["spill_bytes"] for attempt in found.attempts[1:5]] == [260, 260, 0, 0]
    assert [attempt["values"] for attempt in found.attempts[1:5]] == [most, most - 8, most - 16, most - 16]
    assert f"has {most - 16} registers a thread for values" in found.history[-1]


def test_a_cap_whose_own_form_spills_much_is_left_at_once(kernel, monkeypatch):
    compiler = Compiler(monkeypatch, lambda number, cap: HOPELESS)
    found = compiler.search(kernel)
    assert compiler.kernels == 1 + spilling.CAPS  # one of each cap
    assert len(compiler.caps) == spilling.CAPS
    assert found.code is SPILLS
    assert len(found.attempts) == 1 + compiler.kernels


def test_the_number_of_kernels_is_bounded(kernel, monkeypatch):
    monkeypatch.setattr(spilling, "COMPILED", 3)
    compiler = Compiler(monkeypatch, lambda number, cap: SPILLS)
    found = compiler.search(kernel)
    assert compiler.kernels == 3
    assert (found.code, found.history) == (SPILLS, ("what was tried",))
    for attempt in found.attempts[1:]:
        assert {"values", "interval", "isolation", "spill_bytes", "roles"} <= set(attempt)


def test_what_triton_rejects_is_passed_over(kernel, monkeypatch):
    def judge(number, cap):
        if number < 3:
            raise CheckFailed("Triton does not compile the generated kernel: no")
        return CLEAN

    compiler = Compiler(monkeypatch, judge)
    assert compiler.search(kernel).code is CLEAN
    assert compiler.kernels >= 3


def test_nothing_solvable_below_ends_it(kernel, monkeypatch):
    compiler = Compiler(monkeypatch, lambda number, cap: HOPELESS)
    found = spilling.search(
        *kernel, lambda tighter: replace(tighter, placements={}), lambda message: None, HOPPER
    )  # fmt: skip
    assert compiler.kernels == 1
    assert found.code is SPILLS


def test_the_level_found_is_recorded(kernel, monkeypatch):
    compiler = Compiler(monkeypatch, lambda number, cap: CLEAN if number == 1 else SPILLS)
    found = compiler.search(kernel)
    assert found.plan.isolation == 1
    assert "form" not in found.schedule.provenance
    assert found.history[-1].endswith(ISOLATION[1])
