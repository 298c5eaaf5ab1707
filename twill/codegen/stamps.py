"""A twin of a kernel that keeps the time of each op: the same Plan with clock reads put between its statements.

One lane of each role's warp group reads `%clock64`, the cycles of its SM, and writes it to its record of a buffer in
device memory, where a few sampled programs write and no others. A store is not waited for. Four events of an op:

    begin     its instruction stream reaches it
    issue     it goes on after its waits; left out where it has none
    await     the stream begins to wait for the op's asynchronous result
    complete  that wait is over, so the result is there since then or before

An op that is not asynchronous ends where the next record of its role begins. Nothing else of the program changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from twill.codegen.plan import Buffer, Plan, Role
from twill.codegen.statements import (
    DONE,
    Comment,
    Condition,
    For,
    If,
    Iteration,
    Landing,
    MmaWait,
    Stamp,
    Stmt,
    Tiles,
    Wait,
)
from twill.errors import InputError

HEADER = 5  # of a role, before its records: trip count, then clock and nanoseconds at its start and at its end
PARAMETERS = ("twill_every", "twill_records")
Event = Literal["begin", "issue", "await", "complete"]
DETAILS = ("every op", "asynchronous ops", "issue of asynchronous ops", "nothing")
"""What of a role's ops is kept, from most to least."""


@dataclass(frozen=True)
class Probe:
    """One place of a role's program where the clock is kept, for every iteration.

    after: for `complete`, the op that the role's steady state begins last before it waits, and how many iterations
    later than this one's ("" where nothing comes before).
    """

    role: str
    op: str
    event: Event
    after: str = ""
    after_shift: int = 0


@dataclass(frozen=True)
class Stamps:
    """What an instrumented Plan keeps: `iterations` records of each probe, in each of `samples` programs.

    The buffer: int64 [samples, words]; of each sample the headers of `roles` in order, then [probes, iterations].
    since: of a kernel that runs over tiles, the variable with the iterations before this tile's; they are counted
    across tiles then.
    """

    roles: tuple[str, ...]
    probes: tuple[Probe, ...]
    iterations: int
    samples: int
    since: str = ""

    @property
    def words(self) -> int:
        """Of one sample."""
        return len(self.roles) * HEADER + len(self.probes) * self.iterations

    def header(self, role: str) -> int:
        """Where the header of a role begins."""
        return self.roles.index(role) * HEADER

    def offset(self, number: int) -> int:
        """Where the records of a probe begin."""
        return len(self.roles) * HEADER + number * self.iterations


def instrumented(
    plan: Plan, details: Mapping[str, str] | None = None, *, iterations: int = 64, samples: int = 4
) -> Plan:
    """The twin of `plan`: the first `iterations` iterations of `samples` programs leave their times.

    details: of each role one of DETAILS, by default the first. Raises InputError for numbers that are not positive.
    """
    if iterations < 1 or samples < 1:
        raise InputError("a timed kernel keeps at least one iteration of one program.", hint="Ask for 64 of 4.")
    probes: dict[tuple[str, str, Event], Probe] = {}
    members = {name: op.id for op in plan.schedule.problem.ops for name in op.members}
    asynchronous = frozenset(op.id for op in plan.schedule.problem.ops if op.asynchronous)
    roles = []
    for role in plan.roles:
        detail = (details or {}).get(role.name, DETAILS[0])
        writer = _Writer(role.name, plan.buffers, members, probes, DETAILS.index(detail), asynchronous)
        body = writer.written(role.body)
        parameters = tuple(sorted({*role.parameters, *PARAMETERS}))
        roles.append(replace(role, parameters=parameters, body=tuple(body)))
    since = DONE if plan.graph.outer is not None else ""
    stamps = Stamps(tuple(role.name for role in plan.roles), tuple(probes.values()), iterations, samples, since)
    return replace(plan, roles=tuple(roles), stamps=stamps)


