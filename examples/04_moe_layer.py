"""A mixture-of-experts layer: a router, the best two of eight SwiGLU experts, forward and backward.

python examples/04_moe_layer.py

It learns a function that is another one in each of eight regions, and is compared with a loop over the experts. On a
Hopper GPU routing, products and their gradients are the kernels of kernels/moe_*.py and kernels/grouped_*.py, in
bfloat16; anywhere else torch computes the same, in the same layout.
"""

import torch
from torch import nn

from twill.ops import grouped_matmul, moe_combine, moe_route


class MoE(nn.Module):
    """y = sum over the k best experts e of g_e(x) SwiGLU_e(x); x: [tokens, width]. Products are in `dtype`."""

    def __init__(self, width=128, hidden=128, experts=8, k=2, dtype=torch.float32):
        super().__init__()
        self.experts, self.k, self.dtype = experts, k, dtype
        self.router = nn.Linear(width, experts, bias=False)
        self.gate_up = nn.Parameter(torch.randn(experts, width, 2 * hidden) * width**-0.5)
        self.down = nn.Parameter(torch.randn(experts, hidden, width) * hidden**-0.5)

    def route(self, x):
        """(expert ids, weights), both [tokens, k]; the weights of a token sum to 1."""
        scores, ids = self.router(x).topk(self.k, dim=1)
        return ids, scores.softmax(dim=1)

    def forward(self, x):
        ids, weights = self.route(x)
        routing = moe_route(ids, self.experts)  # who goes where: rows sorted by expert, padded to tiles
        tokens = x.to(self.dtype)  # gathered by the product itself
        hidden = grouped_matmul(tokens, self.gate_up.to(self.dtype), routing, activation="swiglu", tokens=True)
        y = grouped_matmul(hidden, self.down.to(self.dtype), routing)
        return moe_combine(y, routing, weights).to(x.dtype)

    def loop(self, x):
        """The same an expert at a time, in x's dtype: plain, and it waits for the GPU to learn who goes where."""
        ids, weights = self.route(x)
        y = torch.zeros_like(x)
        for e in range(self.experts):
            token, choice = (ids == e).nonzero(as_tuple=True)
            gate, up = (x[token] @ self.gate_up[e]).chunk(2, dim=1)
            out = (nn.functional.silu(gate) * up) @ self.down[e]
            y = y.index_add(0, token, weights[token, choice, None] * out)
        return y


def compare(device, dtype):
    """Output and gradients of the layer beside the loop in float64: the relative error of each, in norm."""
    layer, exact = MoE(dtype=dtype).to(device), MoE().to(device, torch.float64)
    exact.load_state_dict(layer.state_dict())
    x, upstream = torch.randn(2, 500, 128, device=device)
    y, truth = layer(x), exact.loop(x.double())
    y.backward(upstream)
    truth.backward(upstream.double())
    pairs = {"output": (y.detach(), truth.detach())}
    for (name, mine), real in zip(layer.named_parameters(), exact.parameters(), strict=True):
        pairs[f"gradient of {name}"] = (mine.grad, real.grad)
    return {name: float((mine.double() - real).norm() / real.norm()) for name, (mine, real) in pairs.items()}


def train(device, dtype, steps=150):
    """The layer learns y = A_r x, r the largest of the first eight coordinates of x; returns the losses."""
    layer = MoE(dtype=dtype).to(device)
    matrices = torch.randn(8, 128, 128, device=device) * 128**-0.5
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2)
    x = torch.randn(512, 128, device=device)
    target = torch.einsum("tij,tj->ti", matrices[x[:, :8].argmax(1)], x)
    losses = []
    for _ in range(steps):
        loss = (layer(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


if __name__ == "__main__":
    torch.manual_seed(0)
    device, dtype = ("cuda", torch.bfloat16) if torch.cuda.is_available() else ("cpu", torch.float32)
    print(f"on {device} in {str(dtype).removeprefix('torch.')}: output and gradients beside a loop over the experts")
    for name, error in compare(device, dtype).items():
        print(f"{name:25} differs from float64 by {error:.1e} of its norm")
        assert error < 8 * torch.finfo(dtype).eps
    losses = train(device, dtype)
    for step in range(0, len(losses), 50):
        print(f"step {step:3}: loss {losses[step]:.4f}")
    print(f"training: the loss falls from {losses[0]:.2f} to {losses[-1]:.4f} in {len(losses)} steps")
    assert losses[-1] < 0.1 * losses[0]
