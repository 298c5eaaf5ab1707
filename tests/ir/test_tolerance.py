"""Tolerances hold for real roundings and would catch a missing term."""

import numpy as np
import pytest

from twill.ir.dtypes import round_to
from twill.ir.tolerance import differences, magnitude, tolerance, unit_roundoff


def test_unit_roundoffs_are_those_of_the_formats():
    assert {name: unit_roundoff(name) for name in ("f64", "f32", "f16", "bf16", "f8e4m3", "f8e5m2", "i32")} == {
        "f64": 2**-53, "f32": 2**-24, "f16": 2**-11, "bf16": 2**-8, "f8e4m3": 2**-4, "f8e5m2": 2**-3, "i32": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["bf16", "f16"])
@pytest.mark.parametrize("length", [64, 2048])
def test_it_holds_for_a_product_whose_operand_is_rounded_and_catches_a_missing_term(dtype, length):
    random = np.random.default_rng(length)
    a, b = (
        random.standard_normal((32, length)),
        round_to(random.standard_normal((length, 32)), dtype).astype(np.float64),
    )
    exact = a @ b
    rounded = round_to(a, dtype).astype(np.float32) @ b.astype(np.float32)
    bound = tolerance(dtype, length, np.abs(exact).max())
    assert np.abs(round_to(rounded, dtype).astype(np.float64) - exact).max() <= bound
    missing = a[:, 16:] @ b[16:]
    assert np.abs(missing - exact).max() > bound


def test_it_grows_with_the_reduction_and_the_scale():
    assert tolerance("f32", 4096, 1.0) > tolerance("f32", 64, 1.0) > tolerance("f64", 64, 1.0) > 0
    assert tolerance("bf16", 64, 3.0) == pytest.approx(3 * tolerance("bf16", 64, 1.0))


def test_the_same_infinity_is_no_difference_and_any_other_is_infinite():
    inf, nan = np.inf, np.nan
    found = np.array([inf, -inf, inf, 1.0, nan, nan, 2.0, inf], np.float32)
    exact = np.array([inf, -inf, -inf, inf, nan, 1.0, 2.5, 1.0])
    assert differences(found, exact).tolist() == [0, 0, inf, inf, 0, inf, 0.5, inf]
    assert magnitude(exact) == 2.5
    assert magnitude(np.array([inf])) == 0
