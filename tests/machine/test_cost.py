"""Costs against arithmetic done by hand, from the rates of the shipped machines."""

import pytest

from twill.errors import Unsupported
from twill.ir.graph import Op, Type, Value
from twill.machine import cost, load
from twill.machine.cost import Layout

HOPPER, BLACKWELL = load("hopper"), load("blackwell")
GROUP = Layout(warps=4)
TILE = Type("f32", (64, 128))


def f16(*shape):
    return Type("f16", shape)


def unary(opcode, result, source=None):
    return cost.elementwise(HOPPER, Op(opcode, ("x",), (Value("y", result),)), source or result, GROUP)


def test_tile_product_on_wgmma():
    # 2 * 64 * 128 * 128 FLOP / 4096 = 512 cycles; 60 more until its result may be used
    found = cost.mma(HOPPER, f16(64, 128), f16(128, 128), a_in_registers=False)
    assert (found.unit, found.occupancy, found.issue, found.latency) == ("TC", 512, 24, 572)
    # fp8 at twice the rate, tf32 at half
    assert (
        cost.mma(HOPPER, Type("f8e4m3", (64, 128)), Type("f8e4m3", (128, 128)), a_in_registers=False).occupancy == 256
    )
    assert cost.mma(HOPPER, Type("f32", (64, 128)), Type("f32", (128, 128)), a_in_registers=False).occupancy == 1024


def test_narrow_product_waits_for_shared_memory():
    # m64n32k16: 2*64*32*16 / 4096 = 16 cycles of arithmetic; A 64*32 B and B 32*32 B at 128 B/cycle = 24 cycles.
    # K = 64 takes 4 of them: 96 from shared memory. With A in registers B alone is 8 cycles: 4 * 16 = 64.
    assert cost.mma(HOPPER, f16(64, 64), f16(64, 32), a_in_registers=False).occupancy == 96
    assert cost.mma(HOPPER, f16(64, 64), f16(64, 32), a_in_registers=True).occupancy == 64
    # At N = 64 both sides take 32 cycles an instruction: no penalty any more.
    assert cost.mma(HOPPER, f16(64, 16), f16(16, 64), a_in_registers=False).occupancy == 32


def test_tile_product_on_tcgen05():
    # 2 * 128**3 / 8192 = 512 cycles, end to end 812 (900 measured)
    found = cost.mma(BLACKWELL, f16(128, 128), f16(128, 128), a_in_registers=False)
    assert (found.occupancy, found.latency) == (512, 812)
    # m128n64k16: 32 cycles of arithmetic; A 4096 B + B 2048 B = 48 cycles; K = 128 takes 8
    assert cost.mma(BLACKWELL, f16(128, 128), f16(128, 64), a_in_registers=False).occupancy == 384


@pytest.mark.parametrize(("dtype", "precision"), [("f32", "ieee"), ("f64", "")])
def test_product_without_tensor_core(dtype, precision):
    with pytest.raises(Unsupported, match="does not run on the tensor core"):
        cost.mma(HOPPER, Type(dtype, (64, 64)), Type(dtype, (64, 64)), a_in_registers=False, precision=precision)


def test_elementwise_passes():
    # 64 * 128 = 8192 elements: fp32 at 128 a cycle, MUFU at 16, compare at 64, packed conversion at 128
    assert unary("neg", TILE).alu == 64
    assert unary("exp2", TILE).mufu == 512
    assert unary("exp2", TILE).alu == 0
    assert unary("cmp", Type("i1", (64, 128)), TILE).alu == 128
    assert unary("cast", f16(64, 128), TILE).alu == 64
    assert unary("cast", TILE, Type("i32", (64, 128))).alu == 128
    assert unary("neg", f16(64, 128)).alu == 32


def test_vector_is_computed_by_each_lane_of_its_row():
    # 64 rows, each held by 4 lanes: 256 results at 128 a cycle
    work = cost.elementwise(HOPPER, Op("neg", ("x",), (Value("y", Type("f32", (64,))),)), Type("f32", (64,)), GROUP, 0)
    assert work.alu == 2


def test_unknown_instruction_names_the_field_to_add():
    with pytest.raises(Unsupported, match=r"Add \[instructions\.lgamma\]"):
        unary("lgamma", TILE)


def test_row_reduction():
    # Sum: 8192 / 128 = 64 cycles of adds. A thread of 128 holds 64 elements of 2 rows: two chains of 32 at 5 cycles
    # = 160, so 96 more; then 2 shuffle steps of 25 among the 4 lanes of a row.
    work = cost.reduction(HOPPER, TILE, 1, "sum", GROUP)
    assert (work.alu, work.extra) == (64, 96 + 50)
    # Maximum: 64 a cycle, 128 cycles; the chains take 32 more.
    work = cost.reduction(HOPPER, TILE, 1, "max", GROUP)
    assert (work.alu, work.extra) == (128, 32 + 50)


def test_column_reduction_crosses_lanes_and_warps():
    # Each thread holds 32 columns of 2 rows: chains of 2 at 5 cycles hide in the 64 cycles of adds. 3 steps among 8
    # lanes move 32 results of 128 threads at 32 a cycle = 128 each; then 2 * 29 + 30 through shared memory.
    work = cost.reduction(HOPPER, TILE, 0, "sum", GROUP)
    assert (work.alu, work.extra) == (64, 3 * 128 + 88)


def test_registers_per_thread():
    assert GROUP.registers(TILE) == 64  # 8192 fp32 / 128 threads
    assert GROUP.registers(f16(64, 128)) == 32
    assert Layout(8).registers(Type("f32", (128, 128))) == 64
    assert GROUP.registers(Type("f32", (64,)), axis=0) == 2  # 64 rows * 4 lanes / 128 threads
    assert (
        GROUP.registers(Type("f32", (1, 128))) == 32
    )  # each thread needs the columns it holds: 128 * 8 lanes * 4 warps
    assert GROUP.registers(Type("f32")) == 1


def test_copies_through_tma():
    # 32 KiB / 34.6 B a cycle = 947.05..., latency 479 + 170 more
    found = cost.tma_load(HOPPER, f16(128, 128))
    assert (found.unit, found.occupancy, found.issue, found.latency) == ("TMA", 948, 30, 948 + 649)
    assert found.smem_bytes == 32768
    # 16 KiB: written at 128 B a cycle, a group barrier of 30, then 130 + 52 * 16
    found = cost.tma_store(HOPPER, f16(64, 128))
    assert (found.unit, found.occupancy, found.latency) == ("LSU", 128, 128 + 30 + 130 + 832)


def test_moves_within_the_sm():
    assert cost.smem_read(HOPPER, f16(64, 128), 32).latency == 128 + 29
    assert cost.smem_stage(HOPPER, f16(64, 128)).latency == 128 + 29 + 30
    assert cost.tmem_load(BLACKWELL, TILE, 64).latency == 135 + 41  # 4.2 * 32 KiB = 134.4
    assert cost.tmem_columns(Type("f32", (128, 128))) == 128
    assert cost.value_hop(HOPPER, 32768) == 577  # 61 + 16.1 * 32 = 576.2


def test_twice_the_special_function_units(tmp_path):
    path = tmp_path / "wide.toml"
    path.write_text('base = "hopper"\n[facts.mufu_rate]\nvalue = 32\nsource = "B300"\n')
    op = Op("exp2", ("x",), (Value("y", TILE),))
    assert cost.elementwise(load(path), op, TILE, GROUP).mufu == 256
