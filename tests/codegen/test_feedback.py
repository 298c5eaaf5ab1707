"""What machine code teaches, with machine code made up for the purpose."""

from dataclasses import replace
from pathlib import Path

import pytest

from twill import feedback
from twill.codegen.disassembly import RoleCode
from twill.codegen.gluon import emit
from twill.codegen.machine_code import MachineCode
from twill.codegen.plan import ISOLATION, plan
from twill.compiler import resolve, taught
from twill.errors import CheckFailed
from twill.feedback import ATTEMPTS, figures, matched, refine, spills_of, tightened
from twill.frontend.launch import from_json
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.schedule.checker import check
from twill.schedule.lifetimes import register_lives
from twill.schedule.modulo import peak
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
    changed, why = tightened(plan(*attention), TOO_LARGE)
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
    changed, why = tightened(plan(*attention), replace(CLEAN, spill_bytes=spilled))
    assert changed.problem.limits.registers_per_thread == most - fewer
    assert changed.problem.limits.smem_bytes == schedule.problem.limits.smem_bytes
    assert why == f"{spilled} bytes spilled: values may take {most - fewer} registers a thread"


def test_shared_memory_comes_before_spills(attention):
    changed, _ = tightened(plan(*attention), replace(TOO_LARGE, spill_bytes=100))
    assert changed.problem.limits.registers_per_thread == attention[1].problem.limits.registers_per_thread


def test_serialization_and_clean_code_ask_for_no_limit(attention):
    assert tightened(plan(*attention), SERIALIZED) == (None, "")
    assert tightened(plan(*attention), CLEAN) == (None, "")


def test_no_limit_goes_to_zero(attention):
    schedule = attention[1]
    assert (
        tightened(plan(*attention), replace(CLEAN, shared_bytes=LIMIT + schedule.problem.limits.smem_bytes))[0] is None
    )
    thin = replace(schedule, groups=tuple(replace(group, registers=8) for group in schedule.groups))
    assert tightened(replace(plan(*attention), schedule=thin), SPILLS)[0] is None


# -- whose code spills --------------------------------------------------------------------------------


def spilling(decided, **sizes):
    """Machine code of a plan in which the named roles move so many bytes of local memory."""
    roles = tuple(
        RoleCode(100, (role.registers, 120), 200, 190, 210, sizes.get(role.name, 0)) for role in decided.roles
    )
    filler = RoleCode(9, (24, 120), 1, 0, 0, 0)
    return replace(CLEAN, spill_bytes=sum(sizes.values()), stack_bytes=64, roles=(*roles, filler))


def test_all_groups_that_spill_keep_their_quota(attention):
    decided = plan(*attention)
    changed, why = tightened(decided, spilling(decided, consumer0=40, consumer1=60))
    limits, had = changed.problem.limits, attention[1].problem.limits
    most = max(group.registers for group in attention[1].groups)
    # 60 bytes are 15 registers, in steps of 8: 16, of 256 threads. What the values give up is set aside.
    assert limits.registers_per_thread == most - 16
    assert limits.reserved_registers == had.reserved_registers + 16
    assert limits.register_file == had.register_file - 16 * 256
    assert why == f"100 bytes spilled (consumer0 40, consumer1 60): values may take {most - 16} registers a thread"


def test_one_group_that_spills_is_capped_alone(attention):
    decided = plan(*attention)
    changed, why = tightened(decided, spilling(decided, consumer1=60))
    assert changed.problem.limits == attention[1].problem.limits
    before = {op.id: op for op in attention[1].problem.ops}
    charged = {op.id: op.registers - before[op.id].registers for op in changed.problem.ops}
    ids = {id for id, more in charged.items() if more}
    assert ids == {"acc.1", "acc_3.1"}  # one value: the accumulator, and what rescales it in place
    (role,) = [role for role in decided.roles if role.name == "consumer1"]
    assert {charged[id] for id in ids} == {16}
    assert all(attention[1].placements[id].groups == (role.group,) for id in ids)
    # The whole interval long: at its peak the group holds just so many more, the other group no more.
    peaks = [peak(spans, changed.ii)[1] for _, spans in sorted(register_lives(changed).items())]
    was = [peak(spans, changed.ii)[1] for _, spans in sorted(register_lives(attention[1]).items())]
    assert [now - then for now, then in zip(peaks, was, strict=True)] == [
        16 * (group == role.group) for group in range(len(peaks))
    ]
    cap = attention[1].groups[role.group].registers - 16
    assert why == f"60 bytes spilled by consumer1: its values may take {cap} registers a thread"


