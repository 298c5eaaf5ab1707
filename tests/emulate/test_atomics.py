"""Atomics on global memory and TMA reductions: values, order, and races with plain accesses."""

import pytest
import torch

from tests.emulate.running import line, module, run
from tests.emulate.test_gather import GATHER
from twill import emulate

X = "x = gl.arange(0, 64, ROW)\n"


@pytest.mark.parametrize(
    ("call", "start", "after", "dtype"),
    [
        ("atomic_add(out + x, x)", 5, lambda x: 5 + x, torch.int32),
        ("atomic_add(out + x, x.to(gl.float32) * 0.5)", 1.0, lambda x: 1 + x * 0.5, torch.float32),
        ("atomic_add(out + x, 1.0, mask=x < 8)", 1.0, lambda x: 1 + (x < 8), torch.bfloat16),
        ("atomic_add(out + x * 0, 1)", 0, lambda x: 64 * (x == 0), torch.int32),  # all on one element
        ("atomic_max(out + x, x)", 9, lambda x: x.clamp(min=9), torch.int32),
        ("atomic_min(out + x, x.to(gl.float32))", 9.0, lambda x: x.clamp(max=9), torch.float32),
        ("atomic_and(out + x, x)", 5, lambda x: x & 5, torch.int32),
        ("atomic_or(out + x, x)", 5, lambda x: x | 5, torch.int64),
        ("atomic_xor(out + x, x)", 5, lambda x: x ^ 5, torch.int32),
        ("atomic_xchg(out + x, x)", 5, lambda x: x, torch.int32),
        ("atomic_cas(out + x, 7 - x * 0, x)", 7, lambda x: x, torch.int32),
        ("atomic_cas(out + x, x, x * 0 - 1)", 7, lambda x: 7 - 8 * (x == 7), torch.int32),
    ],
)
def test_values(tmp_path, call, start, after, dtype):
    out = torch.full((64,), start, dtype=dtype)
    run(tmp_path, f"{X}gl.{call}", out, parameters="out")
    assert torch.equal(out, after(torch.arange(64)).to(dtype))


def test_what_stood_there_is_returned(tmp_path):
    old, out = torch.arange(64).int(), torch.zeros(64).int()
    body = X + 'gl.store(out + x, gl.atomic_add(old + x, 10, sem="relaxed", scope="sys"))\n(old + x).atomic_xchg(3)'
    run(tmp_path, body, old, out, parameters="old, out")
    assert torch.equal(out, torch.arange(64).int())
    assert (old == 3).all()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("atomic_max(out + x, x)", "atomic_max does not take bf16"),
        ("atomic_add(out + x, 1.0, sem='seq_cst')", "seq_cst"),
        ("atomic_add(out + x, 1.0, scope='cluster')", "cluster"),
        ("atomic_add(x, 1)", "not a pointer"),
    ],
)
def test_what_the_compiler_refuses(tmp_path, call, words):
    with pytest.raises(emulate.LayoutMismatch, match=words) as caught:
        run(tmp_path, f"{X}gl.{call}", torch.zeros(64).bfloat16(), parameters="out")
    assert caught.value.location.line == line(2)


def test_an_atomic_outside_its_tensor(tmp_path):
    with pytest.raises(emulate.OutOfBounds, match=r"atomic_add of k .* touches element 64") as caught:
        run(tmp_path, f"{X}gl.atomic_add(out + x + 1, 1.0)", torch.zeros(64), parameters="out")
    assert caught.value.lines == (line(2),)


@pytest.mark.parametrize("seed", range(3))
def test_blocks_may_add_to_the_same_elements(tmp_path, seed):
    out = torch.zeros(64)
    run(tmp_path, X + "gl.atomic_add(out + x, 1.0)", out, parameters="out", grid=(5,), seed=seed)
    assert (out == 5).all()
    with pytest.raises(emulate.Race, match='Give both atomics the scope "gpu"') as caught:
        run(tmp_path, X + "gl.atomic_add(out + x, 1.0, scope='cta')", out, parameters="out", grid=(2,), seed=seed)
    assert caught.value.lines == (line(2), line(2))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("plain", ["gl.load(out + x)", "gl.store(out + x, 1.0)"])
