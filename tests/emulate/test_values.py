"""Register values follow the machine's types: promotion, rounding, integer division, layouts."""

import ml_dtypes
import numpy as np
import pytest
import torch

from tests.emulate.running import evaluate, line, run
from twill.emulate import AssertionFailed, LayoutMismatch, dtypes
from twill.errors import InputError, Unsupported


def test_numbers_adapt_to_tensors_of_a_higher_kind():
    promote = dtypes.promote
    assert promote(dtypes.float16, False, dtypes.float32, True) is dtypes.float16  # x + 1.0
    assert promote(dtypes.int32, False, dtypes.float32, True) is dtypes.float32
    assert promote(dtypes.float16, False, dtypes.bfloat16, False) is dtypes.float16
    assert promote(dtypes.bfloat16, False, dtypes.bfloat16, False) is dtypes.bfloat16
    assert promote(dtypes.bfloat16, False, dtypes.float8e5, False) is dtypes.float32
    assert promote(dtypes.float16, False, dtypes.float32, True, division=True) is dtypes.float32
    assert promote(dtypes.uint32, False, dtypes.int32, False) is dtypes.uint32
    assert promote(dtypes.uint8, False, dtypes.int32, False) is dtypes.int32
    assert promote(dtypes.int1, False, dtypes.int32, True) is dtypes.int32


@pytest.mark.parametrize(("number", "name"), [(1, "int32"), (2**31, "uint32"), (2**40, "int64"), (True, "int1"),
                                              (0.5, "fp32"), (1e300, "fp64"), (float("inf"), "fp32")])  # fmt: skip
def test_types_of_python_numbers(number, name):
    assert dtypes.of_number(number).name == name


def test_integer_division_is_toward_zero(tmp_path):
    got = evaluate(tmp_path, "(x - 32) // 5", (64,), torch.int32)
    assert torch.equal(got, torch.div(torch.arange(64) - 32, 5, rounding_mode="trunc").int())


def test_remainder_has_the_sign_of_the_dividend(tmp_path):
    got = evaluate(tmp_path, "(x - 32) % 5", (64,), torch.int32)
    assert torch.equal(got, torch.fmod(torch.arange(64) - 32, 5).int())


def test_integers_wrap(tmp_path):
    got = evaluate(tmp_path, "x * 100000000", (64,), torch.int32)
    assert torch.equal(got, (torch.arange(64) * 100000000).to(torch.int32))


def test_half_types_round_after_every_operation(tmp_path):
    got = evaluate(tmp_path, "(x.to(gl.bfloat16) + 256.0) - 256.0", (64,), torch.bfloat16)
    x = np.arange(64, dtype=ml_dtypes.bfloat16)
    assert np.array_equal(
        got.float().numpy(), ((x + np.array(256, x.dtype)) - np.array(256, x.dtype)).astype(np.float32)
    )


def test_conversion_to_fp8_saturates(tmp_path):
    got = evaluate(tmp_path, "(x * 100.0).to(gl.float8e4nv).to(gl.float32)", (64,))
    assert got[63] == 448


def test_conversion_to_integers_truncates(tmp_path):
    got = evaluate(tmp_path, "((x - 32) / 3).to(gl.int32)", (64,), torch.int32)
    assert torch.equal(got, torch.trunc((torch.arange(64) - 32).float() / 3).int())


def test_selection_and_extrema_prefer_numbers_to_nan(tmp_path):
    got = evaluate(tmp_path, "gl.maximum(gl.where(x < 3, float('nan'), x.to(gl.float32)), 1.0)", (64,))
    assert got[:3].tolist() == [1, 1, 1]
    assert torch.equal(got[3:], torch.arange(3, 64).float())


def test_reductions_narrow_the_layout_and_widen_half_types(tmp_path):
    body = """
    rows = gl.arange(0, 64, gl.SliceLayout(1, WIDE))
    columns = gl.arange(0, 32, gl.SliceLayout(0, WIDE))
    tile = rows[:, None] * 32 + columns[None, :]
    gl.static_assert(gl.max(tile.to(gl.float16), 1).dtype == gl.float32)
    total = gl.sum(tile, 1)
    gl.store(out + rows, total)
    """
    out = torch.zeros(64, dtype=torch.int32)
    run(tmp_path, body, out, parameters="out")
    assert torch.equal(out, torch.arange(64 * 32).reshape(64, 32).sum(1).int())


