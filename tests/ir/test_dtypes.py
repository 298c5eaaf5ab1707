"""Dtype names, views without copies, and roundings."""

import ml_dtypes
import numpy as np
import pytest
import torch

from twill.errors import InputError
from twill.ir.dtypes import (
    NUMPY,
    dtype_name,
    numpy_dtype,
    numpy_view,
    round_to,
    round_to_tf32,
    torch_dtype,
    torch_dtype_name,
)
from twill.ir.graph import DTYPE_BITS


def test_every_dtype_of_the_ir_has_a_numpy_dtype_of_its_width():
    assert set(NUMPY) == set(DTYPE_BITS)
    for name, bits in DTYPE_BITS.items():
        assert numpy_dtype(name).itemsize == max(8, bits) // 8
        assert dtype_name(numpy_dtype(name)) == name
        assert torch_dtype_name(torch_dtype(name)) == name


@pytest.mark.parametrize("name", sorted(NUMPY))
def test_views_share_memory(name):
    tensor = torch.zeros(3, 4, dtype=torch_dtype(name))
    array = numpy_view(tensor.T)
    assert array.shape == (4, 3)
    assert array.dtype == numpy_dtype(name)
    array[1, 2] = 1
    assert float(tensor[2, 1]) == 1.0


def test_unknown_dtypes_are_reported():
    for broken in (
        lambda: numpy_dtype("f12"),
        lambda: dtype_name(np.complex64),
        lambda: torch_dtype_name(torch.complex64),
    ):
        with pytest.raises(InputError, match="Known: i1, "):
            broken()


def test_tf32_keeps_ten_bits_and_rounds_to_even():
    step = 2.0**-10
    x = np.array([1 + step, 1 + step / 2, 1 + 3 * step / 2, 1 + step * 0.501, np.inf, -np.inf, -1.0], np.float32)
    assert round_to_tf32(x).tolist() == [1 + step, 1.0, 1 + 2 * step, 1 + step, np.inf, -np.inf, -1.0]
    assert np.isnan(round_to_tf32(np.array([np.nan], np.float32))).all()


def test_rounding_goes_to_even_and_fp8_saturates():
    assert round_to(np.array([1 + 2**-8, 1 + 3 * 2**-8], np.float32), "bf16").tolist() == [1.0, 1 + 2**-6]
    limit = float(ml_dtypes.finfo(ml_dtypes.float8_e4m3fn).max)
    assert round_to(np.array([1e9, -1e9], np.float32), "f8e4m3").astype(np.float32).tolist() == [limit, -limit]
