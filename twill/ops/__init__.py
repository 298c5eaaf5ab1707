"""torch operators over the kernels that Twill wrote.

Each is a `torch.library` operator in the namespace `twill`, with a torch implementation that runs anywhere. On a
Hopper GPU the generated kernel runs where it covers shape and dtype; where it does not, the torch implementation does,
and says so once.
"""

from twill.ops import gathered as gathered  # its operators are what grouped_matmul runs for tokens
from twill.ops.attention import attention
from twill.ops.attention_varlen import attention_varlen
from twill.ops.experts import moe_combine, moe_dispatch, moe_route
from twill.ops.grouped import grouped_matmul
from twill.ops.matmul import matmul
from twill.ops.orthogonalize import orthogonalize
from twill.ops.routing import Routing
from twill.ops.sinkhorn import Transport, sinkhorn, sinkhorn_dense
from twill.ops.symmetric import scaled_add_matmul, symmetric_matmul, symmetric_polynomial

__all__ = [
    "Routing",
    "Transport",
    "attention",
    "attention_varlen",
    "grouped_matmul",
    "matmul",
    "moe_combine",
    "moe_dispatch",
    "moe_route",
    "orthogonalize",
    "scaled_add_matmul",
    "sinkhorn",
    "sinkhorn_dense",
    "symmetric_matmul",
    "symmetric_polynomial",
]
