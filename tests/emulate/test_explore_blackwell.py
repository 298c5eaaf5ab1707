"""Exploration, replay by name and traces of a kernel with tensor memory."""

import pytest
import torch

from tests.emulate.running import FIXTURES
from tests.emulate.test_blackwell import MUTATIONS
from twill import emulate
from twill.emulate import EmulationError, trace
from twill.emulate.explore import explore
from twill.emulate.guided import Guided, Path

GEMM = FIXTURES / "blackwell_gemm.py"
TEXT = GEMM.read_text()


def gemm(text=TEXT, tiles=3, n=3):
    """The loaded module, and a run of it under an adversary: (its failure or None, c)."""
    loaded = emulate.load(GEMM, text=text, max_steps=20_000)
    random = torch.Generator().manual_seed(n)
    a, b = torch.randn(128, 64 * n, generator=random).bfloat16(), torch.randn(64 * n, 64 * tiles).bfloat16()

    def once(guided):
        loaded.emulator.adversary = guided
        try:
            loaded.launch(a, b, torch.full((128, 64 * tiles), float("nan")).bfloat16())
        except EmulationError as error:
            return error
        return None

    return once


@pytest.mark.parametrize(("tiles", "n"), [(1, 1), (3, 4), (5, 3)])
def test_every_interleaving_is_covered(tiles, n):
    found = explore(gemm(tiles=tiles, n=n), 0, 10)
    assert found.failure is None
    assert found.complete, str(found.unordered)
    assert found.runs == 2


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_broken_gemm_is_found_and_replays_by_name(name):
    old, new, kind = MUTATIONS[name]
    once = gemm(TEXT.replace(old, new), tiles=5)
    found = explore(once, 1, 300)
    assert isinstance(found.failure, kind)
    again = once(Guided(Path.parse(str(found.path))))
    assert again.as_dict() == found.failure.as_dict()


def test_a_commit_too_many_is_found(tmp_path):
    """The barrier of the accumulator is arrived at twice, so its phases run ahead of who waits for them."""
    old = "        tcgen05_commit(done.index(buffer))\n"
    found = explore(gemm(TEXT.replace(old, old + old), tiles=5), 2, 300)
    assert found.failure is not None
    assert found.failure.kind in ("race", "barrier", "deadlock", "poison")


def test_the_trace_names_tensor_memory():
    watcher = trace.Trace(str(GEMM))
    with trace.watching(watcher):
        assert gemm()(Guided(Path("early"))) is None
    text = watcher.text()
    assert "tcgen05 completes: tcgen05 MMA" in text
    assert "tcgen05 completes: tcgen05 commit; tcgen05 commit done[0], phase 0, arrival 1 of 1" in text
    assert "load from tensor memory acc[1]" in text
    kinds = {move.kind for move in watcher.moves}
    assert kinds == {"role", "load", "tcgen05", "store"}
