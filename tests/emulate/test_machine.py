"""wgmma tokens, TMA, barriers and roles, in small kernels."""

import pytest
import torch

from tests.emulate.running import line, module, run
from twill import emulate
from twill.errors import InputError, Unsupported

FILLED = """\
tile = gl.allocate_shared_memory(gl.float16, [64, 64], TILE)
tile.store(gl.full([64, 64], 0.5, gl.float16, WIDE))
fence_async_shared()
zero = gl.zeros([64, 64], gl.float32, MMA)
"""
AT = FILLED.count("\n")


@pytest.mark.parametrize(("body", "at"), [
    ("acc = warpgroup_mma(tile, tile, zero, is_async=True)\nacc * 2.0", 2),
    ("acc = warpgroup_mma(tile, tile, zero, is_async=True)\nacc.to(gl.float16)", 2),
    ("acc = warpgroup_mma(tile, tile, zero, is_async=True)\ngl.convert_layout(acc, WIDE)", 2),
    ("acc = warpgroup_mma(tile, tile, zero, is_async=True)\ntile.store(acc)", 2),
    ("a = warpgroup_mma(tile, tile, zero, is_async=True)\nb = warpgroup_mma(tile, tile, zero, is_async=True)\n"
     "b = warpgroup_mma_wait(1, deps=[b])\nb + 1.0", 4),
    ("a = warpgroup_mma(tile, tile, zero, is_async=True)\nb = warpgroup_mma_wait(0, deps=[a])\n"
     "warpgroup_mma(tile, tile, a, is_async=True)", 3),
    ("a = warpgroup_mma(tile, tile, zero, is_async=True)\nb = warpgroup_mma_wait(0, deps=[a])\n"
     "warpgroup_mma_wait(0, deps=[a])", 3),
])  # fmt: skip
def test_tokens_are_not_values(tmp_path, body, at):
    with pytest.raises(emulate.TokenMisuse) as caught:
        run(tmp_path, FILLED + body)
    assert caught.value.location.line == line(AT + at)


def test_operations_of_a_role_happen_in_order(tmp_path):
    body = (
        FILLED
        + """
acc = warpgroup_mma(tile, tile, zero, is_async=True)
acc = warpgroup_mma(tile, tile, acc, is_async=True)
other = warpgroup_mma(tile, tile, zero, use_acc=False, is_async=True)
acc = warpgroup_mma_wait(1, deps=[acc])
gl.device_assert(acc == 32.0)
other = warpgroup_mma_wait(0, deps=[other])
gl.device_assert(other == 16.0)
gl.device_assert(warpgroup_mma(tile, tile, other) == 32.0)
"""
    )
    for seed in range(6):
        run(tmp_path, body, seed=seed)


def test_a_role_may_not_end_with_an_operation_in_flight(tmp_path):
    with pytest.raises(emulate.Unwaited, match="wgmma of k") as caught:
        run(tmp_path, FILLED + "warpgroup_mma(tile, tile, zero, is_async=True)")
    assert caught.value.lines == (line(AT + 1),)


@pytest.mark.parametrize(("change", "what"), [
    (("MMA)", "WIDE)"), "needs an NVMMADistributedLayout"),
    (("[64, 64], gl.float32, MMA", "[128, 64], gl.float32, MMA"), "accumulator \\[128, 64\\]"),
    (("tile, tile, zero", "gl.zeros([64, 64], gl.float16, WIDE), tile, zero"), "needs DotOperandLayout"),
    (("tile, tile, zero", "tile, gl.zeros([64, 64], gl.float16, WIDE), zero"), "takes b from shared memory"),
])  # fmt: skip
def test_operands_are_what_the_instruction_takes(tmp_path, change, what):
    body = FILLED + "warpgroup_mma(tile, tile, zero)"
    assert change[0] in body
    with pytest.raises(emulate.LayoutMismatch, match=what):
        run(tmp_path, body.replace(*change))


def test_tf32_operands_lose_their_low_bits(tmp_path):
    body = """
    narrow: gl.constexpr = gl.NVMMASharedLayout(128, 32, 2)
    a = gl.allocate_shared_memory(gl.float32, [64, 64], narrow)
    a.store(gl.full([64, 64], 1.0 + 2.0 ** -12, gl.float32, WIDE))
    fence_async_shared()
    acc = warpgroup_mma(a, a, gl.zeros([64, 64], gl.float32, MMA))
    gl.device_assert(acc == 64.0)
    """
    run(tmp_path, body)


