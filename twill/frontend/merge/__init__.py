"""Several loops, one after the other, as one loop over the iterations of all (docs/several-loops.md).

    before; loop 1; between; loop 2; after   ->   before; one loop; after

`merge` takes two loops at a time. What both bodies compute is computed once; what differs is chosen by whether the
iteration is one of the first loop.
"""

from twill.frontend.merge.apart import divisibility, in_sequence
from twill.frontend.merge.several import Code, Passage, merge

__all__ = ["Code", "Passage", "divisibility", "in_sequence", "merge"]
