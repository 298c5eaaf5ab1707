"""What the checker asks of warp groups, registers, memories and barriers: rules 4 to 6, one function each."""

from __future__ import annotations

from collections.abc import Iterator

from twill.schedule.lifetimes import foreign_begins, has_ring, register_lives, ring_life, transfers
from twill.schedule.modulo import covering, peak
from twill.schedule.problem import REGISTER_STEP, Limits, Op, in_register_steps
from twill.schedule.schedule import Group, Schedule
from twill.schedule.violation import Violation

MAX_NAMED_BARRIERS = 16  # hardware named barriers of a thread block; a group takes one
MBARRIERS = 2  # of a slot or a signal: full and empty


def members(schedule: Schedule) -> dict[int, list[Op]]:
    """The ops of each group, in the order of the problem; an op of several groups is in each."""
    found: dict[int, list[Op]] = {group: [] for group in range(len(schedule.groups))}
    for op in schedule.problem.ops:
        for group in schedule.placements[op.id].groups:
            found[group].append(op)
    return found


def roles(schedule: Schedule) -> Iterator[Violation]:
    """Rule 4: producers apart, warps as the ops ask, and all of it inside the machine."""

    def broken(message: str, *ops: str) -> Violation:
        return Violation("roles", ops, -1, message)

    limits = schedule.problem.limits
    inside = members(schedule)
    for index, group in enumerate(schedule.groups):
        ops = inside[index]
        if not ops:
            yield broken(f"group {index} holds no op")
            continue
        producing = [op.id for op in ops if op.variable_latency]
        others = [op.id for op in ops if not op.variable_latency]
        if producing and others:
            message = (
                f"group {index} holds {producing[0]} of variable latency together with {others[0]} of fixed latency"
            )
            yield broken(message, producing[0], others[0])
        if group.producer != bool(producing):
            role = "a producer" if group.producer else "no producer"
            held = "none" if not producing else ", ".join(producing)
            yield broken(f"group {index} is marked as {role}, but its ops of variable latency are: {held}", *producing)
        widest = max(ops, key=lambda op: op.min_warps)
        if group.warps != widest.min_warps:
            message = f"group {index} has {group.warps} warps, but {widest.id} asks for {widest.min_warps}"
            yield broken(message, widest.id)
    warps = sum(group.warps for group in schedule.groups)
    if warps > limits.max_warps:
        yield broken(f"the groups have {warps} warps in all > max_warps {limits.max_warps}")
    most = min(limits.max_groups, MAX_NAMED_BARRIERS)
    if len(schedule.groups) > most:
        yield broken(f"there are {len(schedule.groups)} groups > {most}")
    yield from (broken(message) for message in _budgets(schedule.groups, limits))


