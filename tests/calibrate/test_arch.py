"""A calibrated machine file is a machine to compile for, down to the machine code."""

import pytest

from tests.calibrate.readings import DEVICE, plausible
from twill.calibrate.derive import derive
from twill.calibrate.machine_file import machine_text
from twill.compiler import compile
from twill.emulate.verify import verify_file
from twill.shipped import kernels_folder


@pytest.mark.slow
def test_a_kernel_compiles_for_the_machine_that_was_measured(tmp_path):
    path = tmp_path / "h100.toml"
    readings = plausible()
    path.write_text(machine_text("h100", DEVICE, derive(readings, DEVICE), readings, {}))
    compiled = compile(str(kernels_folder() / "matmul.py"), str(path), tune=False, time_limit=30)
    assert compiled.machine.name == "h100"
    assert compiled.machine.number("signal_hop") == 80
    assert compiled.schedule.provenance["machine"] == str(path) or "h100" in str(
        compiled.schedule.provenance["machine"]
    )
    assert compiled.code is not None
    assert compiled.code.hgmma > 0
    assert compiled.code.problems == ()
    module, schedule, *_ = compiled.save(tmp_path / "out")
    assert verify_file(module, schedule=schedule, seeds=(0,), trip_counts=(0, 2), programs=1).passed
