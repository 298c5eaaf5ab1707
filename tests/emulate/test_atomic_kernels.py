"""A kernel whose programs add into the same elements: compiled, emulated, and caught when it stores instead."""

from pathlib import Path

import pytest

import twill
from twill.emulate.cases import opened
from twill.emulate.verify import verify_file
from twill.errors import Unsupported
from twill.machine import load

KERNEL = Path(__file__).parents[1] / "kernels_for_tests" / "summed_products.py"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    compiled = twill.compile(KERNEL, tune=False, subtiles=1)
    folder = tmp_path_factory.mktemp("atomics")
    compiled.save(folder)
    return compiled, folder / f"{compiled.stem}.py"


def test_its_meaning_and_its_machine_code_are_right(saved):
    compiled, module = saved
    assert 'sem="relaxed"' in module.read_text()
    assert compiled.code is not None
    assert not compiled.code.problems
    from twill.ladder import meaning

    assert meaning(compiled).passed


def test_thread_blocks_that_add_to_the_same_elements_are_run_together(saved):
    _, module = saved
    kernel = opened(module, None, None)
    longest = max(kernel.trips, key=lambda trip: trip.trip_count)
    assert kernel.sample(longest, 1) == ((0, 0, 0), (1, 0, 0))
    report = verify_file(module, seeds=(0,), trip_counts=[longest.trip_count], programs=1)
    assert report.passed, report.summary()
    assert report.runs[0].programs == 2


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("gl.atomic_add((out", "gl.store((out"),
        ("gl.atomic_add(total", "gl.store(total"),
        ("gl.atomic_add((out", "gl.atomic_max((out"),
    ],
)
def test_what_does_not_add_up_is_caught(saved, tmp_path, written, instead):
    _, module = saved
    text = module.read_text()
    assert written in text
    lines = [line.replace(', sem="relaxed"', "") if written in line else line for line in text.splitlines()]
    broken = tmp_path / module.name
    broken.write_text("\n".join(lines).replace(written, instead) + "\n")
    (tmp_path / module.with_suffix(".json").name).write_text(module.with_suffix(".json").read_text())
    assert not verify_file(broken, seeds=(0,), trip_counts=[2], programs=1).passed


def test_an_atomic_before_the_loop_is_refused(tmp_path):
    lines = KERNEL.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("    for m in"))
    early = tmp_path / KERNEL.name
    early.write_text("\n".join([*lines[:at], "    tl.atomic_add(total + columns, 1.0)", *lines[at:]]) + "\n")
    with pytest.raises(Unsupported, match="before the loop is not emitted yet") as caught:
        twill.compile(early, tune=False, subtiles=1)
    assert caught.value.location.line == at + 1


def test_the_load_store_unit_is_busy_for_as_long_as_the_second_level_cache(saved):
    compiled, _ = saved
    (op,) = (op for op in compiled.schedule.problem.ops if op.unit == "LSU")
    assert op.occupancy == -(-64 * 64 * 4 // load("hopper").number("atomic_bandwidth")) == 948
    assert op.issue == 64 * 64 * 4 // 128
