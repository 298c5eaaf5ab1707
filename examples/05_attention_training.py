"""A small transformer that trains with twill.ops.attention: it learns to say again what it has read.

Each sequence is random tokens, twice. The first half cannot be predicted, the second only by looking back. At the end
its logits and gradients are compared with torch's attention in float64.

python examples/05_attention_training.py
"""

import copy
import math

import torch
from torch import nn
from torch.nn import functional

from twill.ops import attention

TOKENS, HALF, WIDTH, HEADS, KV_HEADS = 16, 12, 64, 4, 2


class Block(nn.Module):
    """Causal attention with grouped queries, then a gated layer, each added to its input."""

    def __init__(self):
        super().__init__()
        size = WIDTH // HEADS
        self.queries = nn.Linear(WIDTH, HEADS * size, bias=False)
        self.keys_values = nn.Linear(WIDTH, 2 * KV_HEADS * size, bias=False)
        self.out, self.up, self.down = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))

    def attend(self, q, k, v):
        return attention(q, k, v, causal=True)

    def forward(self, x):  # [batch, length, width]
        read = self.norms[0](x)
        # [batch, length, heads, size] as [batch, heads, length, size]: strides are the operator's business.
        q = self.queries(read).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        k, v = self.keys_values(read).unflatten(-1, (2 * KV_HEADS, -1)).transpose(1, 2).chunk(2, 1)
        x = x + self.out(self.attend(q, k, v).transpose(1, 2).flatten(-2))
        gate, up = self.up(self.norms[1](x)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * up)


class TorchBlock(Block):
    """The same by torch's attention."""

    def attend(self, q, k, v):
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


class Transformer(nn.Module):
    """Logits of the next token at every place."""

    def __init__(self, length):
        super().__init__()
        self.tokens, self.places = nn.Embedding(TOKENS, WIDTH), nn.Embedding(length, WIDTH)
        self.blocks = nn.Sequential(Block(), Block())
        self.out = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS))

    def forward(self, x):
        return self.out(self.blocks(self.tokens(x) + self.places.weight))


torch.manual_seed(0)
torch.set_num_threads(1)
model = Transformer(2 * HALF - 1)
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
print(f"loss in nats a token; a guess costs ln {TOKENS} = {math.log(TOKENS):.2f}, and the first half is guesswork")
for step in range(401):
    text = torch.randint(TOKENS, (64, HALF)).repeat(1, 2)
    losses = functional.cross_entropy(model(text[:, :-1]).transpose(1, 2), text[:, 1:], reduction="none")
    first, second = losses[:, : HALF - 1].mean().item(), losses[:, HALF - 1 :].mean()
    optimizer.zero_grad()
    second.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step:3}: loss {first:.2f} in the first half, {second.item():.3f} in the second")
    if second.item() < 0.05:
        break

print(f"step {step:3}: loss {second.item():.3f} in the second half: attention has found what to repeat")
assert second.item() < 0.3, "the second half repeats the first: attention should have found it"

exact = copy.deepcopy(model).double()
for block in exact.blocks:
    block.__class__ = TorchBlock
logits = [each(text[:, :-1]) for each in (model, exact)]
for name, (mine, theirs) in {
    "logits": logits,
    "gradient of the keys' weights": [
        torch.autograd.grad(each.square().mean(), of.blocks[0].keys_values.weight)[0]
        for each, of in zip(logits, (model, exact), strict=True)
    ],
}.items():
    error = ((mine.double() - theirs).norm() / theirs.norm()).item()
    print(f"{name}: {error:.1e} of the norm from torch's attention in float64")
    assert error < 1e-4
