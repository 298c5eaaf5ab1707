"""The PTX special registers that inline assembly may read here.

Time is the number of reads so far: it never stands still or runs backwards, and means nothing else.
"""

from __future__ import annotations

from itertools import count

import numpy as np

from twill.emulate import trace
from twill.emulate.scheduler import active
from twill.emulate.values import Array

CLOCKS = {"%clock": np.uint32, "%clock64": np.uint64, "%globaltimer": np.uint64}
_reads = count()


def read(name: str) -> Array | None:
    """The bits of a special register, one element; None for one that is not known."""
    if name not in CLOCKS:
        return None
    trace.unsettled(active().place("read"), name, "what it returns depends on when it is read")
    return np.asarray([next(_reads)]).astype(CLOCKS[name])
