"""Muon's step with `twill.ops.orthogonalize`: a small network trains, beside `torch.optim.Muon` where torch has it.

python examples/06_muon_step.py
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from twill.ops import orthogonalize

LR, MOMENTUM, WEIGHT_DECAY = 0.02, 0.95, 0.1


@torch.no_grad()
def momentum(weights: list[nn.Parameter], buffers: list[Tensor]) -> list[Tensor]:
    """Nesterov's directions; the buffers, averages of the gradients, move on."""
    for weight, buffer in zip(weights, buffers, strict=True):
        buffer.lerp_(weight.grad, 1 - MOMENTUM)
    return [weight.grad.lerp(buffer, MOMENTUM) for weight, buffer in zip(weights, buffers, strict=True)]


@torch.no_grad()
def orthogonal(directions: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The directions with their singular values near 1; matrices of one shape go through as one batch."""
    made = list(directions)
    for shape in {direction.shape for direction in directions}:
        alike = [i for i, direction in enumerate(directions) if direction.shape == shape]
        batch = torch.stack([directions[i] for i in alike])
        for i, direction in zip(alike, orthogonalize(batch, dtype=dtype), strict=True):
            made[i] = direction
    return made


@torch.no_grad()
def step(weights: list[nn.Parameter], updates: list[Tensor]) -> None:
    """Decoupled weight decay, then the update, larger for tall matrices."""
    for weight, update in zip(weights, updates, strict=True):
        weight.mul_(1 - LR * WEIGHT_DECAY).add_(update, alpha=-rate(weight))


def rate(weight: Tensor) -> float:
    return LR * max(1, weight.shape[0] / weight.shape[1]) ** 0.5


def network() -> nn.Sequential:
    torch.manual_seed(0)
    sizes = (32, 64, 64, 64)
    layers = [[nn.Linear(n, m, bias=False), nn.GELU()] for n, m in pairwise(sizes)]
    return nn.Sequential(*[layer for pair in layers for layer in pair], nn.Linear(64, 8, bias=False))


@torch.no_grad()
def torchs_updates(weights: list[nn.Parameter], peers: list[nn.Parameter], peer: torch.optim.Optimizer) -> list[Tensor]:
    """What torch's Muon adds for the same weights and gradients: each step is compared for itself."""
    for weight, other in zip(weights, peers, strict=True):
        other.copy_(weight)
        other.grad = weight.grad.clone()
    peer.step()
    return [(w * (1 - LR * WEIGHT_DECAY) - p) / rate(w) for w, p in zip(weights, peers, strict=True)]


def apart(one: list[Tensor], other: list[Tensor]) -> float:
    """How far apart two lists of matrices are, in proportion."""
    difference = sum((x - y).square().sum().item() for x, y in zip(one, other, strict=True))
    return (difference / sum(y.square().sum().item() for y in other)) ** 0.5


if __name__ == "__main__":
    random = torch.Generator().manual_seed(1)
    x = torch.randn(512, 32, generator=random)
    y = torch.tanh(x @ torch.randn(32, 8, generator=random) / 32**0.5)

    model, twin = network(), network()
    weights, peers = list(model.parameters()), list(twin.parameters())
    buffers = [torch.zeros_like(weight) for weight in weights]
    muon = getattr(torch.optim, "Muon", None)
    peer = muon(peers, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY) if muon else None

    print("loss, and how far each step's update, of bfloat16 products, is from the same in float64:")
    losses = []
    for number in range(40):
        loss = nn.functional.mse_loss(model(x), y)
        losses.append(loss.item())
        model.zero_grad()
        loss.backward()
        directions = momentum(weights, buffers)
        # Products in bfloat16, as on a GPU and as in torch's own Muon; in float64 to see what that costs.
        updates, exact = orthogonal(directions, torch.bfloat16), orthogonal(directions, torch.float64)
        line = f"step {number:2}: loss {loss.item():.4f}; update {apart(updates, exact):.1%} from float64's"
        if peer is not None:
            theirs = torchs_updates(weights, peers, peer)
            line += f", torch.optim.Muon's {apart(theirs, exact):.1%}, the two {apart(updates, theirs):.1%} apart"
            assert apart(updates, exact) < 1.5 * apart(theirs, exact)
        step(weights, updates)
        if number % 10 == 0 or number == 39:
            print(line)
    assert losses[-1] < 0.5 * losses[0]
