"""Shared memory: poison, overlap of views, fences, and who may touch what when."""

import pytest
import torch

from tests.emulate.running import line, module, run
from twill import emulate

TILE = "tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)"
ONES = "gl.full([64, 64], 1.0, gl.float16, WIDE)"
ROWS = "gl.arange(0, 64, gl.SliceLayout(1, WIDE))[:, None]"
COLUMNS = "gl.arange(0, 64, gl.SliceLayout(0, WIDE))[None, :]"
POINTERS = f"(out + {ROWS} * 64 + {COLUMNS})"


def test_unwritten_memory_is_poison(tmp_path):
    with pytest.raises(emulate.Poison, match="reads tile, which nothing has written") as caught:
        run(tmp_path, f"{TILE}\ntile.load(WIDE)")
    assert caught.value.lines == (line(2),)
    assert caught.value.buffer == "tile"


def test_half_written_memory_is_poison(tmp_path):
    with pytest.raises(emulate.Poison, match="in part"):
        run(tmp_path, f"{TILE}\ntile.slice(0, 32).store(gl.full([32, 64], 1.0, gl.float16, WIDE))\ntile.load(WIDE)")


def test_views_are_views(tmp_path):
    body = f"""
    ring = gl.allocate_shared_memory(gl.float16, [2, 64, 64], TILE)
    x = {ROWS} * 64 + {COLUMNS}
    ring.index(1).store(x.to(gl.float16))
    view = ring.index(1).slice(16, 32, dim=1).permute([1, 0]).permute([1, 0])
    gl.static_assert(view.shape[1] == 32)
    bits = ring.index(1)._reinterpret(gl.int16, [64, 64], TILE).load(WIDE)
    gl.store({POINTERS}, bits.to(gl.float16, bitcast=True))
    """
    out = torch.zeros(64, 64, dtype=torch.float16)
    run(tmp_path, body, out, parameters="out")
    assert torch.equal(out, torch.arange(64 * 64).reshape(64, 64).half())


@pytest.mark.parametrize(("body", "what"), [
    ("ring.index(2).load(WIDE)", "takes 2:3 along axis 0 of ring, which has extent 2"),
    ("ring.index(0 - gl.program_id(0) - 1).load(WIDE)", "takes -1:0"),
    ("ring.index(0).slice(48, 32)", r"ring\[0\], which has extent 64"),
    ("ring.index(1)._reinterpret(gl.float32, [64, 64], TILE)", "makes 16384 bytes"),
])  # fmt: skip
def test_views_stay_inside(tmp_path, body, what):
    with pytest.raises(emulate.OutOfBounds, match=what):
        run(tmp_path, f"ring = gl.allocate_shared_memory(gl.float16, [2, 64, 64], TILE)\n{body}")


def test_an_index_outside_that_nothing_uses_is_no_access(tmp_path):
    body = """
        bars = gl.allocate_shared_memory(gl.int64, [2, 1], BARRIER)
        mbarrier.init(bars.index(0), count=1)
        mbarrier.arrive(bars.index(0 - 1), count=1, pred=False)
    """
    run(tmp_path, body)
    with pytest.raises(emulate.OutOfBounds, match="takes -1:0 along axis 0 of bars"):
        run(tmp_path, body.replace("pred=False", "pred=True"))


def test_a_permuted_view_is_reshaped(tmp_path):
    body = """
        tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
        n = gl.arange(0, 64, gl.SliceLayout(1, WIDE))[:, None] * 64 + gl.arange(0, 64, gl.SliceLayout(0, WIDE))[None, :]
        turned = tile.reshape((4, 16, 64)).permute((1, 0, 2)).reshape((64, 64))
        turned.store(n.to(gl.float16))
        gl.store(out + n, tile.load(WIDE))
        gl.store(out + 4096 + n, turned.load(WIDE))
    """
    out = torch.zeros(2, 64, 64, dtype=torch.float16)
    run(tmp_path, body, out, parameters="out")
    numbers = torch.arange(4096).reshape(64, 64).half()
    assert torch.equal(out[1], numbers)
    assert torch.equal(out[0].reshape(4, 16, 64).permute(1, 0, 2).reshape(64, 64), numbers)


def test_stores_agree_in_shape_and_type(tmp_path):
    with pytest.raises(emulate.LayoutMismatch, match="store of"):
        run(tmp_path, f"{TILE}\ntile.store(gl.full([64, 64], 1.0, gl.float32, WIDE))")


ROLES = """
@gluon.jit
def left(tile, ready, done, out):
    LEFT


@gluon.jit
def right(tile, ready, done, out):
    RIGHT


@gluon.jit
def k(out):
    tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
    ready = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    done = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(ready, count=1)
    mbarrier.init(done, count=1)
    gl.warp_specialize([(left, (tile, ready, done, out)), (right, (tile, ready, done, out))], [4], [128])
"""


def two_roles(tmp_path, left, right, seed):
    """Run two roles that share a tile and two barriers; `left` and `right` are their bodies."""

    def indented(body):
        return "\n    ".join(body.splitlines())

    text = ROLES.replace("LEFT", indented(left)).replace("RIGHT", indented(right))
    out = torch.zeros(64, 64, dtype=torch.float16)
    module(tmp_path, text, seed=seed).k[(1,)](out)
    return out


