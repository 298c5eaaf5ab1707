"""A small transformer that trains with twill.ops.attention: it learns to say again what it has read.

Each sequence is random tokens, twice. The first half cannot be predicted, the second only by looking back.

python examples/05_attention_training.py
"""

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

    def forward(self, x):  # [batch, length, width]
        read = self.norms[0](x)
        # [batch, length, heads, size] as [batch, heads, length, size]: strides are the operator's business.
        q = self.queries(read).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        k, v = self.keys_values(read).unflatten(-1, (2 * KV_HEADS, -1)).transpose(1, 2).chunk(2, 1)
        x = x + self.out(attention(q, k, v, causal=True).transpose(1, 2).flatten(-2))
        gate, up = self.up(self.norms[1](x)).chunk(2, -1)
        return x + self.down(functional.silu(gate) * up)


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
print(f"a guess costs ln {TOKENS} = {math.log(TOKENS):.2f} nats a token")
for step in range(401):
    text = torch.randint(TOKENS, (64, HALF)).repeat(1, 2)
    losses = functional.cross_entropy(model(text[:, :-1]).transpose(1, 2), text[:, 1:], reduction="none")
    first, second = losses[:, : HALF - 1].mean().item(), losses[:, HALF - 1 :].mean()
    optimizer.zero_grad()
    second.backward()
    optimizer.step()
    if step % 50 == 0:
        print(f"step {step:3}: {first:.2f} in the first half, {second.item():.3f} in the second")
    if second.item() < 0.05:
        break

print(f"step {step:3}: {second.item():.3f} nats a token in the second half")
assert second.item() < 0.3, "the second half repeats the first: attention should have found it"
