"""Every shipped kernel, as committed, runs under hostile asynchrony and equals float64."""

import pytest

from twill.emulate.verify import verify_file
from twill.shipped import VARIANTS, module_path


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids=[variant.name for variant in VARIANTS])
def test_it_is_right_under_every_interleaving_tried(variant):
    report = verify_file(module_path(variant), seeds=(0, 1, 2))
    assert report.passed, report.summary()
    # Where the rows of the output are the terms of the sum too, there is nothing to launch without them.
    square = variant.source in ("symmetric_polynomial.py", "scaled_add_matmul.py")
    assert {int(square), 1, 2, 3} <= set(report.trip_counts)
