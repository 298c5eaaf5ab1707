"""What each warp group's part of a kernel costs, read from nvdisasm's listing with live registers.

A warp-specialized kernel is one function: the first warps branch to the first role's code, the others
wait in a dispatcher which leads to the code of each other role: by an indexed branch (BRX), or where they
are few by comparing the byte that tells the role with 0, 1 and so on. A role's code is what its entry
reaches, and no other's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import networkx as nx

_LABEL = re.compile(r"^(\.L_x_\d+):")
_INSTRUCTION = re.compile(
    r"^\s*/\*[0-9a-f]+\*/\s+(?P<guard>@!?U?P\w+\s+)?(?P<opcode>[A-Z][\w.]*)(?P<rest>[^;]*);(?:.*//\s*\|(?P<live>[^|]*)\|)?"
)
WGMMA = ("HGMMA", "QGMMA", "IGMMA")
"""Machine instructions of wgmma: of 16 and 19 bits, of 8-bit floats, of 8-bit integers."""
_TARGET = re.compile(r"\.L_x_\d+")
_REGISTER = re.compile(r"\bR(\d+)\b(?:\.(64))?")
_QUOTA = re.compile(r"0x([0-9a-f]+)")
_LOCAL = re.compile(r"^(?:LDL|STL)\b")
_ENDS = ("EXIT", "RET", "BRX", "JMX", "KILL")


@dataclass(frozen=True)
class RoleCode:
    """The machine code of one role, in the order of `gl.warp_specialize`.

    quotas: registers per thread that setmaxnreg gives it, in code order. live: most general registers
    that hold a value still to be read at one instruction (nvdisasm's own analysis). live_in_loop: the
    same in the innermost loops with a wgmma. highest: most registers addressed, the highest register's number plus
    one; a value that a role only keeps for the dispatcher is live in it but not addressed. spill_bytes:
    local memory that its instructions store and load, each counted once.
    """

    instructions: int
    quotas: tuple[int, ...]
    live: int
    live_in_loop: int
    highest: int
    spill_bytes: int


@dataclass(frozen=True)
class _Instruction:
    opcode: str
    operands: str
    guard: str
    live: int

    @property
    def guarded(self) -> bool:
        return bool(self.guard)


def roles_of(listing: str) -> tuple[RoleCode, ...]:
    """The roles in `nvdisasm -c -lrm count`'s listing of a kernel, in the order of `gl.warp_specialize`.

    Empty when the kernel is not warp specialized. Behind the kernel's own roles may stand those of warps
    that only fill up a warp group. A subroutine that several roles call belongs to none of them.
    """
    code, labels = _parse(listing)
    dispatch, entries = _dispatch(code, labels)
    if not entries:
        return ()
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(code)))
    graph.add_edges_from(edge for at in range(len(code)) if at not in dispatch for edge in _edges(code, labels, at))
    reached = [{entry, *nx.descendants(graph, entry)} for entry in (0, *entries)]
    found = []
    for number, region in enumerate(reached):
        others: set[int] = set().union(*(each for other, each in enumerate(reached) if other != number))
        own = sorted(region - others)
        if any(not code[at].opcode.startswith(("EXIT", "NOP", "BRA")) for at in own):
            found.append(_role(code, graph, own))
    return tuple(found)


def _dispatch(code: list[_Instruction], labels: Mapping[str, int]) -> tuple[set[int], list[int]]:
    """The instructions that choose among the roles but the first, and where the code of each of those begins."""
    branch = next((at for at, each in enumerate(code) if each.opcode.startswith("BRX")), None)
    if branch is not None:
        return {branch}, [labels[label] for label in _TARGET.findall(code[branch].operands)]
    at = next((at for at, each in enumerate(code) if each.opcode.startswith("LDS.U8")), len(code)) + 1
    chosen: set[int] = set()
    entries: list[int] = []
    while at + 1 < len(code):
        compare, jump = code[at], code[at + 1]
        if not (compare.opcode.startswith("ISETP.NE") and jump.guard and jump.opcode in ("BRA", "EXIT")):
            break
        chosen |= {at, at + 1}
        if jump.opcode == "EXIT":  # the number of no role: the kernel is over
            break
        target = labels[_TARGET.findall(jump.operands)[0]]
        equal, at = (target, at + 2) if jump.guard.startswith("@!") else (at + 2, target)
        entries.append(equal)
    return chosen, entries


def _role(code: list[_Instruction], graph: nx.DiGraph, own: list[int]) -> RoleCode:
    loops = _innermost(code, graph, set(own))
    return RoleCode(
        instructions=len(own),
        quotas=tuple(
            int(_QUOTA.findall(code[at].operands)[-1], 16) for at in own if code[at].opcode.startswith("USETMAXREG")
        ),
        live=max((code[at].live for at in own), default=0),
        live_in_loop=max((code[at].live for loop in loops for at in loop), default=0),
        highest=max((_highest(code[at]) for at in own), default=0),
        spill_bytes=sum(_local_bytes(code[at].opcode) for at in own),
    )


def _innermost(code: list[_Instruction], graph: nx.DiGraph, region: set[int]) -> list[set[int]]:
    """The loops of a region that have a wgmma in no loop of their own: those over tiles are not among them."""
    found = []
    for loop in nx.strongly_connected_components(graph.subgraph(region)):
        if len(loop) > 1 and any(code[at].opcode[:5] in WGMMA for at in loop):
            entered = {at for at in loop if not loop.issuperset(graph.predecessors(at))} or {min(loop)}
            found += _innermost(code, graph, loop - entered) or [loop]
    return found


def _parse(listing: str) -> tuple[list[_Instruction], Mapping[str, int]]:
    """The instructions in order, and the position that each label stands before."""
    code: list[_Instruction] = []
    labels: dict[str, int] = {}
    for line in listing.splitlines():
        if label := _LABEL.match(line):
            labels[label[1]] = len(code)
        elif found := _INSTRUCTION.match(line):
            live = (found["live"] or "").strip()
            guard, count = (found["guard"] or "").strip(), int(live) if live.isdigit() else 0
            code.append(_Instruction(found["opcode"], found["rest"], guard, count))
    return code, labels


def _edges(code: list[_Instruction], labels: Mapping[str, int], at: int) -> Iterator[tuple[int, int]]:
    """Where control may go from an instruction. A call is taken to come back."""
    each = code[at]
    base = each.opcode.split(".", 1)[0]
    if base in ("BRA", "CALL", "BSSY", "JMP", "WARPSYNC"):
        for label in _TARGET.findall(each.operands):
            if labels.get(label, len(code)) < len(code):
                yield at, labels[label]
    # A branch with an operand before its target (a predicate, BRA.DIV's mask) may fall through, guarded or not.
    unconditional = base in _ENDS or (base in ("BRA", "JMP") and each.operands.strip().startswith("`("))
    if (each.guarded or not unconditional) and at + 1 < len(code):
        yield at, at + 1


def _highest(instruction: _Instruction) -> int:
    """One more than the highest register named; wide operands name their first register only."""
    wide = 1
    if match := re.search(r"\.(64|128)\b", instruction.opcode):
        wide = int(match[1]) // 32
    if match := re.match(r"[HQI]GMMA\.\d+x(\d+)x\d+\.(F32|F16)?", instruction.opcode):
        wide = int(match[1]) // 4 if match[2] == "F16" else int(match[1]) // 2
    first = _REGISTER.search(instruction.operands)
    most = [int(number) + 1 for number, _ in _REGISTER.findall(instruction.operands)]
    return max([*most, int(first[1]) + wide if first else 0])


def _local_bytes(opcode: str) -> int:
    """Bytes of local memory that an instruction moves, for a thread."""
    if not _LOCAL.match(opcode):
        return 0
    for text, size in ((".128", 16), (".64", 8), (".U8", 1), (".S8", 1), (".U16", 2), (".S16", 2)):
        if text in opcode:
            return size
    return 4