def test_a_plain_access_beside_an_atomic_of_another_block(tmp_path, seed, plain):
    body = f"{X}if gl.program_id(0) == 1:\n    {plain}\nelse:\n    gl.atomic_add(out + x, 1.0)"
    with pytest.raises(emulate.Race, match="race on global memory") as caught:
        run(tmp_path, body, torch.zeros(64), parameters="out", grid=(3,), seed=seed)
    assert set(caught.value.lines) == {line(3), line(5)}
    assert "updates" in str(caught.value)


LAST_BLOCK = """\
one = gl.arange(0, 64, ROW)
gl.store(part + 64 * gl.program_id(0) + one, one.to(gl.float32))
arrived = gl.atomic_add(count, 1, sem="{sem}")
if arrived == 2:
    total = gl.load(part + one) + gl.load(part + 64 + one) + gl.load(part + 128 + one)
    gl.store(out + one, total)
"""


@pytest.mark.parametrize("seed", range(4))
def test_the_last_block_may_read_what_the_others_released(tmp_path, seed):
    """A split reduction: release and acquire along the counter order the blocks' stores before the last one's loads."""
    part, count = torch.zeros(192), torch.zeros(1).int()
    out = torch.zeros(64)
    run(tmp_path, LAST_BLOCK.format(sem="acq_rel"), part, count, out, parameters="part, count, out", grid=(3,),
        seed=seed)  # fmt: skip
    assert torch.equal(out, 3 * torch.arange(64.0))


@pytest.mark.parametrize("sem", ["relaxed", "acquire", "release"])
def test_weaker_atomics_order_nothing(tmp_path, sem):
    with pytest.raises(emulate.Race, match="nothing orders thread blocks") as caught:
        run(tmp_path, LAST_BLOCK.format(sem=sem), torch.zeros(192), torch.zeros(1).int(), torch.zeros(64),
            parameters="part, count, out", grid=(3,))  # fmt: skip
    assert set(caught.value.lines) == {line(2), line(5)}


REDUCTION = """
from triton.experimental.gluon.language.nvidia.blackwell import tma as blackwell


@gluon.jit
def k(desc):
    tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
    tile.store(gl.full([64, 64], 2.0, gl.float16, WIDE))
    fence_async_shared()
    blackwell.async_atomic_{kind}(desc, [0, 0], tile)
    tma.store_wait(0)


def launch(out, blocks):
    k[(blocks,)](TensorDescriptor.from_tensor(out, [64, 64], TILE), num_warps=4)
"""


@pytest.mark.parametrize(("kind", "result"), [("add", 9.0), ("max", 3.0), ("min", 2.0)])
def test_tma_reductions(tmp_path, kind, result):
    out = torch.full((64, 64), 3.0).half()
    module(tmp_path, REDUCTION.format(kind=kind)).launch(out, 3)
    assert (out == result).all()


def test_a_reduction_beside_a_store_of_another_block(tmp_path):
    text = REDUCTION.format(kind="add").replace(
        "    blackwell.async_atomic_add(desc, [0, 0], tile)\n",
        "    if gl.program_id(0) == 1:\n        blackwell.async_atomic_add(desc, [0, 0], tile)\n"
        "    else:\n        tma.async_copy_shared_to_global(desc, [0, 0], tile)\n",
    )
    with pytest.raises(emulate.Race) as caught:
        module(tmp_path, text).launch(torch.zeros(64, 64).half(), 2)
    assert {place.action for place in caught.value.places} == {"TMA reduction (add)", "TMA store"}


def test_a_reduction_that_nobody_waits_for(tmp_path):
    with pytest.raises(emulate.Unwaited, match="store_wait"):
        module(tmp_path, REDUCTION.format(kind="add").replace("    tma.store_wait(0)\n", "")).launch(
            torch.zeros(64, 64).half(), 1
        )


# Arguments in one storage


