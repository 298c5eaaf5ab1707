"""Pieces of the kernels that ship, put together at random into the body of a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.loop_body import Body, Chain, Use


def draw(body: Body, ops: int) -> None:
    """Fragments while one fits, then elementwise ops until the body has as many ops as whole sub-tiles allow."""
    while True:
        room = ops - body.size
        fit = [each for each in _FRAGMENTS if each.shared + each.own * body.subtiles <= room]
        if not fit:
            break
        body.rng.choices(fit, [each.weight for each in fit])[0].draw(body)
    for chain in body.chains:
        chain.close()
    while ops - body.size >= body.subtiles:
        _insert(body)


def _softmax(body: Body) -> None:
    """One tile of online softmax: scores, running maximum and sum, rescaled accumulator (attention)."""
    chain = _chain(body, "accumulator rescaled")
    scores = _scores(body, body.load(body.columns, body.depth), body.rng.randint(0, 2), scaled=True)
    maximum = body.reduction("max", 2, 4, [scores])
    # The next maximum needs no broadcast and follows 43 cycles earlier than the other users (schedules/hopper).
    sooner = Use(maximum.name, latency=maximum.op.latency - 43)
    chain.follow("maximum", maximum, sooner)
    shifted = body.elementwise("sub", 1, [scores, sooner])
    power = body.exponential([Use(shifted.name)])
    total = body.reduction("sum", 1, 2, [Use(maximum.name), Use(power.name)])
    chain.follow("sum", total, Use(total.name))
    passes = body.depth / body.columns
    rescaled = body.elementwise("rescale", passes, [Use(maximum.name)], body.registers(body.depth))
    chain.follow("accumulator rescaled", rescaled, Use(rescaled.name))  # replaced below by the product's
    narrow = body.elementwise("cast", 1, [Use(power.name)], max(1, body.columns // 4))
    value = body.load(body.columns, body.depth)
    uses = [Use(rescaled.name, in_place=True), value, Use(narrow.name)]
    product = body.product("acc", body.depth, body.columns, uses, in_registers=True)
    chain.last["accumulator rescaled"] = Use(product.name, latency=product.op.latency, blocking=True, in_place=True)


def _gradient(body: Body) -> None:
    """Scores made again, a second product, their combination into an accumulator (attention's dq)."""
    key = body.load(body.columns, body.depth)
    scores = _scores(body, key, body.rng.randint(0, 2), scaled=False)
    power = body.exponential([scores])
    second = body.product("dp", body.columns, body.depth, [body.load(body.columns, body.depth)], in_registers=False)
    both = [Use(power.name), Use(second.name, latency=second.op.latency, blocking=True, in_place=True)]
    combined = body.elementwise("combine", 1.5, both, max(1, body.columns // 4))
    _accumulate(body, body.columns, [key, Use(combined.name)], in_registers=True)


def _product(body: Body) -> None:
    """A plain product of two tiles, A's rows the sub-tile's own (matmul)."""
    uses = [body.load(body.rows, body.columns, shared=False), body.load(body.columns, body.depth)]
    _accumulate(body, body.columns, uses, in_registers=False)


def _scores(body: Body, key: Use, extra: int, scaled: bool) -> Use:
    """The score product and what is done to each score; the last of it as an operand."""
    narrow = [node for node in body.nodes if node.name.startswith(("cast", "combine"))]
    chained = bool(narrow) and body.rng.random() < 0.25  # a product of a product: the fused chain of two
    uses = [key, Use(narrow[-1].name)] if chained else [key]
    node = body.product("s", body.columns, body.depth, uses, in_registers=chained)
    found = Use(node.name, latency=node.op.latency, blocking=True, in_place=True)
    for kind in (["scale"] if scaled else ["sub"]) + ["mask"] * extra:
        # A mask is a compare and a select at half the float rate.
        node = body.elementwise(kind, body.rng.choice((1, 2, 4)) if kind == "mask" else 1, [found])
        found = Use(node.name)
    return found


def _accumulate(body: Body, depth: int, uses: list[Use], in_registers: bool) -> None:
    chain = _chain(body, "accumulator")
    product = body.product("acc", body.depth, depth, uses, in_registers)
    chain.follow("accumulator", product, Use(product.name, latency=product.op.occupancy, in_place=True))


def _chain(body: Body, key: str) -> Chain:
    """The chain a block goes on with: one of its kind, three times in four once there is one; four at most."""
    same = [chain for chain in body.chains if key in chain.last]
    if same and (len(body.chains) >= 4 or body.rng.random() < 0.75):
        return body.rng.choice(same)
    body.chains.append(Chain())
    return body.chains[-1]


def _insert(body: Body) -> None:
    """One more elementwise op, of a value and now and then of a second, read by one that read the value before."""
    last = {node.name: at for at, node in enumerate(body.nodes)}
    users = [node for node in body.nodes if node.op.unit in ("ALU", "SFU") and node.uses]
    if not users:  # products alone: scale what they are given
        users = [node for node in body.nodes if node.op.unit == "TC"]
    user = body.rng.choice(users)
    # A second operand from a little before; a staged tile stands for a bias.
    second = [node for node in body.nodes[: last[user.name]] if node.op.unit in ("ALU", "SFU")][-6:]
    draw = body.rng.random()
    at = body.nodes.index(user)
    through = next((use for use in user.uses if use.distance == 0 and use.src.rstrip("0123456789") != "tile"), None)
    if draw < 0.15 or through is None:
        node = body.staged([])
        user.uses.append(Use(node.name))
    else:
        user.uses.remove(through)
        also = [Use(body.rng.choice(second).name)] if second and draw < 0.5 else []
        also = [use for use in also if use.src != through.src]
        node = body.elementwise("map", body.rng.choice((1, 1, 1, 2)), [through, *also])
        user.uses.append(Use(node.name))
    body.nodes.remove(node)
    body.nodes.insert(at, node)


@dataclass(frozen=True)
class Fragment:
    """A piece of a kernel, drawn by weight; it adds at most `shared` ops and `own` for each sub-tile."""

    draw: Callable[[Body], None]
    weight: int
    shared: int
    own: int


_FRAGMENTS = (Fragment(_softmax, 6, 2, 11), Fragment(_gradient, 3, 2, 8), Fragment(_product, 1, 1, 2))