COPY = """
@gluon.jit
def k(src, dst, row, column):
    tile = gl.allocate_shared_memory(src.dtype, src.block_shape, src.layout)
    full = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(full, count=1)
    mbarrier.expect(full, src.block_type.nbytes)
    tma.{load}(src, [row, column], full, tile)
    mbarrier.wait(full, 0)
    mbarrier.invalidate(full)
    tma.{store}(dst, [row, column], tile)
    tma.store_wait(pendings=0)


def go(a, b, row, column):
    k[(1,)](TensorDescriptor.from_tensor(a, [16, 32], gl.NVMMASharedLayout.get_default_for([16, 32], {dtype})),
            TensorDescriptor.from_tensor(b, [16, 32], gl.NVMMASharedLayout.get_default_for([16, 32], {dtype})),
            row, column)
"""
OLD = {"load": "async_copy_global_to_shared", "store": "async_copy_shared_to_global"}
NEW = {"load": "async_load", "store": "async_store"}


@pytest.mark.parametrize("names", [OLD, NEW])
@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "gl.float16"), (torch.bfloat16, "gl.bfloat16"),
                                             (torch.float32, "gl.float32"), (torch.int8, "gl.int8")])  # fmt: skip
@pytest.mark.parametrize(("row", "column"), [(0, 0), (8, 16), (-8, 48), (40, -16), (64, 64)])
def test_tma_clips_at_the_tensor_s_edges(tmp_path, dtype, name, names, row, column):
    a = torch.randint(1, 100, (48, 64)).to(dtype)
    b = torch.zeros_like(a)
    module(tmp_path, COPY.format(dtype=name, **names)).go(a, b, row, column)
    expected = torch.zeros_like(a)
    rows, columns = slice(max(row, 0), max(row + 16, 0)), slice(max(column, 0), max(column + 32, 0))
    expected[rows, columns] = a[rows, columns]
    assert torch.equal(b, expected)


def test_what_lies_outside_is_zero(tmp_path):
    text = COPY.replace("[row, column], tile)", "[0, 0], tile)").format(dtype="gl.float16", **NEW)
    b = torch.full((48, 64), 7.0).half()
    module(tmp_path, text).go(torch.ones(48, 64).half(), b, 40, 48)
    assert b[:8, :16].eq(1).all()
    assert b[8:16, :32].eq(0).all()
    assert b[:16, 16:32].eq(0).all()
    assert b[16:].eq(7).all()


def test_views_of_tensors_keep_their_storage(tmp_path):
    storage = torch.zeros(100 * 64, dtype=torch.float16)
    b = storage[32 * 64 : 80 * 64].view(48, 64)
    module(tmp_path, COPY.format(dtype="gl.float16", **NEW)).go(torch.ones(48, 64).half(), b, 0, 0)
    assert storage.sum() == 16 * 32
    assert storage[32 * 64] == 1


@pytest.mark.parametrize(("body", "kind", "what"), [
    ("mbarrier.arrive(bar)", emulate.BarrierMisuse, "not an initialised mbarrier"),
    ("mbarrier.init(bar, count=1)\nmbarrier.init(bar, count=1)", emulate.BarrierMisuse, "again"),
    ("mbarrier.init(bar, count=0)", emulate.BarrierMisuse, "count of 0"),
    ("mbarrier.init(bar, count=1)\nmbarrier.arrive(bar, count=2)", emulate.BarrierMisuse, "1 of 1 arrivals left"),
    ("mbarrier.init(bar, count=1)\nmbarrier.wait(bar, 2)", emulate.BarrierMisuse, "parity"),
    ("mbarrier.init(bar, count=1)\nmbarrier.invalidate(bar)\nmbarrier.arrive(bar)", emulate.BarrierMisuse,
     "not an initialised"),
    ("mbarrier.init(bar, count=2)\nmbarrier.arrive(bar)\nmbarrier.wait(bar, 0)", emulate.Deadlock,
     "k .* waits for bar, parity 0: phase 0 has 1 of 2 arrivals; last arrival by k"),
])  # fmt: skip
def test_barriers_used_wrongly(tmp_path, body, kind, what):
    with pytest.raises(kind, match=what):
        run(tmp_path, f"bar = gl.allocate_shared_memory(gl.int64, [1], BARRIER)\n{body}")


def test_a_wait_looks_at_the_parity_only(tmp_path):
    body = """
    bar = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(bar, count=1)
    mbarrier.wait(bar, 1)
    mbarrier.arrive(bar)
    mbarrier.wait(bar, 0)
    mbarrier.arrive(bar)
    mbarrier.wait(bar, 1)
    mbarrier.wait(bar, 1, pred=True)
    mbarrier.wait(bar, 0, pred=False)
    mbarrier.arrive(bar, pred=False)
    """
    run(tmp_path, body)