def test_reduce_with_a_function_of_the_module(tmp_path):
    from tests.emulate.running import module

    loaded = module(tmp_path, """
        @gluon.jit
        def larger(value, index, other, second):
            take = value > other
            return gl.where(take, value, other), gl.where(take, index, second)


        @gluon.jit
        def k(out):
            x = gl.arange(0, 64, ROW)
            key = (x * 37) % 64
            best, at = gl.reduce((key, x), 0, larger)
            gl.store(out, best)
            gl.store(out + 1, at)
        """)  # fmt: skip
    out = torch.zeros(2, dtype=torch.int32)
    loaded.k[(1,)](out)
    assert out.tolist() == [63, next(i for i in range(64) if i * 37 % 64 == 63)]


def test_masked_off_loads_without_a_default_are_nan(tmp_path):
    memory = torch.arange(64).float()
    got = evaluate(tmp_path, "gl.load(memory + x, x < 60)", (64,), torch.float32, memory, parameters="memory")
    assert torch.equal(got[:60], memory[:60])
    assert got[60:].isnan().all()


def test_module_constants_and_their_value(tmp_path):
    from tests.emulate.running import module

    loaded = module(tmp_path, """
        N = gl.constexpr(8)


        @gluon.constexpr_function
        def doubled(n):
            return 2 * n


        @gluon.jit
        def k(out, M: gl.constexpr):
            size: gl.constexpr = doubled(N)
            gl.static_assert(size == 16)
            gl.store(out, N + M.value + N.value)
        """)  # fmt: skip
    out = torch.zeros(1, dtype=torch.int32)
    loaded.k[(1,)](out, gl_constexpr(loaded, 3))
    assert out.item() == 8 + 3 + 8


def gl_constexpr(loaded, value):
    return loaded.gl.constexpr(value)


def test_blocks_of_different_layouts_do_not_combine(tmp_path):
    body = "gl.zeros([64], gl.float32, ROW) + gl.zeros([64], gl.float32, gl.SliceLayout(1, WIDE))"
    with pytest.raises(LayoutMismatch, match="different layouts") as caught:
        run(tmp_path, body)
    assert caught.value.location.line == line(1)


def test_expand_dims_wants_the_slice_of_that_axis(tmp_path):
    with pytest.raises(LayoutMismatch, match="sliced along axis 1"):
        run(tmp_path, "gl.arange(0, 64, gl.SliceLayout(1, WIDE))[None, :]")


def test_a_layout_is_made_for_the_warps_of_the_role(tmp_path):
    with pytest.raises(LayoutMismatch, match="k runs on 8 warps, but uses"):
        run(tmp_path, "gl.arange(0, 64, ROW)", num_warps=8)


def test_ranks_do_not_adapt(tmp_path):
    with pytest.raises(LayoutMismatch, match="do not broadcast"):
        run(tmp_path, "gl.zeros([64], gl.float32) + gl.zeros([64, 64], gl.float32)")


def test_exp2_takes_wide_floats_only(tmp_path):
    with pytest.raises(LayoutMismatch, match="fp32 and fp64 only"):
        run(tmp_path, "gl.exp2(gl.zeros([64], gl.float16))")


def test_assertions_of_the_kernel(tmp_path):
    with pytest.raises(AssertionFailed, match="does not hold: x is small") as caught:
        run(tmp_path, "x = gl.program_id(0) + 5\ngl.device_assert(x < 5, 'x is small')")
    assert caught.value.location.line == line(2)


def test_an_unknown_function_is_named_with_its_line(tmp_path):
    with pytest.raises(Unsupported, match=r"gluon\.language\.hyperexp") as caught:
        run(tmp_path, "x = 1\ngl.hyperexp(x)")
    assert caught.value.location.line == line(2)
    assert caught.value.exit_code == 3


def test_an_unknown_method_is_named_with_its_line(tmp_path):
    with pytest.raises(Unsupported, match=r"\.sort") as caught:
        run(tmp_path, "gl.zeros([64], gl.float32).sort()")
    assert caught.value.location.line == line(1)


def test_a_python_error_in_a_kernel_is_reported_at_its_line(tmp_path):
    with pytest.raises(InputError, match="TypeError") as caught:
        run(tmp_path, "x = 1\ngl.exp2(1.0, 2.0, 3.0)")
    assert caught.value.location.line == line(2)
