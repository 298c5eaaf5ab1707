"""The Python API, what FlashAttention 3 does found again, and kernels written for the occasion."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

import twill
from twill.errors import InputError, Unsupported
from twill.schedule.schedule import Schedule

KERNELS = Path(__file__).parent / "kernels_for_tests"
ATTENTION = Path(__file__).resolve().parents[1] / "kernels" / "attention.py"


def imported(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def swiglu() -> twill.Compiled:
    return twill.compile(KERNELS / "swiglu.py")


def test_what_a_compiled_kernel_holds(swiglu):
    assert swiglu.stem == "swiglu_hopper"
    assert swiglu.kernel.name == "swiglu"
    assert swiglu.machine.name == "hopper"
    assert swiglu.graph.subtiles == 2
    assert swiglu.launch.constants == {"BLOCK_M": 128, "BLOCK_N": 64, "BLOCK_K": 64}
    assert swiglu.schedule.status == "optimal"
    # a [128, 64], w and v [64, 64] bf16 at 34.6 B/cycle: 948 cycles a round of loads
    assert swiglu.schedule.ii == 948
    assert {role.name for role in swiglu.plan.roles} == {"consumer0", "consumer1", "loader"}
    assert "def swiglu(" in swiglu.source
    assert [candidate.subtiles for candidate in swiglu.candidates] == [2, 1, 3]
    assert swiglu.code.spill_bytes == 0
    assert swiglu.schedule.provenance["machine"] == "hopper"
    assert swiglu.schedule.provenance["source_sha256"] == swiglu.kernel.sha256


@pytest.mark.parametrize(
    ("form", "holds"), [("text", "STEADY STATE"), ("svg", "<svg"), ("html", "<html"), ("perfetto", "traceEvents")]
)
def test_gantt(swiglu, form, holds):
    assert holds in swiglu.gantt(form)


def test_save_and_verify(swiglu, tmp_path):
    paths = swiglu.save(tmp_path / "made" / "here")
    assert [path.name for path in paths] == ["swiglu_hopper.py", "swiglu_hopper.json", "swiglu_hopper.html"]
    assert paths[0].read_text() == swiglu.source
    assert json.loads(paths[1].read_text())["ii"] == swiglu.schedule.ii
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}
    with pytest.raises(InputError, match="not a folder"):
        swiglu.save(paths[0])
    checks = swiglu.verify(seeds=1)
    assert [(check.name, check.passed, check.skipped) for check in checks] == [
        (name, True, False) for name in ("ir", "schedule", "emulate", "ptxas")
    ]


def test_a_kernel_object(swiglu):
    """The function itself and the path of its file give the same kernel."""
    made = twill.compile(imported(KERNELS / "swiglu.py").swiglu, subtiles=2)
    assert made.source.split('"""', 2)[2] == swiglu.source.split('"""', 2)[2]
    assert made.schedule.placements == swiglu.schedule.placements


def test_options(tmp_path):
    made = twill.compile(KERNELS / "swiglu.py", constants={"BLOCK_K": 32}, example={"K": 96}, subtiles=1)
    assert made.graph.subtiles == 1
    assert [candidate.subtiles for candidate in made.candidates] == [1]
    assert made.launch.constants["BLOCK_K"] == 32
    assert made.schedule.problem.trip_count == 3


def test_refusals():
    with pytest.raises(Unsupported, match="3 sub-tiles"):
        twill.compile(KERNELS / "swiglu.py", subtiles=3)
    with pytest.raises(InputError, match="unknown machine"):
        twill.compile(KERNELS / "swiglu.py", "volta")
    with pytest.raises(InputError, match="not a Triton kernel"):
        twill.compile(len)


@pytest.mark.parametrize(
    "name",
    [
        "row_squares", "relu_attention", "log_sum_exp", "segment_sums", "gated", "block_scaled", "pointer_matmul",
        "paged_product", "packed_weights", "persistent_residual",
        pytest.param("persistent_attention", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_kernels_for_the_occasion(name):
    """No dot at all; four dimensions and a ReLU; a sum rescaled out of source order; bounds from memory; branches;
    loads by pointers in the loop, into registers and by asynchronous copies, by indices of the loop too; tile after
    tile; unsigned bytes, and a chain of MMAs with computed operands: compiled, and each check holds."""
    made = twill.compile(KERNELS / f"{name}.py")
    assert made.schedule.status == "optimal"
    checks = made.verify(seeds=2)
    assert [(check.name, check.detail) for check in checks if not check.passed or check.skipped] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", [128, 16])
def test_attention_over_pages(page):
    """Pages of a tile, by TMA; several to a tile, by asynchronous copies of rows."""
    made = twill.compile(KERNELS / "paged_attention.py", constants={"PAGE": page}, example={"PAGE": page})
    fetched = {op.opcode for op in made.graph.loop.body} & {"descriptor_load", "async_load"}
    assert fetched == {"descriptor_load" if page == 128 else "async_load"}
    assert [(check.name, check.detail) for check in made.verify(seeds=1) if not check.passed] == []


# FlashAttention 3, section 3: two warp groups take turns on the tensor core, each computes its softmax
# while the other multiplies, and within a group the next QK is issued ahead of this tile's softmax.


def ahead_of_the_softmax(schedule: Schedule, subtile: int) -> bool:
    """The next tile's QK starts before this tile's exponential of the same sub-tile does."""
    return schedule.start(f"s.{subtile}") + schedule.ii <= schedule.start(f"p.{subtile}")


def turns(schedule: Schedule) -> list[int]:
    """The groups on the tensor core in the order of their slots, neighbours of the same group taken as one turn."""
    order = sorted(
        (at.slot, at.groups[0]) for id, at in schedule.placements.items() if schedule.problem.op(id).unit == "TC"
    )
    groups = [group for _, group in order]
    return [group for before, group in zip([groups[-1], *groups[:-1]], groups, strict=True) if group != before]


def softmax_beside_mma(schedule: Schedule, subtile: int) -> int:
    """Slots at which this sub-tile's exponential runs while the tensor core works for the other one."""
    ii = schedule.ii

    def slots(id: str) -> set[int]:
        return {at % ii for at in range(schedule.start(id), schedule.start(id) + schedule.problem.op(id).occupancy)}

    other = 1 - subtile
    return len(slots(f"p.{subtile}") & (slots(f"s.{other}") | slots(f"acc.{other}")))


@pytest.mark.slow
def test_flash_attention_3_is_found_again():
    first, second = (twill.compile(ATTENTION, subtiles=2, tune=False).schedule for _ in range(2))
    assert (first.status, first.ii) == ("optimal", 2048)  # four products of 512 cycles fill the tensor core
    assert all(tier.proved for tier in first.tiers)
    for subtile in (0, 1):
        assert ahead_of_the_softmax(first, subtile)
        assert softmax_beside_mma(first, subtile) > 0
    groups = [first.placements[id].groups for id in ("s.0", "s.1")]
    assert groups[0] != groups[1]
    # The groups take turns product by product, or each keeps its two together: then the whole exponential, 512
    # cycles, is beside the other's pair.
    assert len(turns(first)) == 4 or min(softmax_beside_mma(first, subtile) for subtile in (0, 1)) == 512
    assert (first.placements, first.rings, first.groups) == (second.placements, second.rings, second.groups)
    assert [(tier.name, tier.value) for tier in first.tiers] == [(tier.name, tier.value) for tier in second.tiers]
