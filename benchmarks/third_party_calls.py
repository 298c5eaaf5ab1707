"""How the files of Triton's Gluon tutorials and examples are called: which of their own tests, at which sizes.

A file's tests carry their parameters (pytest.mark.parametrize) and their reference. `sizes` replaces the values of
some parameters by smaller ones; of what remains, `samples` calls are spread evenly over the list.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Calls:
    """capability: of the GPU the file is written for. sizes: by test ("" for all), parameter values.

    without: lines of the module that are left out, as they time a GPU as soon as the file is imported. finding: why
    a reported defect is one.
    """

    capability: tuple[int, int] = (10, 0)
    sizes: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: int = 4
    without: tuple[str, ...] = ()
    finding: str = ""


MATMUL = {"M": 256, "N": 384, "K": 448}
IMAGE = {"N": 2, "H": 12, "W": 8, "Ci": 96, "Co": 128}
PLANE = {"xnumel": 100, "ynumel": 200}

UNPREDICATED = (
    "{}: the last load of the prologue that is fused with a tile's end has no predicate, while the others have; after "
    "the last tile it is issued although nothing waits for it. It may write shared memory after the thread block ended."
)
UNDRAINED = "The kernel ends without tma.store_wait(0): its last TMA stores may still read shared memory by then."

CALLS: dict[str, Calls] = {
    "01-intro": Calls(sizes={"test_memcpy": {"xnumel": 500}}),
    "02-layouts": Calls(
        sizes={
            "test_memcpy_1d": {"xnumel": 5000},
            "test_memcpy_2d": {"xnumel": 100, "ynumel": 300},
            "test_memcpy_2d_inout": {"xnumel": 300, "ynumel": 400},
        }
    ),
    "03-async-copy": Calls(sizes={"": PLANE, "test_memcpy_1d_cpasync": {"xnumel": 500}}),
    "04-tma": Calls(sizes={"": PLANE, "test_memcpy_1d_tma": {"xnumel": 500}}),
    "05-wgmma": Calls(capability=(9, 0), sizes={"": {}, "test_blocked_matmul": MATMUL,
                                                "test_blocked_matmul_pipelined": MATMUL}),
    "06-tcgen05": Calls(sizes={"test_blocked_matmul": MATMUL, "test_blocked_matmul_pipelined": MATMUL}),
    "07-persistence": Calls(sizes={"": MATMUL}, finding=UNPREDICATED.format("persistent_matmul_pipelined_kernel")
        + " There GroupedPersistentTileScheduler.get_tile divides by a group without rows, too."),
    "08-warp-specialization": Calls(
        sizes={"": {**PLANE, "M": 640, "N": 768, "K": 192}},
        finding="matmul_epilogue_partition takes the next state before it arrives on acc_empty_bars, so it frees the "
        "other accumulator. The MMA partition then waits for one tile too many; and when it is held up while the "
        "epilogue arrives twice on one barrier, the parity it waits for has gone by: it hangs.",
    ),
    "09-tma-gather-scatter": Calls(
        sizes={"": {"fresh_knobs": None}, "test_matmul_fused_gather_scatter": {"M": 256, "N": 256, "K": 512}},
        finding=UNPREDICATED.format("matmul_fused_gather_scatter_kernel"),
    ),
    "10-tcgen05-copy": Calls(sizes={"test_matmul_accumulate": {"M": 256, "N": 256, "K": 256}}),
    "11-tcgen05-mma-scaled": Calls(
        sizes={"": {"M": 256, "N": 256, "K": 512}},
        finding="mma_scaled_pipelined_kernel predicates the MMA and the commit of the tile after the last one off, but "
        "not the tcgen05.cp of its scales: nothing waits for these before the thread block frees its tensor memory.",
    ),
    "12-cluster-launch-control": Calls(
        sizes={"": {"M": 512, "N": 512, "K": 128}},  # the test allows 1e-5: few terms, for sums in another order
        finding="The kernel takes N from the rows of c and M from its columns; for M = N, as here, that is harmless.",
    ),
    "13-conv-im2col": Calls(
        sizes={"test_conv2d_tma_im2col": {"H": 8, "W": 8}},
        finding="conv2d_im2col_kernel has one buffer of each operand and starts the next load before it waits for the "
        "MMA that reads them.",
    ),
    "01-attention-forward": Calls(
        sizes={"": {"Z": 1, "H": 1, "N_CTX": 512, "use_tmem_red": False}}, samples=8
    ),
    "02-conv-fprop": Calls(sizes={"": IMAGE}, samples=4),
    "02-conv-dgrad": Calls(sizes={"": IMAGE}, samples=4),
    "02-conv-wgrad": Calls(sizes={"": IMAGE}, samples=4),
    "14-multicta": Calls(without=("benchmark_multicta_softmax_f32()",), finding=UNDRAINED),
    "03-matmul-multicta": Calls(samples=4, finding=UNDRAINED),
    "04-2cta-block-scale-matmul": Calls(sizes={"": {"M": 256, "N": 256, "K": 640}}, samples=6),
}  # fmt: skip
