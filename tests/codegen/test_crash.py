"""A form of a kernel on which ptxas crashes is passed over for the next one."""

from pathlib import Path

import pytest

import twill
from twill import feedback
from twill.errors import CheckFailed

KERNEL = Path(__file__).parents[1] / "kernels_for_tests" / "transposed_products.py"


@pytest.mark.parametrize("crashes", [1, 2])
def test_the_next_form_is_tried(monkeypatch, crashes):
    left = [crashes]
    real = feedback.compile_module

    def sometimes(*arguments, **options):
        if left[0]:
            left[0] -= 1
            raise CheckFailed("ptxas failed with error code -11")
        return real(*arguments, **options)

    monkeypatch.setattr(feedback, "compile_module", sometimes)
    compiled = twill.compile(KERNEL, tune=False, subtiles=1)
    told = [line for line in compiled.schedule.provenance["feedback"] if line.startswith("Triton does not compile it")]
    assert len(told) == crashes
    assert compiled.code is not None
    assert not compiled.code.problems


def test_a_kernel_that_never_compiles_is_an_error(monkeypatch):
    def never(*arguments, **options):
        raise CheckFailed("ptxas failed with error code -11")

    monkeypatch.setattr(feedback, "compile_module", never)
    with pytest.raises(CheckFailed, match="error code -11"):
        twill.compile(KERNEL, tune=False, subtiles=1)
