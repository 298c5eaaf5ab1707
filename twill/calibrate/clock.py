"""Clock reads inside kernels, and the row of numbers a kernel leaves behind.

A read is inline assembly with side effects: neither LLVM nor ptxas moves it across another such
instruction, and every timed loop has a run-time trip count, so reads before and after it stay there.
"""

from triton.experimental import gluon
from triton.experimental.gluon import language as gl

COLUMNS = 4  # cycles of the loop, cycles to issue (sum), cycles to completion (sum), nanoseconds of the loop


@gluon.jit
def clock():
    """Cycles of this SM's clock, int64."""
    return gl.inline_asm_elementwise("mov.u64 $0, %clock64;", "=l", [], dtype=gl.int64, is_pure=False, pack=1)


@gluon.jit
def nanoseconds():
    """The device's timer, int64; it steps by up to a microsecond."""
    return gl.inline_asm_elementwise("mov.u64 $0, %globaltimer;", "=l", [], dtype=gl.int64, is_pure=False, pack=1)


@gluon.jit
def record(out, cycles, issued, completed, ns):
    """Writes this program's row of `out`: [programs, 4] int64."""
    row = out + gl.program_id(0) * 4
    gl.store(row, cycles)
    gl.store(row + 1, issued)
    gl.store(row + 2, completed)
    gl.store(row + 3, ns)