@pytest.mark.parametrize("seed", range(3))
def test_arguments_that_share_a_storage(tmp_path, seed):
    body = f"{X}if gl.program_id(0) == 1:\n    y = gl.load(a + x)\nelse:\n    gl.store(b + x, 1.0)"
    whole = torch.zeros(256)
    with pytest.raises(emulate.Race, match=r"as part of [ab]") as caught:
        run(tmp_path, body, whole[:64], whole[32:96], parameters="a, b", grid=(2,), seed=seed)
    assert set(caught.value.lines) == {line(3), line(5)}
    run(tmp_path, body, whole[:64], whole[64:128], parameters="a, b", grid=(2,), seed=seed)


def test_a_storage_seen_with_two_types(tmp_path):
    """Elements 8..15 of the halves are the words 4..7."""
    words = torch.zeros(128)
    halves = words.view(torch.float16)
    body = f"{X}if gl.program_id(0) == 1:\n    gl.store(a + 64 + x, 1.0)\nelse:\n    gl.store(b + {{at}} + x, 1.0)"
    with pytest.raises(emulate.Race, match="as part of"):
        run(tmp_path, body.format(at=70), words, halves, parameters="a, b", grid=(2,))
    run(tmp_path, body.format(at=64), words, halves, parameters="a, b", grid=(2,))


# What else reads and writes global memory

COPY = """
from triton.experimental.gluon.language.nvidia.ampere import async_copy


@gluon.jit
def left(src, tile, ready):
    x = gl.arange(0, 64, ROW)
    async_copy.async_copy_global_to_shared(tile, src + x)
    async_copy.commit_group()
    EARLY
    async_copy.wait_group(0)
    LATE
    tile.load(ROW)


@gluon.jit
def right(src, tile, ready):
    mbarrier.wait(ready, 0)
    gl.store(src + gl.arange(0, 64, ROW), gl.full([64], 1.0, gl.float32, ROW))


@gluon.jit
def k(src):
    tile = gl.allocate_shared_memory(gl.float32, [64], gl.SwizzledSharedLayout(1, 1, 1, [0]))
    ready = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(ready, count=1)
    gl.warp_specialize([(left, (src, tile, ready)), (right, (src, tile, ready))], [4], [24])
"""


@pytest.mark.parametrize("seed", range(3))
def test_an_asynchronous_copy_reads_until_it_is_waited_for(tmp_path, seed):
    late = COPY.replace("EARLY", "").replace("LATE", "mbarrier.arrive(ready)")
    module(tmp_path, late, seed=seed).k[(1,)](torch.zeros(64), num_warps=4)
    early = COPY.replace("LATE", "").replace("EARLY", "mbarrier.arrive(ready)")
    with pytest.raises(emulate.Race, match="race on global memory") as caught:
        module(tmp_path, early, seed=seed).k[(1,)](torch.zeros(64), num_warps=4)
    assert {place.action for place in caught.value.places} == {"asynchronous copy", "store"}


@pytest.mark.parametrize("seed", range(3))
def test_scattered_rows_of_two_blocks(tmp_path, seed):
    path = tmp_path / "scatter.py"
    text = GATHER.replace("tma.async_scatter(", "at = at + 8 * gl.program_id(0)\n    tma.async_scatter(")
    path.write_text(text.replace("[(1,)]", "[(2,)]"))
    src = torch.randn(16, 64).half()
    with pytest.raises(emulate.Race) as caught:
        emulate.load(path, seed=seed).launch(
            src, torch.zeros(24, 64).half(), torch.tensor([0, 1, 2, 3, 4, 5, 6, 8]).int(), 0
        )
    assert {place.action for place in caught.value.places} == {"TMA scatter"}
    emulate.load(path, seed=seed).launch(src, torch.zeros(24, 64).half(), torch.arange(8).int(), 0)
    with pytest.raises(emulate.Race) as caught:  # the rows that one block writes, another gathers
        emulate.load(path, seed=seed).launch(src, src, torch.arange(8).int(), 0)
    assert {place.action for place in caught.value.places} == {"TMA gather", "TMA scatter"}
