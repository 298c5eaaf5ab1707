"""The machine: numbers with their sources, what each tile op costs, and kernels lowered to problems.

`machine` is the data, `load` reads its files, `cost` turns shapes into cycles, `lowering` turns a kernel's
graph into a scheduling problem (`dataflow`, `cluster` and `memory` are its parts).
"""

from twill.machine.load import known, load
from twill.machine.lowering import lower
from twill.machine.machine import Fact, Instruction, Machine, rows
from twill.machine.memory import Buffer, static_buffers

__all__ = [
    "Buffer",
    "Fact",
    "Instruction",
    "Machine",
    "known",
    "load",
    "lower",
    "rows",
    "static_buffers",
]