class _Writer:
    """Puts stamps between one role's statements; `probes` numbers them, for all roles together."""

    def __init__(
        self,
        role: str,
        buffers: Iterable[Buffer],
        members: dict[str, str],
        probes: dict[tuple[str, str, Event], Probe],
        detail: int,
        asynchronous: frozenset[str],
    ) -> None:
        self.role = role
        self.loads = {f"{buffer.name}_full": members[buffer.source] for buffer in buffers if buffer.depth}
        self.members = members
        self.probes = probes
        self.detail = detail
        self.asynchronous = asynchronous
        self.looping = False
        self.last: tuple[str, Iteration] | None = None  # what began last, in the steady state

    def written(self, body: Iterable[Stmt]) -> list[Stmt]:
        out: list[Stmt] = []
        begun: Comment | None = None  # the op that began and did not go on yet
        waited = False
        for statement in body:
            if isinstance(statement, For):
                out.append(replace(statement, body=self._loop(statement)))
            elif isinstance(statement, If):
                then, orelse = self.written(statement.then), self.written(statement.orelse)
                out.append(replace(statement, then=tuple(then), orelse=tuple(orelse)))
            elif isinstance(statement, Tiles):
                out.append(replace(statement, body=tuple(self.written(statement.body))))
            elif isinstance(statement, Comment):
                out.append(statement)
                begun, waited = (statement, False) if statement.op else (begun, waited)
                if statement.op:
                    out += self._stamp(statement.op, "begin", statement.iteration, statement.conditions)
            elif isinstance(statement, MmaWait):
                out += self._awaited(out, statement)
                waited = True
            elif isinstance(statement, Wait):
                out += self._landing(statement)
                waited = True
            else:
                if begun is not None:
                    if waited:
                        out += self._stamp(begun.op, "issue", begun.iteration, begun.conditions)
                    self.last = begun.op, begun.iteration
                    begun = None
                out.append(statement)
        return out

    def _loop(self, loop: For) -> tuple[Stmt, ...]:
        ops = [each for each in loop.body if isinstance(each, Comment) and each.op]
        # Before the first op of a body runs the last one of the body before.
        self.last = (ops[-1].op, ops[-1].iteration.shifted(-1)) if ops else None
        self.looping = True
        body = self.written(loop.body)
        self.looping = False
        return tuple(body)

    def _stamp(self, op: str, event: Event, at: Iteration, conditions: tuple[Condition, ...] = ()) -> list[Stmt]:
        if not self._wanted(op, event):
            return []
        key = self.role, op, event
        self.probes.setdefault(key, Probe(*key))
        if event == "complete" and self.looping and self.last is not None:
            before, begun = self.last
            self.probes[key] = Probe(*key, before, begun.offset - at.offset)
        return [Stamp(list(self.probes).index(key), at, conditions)]

    def _wanted(self, op: str, event: Event) -> bool:
        name = DETAILS[self.detail]
        if name == "issue of asynchronous ops":
            return op in self.asynchronous and event == "issue"
        return name == "every op" or (name == "asynchronous ops" and op in self.asynchronous)

    def _awaited(self, out: list[Stmt], wait: MmaWait) -> list[Stmt]:
        landings: list[Landing] = [each for each in wait.landings if each.value in self.members]
        made: list[Stmt] = []
        if landings and not (out and isinstance(out[-1], Stamp)):
            last = landings[-1]
            made += self._stamp(self.members[last.value], "await", last.iteration, last.conditions)
        made.append(wait)
        for each in landings:
            made += self._stamp(self.members[each.value], "complete", each.iteration, each.conditions)
        return made

    def _landing(self, wait: Wait) -> list[Stmt]:
        load = self.loads.get(wait.barrier.name)
        if load is None or wait.empty:
            return [wait]
        return [wait, *self._stamp(load, "complete", wait.barrier.iteration, wait.conditions)]


def module_lines() -> list[str]:
    """The functions that an instrumented module has beside its roles."""
    return _FUNCTIONS.strip("\n").splitlines()


def opening_lines(stamps: Stamps, role: Role) -> list[str]:
    """A role's first lines: where its records are, and how many iterations it keeps (0 in other programs)."""
    at = stamps.header(role.name)
    return [
        f"twill_at, twill_limit = twill_sample(twill_records, twill_every, "
        f"{stamps.samples}, {stamps.words}, {stamps.iterations})",
        f"twill_mark(twill_at + {at + 1}, twill_limit)",
    ]


def closing_lines(stamps: Stamps, role: Role) -> list[str]:
    """A role's last lines."""
    at = stamps.header(role.name)
    return [
        f"gl.store(twill_at + {at}, gl.to_tensor({stamps.since or 'n'}).to(gl.int64), mask=twill_limit > 0)",
        f"twill_mark(twill_at + {at + 3}, twill_limit)",
    ]


def launcher_lines(stamps: Stamps, tensor: str) -> list[str]:
    """The launcher's lines before the launch: the buffer, on the device of the argument `tensor`, and the sampling."""
    return [
        "    if twill_records is None:",
        f"        twill_records = torch.zeros(({stamps.samples}, {stamps.words}), dtype=torch.int64, "
        f"device={tensor}.device)",
        f"    twill_every = max(1, grid[0] * (grid[1] if len(grid) > 1 else 1) * (grid[2] if len(grid) > 2 else 1) "
        f"// {stamps.samples})",
    ]


_FUNCTIONS = '''
@gluon.jit
def twill_clock():
    """Cycles of this SM's clock, int64."""
    return gl.inline_asm_elementwise("mov.u64 $0, %clock64;", "=l", [], dtype=gl.int64, is_pure=False, pack=1)


@gluon.jit
def twill_stamp(at, wanted):
    """Keep the clock at `at` where `wanted` holds."""
    gl.store(at, twill_clock(), mask=wanted)


@gluon.jit
def twill_mark(at, limit):
    """Keep the clock and the device's nanoseconds, in a program that is sampled."""
    ns = gl.inline_asm_elementwise("mov.u64 $0, %globaltimer;", "=l", [], dtype=gl.int64, is_pure=False, pack=1)
    gl.store(at, twill_clock(), mask=limit > 0)
    gl.store(at + 1, ns, mask=limit > 0)


@gluon.jit
def twill_sample(records, every, samples: gl.constexpr, words: gl.constexpr, iterations: gl.constexpr):
    """Where this program's records begin, and how many iterations it keeps: the last of every so many is a sample."""
    number = gl.program_id(0) + gl.num_programs(0) * (gl.program_id(1) + gl.num_programs(1) * gl.program_id(2))
    first, limit = 0, 0
    for sample in gl.static_range(samples):  # a division would cost registers
        chosen = number == (sample + 1) * every - 1
        first = gl.where(chosen, sample * words, first)
        limit = gl.where(chosen, iterations, limit)
    return records + first, limit
'''
