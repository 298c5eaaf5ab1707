"""One run that answers for all, on random programs with TMA, tcgen05 commits, global memory and atomics."""

import random
import textwrap

import pytest
import torch

from tests.emulate.running import module
from tests.emulate.test_ordering import _Everything
from twill.emulate import EmulationError, trace
from twill.emulate.guided import Guided, Path
from twill.emulate.ordering import Ordering

ROLE = "@gluon.jit\ndef role{number}(out, desc, tile, a, b):\n{body}\n\n\n"
KERNEL = """
from triton.experimental.gluon.language.nvidia.blackwell import tcgen05_commit


@gluon.jit
def k(out, desc):
    tile = gl.allocate_shared_memory(gl.float16, [8, 64], TILE)
    a = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    b = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(a, count={a})
    mbarrier.init(b, count={b})
    gl.warp_specialize([(role0, (out, desc, tile, a, b)), (role1, (out, desc, tile, a, b))], [4], [24])


def launch(out, source):
    k[(1,)](out, TensorDescriptor.from_tensor(source, [8, 64], TILE), num_warps=4)
"""
BARRIERS = [f"mbarrier.{call}" for call in (
    "arrive(a)", "arrive(b)", "wait(a, 0)", "wait(a, 1)", "wait(b, 0)", "wait(b, 1)")]  # fmt: skip
OTHERS = [
    "gl.store(out, 1.0)",
    "x = gl.load(out)",
    'gl.atomic_add(out + 1, 1.0, sem="acq_rel")',
    "tcgen05_commit(a)",
    "tcgen05_commit(b)",
    "mbarrier.expect(a, 1024)",
    "mbarrier.expect(a, 1024)\ntma.async_load(desc, [0, 0], a, tile)",
    "tma.async_load(desc, [0, 0], a, tile)",
    "tma.async_store(desc, [0, 0], tile)\ntma.store_wait(0)",
    "x = tile.load(WIDE)",
    "tile.store(gl.full([8, 64], 1.0, gl.float16, WIDE))",
    "fence_async_shared()",
]


def program(seed):
    draw = random.Random(seed)
    text = ""
    for number in range(2):
        body = [draw.choice(draw.choice((BARRIERS, OTHERS))) for _ in range(3)]
        text += ROLE.format(number=number, body=textwrap.indent("\n".join(body), "    "))
    return text + KERNEL.format(a=draw.choice((1, 1, 2)), b=draw.choice((1, 1, 2)))


def outcome(loaded, adversary):
    loaded.emulator.adversary = adversary
    try:
        loaded.launch(torch.zeros(4), torch.ones(8, 64).half())
    except EmulationError as error:
        return error.kind
    return "ends"


@pytest.mark.parametrize("order", ["late", "early"])
def test_every_interleaving_of_an_ordered_run_ends(tmp_path, order):
    ordered, unordered = 0, 0
    for seed in range(1300, 1500):
        loaded, watcher = module(tmp_path, program(seed)), Ordering()
        with trace.watching(watcher):
            first = outcome(loaded, Guided(Path(order)))
        if first == "ends" and not watcher.ordered:
            unordered += 1
        elif first == "ends":
            ordered += 1
            waiting, runs = [Path(order)], 0
            while waiting and runs < 300:
                runs += 1
                assert outcome(loaded, _Everything(waiting.pop(), waiting)) == "ends", program(seed)
    assert ordered >= 5
    assert unordered >= 5
