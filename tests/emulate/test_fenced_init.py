"""The proxy fence between mbarrier.init and the first TMA load that completes on the barrier."""

import pytest
import torch

from tests.emulate.running import ATTENTION, MATMUL
from twill import emulate
from twill.emulate.launches import loaded
from twill.shipped import VARIANTS, module_path

FENCE = "    fence_async_shared()  # the barriers are set up before TMA or another role sees them\n"
PATHS = {variant.name: module_path(variant) for variant in VARIANTS}


def inputs():
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(*shape, generator=random).bfloat16() for shape in ((128, 256), (256, 128)))
    return {"a": a, "b": b, "c": torch.zeros(128, 128).bfloat16()}


def truth(a, b, **_):
    return {"c": (a.double() @ b.double()).clamp(min=0)}


def test_a_module_of_twill_s_needs_it(tmp_path):
    name = "matmul_fp16"
    text = PATHS[name].read_text()
    assert text.count(FENCE) == 1
    broken = tmp_path / f"{name}.py"
    broken.write_text(text.replace(FENCE, ""))
    schedule = PATHS[name].parents[3] / "schedules" / "hopper" / f"{name}.json"
    (failure, *_) = emulate.verify_file(broken, schedule=schedule, seeds=(0,), trip_counts=(1,)).failures
    assert isinstance(failure, emulate.MissingFence)
    assert [place.action for place in failure.places] == ["mbarrier.init", "TMA load"]
    assert failure.roles[1] == "loader"
    assert failure.barrier.endswith("_full[0]")
    assert "proxy" in str(failure)


@pytest.mark.parametrize("name", PATHS)
def test_every_shipped_module_has_it(name):
    assert PATHS[name].read_text().count(FENCE) == 1


def test_files_of_others_need_it_only_when_asked():
    given = {"inputs": [inputs()], "truth": truth, "entry": "launch", "seeds": (0,)}
    assert emulate.verify(MATMUL, **given).passed
    (failure,) = emulate.verify(MATMUL, **given, fenced_init=True).failures
    assert isinstance(failure, emulate.MissingFence)
    text = MATMUL.read_text()
    fenced = text.replace("    gl.warp_specialize(", "    fence_async_shared()\n    gl.warp_specialize(")
    assert emulate.verify(MATMUL, **given, fenced_init=True, text=fenced).passed


def test_a_fence_before_the_last_init_does_not_cover_it():
    text = MATMUL.read_text()
    before = "    for s in gl.static_range(DEPTH):\n        mbarrier.init(full"
    assert before in text
    early = text.replace(before, f"    fence_async_shared()\n{before}")
    given = {"inputs": [inputs()], "truth": truth, "entry": "launch", "seeds": (0,)}
    (failure,) = emulate.verify(MATMUL, **given, fenced_init=True, text=early).failures
    assert isinstance(failure, emulate.MissingFence)


def test_who_wrote_a_module_is_read_off_its_docstring():
    assert loaded(PATHS["matmul_fp16"], "matmul")[0].emulator.fenced_init
    assert not loaded(ATTENTION, "launch")[0].emulator.fenced_init
    assert not loaded(PATHS["matmul_fp16"], "matmul", fenced_init=False)[0].emulator.fenced_init