def test_a_loop_that_never_ends_is_stopped(tmp_path):
    with pytest.raises(emulate.NeverEnds, match=r"2,000 loop turns of k") as caught:
        run(tmp_path, "n = gl.program_id(0)\nwhile n < 1:\n    n = n * 1", max_steps=2000)
    assert caught.value.location.line in (line(2), line(3))
    with pytest.raises(emulate.NeverEnds, match=r"500 scheduling steps"):
        run(tmp_path, "while gl.program_id(0) == 0:\n    gl.thread_barrier()", max_steps=500)


@pytest.mark.parametrize(("counts", "what"), [
    ("[4], [24, 24]", "1 workers, but 1 warp counts and 2 register counts"),
    ("[4, 4], [24]", "1 workers, but 2 warp counts"),
    ("[3], [24]", "asks for \\[3\\] warps"),
    ("[4], [30]", "multiples of 8"),
    ("[16], [248]", "126976 registers"),
])  # fmt: skip
def test_roles_fit_the_machine(tmp_path, counts, what):
    loaded = module(tmp_path, f"""
        @gluon.jit
        def role(n):
            pass


        @gluon.jit
        def k(n):
            gl.warp_specialize([(role, (n,)), (role, (n,))], {counts})
        """)  # fmt: skip
    with pytest.raises(emulate.LayoutMismatch, match=what):
        loaded.k[(1,)](3)


def test_roles_run_their_functions_and_the_default_one_answers(tmp_path):
    loaded = module(tmp_path, """
        @gluon.jit
        def first(out):
            return gl.num_warps() + 0, 7


        @gluon.jit
        def second(out, n):
            gl.store(out + 1, gl.num_warps() * n)


        @gluon.jit
        def k(out):
            warps, seven = gl.warp_specialize([(first, (out,)), (second, (out, 5)), (second, (out + 1, 6))],
                                              [2, 1], [24, 24])
            gl.store(out, warps + seven)
        """)  # fmt: skip
    out = torch.zeros(3, dtype=torch.int32)
    loaded.k[(1,)](out, num_warps=8)
    assert out.tolist() == [15, 10, 6]


def test_every_program_of_the_grid_runs(tmp_path):
    out = torch.zeros(2, 3, 4, dtype=torch.int32)
    body = "x = gl.program_id(0) * 12 + gl.program_id(1) * 4 + gl.program_id(2)\n" \
           "gl.store(out + x, x + 100 * gl.num_programs(1))"  # fmt: skip
    run(tmp_path, body, out, parameters="out", grid=lambda a: (2, a["out"].shape[1], 4))
    assert torch.equal(out.flatten(), torch.arange(24).int() + 300)


def test_stores_stay_inside_their_tensor(tmp_path):
    with pytest.raises(emulate.OutOfBounds, match="touches element 63 of out, which has 32"):
        run(tmp_path, "gl.store(out + gl.arange(0, 64, ROW), 1.0)", torch.zeros(32), parameters="out")


def test_descriptors_are_checked_like_the_driver_s(tmp_path):
    text = COPY.format(dtype="gl.float16", **NEW)
    with pytest.raises(ValueError, match="multiples of 16 bytes"):
        module(tmp_path, text).go(torch.zeros(48, 33).half()[:, :32], torch.zeros(48, 64).half(), 0, 0)


def test_a_kernel_is_launched_not_called(tmp_path):
    loaded = module(tmp_path, "@gluon.jit\ndef k():\n    pass\n")
    with pytest.raises(InputError, match="called outside a kernel"):
        loaded.k()


@pytest.mark.parametrize("statement", [
    "from triton.experimental.gluon.language.nvidia.blackwell import mma_v2",
    "import triton.tools.disasm",
    "from triton.experimental.gluon.language.nvidia import rubin",
    "import triton.experimental.gluon.language.amd",
])  # fmt: skip
def test_imports_without_a_stand_in_are_named(tmp_path, statement):
    with pytest.raises(Unsupported) as caught:
        module(tmp_path, f"import torch\n{statement}\n")
    assert caught.value.location.line == line(2) - 2


def test_a_source_may_probe_for_names(tmp_path):
    loaded = module(
        tmp_path, 'found = getattr(tma, "async_gather", None), getattr(tma, "async_load", None), hasattr(gl, "x")'
    )
    assert loaded.found[0] is None
    assert loaded.found[1] is not None
    assert loaded.found[2] is False


def test_unreadable_sources(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        emulate.load(tmp_path / "missing.py")
    (tmp_path / "broken.py").write_text("x = (1,\ny = 2 2\n")
    with pytest.raises(InputError, match="syntax error") as caught:
        emulate.load(tmp_path / "broken.py")
    assert caught.value.location.line in (1, 2)