def test_a_producer_that_spills_gets_more_registers(attention):
    decided = plan(*attention)
    changed, why = tightened(decided, spilling(decided, loader=8))
    had = attention[1].problem.limits
    assert changed.problem.limits == replace(had, producer_registers=had.producer_registers + 8)
    assert why == f"8 bytes spilled by loader: producers have {had.producer_registers + 8} registers a thread"


def test_code_that_does_not_show_the_roles_accuses_none(attention):
    decided = plan(*attention)
    code = spilling(decided, consumer1=60)
    assert spills_of(decided, code) == {"consumer1": 60}
    other_quota = replace(code.roles[1], quotas=(64,))
    assert matched(decided, replace(code, roles=(code.roles[0], other_quota, *code.roles[2:]))) == []
    assert matched(decided, replace(code, roles=code.roles[:1])) == []
    assert spills_of(decided, replace(code, roles=())) == {}
    ignored = replace(code, roles=tuple(replace(role, quotas=()) for role in code.roles))  # ptxas' note C7507
    assert spills_of(decided, ignored) == {"consumer1": 60}


def test_every_attempt_leaves_its_figures(attention, monkeypatch):
    decided = plan(*attention)
    compiler = Compiler(monkeypatch, spilling(decided, consumer1=60), CLEAN)
    found = compiler.refine(attention)
    assert found.history == (f"ptxas spilled 60 bytes (consumer1 60): {ISOLATION[1]}",)
    first, last = found.attempts
    assert first == figures(decided, spilling(decided, consumer1=60))
    assert (first["spill_bytes"], first["stack_bytes"], first["isolation"]) == (60, 64, 0)
    assert first["roles"]["consumer1"] == {"registers": 240, "live": 200, "highest": 210, "spill_bytes": 60}
    assert (last["spill_bytes"], last["isolation"]) == (0, 1)
    provenance = taught(found).provenance
    assert provenance["attempts"] == [first, last]
    assert provenance["feedback"] == list(found.history)


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


def test_overlap_that_is_not_there_is_not_given_up(monkeypatch):
    """The MMAs of a product read shared memory alone: the mildest level keeps nothing apart."""
    file = files.read(next(schedule_path(variant) for variant in VARIANTS if variant.name == "matmul_fp16"))
    sources = []

    def compiled(path, name, arguments):
        sources.append(Path(path).read_text())
        return SPILLS

    monkeypatch.setattr(feedback, "compile_module", compiled)
    unsolved = replace(file.schedule, placements={})
    found = refine(
        parse_graph(file.graph), file.schedule, from_json(file.launch), lambda tighter: unsolved, lambda message: None
    )
    assert len({feedback.what_it_does(source) for source in sources}) == len(sources)
    assert not any(ISOLATION[1] in line for line in found.history)


def test_what_triton_rejects_is_raised(attention, monkeypatch):
    def reject(*arguments):
        raise CheckFailed("Triton does not compile the generated kernel: no")

    monkeypatch.setattr(feedback, "compile_module", reject)
    with pytest.raises(CheckFailed, match="does not compile"):
        refine(*attention, lambda tighter: tighter, lambda message: None)


def test_a_cap_of_one_group_is_solved_and_kept():
    (variant,) = [variant for variant in VARIANTS if variant.name == "matmul_fp16"]
    file = files.read(schedule_path(variant))
    decided = plan(parse_graph(file.graph), file.schedule, from_json(file.launch))
    tighter, _ = tightened(decided, spilling(decided, consumer0=128))
    solved = resolve(tighter, 30.0)
    assert not check(solved)
    assert solved.ii == file.schedule.ii
    assert sorted(peak(spans, solved.ii)[1] for spans in register_lives(solved).values() if spans) == [128, 160]
    again = plan(parse_graph(file.graph), solved, from_json(file.launch))
    assert {role.registers for role in again.roles} == {role.registers for role in decided.roles}
