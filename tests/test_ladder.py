"""What the rung of the meaning says of a reference that is wrong, partial, no tensor; and of a kernel without grid."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import twill
from twill.emulate.cases import _as_stored
from twill.errors import InputError
from twill.ladder import climb, meaning

KERNEL = Path(__file__).parent / "kernels_for_tests" / "log_sum_exp.py"


@pytest.fixture(scope="module")
def compiled():
    return twill.compile(KERNEL, tune=False, subtiles=1)


def told(compiled, **info):
    return replace(compiled, kernel=replace(compiled.kernel, info=replace(compiled.kernel.info, **info)))


def test_a_reference_that_disagrees_is_named_with_its_kernel(compiled):
    truth = compiled.kernel.info.reference
    found = meaning(told(compiled, reference=lambda **a: {name: each + 1 for name, each in truth(**a).items()}))
    assert not found.passed
    assert "differs from the reference" in found.detail
    assert f"{KERNEL.name}:" in found.where
    assert "correct it" in found.hint


def test_outputs_without_a_reference_are_named(compiled):
    assert "says nothing of" not in meaning(compiled).detail
    found = meaning(told(compiled, reference=lambda **_: {}))
    assert found.passed
    assert f"it says nothing of {', '.join(compiled.launch.outputs)}" in found.detail


def test_a_reference_may_be_of_numpy_and_must_be_numbers(compiled):
    truth = compiled.kernel.info.reference
    arrays = told(compiled, reference=lambda **a: {name: each.numpy() for name, each in truth(**a).items()})
    assert meaning(arrays).passed
    with pytest.raises(InputError, match="no tensor"):
        meaning(told(compiled, reference=lambda **a: dict.fromkeys(truth(**a), "text")))


def test_without_a_grid_the_rungs_say_so(compiled):
    checks = climb(replace(compiled, launch=replace(compiled.launch, grid=None, grid_text=None)), 1, lambda _: None)
    assert [(check.name, check.detail) for check in checks if check.skipped] == [
        ("ir", "no grid: the kernel's sequential meaning is the truth"),
        ("emulate", "no example or no grid: how it is launched is unknown, so it was not run"),
    ]


def test_failures_name_the_files_that_were_written(compiled, tmp_path):
    paths = compiled.save(tmp_path)
    paths[0].write_text(paths[0].read_text().replace("gl.exp2(", "gl.log2(").replace("gl.exp(", "gl.log("))
    emulated = next(check for check in climb(compiled, 1, lambda _: None, paths) if check.name == "emulate")
    assert not emulated.passed
    assert str(paths[0]) in emulated.detail


def test_unsigned_outputs_are_not_negative():
    assert _as_stored(np.array([-1.0, 3.0]), "u8").tolist() == [255.0, 3.0]
    assert _as_stored(np.array([-1.0, 3.0]), "i8").tolist() == [-1.0, 3.0]
