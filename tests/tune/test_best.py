"""Which candidate a library runs: the fastest measured for these shapes, else the predicted best."""

import json

import pytest
import torch

from tune.conftest import TUNED
from twill.errors import InputError
from twill.tune import best
from twill.tune.problem import shape_class, versions


def test_the_predicted_best_of_what_was_compiled(filled, kernel_request):
    choice = best(kernel_request.source.function, cache=filled.folder)
    assert choice.candidate == "n64"
    assert (choice.measured, choice.label) == (False, "predicted, not measured")
    assert choice.predicted_seconds == 1e-6


def test_the_fastest_measured(filled, kernel_request):
    (key,) = filled.problems()
    for candidate, seconds in (("n32", 5e-6), ("n128", 4e-6)):
        filled.keep_time(key, candidate, "X", {"status": "ok", "seconds": seconds, "device": {"name": "X"}})
    choice = best(kernel_request.source.function, cache=filled.folder)
    assert (choice.candidate, choice.seconds, choice.label) == ("n128", 4e-6, "measured on X")


def test_times_of_this_gpu_come_before_those_of_another(filled, kernel_request, monkeypatch):
    (key,) = filled.problems()
    for candidate, device, seconds in (("n32", "here", 5e-6), ("n128", "there", 4e-6), ("n32", "there", 9e-6)):
        answer = {"status": "ok", "seconds": seconds, "device": {"name": device}}
        filled.keep_time(key, candidate, device, answer)
    monkeypatch.setattr("twill.tune.cuda.name_here", lambda: "here")
    assert best(kernel_request.source.function, cache=filled.folder).candidate == "n32"
    monkeypatch.setattr("twill.tune.cuda.name_here", lambda: "")
    assert best(kernel_request.source.function, cache=filled.folder).candidate == "n128"


def test_what_failed_is_never_chosen(filled, kernel_request):
    (key,) = filled.problems()
    filled.keep_time(key, "n64", "X", {"status": "wrong", "why": "`c` is off", "device": {"name": "X"}})
    assert best(kernel_request.source.function, cache=filled.folder).candidate == "n128"


def test_sizes_of_the_same_class_share_a_result(filled, kernel_request):
    arguments = {
        "a": torch.empty(128, 192, dtype=torch.bfloat16), "b": torch.empty(192, 128, dtype=torch.bfloat16),
        "c": torch.empty(128, 128, dtype=torch.bfloat16), "M": 128, "N": 128, "K": 192, "BLOCK_M": 128, "BLOCK_K": 64,
    }  # fmt: skip
    assert best(kernel_request.source.function, "hopper", arguments, cache=filled.folder).candidate == "n64"


def test_shape_classes(kernel_request):
    source = kernel_request.source
    a = torch.empty(100, 129, dtype=torch.bfloat16)
    assert (
        shape_class(source, {"a": a, "M": 100, "BLOCK_N": 64, "BLOCK_M": 96}) == "a=bfloat16[128,256] M=128 BLOCK_M=96"
    )
    assert shape_class(source, {"M": 0, "N": 1, "K": -3}) == "M=0 N=1 K=-3"
    assert shape_class(source, {"a": a.half()}) != shape_class(source, {"a": a})


def test_versions_are_those_that_decide_a_kernel():
    assert set(versions()) == {"twill", "compiler", "triton", "torch"}
    assert "+" not in versions()["torch"]


def test_a_candidate_whose_tiles_do_not_divide_the_arguments_is_passed_over(filled, kernel_request):
    (key,) = filled.problems()
    build = filled.builds(key)["BLOCK_K=64 BLOCK_N=64 subtiles=1"]
    build["candidates"][0]["schedule"]["launch"]["multiple_of"] = {"N": 256}
    filled.keep_build(key, "BLOCK_K=64 BLOCK_N=64 subtiles=1", build)
    assert best(kernel_request.source.function, cache=filled.folder).candidate == "n128"


def test_a_choice_runs_and_is_written(filled, kernel_request, tmp_path):
    choice = best(kernel_request.source.function, cache=filled.folder)
    launcher = choice.launcher(filled.folder)
    assert launcher.__name__ == "tuned"
    assert choice.launcher(filled.folder).__module__ == launcher.__module__
    module, schedule = choice.save(tmp_path / "out", "tuned_hopper")
    assert module.read_text() == choice.module
    assert json.loads(schedule.read_text())["ii"] == choice.schedule["ii"]


def test_nothing_in_the_cache_compiles_and_keeps(tmp_path):
    first = best(TUNED.with_name("row_squares.py"), cache=tmp_path / "cache", time_limit=20.0)
    assert first.label == "predicted, not measured"
    assert first.predicted_seconds > 0
    again = best(TUNED.with_name("row_squares.py"), cache=tmp_path / "cache")
    assert again == first


def test_a_damaged_cache_is_an_error(filled, kernel_request):
    filled.path.write_bytes(b"nonsense" * 100)
    with pytest.raises(InputError, match="the cache is damaged"):
        best(kernel_request.source.function, cache=filled.folder)