WRITE = f"tile.store({ONES})"
READ = f"gl.store({POINTERS}, tile.load(WIDE))"


@pytest.mark.parametrize("seed", range(6))
def test_a_barrier_orders_two_roles(tmp_path, seed):
    out = two_roles(tmp_path, f"{WRITE}\nmbarrier.arrive(ready)", f"mbarrier.wait(ready, 0)\n{READ}", seed)
    assert (out == 1).all()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("left", "right"), [
    (WRITE, READ),
    (f"mbarrier.arrive(ready)\n{WRITE}", f"mbarrier.wait(ready, 0)\n{READ}"),
    (f"{WRITE}\nmbarrier.arrive(ready)", f"mbarrier.wait(ready, 1)\n{READ}"),  # the phase before the first passes
    (f"{WRITE}\nmbarrier.arrive(ready)\n{WRITE}", f"mbarrier.wait(ready, 0)\n{READ}"),  # written again while read
])  # fmt: skip
def test_without_order_it_is_reported(tmp_path, left, right, seed):
    # A wait for the wrong phase hangs instead when the right one is already over.
    with pytest.raises((emulate.Race, emulate.Poison, emulate.Deadlock)) as caught:
        two_roles(tmp_path, left, right, seed)
    if isinstance(caught.value, emulate.Race):
        assert set(caught.value.roles) == {"left", "right"}


@pytest.mark.parametrize("seed", range(6))
def test_disjoint_slices_do_not_race(tmp_path, seed):
    half = "tile.slice({}, 32, dim={}).store(gl.full([{}], 1.0, gl.float16, WIDE))"
    two_roles(tmp_path, half.format(0, 1, "64, 32"), half.format(32, 1, "64, 32"), seed)
    with pytest.raises(emulate.Race, match=r"tile\[:, 32:64\]|tile\[0:32\]"):
        two_roles(tmp_path, half.format(0, 0, "32, 64"), half.format(32, 1, "64, 32"), seed)


MMA_OF_TILE = (
    "acc = warpgroup_mma(tile, tile, gl.zeros([64, 64], gl.float32, MMA), is_async=True)\n"
    "acc = warpgroup_mma_wait(0, deps=[acc])"
)


@pytest.mark.parametrize("fence", ["writer", "reader", "none", "before the write", "after the arrive"])
def test_the_asynchronous_proxy_needs_a_fence(tmp_path, fence):
    f = "fence_async_shared()\n"
    left = {
        "writer": f"{WRITE}\n{f}mbarrier.arrive(ready)",
        "before the write": f"{f}{WRITE}\nmbarrier.arrive(ready)",
        "after the arrive": f"{WRITE}\nmbarrier.arrive(ready)\n{f}pass",
    }.get(fence, f"{WRITE}\nmbarrier.arrive(ready)")
    right = f"mbarrier.wait(ready, 0)\n{f if fence == 'reader' else ''}{MMA_OF_TILE}"
    for seed in range(4):
        if fence in ("writer", "reader"):
            two_roles(tmp_path, left, right, seed)
        else:
            with pytest.raises(emulate.MissingFence) as caught:
                two_roles(tmp_path, left, right, seed)
            assert caught.value.roles == ("left", "right")


def test_a_second_user_of_fenced_data_needs_no_fence_of_its_own(tmp_path):
    body = f"{TILE}\n{WRITE}\nfence_async_shared()\n{MMA_OF_TILE}\n{MMA_OF_TILE}"
    run(tmp_path, body)


def test_overwriting_an_operand_in_flight_is_a_race(tmp_path):
    first, second = MMA_OF_TILE.splitlines()
    body = f"{TILE}\n{WRITE}\nfence_async_shared()\n{first}\n{WRITE}\n{second}"
    for seed in range(4):
        with pytest.raises(emulate.Race, match=r"wgmma of k .* may still be reading tile") as caught:
            run(tmp_path, body, seed=seed)
        assert caught.value.lines == (line(4), line(5))


def test_overwriting_a_store_s_source_is_a_race(tmp_path):
    source = """
        @gluon.jit
        def k(out):
            tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
            tile.store(gl.full([64, 64], 1.0, gl.float16, WIDE))
            fence_async_shared()
            tma.async_copy_shared_to_global(out, [0, 0], tile)
            tile.store(gl.full([64, 64], 2.0, gl.float16, WIDE))
            tma.store_wait(0)


        def go(out):
            k[(1,)](TensorDescriptor.from_tensor(out, [64, 64], TILE))
        """
    out = torch.zeros(64, 64, dtype=torch.float16)
    for seed in range(4):
        with pytest.raises(emulate.Race, match="TMA store of k"):
            module(tmp_path, source, seed=seed).go(out)
    early, late = source.replace("2.0", "1.0"), "            tile.store(gl.full([64, 64], 2.0, gl.float16, WIDE))\n"
    with pytest.raises(emulate.Race):  # the same bytes again are a race all the same
        module(tmp_path, early).go(out)
    module(tmp_path, source.replace(late, "")).go(out)
    assert (out == 1).all()
