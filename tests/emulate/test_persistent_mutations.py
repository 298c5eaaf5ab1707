"""Kernels that run over tiles: the emulator passes them as emitted, and sees what is broken across tiles.

The fixtures are schedules of two kernels of `tests/kernels_for_tests`: causal attention by two consumers that take
turns, with Q loaded once a tile and too few iterations for the pipeline in some tiles, and a product whose residual
comes after the loop.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from twill.codegen.gluon import emit
from twill.codegen.plan import plan
from twill.emulate import verify_file
from twill.frontend.stored import stored_kernel
from twill.schedule import files

FIXTURES = Path(__file__).parent / "fixtures"
TRIPS = {"persistent_attention": (4, 6), "persistent_residual": (2,)}


def planned(name):
    stored = files.read(FIXTURES / f"{name}.json")
    graph, launch = stored_kernel(stored, name)
    return plan(graph, stored.schedule, launch, isolation=0)


PLANS = {name: planned(name) for name in TRIPS}
SOURCES = {name: emit(made) for name, made in PLANS.items()}


@dataclass(frozen=True)
class Mutation:
    """Within role `inside` (or the kernel), replace the first match of `old` by `new`; kinds of report that fit."""

    module: str
    what: str
    inside: str
    old: str
    new: str
    kinds: tuple[str, ...]


ANY = ("race", "deadlock", "poison", "barrier", "result", "bytes", "unwaited", "order")
ROWS = [
    ("attention", "a reader's phase begins anew in each tile", "consumer0",
     r"(mbarrier\.wait\(k_tile_ring_full\.index\([^,]*, )\(\(done \+ i", r"\1((i", ANY),
    ("attention", "a reader's slot begins anew in each tile", "consumer1",
     r"(v_tile_ring_full\.index\()\(done \+ i", r"\1(i", ANY),
    ("attention", "the loader's phase begins anew in each tile", "loader",
     r"(mbarrier\.wait\(v_tile_ring_empty\.index\([^,]*, \(\()\(done \+ i\)", r"\1(i)", ANY),
    ("attention", "a tile is given back in the slot of the first one", "consumer0",
     r"(mbarrier\.arrive\(k_tile_ring_empty\.index\()\(done \+ ", r"\1(", ANY),
    ("attention", "iterations are not counted across tiles", "consumer0", r"\n +done \+= n", "", ANY),
    ("attention", "the loader does not count across tiles", "loader", r"\n +done \+= n", "", ANY),
    ("attention", "a tile counts as one iteration", "consumer1", r"done \+= n", "done += 1", ANY),
    ("attention", "tiles are not counted", "consumer0", r"\n +tile_number \+= 1", "", ANY),
    ("attention", "the loader does not count tiles", "loader", r"\n +tile_number \+= 1", "", ANY),
    ("attention", "no wait for the tile's Q", "consumer1", r"\n +mbarrier\.wait\(q_tile_1_smem_full[^\n]*", "", ANY),
    ("attention", "Q is not given back", "consumer0", r"\n +mbarrier\.arrive\(q_tile_0_smem_empty[^\n]*", "", ANY),
    ("attention", "Q is loaded while it is read", "loader", r"\n +mbarrier\.wait\(q_tile_0_smem_empty[^\n]*", "", ANY),
    ("attention", "Q is given back before it is read", "consumer0",
     r"(\n +n = gl\.maximum)([\s\S]*?)\n +mbarrier\.arrive\(q_tile_0_smem_empty[^\n]*",
     r"\n        mbarrier.arrive(q_tile_0_smem_empty.index(0), count=1)\1\2", ANY),
    ("attention", "turns are counted where none are taken", "consumer0", r"turned \+= n", "turned += n + 1", ANY),
    ("attention", "turns are not counted", "consumer1", r"\n +turned \+= n", "", ANY),
    ("attention", "a turn of the first tile", "consumer0",
     r"(mbarrier\.wait\(turn_\d\.index\([^,]*, \(\()turned \+ ", r"\1", ANY),
    ("attention", "a group does not say that its turns are over", "consumer1",
     r"\n +mbarrier\.arrive\(turns_over[^\n]*", "", ("deadlock",)),
    ("attention", "one group is enough for the turns to be over", "kernel",
     r"(mbarrier\.init\(turns_over\.index\(0\), count=)2", r"\g<1>1", ANY),
    ("attention", "the stage is written while the last tile is stored", "consumer0",
     r"\n +tma\.store_wait\(0\)(\n +o_desc_0_stage\.store)", r"\1", ANY),
    ("residual", "no wait for the tile that comes after the loop", "consumer0",
     r"\n +mbarrier\.wait\(rest_smem_full[^\n]*", "", ANY),
    ("residual", "what comes after the loop is not given back", "consumer0",
     r"\n +mbarrier\.arrive\(rest_smem_empty[^\n]*", "", ("deadlock",)),
    ("residual", "the loader overwrites what is read after the loop", "loader",
     r"\n +mbarrier\.wait\(rest_smem_empty[^\n]*", "", ANY),
    ("residual", "the loader's first wait is for a phase that is not over", "loader",
     r"\(tile_number \& 1\) \^ 1", "tile_number & 1", ("deadlock",)),
    ("residual", "the next tile's counter", "loader", r"tile_c = start - 2", "tile_c = start", ANY),
    ("residual", "tiles are left out", "consumer0", r"(for tile in range\([^)]*), 2\)", r"\1, 4)", ANY),
]  # fmt: skip
MUTATIONS = [Mutation(f"persistent_{module}", *rest) for module, *rest in ROWS]


def mutated(mutation):
    text = SOURCES[mutation.module]
    name = r"\w+_kernel" if mutation.inside == "kernel" else mutation.inside
    found = re.search(rf"(?ms)^def {name}\(.*?(?=^@gluon\.jit|^def |\Z)", text)
    body, changes = re.subn(mutation.old, mutation.new, found.group(), count=1)
    assert changes == 1, "the emitted module changed: what was to be broken is not there"
    assert body != found.group()
    return text[: found.start()] + body + text[found.end() :]


def verified(tmp_path, module, text, trips=None):
    path = tmp_path / f"{module}.py"
    path.write_text(text)
    trips = TRIPS[module] if trips is None else trips
    return verify_file(path, schedule=FIXTURES / f"{module}.json", seeds=(0, 1), trip_counts=trips, programs=2)


@pytest.mark.parametrize("module", TRIPS)
def test_unbroken_it_passes(module, tmp_path):
    report = verified(tmp_path, module, SOURCES[module], (0, 2, *TRIPS[module]))
    assert report.passed, report.summary()
    assert len(report.trip_counts) >= 2


def test_the_fixtures_have_what_is_to_be_broken():
    attention, residual = PLANS["persistent_attention"], PLANS["persistent_residual"]
    assert attention.threshold == 2
    assert attention.turning == 2
    assert max(abs(token.shift) for _, token in attention.tokens) == 2
    assert [buffer.readers for buffer in attention.buffers if buffer.filled and not buffer.depth] == [1, 1]
    assert residual.turning == 0
    assert [buffer.readers for buffer in residual.buffers if buffer.filled and not buffer.depth] == [1]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.module}: {m.what}")
def test_a_broken_one_is_reported(mutation, tmp_path):
    text = mutated(mutation)
    reports = (verified(tmp_path, mutation.module, text, (trip,)) for trip in TRIPS[mutation.module])
    report = next((report for report in reports if not report.passed), None)
    assert report is not None, f"{mutation.what}: not seen"
    for failure in report.failures:
        assert failure.kind in mutation.kinds, str(failure)