def _budgets(groups: tuple[Group, ...], limits: Limits) -> Iterator[str]:
    """Each group's registers are ones a thread may have, producers share one quota, and the file holds them all."""
    least, most = limits.producer_registers, limits.registers_per_thread
    quotas = {group.registers: index for index, group in enumerate(groups) if group.producer}
    if len(quotas) > 1:
        said = " and ".join(f"group {index} {quota}" for quota, index in quotas.items())
        yield f"the producer groups share one quota of registers per thread, but claim {said}"
    for index, group in enumerate(groups):
        cap = max(least, most) if group.producer else most
        if group.registers > cap:
            yield f"group {index} claims {group.registers} registers per thread > {cap} the machine can give it"
        if group.producer and group.registers < least:
            yield f"producer group {index} claims {group.registers} registers per thread < producer_registers {least}"
        elif group.producer and (group.registers - least) % REGISTER_STEP:
            yield (
                f"producer group {index} claims {group.registers} registers per thread, which is not"
                f" producer_registers {least} and steps of {REGISTER_STEP} more"
            )
    producers = sum(group.warps for group in groups if group.producer)
    terms = []
    if producers:
        quota = max(group.registers for group in groups if group.producer)
        # One that is no multiple of the step is charged as the machine file gives it.
        if least % REGISTER_STEP == 0:
            quota = in_register_steps(quota)
        fours = -(-producers // 4)  # their warps are allocated by fours
        terms.append((f"128 * {fours} * {quota}", 128 * fours * quota))
    for group in groups:
        if not group.producer:
            step = in_register_steps(group.registers)
            terms.append((f"32 * {group.warps} * {step}", 32 * group.warps * step))
    total = sum(taken for _, taken in terms)
    if total > limits.register_file:
        summed = " + ".join(term for term, _ in terms)
        yield f"the groups take {summed} = {total} registers > register_file {limits.register_file}"


def registers(schedule: Schedule) -> Iterator[Violation]:
    """Rule 5: at every slot, the values living in a group fit its registers. One report a group, at its peak."""
    for group, spans in register_lives(schedule).items():
        slot, total = peak(spans, schedule.ii)
        cap = schedule.groups[group].registers
        if total > cap:
            there = covering(spans, slot, schedule.ii)
            held = " + ".join(f"{span.name} {span.weight}" + (f" * {n}" if n > 1 else "") for span, n in there)
            message = f"group {group} holds {held} = {total} registers per thread > {cap} at slot {slot}"
            yield Violation("registers", tuple(span.name for span, _ in there), slot, message)


def rings(schedule: Schedule) -> Iterator[Violation]:
    """Rule 6: depth * ii covers the life of each buffer; the rings and what values between groups take fit."""
    limits = schedule.problem.limits
    buffers = [op for op in schedule.problem.ops if has_ring(op)]
    for op in buffers:
        depth = schedule.rings[op.id]
        life, last = ring_life(schedule, op)
        if depth < 1:
            yield Violation("rings", (op.id,), -1, f"the ring of {op.id} has depth {depth} < 1")
        elif depth * schedule.ii < life:
            until = f"the completion of {last}" if last else "its own completion"
            message = (
                f"the ring of {op.id} has depth {depth} * ii {schedule.ii} = {depth * schedule.ii}"
                f" < {life} cycles from its issue to {until}"
            )
            yield Violation("rings", (op.id, last) if last else (op.id,), schedule.start(op.id), message)
    shared = [(op.id, op.id, schedule.rings[op.id], op.smem_bytes) for op in buffers if op.smem_bytes]
    shared += [(f"{sent.id} to other groups", sent.id, sent.depth, sent.slot_bytes) for sent in transfers(schedule)]
    tensor = [(op.id, op.id, schedule.rings[op.id], op.tmem_columns) for op in buffers if op.tmem_columns]
    for memory, unit, limit, sizes in (
        ("shared memory", "bytes", limits.smem_bytes, shared),
        ("tensor memory", "columns", limits.tmem_columns, tensor),
    ):
        total = sum(depth * size for _, _, depth, size in sizes)
        if total > limit:
            summed = " + ".join(f"{name} {depth} * {size}" for name, _, depth, size in sizes)
            message = f"{memory} holds {summed} = {total} {unit} > {limit}"
            yield Violation("rings", tuple(id for _, id, _, _ in sizes), -1, message)


def barriers(schedule: Schedule) -> Iterator[Violation]:
    """Rule 6: two mbarriers for each slot of a ring or a transfer and for each plain signal, at most max_mbarriers."""
    problem = schedule.problem
    terms = [*schedule.rings.items(), *((f"{sent.id} to other groups", sent.depth) for sent in transfers(schedule))]
    plain = [op for op in problem.ops if not (op.registers or has_ring(op)) and foreign_begins(schedule, op)]
    terms += [(f"{op.id} signalled", 1) for op in plain]
    total = MBARRIERS * sum(count for _, count in terms)
    if total > problem.limits.max_mbarriers:
        summed = " + ".join(f"{name} {MBARRIERS} * {count}" for name, count in terms)
        message = f"the rings and signals take {summed} = {total} mbarriers > {problem.limits.max_mbarriers}"
        ids = (*schedule.rings, *(sent.id for sent in transfers(schedule)), *(op.id for op in plain))
        yield Violation("barriers", ids, -1, message)
