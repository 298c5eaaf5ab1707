"""Run the source of a Gluon module on the CPU, with the machine's asynchrony made hostile.

    module = load("attention_hopper.py", seed=0)   # its imports of triton find stand-ins; the file is unchanged
    module.attn_fwd(q, k, v, o, ...)               # its own launcher, with torch CPU tensors

Roles interleave at random; a TMA load lands, and a wgmma or a TMA store reads, at any moment the program
allows. Races, deadlocks, poison and misused tokens come back as `EmulationError`s that name the role, the
line, the buffer and the barrier. `verify_file` does this for a generated kernel and compares with float64.
"""

from twill.emulate.launches import Run, WrongResult
from twill.emulate.load import EmulatedModule, load
from twill.emulate.report import (
    AssertionFailed,
    BarrierMisuse,
    ByteMismatch,
    Deadlock,
    EarlyExit,
    EmulationError,
    LayoutMismatch,
    MissingClusterSync,
    MissingFence,
    NeverEnds,
    OutOfBounds,
    OutOfColumns,
    Place,
    Poison,
    Race,
    TokenMisuse,
    Unwaited,
)
from twill.emulate.verify import VerifyReport, verify, verify_file

__all__ = [
    "AssertionFailed",
    "BarrierMisuse",
    "ByteMismatch",
    "Deadlock",
    "EarlyExit",
    "EmulatedModule",
    "EmulationError",
    "LayoutMismatch",
    "MissingClusterSync",
    "MissingFence",
    "NeverEnds",
    "OutOfBounds",
    "OutOfColumns",
    "Place",
    "Poison",
    "Race",
    "Run",
    "TokenMisuse",
    "Unwaited",
    "VerifyReport",
    "WrongResult",
    "load",
    "verify",
    "verify_file",
]
