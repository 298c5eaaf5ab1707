"""The form of a kernel, chosen by simulation."""

from dataclasses import replace
from itertools import pairwise

import pytest

from twill import forms
from twill.codegen.pipeline import Form
from twill.codegen.plan import plan
from twill.feedback import refine
from twill.forms import NEAR, Forms, simulated
from twill.frontend.launch import from_json
from twill.ir.text import parse_graph
from twill.machine import load
from twill.schedule import files
from twill.shipped import schedules_folder

HOPPER = load("hopper")


def kernel(name):
    """(graph, schedule, launch) of a shipped schedule, without the form it was given."""
    stored = files.read(schedules_folder() / "hopper" / f"{name}.json")
    kept = {key: value for key, value in stored.schedule.provenance.items() if key != "form"}
    return parse_graph(stored.graph), replace(stored.schedule, provenance=kept), from_json(stored.launch)


def test_a_kernel_that_keeps_up_has_the_code_generators_own_form():
    found = Forms(*kernel("matmul_fp16"), HOPPER)
    first = next(found.choices())
    assert (first.form, first.isolation) == (Form(), 0)
    assert len(found.known) == 1  # nothing else was simulated


def test_dq_keeps_up_with_its_schedule():
    """Each dp starts with the exponential of its group, which would hold up the tensor core if it stood before."""
    assert simulated(plan(*kernel("attention_dq_d128_fp16")), HOPPER) == 1536


def test_a_kernel_that_falls_behind_gets_another_form(monkeypatch):
    monkeypatch.setattr(forms, "_MOST_CUTS", 20)
    monkeypatch.setattr(forms, "_LEADERS", 0)
    graph, schedule, launch = kernel("attention_d64_causal_fp16")
    own = simulated(plan(graph, schedule, launch), HOPPER)
    first = next(Forms(graph, schedule, launch, HOPPER).choices())
    assert first.cycles < own / NEAR
    again = plan(graph, schedule, launch, isolation=first.isolation, form=first.form)
    assert simulated(again, HOPPER) == first.cycles
    recorded = replace(schedule, provenance={**schedule.provenance, "form": first.form.json()})
    assert plan(graph, recorded, launch).roles == again.roles


def test_forms_come_by_interval_each_once(monkeypatch):
    monkeypatch.setattr(forms, "_MOST_CUTS", 4)
    monkeypatch.setattr(forms, "_LEADERS", 1)
    found = [choice.cycles for choice in Forms(*kernel("attention_d64_fp16"), HOPPER).choices()]
    assert all(after > NEAR * before for before, after in pairwise(found))
    assert len(found) > 1


def test_a_form_that_does_not_lower_to_clean_code_is_passed_over(monkeypatch):
    from twill import feedback
    from twill.codegen.machine_code import MachineCode

    clean = MachineCode("3.6.0", 168, (24, 240), 0, 0, 200_000, 232_448, 8, False, 0.0)
    codes = [replace(clean, spill_bytes=8), clean]
    monkeypatch.setattr(feedback, "compile_module", lambda *_: codes.pop(0))
    monkeypatch.setattr(forms, "_MOST_CUTS", 4)
    monkeypatch.setattr(forms, "_LEADERS", 1)
    graph, schedule, launch = kernel("attention_d64_fp16")
    choices = Forms(graph, schedule, launch, HOPPER).choices()
    _, second = next(choices), next(choices)
    found = refine(graph, schedule, launch, pytest.fail, lambda message: None, HOPPER)
    assert found.plan.isolation == second.isolation
    assert simulated(found.plan, HOPPER) == second.cycles
    assert len(found.history) == 1
    assert found.plan.roles == plan(graph, found.schedule, launch, isolation=second.isolation).roles
