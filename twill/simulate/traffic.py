"""What one launch of a kernel computes and moves: FLOP, bytes of its loads and stores, tensor by tensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from twill.errors import InputError
from twill.frontend.launch import Launch
from twill.frontend.trips import descriptor_extents, programs, tile_trips
from twill.ir.graph import DTYPE_BITS, Graph, Op
from twill.simulate.footprint import Footprint, Load
from twill.simulate.guards import taken

_THROUGH = ("addptr", "splat", "broadcast", "expand_dims", "reshape", "trans", "bitcast")
_LOADS, _STORES = ("descriptor_load", "async_load", "load"), ("descriptor_store", "store", "atomic")


@dataclass(frozen=True)
class Tensor:
    """A tensor in memory: bytes its tiles are loaded and stored with, and the bytes it has itself (0: not known)."""

    name: str
    loaded_bytes: int
    stored_bytes: int
    own_bytes: int

    @property
    def read_once_bytes(self) -> int:
        """What must be read from memory at least: each byte once."""
        return min(self.loaded_bytes, self.own_bytes or self.loaded_bytes)

    @property
    def times_read(self) -> float:
        """How often each byte is loaded."""
        return self.loaded_bytes / self.read_once_bytes if self.loaded_bytes else 0.0


@dataclass(frozen=True)
class Traffic:
    """One launch: FLOP of its dots, its tensors, and of each of its programs in order the iterations of each tile: of
    a single one without an outer loop.

    operand: element type of the dots' operands, "" without dots. loop_flop: of one iteration. load_bytes,
    store_bytes: of one tile outside its loop. footprint: what programs that run together read.
    """

    tiles: tuple[tuple[int, ...], ...]
    flop: int
    operand: str
    tensors: tuple[Tensor, ...]
    load_bytes: int
    store_bytes: int
    loop_flop: int
    footprint: Footprint

    @property
    def programs(self) -> int:
        return len(self.tiles)

    @property
    def trips(self) -> tuple[int, ...]:
        """Iterations of each program, of all its tiles."""
        return tuple(sum(trips) for trips in self.tiles)

    @property
    def l2_bytes(self) -> int:
        """Bytes between the SMs and the level-two cache."""
        return sum(tensor.loaded_bytes + tensor.stored_bytes for tensor in self.tensors)

    def hbm_bytes(self, places: int, l2_bytes: int) -> int:
        """Bytes between the level-two cache and device memory, `places` programs running at a time.

        Each byte is read once when all that is read fits in the cache; else once in every wave that asks for it:
        the programs of one wave read the same tiles at about the same time. Stores are written once.
        """
        once = {tensor.name: tensor.read_once_bytes for tensor in self.tensors}
        stored = sum(tensor.stored_bytes for tensor in self.tensors)
        if sum(once.values()) <= l2_bytes:
            return sum(once.values()) + stored
        return sum(self.footprint.read_bytes(places).values()) + stored


def traffic(graph: Graph, launch: Launch) -> Traffic:
    """The traffic of a launch with a grid. Masks and tiles that reach over an edge count in full, but for iterations in
    which a mask is false as a whole (`guards.py`).

    Raises InputError without a grid or with an empty one, Unsupported when trip counts come from memory.
    """
    tiles = _tiles(graph, launch)
    turns, iterations = sum(len(trips) for trips in tiles), sum(sum(trips) for trips in tiles)
    types = {name: value.type for name, value in graph.values().items()}
    producers = graph.producers()
    loaded: dict[str, int] = defaultdict(int)
    stored: dict[str, int] = defaultdict(int)
    outside = {"load": 0, "store": 0}
    loads: list[Load] = []
    flop, loop_flop, operand = 0, 0, ""
    for ops, times in ((graph.before, turns), (graph.loop.body, iterations), (graph.after, turns)):
        for op in ops:
            if op.opcode == "dot":
                (m, k), n = types[op.operands[0]].shape, op.result.type.shape[1]
                flop += 2 * m * n * k * times
                loop_flop += 2 * m * n * k * (ops is graph.loop.body)
                operand = types[op.operands[0]].dtype
            elif op.opcode in _LOADS or op.opcode in _STORES:
                load = op.opcode in _LOADS
                moved = op.result.type if load else types[op.operands[-1 if op.opcode == "descriptor_store" else 1]]
                name = _tensor(op, producers)
                inside = ops is graph.loop.body
                nbytes = moved.nbytes * (taken(graph, launch, tiles, op) if inside else 1)
                (loaded if load else stored)[name] += round(nbytes * times)
                if load:
                    loads.append(Load(op, name, nbytes, inside))
                if not inside:
                    outside["load" if load else "store"] += moved.nbytes
    tensors = tuple(
        Tensor(name, loaded[name], stored[name], _own_bytes(graph, launch, name))
        for name in dict.fromkeys((*loaded, *stored))
    )
    described = {_base(producers, name) for name in descriptor_extents(graph, launch)}
    own = {tensor.name: tensor.own_bytes for tensor in tensors if tensor.name in described}
    footprint = Footprint(graph, launch, tuple(loads), tiles, own)
    return Traffic(tiles, flop, operand, tensors, outside["load"], outside["store"], loop_flop, footprint)


def _tiles(graph: Graph, launch: Launch) -> tuple[tuple[int, ...], ...]:
    """Iterations of every program's tiles; of a sampled grid, those of the nearest program that was looked at."""
    if launch.grid is not None and min(launch.grid) < 1:
        message = f"the grid of `{launch.kernel}` is {launch.grid}: there is nothing to run."
        raise InputError(message, hint="Give sizes that fill at least one tile.", location=launch.source)
    counts: Sequence[tuple[int, ...]] = [tile_trips(graph, launch, program) for program in programs(launch)]
    assert launch.grid is not None
    x, y, z = launch.grid
    total = x * y * z
    return tuple(counts[at * len(counts) // total] for at in range(total))


def _tensor(op: Op, producers: dict[str, Op]) -> str:
    """The kernel argument that a load or store reaches."""
    name = op.operands[0]
    while (made := producers.get(name)) is not None and (made.opcode in _THROUGH or made.opcode == "descriptor"):
        name = made.operands[0]
    return name


def _base(producers: dict[str, Op], descriptor: str) -> str:
    """The tensor argument that a descriptor is made of."""
    return producers[descriptor].operands[0]


def _own_bytes(graph: Graph, launch: Launch, name: str) -> int:
    """Bytes of a tensor argument, by the descriptors made of it for this launch, else by the example's shape."""
    producers = graph.producers()
    for made, (sizes, _) in descriptor_extents(graph, launch).items():
        if _base(producers, made) == name:
            return _bytes(sizes, producers[made].result.type.dtype)
    try:
        spec = launch.argument(name)
    except KeyError:
        return 0
    return _bytes(spec.shape, spec.dtype) if spec.shape is not None else 0


def _bytes(shape: tuple[int, ...], dtype: str) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count * max(8, DTYPE_BITS.get(dtype, 8 if dtype == "u8" else 32)) // 8
