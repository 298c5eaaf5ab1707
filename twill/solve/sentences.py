"""A conflict in sentences: each rule with its ops and numbers, and how they exclude the interval together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from twill.schedule.problem import Dep, Problem
from twill.solve.bounds import rec_mii
from twill.solve.conflict import Conflict
from twill.solve.grouping import NAMED_BARRIERS, grouping, hop
from twill.solve.relax import FAMILIES, Member, dep_of


@dataclass(frozen=True)
class Sentence:
    """One rule of a conflict: its family, what it asks with numbers, its ops, and whether it is proved to be needed."""

    rule: str
    text: str
    ops: tuple[str, ...]
    needed: bool


def sentences(problem: Problem, conflict: Conflict) -> tuple[Sentence, ...]:
    """The members of `conflict` in words, those of one family that belong together in one sentence."""
    found = []
    barriers = any(member.family == "mbarriers" for member in conflict.members)
    for family in FAMILIES:
        members = [member for member in conflict.members if member.family == family]
        said = _WORDS[family](problem, conflict.ii, members) if members else ()
        if barriers and family in _MEMORIES and all(not member.object.startswith("limit ") for member in members):
            ids = [member.object for member in members]
            said = [(f"{listed(ids)} write rings, whose depth their readers decide", ids, members)]
        for text, ops, about in said:
            found.append(Sentence(family, text, tuple(ops), conflict.needed.issuperset(about)))
    return tuple(found)


_MEMORIES = ("shared memory", "tensor memory")
_Said = tuple[str, Sequence[str], Sequence[Member]]


def _units(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
    for member in members:
        ops = [op for op in problem.ops if op.unit == member.object and op.occupancy > 0]
        capacity = problem.limits.units[member.object]
        total = sum(op.occupancy for op in ops)
        work = listed([f"{op.id} {op.occupancy}" for op in ops])
        room = f"{capacity} * {ii}" if capacity > 1 else f"{ii}"
        if total > capacity * ii:
            text = f"unit {member.object} must run {work}: {total} cycles in {room}"
        else:
            at_once = "one at a time" if capacity == 1 else f"at most {capacity} at once"
            text = f"unit {member.object} runs {work}, {at_once}: busy for {total} of {room} cycles"
        yield text, [op.id for op in ops], [member]


def _streams(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
    groups = grouping(problem)
    waiting = [member.object for member in members]
    taken = {
        op.id: op.issue
        for id in waiting
        for op in problem.ops
        if op.id != id and op.issue > 1 and groups.together(id, op.id) is not False
    }
    longest = sorted(taken, key=lambda id: -taken[id])
    waits = listed(
        [f"{id} (for {listed([d.src for d in problem.deps if d.dst == id and d.blocking])})" for id in waiting]
    )
    text = f"a group is one instruction stream: the wait of {waits} may not fall inside the issue of another op"
    if longest:
        text += f" of its group, such as {listed([f'{id} {taken[id]}' for id in longest], 4)} cycles"
    yield text, waiting, members


def _hops(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
    for member in members:
        cycles = getattr(problem.limits, f"{member.object}_hop")
        value = member.object == "value"
        paid = [d for d in problem.deps if (problem.op(d.src).registers > 0) == value]
        what = "a value in registers that another group uses" if value else "a signal to another group"
        yield f"{what} takes {cycles} cycles more ({member.object}_hop)", sorted({d.src for d in paid}), [member]


def _registers(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
    limits = problem.limits
    values = [problem.op(member.object) for member in members if not member.object.startswith("limit ")]
    caps = {member.object.removeprefix("limit ") for member in members if member.object.startswith("limit ")}
    words = []
    if "registers_per_thread" in caps or not caps:
        words.append(f"at most {limits.registers_per_thread} registers per thread")
    if "register_file" in caps:
        words.append(f"a register file of {limits.register_file} for all groups")
    if "producer_registers" in caps:
        words.append(f"{limits.producer_registers} per thread of a producer group")
    total = sum(op.registers for op in values)
    held = listed([f"{op.id} {op.registers}" for op in values], 12)
    text = f"{' and '.join(words)}, for {held}" + (f" ({total} together)" if len(values) > 1 else "")
    yield text, [op.id for op in values], members


def _memory(kind: str, size: str, word: str) -> Callable[[Problem, int, Sequence[Member]], Iterable[_Said]]:
    def words(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
        rings = [problem.op(member.object) for member in members if not member.object.startswith("limit ")]
        least, limit = sum(getattr(op, size) for op in rings), getattr(problem.limits, size)
        slots = listed([f"{op.id} {getattr(op, size)}" for op in rings])
        if least > limit:
            text = f"one buffer of each ring takes {least} {word}, the limit is {limit}"
            text += f" ({slots})" if len(rings) > 1 else ""
        else:
            text = f"the rings have {limit} {word} together, a slot takes {slots}"
        if any(member.object == "limit transfer_bytes" for member in members):
            text += (
                f"; values that move between groups take {problem.limits.transfer_bytes} bytes a register and thread"
            )
        yield text, [op.id for op in rings], members

    return words


def _mbarriers(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
    yield f"at most {problem.limits.max_mbarriers} mbarriers, two for each slot of a ring", [], members


def _roles(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
    loads = [member for member in members if member.object != "limit max_warps"]
    if loads:
        ids = [member.object for member in loads]
        text = f"{listed(ids)} of variable latency may share a group only with others of variable latency"
        yield text, ids, loads
    for member in members:
        if member not in loads:
            widest = sorted(problem.ops, key=lambda op: -op.min_warps)
            asked = listed([f"{op.id} {op.min_warps}" for op in widest if op.min_warps > 1] or ["every op 1"], 4)
            yield (
                f"at most {problem.limits.max_warps} warps in all; a group has as many as its ops ask for: {asked}",
                [],
                [member],
            )


def _groups(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
    for member in members:
        if member.sets == "colocate":
            ids = problem.colocate[int(member.object)]
            yield f"{listed(ids, 12)} must share a group (colocate)", ids, [member]
        elif member.sets == "separate":
            ids = problem.separate[int(member.object)]
            yield f"{listed(ids, 12)} must be in different groups (separate)", ids, [member]
        else:
            most = min(problem.limits.max_groups, NAMED_BARRIERS)
            yield f"at most {most} group{'s' if most > 1 else ''}", [], [member]


def _dependences(problem: Problem, ii: int, members: Sequence[Member]) -> Iterable[_Said]:
    pairs = [(dep_of(problem, member), member) for member in members]
    for chain in chains([dep for dep, _ in pairs]):
        about = [member for dep, member in pairs if any(dep is each for each in chain)]
        yield chain_words(chain), [chain[0].src, *(dep.dst for dep in chain)], about


_WORDS: Mapping[str, Callable[[Problem, int, Sequence[Member]], Iterable[_Said]]] = {
    "units": _units,
    "streams": _streams,
    "hops": _hops,
    "registers": _registers,
    "shared memory": _memory("shared memory", "smem_bytes", "bytes"),
    "tensor memory": _memory("tensor memory", "tmem_columns", "columns"),
    "mbarriers": _mbarriers,
    "roles": _roles,
    "groups": _groups,
    "dependences": _dependences,
}


def chain_words(chain: Sequence[Dep]) -> str:
    """`a -(3)-> b -(4, 1 iteration later)-> a`: a path of dependences with latencies."""
    words = chain[0].src
    for dep in chain:
        later = f", {dep.distance} iteration{'s' if dep.distance > 1 else ''} later" if dep.distance else ""
        words += f" -({dep.latency}{later})-> {dep.dst}"
    return words


def chains(deps: Sequence[Dep]) -> list[list[Dep]]:
    """The dependences as few paths, each taken as far as it goes; first those that begin where none leads to."""
    left = list(deps)
    found = []
    while left:
        entered = {dep.dst for dep in left}
        path = [next((dep for dep in left if dep.src not in entered), left[0])]
        left.remove(path[0])
        while following := [dep for dep in left if dep.src == path[-1].dst]:
            path.append(max(following, key=lambda dep: dep.dst != path[0].src))
            left.remove(path[-1])
        found.append(path)
    return found


def together(problem: Problem, conflict: Conflict) -> str:
    """How the members exclude the interval, where arithmetic shows it: a unit, a cycle, values, buffers.

    Empty where none of these suffices: then it is their combination, which no short sum shows.
    """
    ii = conflict.ii
    kept = {family: [m for m in conflict.members if m.family == family] for family in FAMILIES}
    for member in kept["units"]:
        total = sum(op.occupancy for op in problem.ops if op.unit == member.object)
        if total > problem.limits.units[member.object] * ii:
            capacity = problem.limits.units[member.object]
            return f"{total} cycles of work do not fit in {f'{capacity} * ' if capacity > 1 else ''}{ii}."
    deps = [dep_of(problem, member) for member in kept["dependences"]]
    around = _around(problem, deps, {member.object for member in kept["hops"]}, ii)
    if around:
        return around
    paths = _longest_paths(deps, ii)
    for size, limit, family, word in (
        ("smem_bytes", problem.limits.smem_bytes, "shared memory", "bytes"),
        ("tmem_columns", problem.limits.tmem_columns, "tensor memory", "columns"),
    ):
        least = {
            m.object: _least_depth(problem, m.object, deps, paths, ii)
            for m in kept[family]
            if not m.object.startswith("limit ")
        }
        total = sum(depth * getattr(problem.op(id), size) for id, depth in least.items())
        if total > limit:
            summed = " + ".join(f"{id} {depth} * {getattr(problem.op(id), size)}" for id, depth in least.items())
            return f"At II {ii} the lives of the buffers need {summed} = {total} {word} > {limit}."
    for member in kept["registers"]:
        lives = [paths[dep.src, dep.dst] + dep.distance * ii for dep in deps if dep.src == member.object]
        copies = max(1, -(-max(lives, default=1) // ii))
        held, cap = copies * registers_of(problem, member), problem.limits.registers_per_thread
        if held > cap and copies == 1:
            return f"{member.object} alone takes {held} registers per thread > {cap}."
        if held > cap:
            return (
                f"{member.object} lives {max(lives, default=1)} cycles or more, so {copies} iterations hold it at once"
                f" at II {ii}: {held} registers > {cap}."
            )
    return ""


def registers_of(problem: Problem, member: Member) -> int:
    """Registers per thread of the value that a member of the family "registers" stands for; 0 for a limit."""
    return 0 if member.object.startswith("limit ") else problem.op(member.object).registers


def _around(problem: Problem, deps: Sequence[Dep], hops: Collection[str], ii: int) -> str:
    """The cycle of `deps`, with the hops that its ops cannot avoid, that takes longer than `ii` allows; "" if none."""
    groups = grouping(problem)
    paid = {}
    for k, dep in enumerate(deps):
        kind = "value" if problem.op(dep.src).registers > 0 else "signal"
        if kind in hops and groups.inside(dep.src, dep.dst) is False:
            paid[k] = hop(problem, dep)
    cycle = rec_mii(replace(problem, deps=tuple(deps)), paid)
    if cycle.ii <= ii:
        return ""
    around = set(zip(cycle.ops, (*cycle.ops[1:], cycle.ops[0]), strict=True))
    on_hops = sum(cycles for k, cycles in paid.items() if (deps[k].src, deps[k].dst) in around)
    hop_words = f"{cycle.latency - on_hops} + {on_hops} for hops = " if on_hops else ""
    return (
        f"Once around {' -> '.join((*cycle.ops, cycle.ops[0]))} takes {hop_words}{cycle.latency} cycles,"
        f" but must end within {cycle.distance} * {ii} = {ii * cycle.distance}."
    )


def _longest_paths(deps: Sequence[Dep], ii: int) -> dict[tuple[str, str], int]:
    """Cycles by which the second op starts after the first at least, over paths of `deps` at interval ii."""
    ids = {id for dep in deps for id in (dep.src, dep.dst)}
    paths = {(id, id): 0 for id in ids}
    for dep in deps:
        length = dep.latency - ii * dep.distance
        paths[dep.src, dep.dst] = max(paths.get((dep.src, dep.dst), length), length)
    for via in ids:
        into = [(a, length) for (a, b), length in paths.items() if b == via]
        out = [(b, length) for (a, b), length in paths.items() if a == via]
        for a, before in into:
            for b, behind in out:
                paths[a, b] = max(paths.get((a, b), before + behind), before + behind)
    return paths


def _least_depth(problem: Problem, id: str, deps: Sequence[Dep], paths: Mapping[tuple[str, str], int], ii: int) -> int:
    """Slots that the ring of op `id` needs at least: its buffer lives until its last consumer has completed."""
    lives = [
        paths[id, dep.dst] + dep.distance * ii + problem.op(dep.dst).completion
        for dep in deps
        if dep.src == id and not dep.ring
    ]
    return max(1, -(-max(lives, default=problem.op(id).completion) // ii))


def listed(words: Iterable[str], most: int = 8) -> str:
    """The words with commas, at most so many, and how many more there are."""
    words = list(words)
    if len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[:most])} and {len(words) - most} more"
