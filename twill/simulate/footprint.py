"""What the programs of a wave read between them: each byte once, however many of them ask for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from twill.errors import TwillError
from twill.frontend.launch import Launch
from twill.frontend.scalars import Number, Scalars
from twill.ir.graph import Graph, Op

_MOST_WAVES = 16  # of a launch that are looked at; of more, an even sample


@dataclass(frozen=True)
class Load:
    """A load of the kernel: of which tensor, how many bytes at a time (mean), in the loop or once a tile."""

    op: Op
    tensor: str
    nbytes: float
    in_loop: bool


@dataclass(frozen=True)
class Footprint:
    """The loads of a launch. tiles: iterations of each program's tiles, programs in order. own_bytes: of tensors whose
    size is known."""

    graph: Graph
    launch: Launch
    loads: tuple[Load, ...]
    tiles: Sequence[Sequence[int]]
    own_bytes: dict[str, int]

    def read_bytes(self, places: int) -> dict[str, int]:
        """Bytes of each tensor when every wave of `places` programs, or the tiles that as many programs run at a time,
        reads what it needs once.

        Programs whose load has the same offsets in the first iteration read the same bytes by it. A load whose
        offsets are not known before the kernel runs reads all of its tensor in every wave, as far as it asks for so
        much.
        """
        longest = max((len(trips) for trips in self.tiles), default=0)
        turns = [(at, tile) for tile in range(longest) for at, trips in enumerate(self.tiles) if tile < len(trips)]
        total = len(turns)
        width = max(1, min(places, len(self.tiles)))
        waves = [turns[begin : begin + width] for begin in range(0, total, width)]
        count = min(len(waves), _MOST_WAVES)
        sample = [waves[n * (len(waves) - 1) // max(1, count - 1)] for n in range(count)]
        found: dict[str, float] = defaultdict(float)
        for wave in sample:
            for tensor, nbytes in self._wave(wave).items():
                found[tensor] += nbytes
        looked_at = sum(len(wave) for wave in sample)
        return {tensor: round(nbytes * total / max(1, looked_at)) for tensor, nbytes in found.items()}

    def _wave(self, wave: Sequence[tuple[int, int]]) -> dict[str, float]:
        found: dict[str, float] = defaultdict(float)
        programs = [_Program(self.graph, self.launch, at, tile) for at, tile in wave]
        for load in self.loads:
            asked = [load.nbytes * (self.tiles[at][tile] if load.in_loop else 1) for at, tile in wave]
            keys = [program.place(load.op) for program in programs]
            if None in keys:
                found[load.tensor] += sum(asked)
                continue
            largest: dict[object, float] = {}
            for key, nbytes in zip(keys, asked, strict=True):
                largest[key] = max(largest.get(key, 0), nbytes)
            found[load.tensor] += sum(largest.values())
        return {tensor: min(nbytes, self.own_bytes.get(tensor) or nbytes) for tensor, nbytes in found.items()}


class _Program:
    """The scalars of one program in the first iteration of one of its tiles."""

    def __init__(self, graph: Graph, launch: Launch, at: int, tile: int) -> None:
        x, y, _ = launch.grid or (1, 1, 1)
        self.scalars = Scalars(graph, launch, (at % x, at // x % y, at // (x * y)))
        if graph.outer is not None:
            lower, step = int(self.scalars[graph.outer.lower]), int(self.scalars[graph.outer.step])
            self.scalars = self.scalars.of_tile(lower + tile * step)
        self.scalars.producers |= {op.result.name: op for op in (*graph.loop.body, *graph.after) if op.results}
        begin = self.scalars.get(graph.loop.lower)
        if begin is not None:
            self.scalars.known[graph.loop.index.name] = begin

    def place(self, load: Op) -> tuple[Number, ...] | None:
        """What tells apart where programs load from: the scalars behind the load's offsets; None if one is unknown."""
        found: list[Number] = []
        todo = list(load.operands[1:] if load.opcode == "descriptor_load" else load.operands[:1])
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            made = self.scalars.producers.get(name)
            if made is not None and (made.result.type.shape or made.result.type.kind == "pointer"):
                todo += made.operands
                continue
            if made is None and name not in self.scalars.known:
                if any(value.name == name and value.type.kind == "pointer" for value in self.scalars.graph.arguments):
                    continue  # the tensor's base
                return None
            try:
                found.append(self.scalars[name])
            except TwillError:
                return None
        return tuple(found)
