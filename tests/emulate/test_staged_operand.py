"""A left operand computed in registers and transposed: through shared memory, with warps that divide the columns."""

from pathlib import Path

import pytest

import twill
from twill.emulate.verify import verify_file

KERNEL = Path(__file__).parents[1] / "kernels_for_tests" / "transposed_products.py"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    compiled = twill.compile(KERNEL, tune=False, subtiles=1)
    folder = tmp_path_factory.mktemp("staged")
    compiled.save(folder)
    return compiled, folder / f"{compiled.stem}.py"


def broken(module, folder, old, new):
    """A copy of the module with `new` in place of every `old`, and its schedule file."""
    text = module.read_text()
    assert old in text
    copy = folder / module.name
    copy.write_text(text.replace(old, new))
    copy.with_suffix(".json").write_text(module.with_suffix(".json").read_text())
    return copy


def test_it_is_stored_where_the_schedule_has_it_and_read_transposed(saved):
    compiled, module = saved
    text = module.read_text()
    (stage,) = (op for op in compiled.schedule.problem.ops if not op.members)
    assert stage.id == "product_1.stage"
    assert "warpgroup_mma(product_1_stage.permute([1, 0]), right_smem" in text
    assert "(gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta=[4, 2], instr_shape=[16, 32, 16]))" in text
    assert compiled.code is not None
    assert not compiled.code.problems


def test_it_equals_float64_under_every_seed(saved):
    report = verify_file(saved[1], seeds=(0, 1), trip_counts=[0, 1, 2, 4], programs=1)
    assert report.passed, report.summary()


def test_a_store_that_the_tensor_core_may_not_see_is_caught(saved, tmp_path):
    copy = broken(saved[1], tmp_path, "fence_async_shared()\n", "pass\n")
    assert not verify_file(copy, seeds=(0,), trip_counts=[4], programs=1).passed


def test_a_tile_read_untransposed_is_caught(saved, tmp_path):
    copy = broken(saved[1], tmp_path, "_stage.permute([1, 0])", "_stage.reshape([64, 128])")
    assert not verify_file(copy, seeds=(0,), trip_counts=[4], programs=1).passed


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    compiled = twill.compile(KERNEL.with_name("shared_products.py"), tune=False, subtiles=1)
    folder = tmp_path_factory.mktemp("shared")
    compiled.save(folder)
    return compiled, folder / f"{compiled.stem}.py"


def test_what_one_product_reads_from_shared_memory_the_other_reads_there_too(shared):
    compiled, module = shared
    text = module.read_text()
    (stage,) = (op.id for op in compiled.schedule.problem.ops if op.id.endswith(".stage"))
    readers = {dep.dst for dep in compiled.schedule.problem.deps if dep.src == stage}
    assert readers == {"total", "part"}
    buffer = f"{stage.removesuffix('.stage')}_stage"
    assert f"warpgroup_mma({buffer}, " in text
    assert f".permute([1, 0]), {buffer}, " in text
    assert "DotOperandLayout" not in text
    assert compiled.code is not None
    assert not compiled.code.problems


def test_both_products_equal_float64_under_every_seed(shared):
    report = verify_file(shared[1], seeds=(0, 1), trip_counts=[0, 1, 2, 4], programs=1)
    assert report.passed, report.summary()


def test_a_tile_overwritten_while_a_product_reads_it_is_caught(shared, tmp_path):
    """Without the wait before the store, the tensor core reads half of one tile and half of the next."""
    lines = shared[1].read_text().splitlines(keepends=True)
    stores = [at for at, line in enumerate(lines) if "_stage.store(" in line and "_desc" not in line]
    removed = [
        max(at for at in range(store) if "warpgroup_mma_wait(" in lines[at]) for store in stores[1:]
    ]  # of the first store there is nothing to wait for
    text = "".join(line for at, line in enumerate(lines) if at not in removed)
    copy = broken(shared[1], tmp_path, "".join(lines), text)
    assert not verify_file(copy, seeds=(0, 1), trip_counts=[2, 4], programs=1).passed
