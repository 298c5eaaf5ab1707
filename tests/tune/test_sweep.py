"""A sweep: whatever happens to one candidate costs that one, and is reported and kept."""

import pytest

from twill.errors import NoSchedule
from twill.tune.executors import Local
from twill.tune.points import points_of
from twill.tune.sweep import request_of


def by_size(result):
    return {row.tile["BLOCK_N"]: row for row in result.rows}


def test_the_fastest_measured_wins_whatever_was_predicted(sweep, times):
    times({32: 3e-6, 64: 9e-6, 128: 2e-6})
    result = sweep()
    assert [row.tile["BLOCK_N"] for row in result.rows] == [128, 32, 64]
    assert result.winner.seconds == 2e-6
    assert result.label == "measured on Fake GPU"
    assert not result.interrupted


def test_a_crash_and_an_illegal_access_cost_one_candidate_each(sweep, times, filled):
    times({32: "crash", 64: "illegal", 128: 4e-6})
    result = sweep(Local(3))
    found = by_size(result)
    assert found[32].status == "crashed"
    assert found[32].why.startswith("ended with signal SIGABRT: ")
    assert found[64].status == "failed"
    assert "illegal memory access" in found[64].why
    assert result.winner.tile["BLOCK_N"] == 128
    kept = filled.times(result.problem.key)
    assert sorted(answer["status"] for answer in kept.values()) == ["crashed", "failed", "ok"]


@pytest.mark.slow
def test_a_hang_costs_one_candidate(sweep, times):
    times({32: 3e-6, 64: "hang", 128: 4e-6})
    result = sweep(Local(3), seconds=60.0)
    assert (by_size(result)[64].status, by_size(result)[64].why) == (
        "hung",
        "no answer within 60 seconds: it was killed",
    )
    assert result.winner.tile["BLOCK_N"] == 32


def test_every_candidate_fails(sweep, times):
    times(dict.fromkeys((32, 64, 128), "illegal"))
    result = sweep()
    assert result.winner is None
    assert {row.status for row in result.rows} == {"failed"}


@pytest.mark.parametrize(
    ("told", "says"), [("wrong", "`c` is off by"), ("unwritten", "`c` holds what is not a number")]
)
def test_wrong_numbers_are_rejected_by_the_check_against_float64(sweep, times, told, says):
    times({32: 5e-6, 64: told, 128: "illegal"})
    result = sweep()
    assert by_size(result)[64].status == "wrong"
    assert says in by_size(result)[64].why
    assert result.winner.tile["BLOCK_N"] == 32


def test_the_emitted_kernel_itself_passes_the_check_on_the_emulator(sweep, times):
    """The launcher takes the example's arguments as they are; its numbers lie within the tolerance."""
    times({64: "emulated"})
    result = sweep(most=1)
    row = by_size(result)[64]
    assert row.status == "measured"
    assert 0 < row.answer["error_over_tolerance"] <= 1


def test_prediction_prunes(sweep, times):
    log = times({64: 9e-6, 128: 1e-6})
    result = sweep(margin=2.5)
    assert by_size(result)[32].status == "pruned"
    assert by_size(result)[32].why == "predicted to take 3.00 times the best one's time"
    assert sorted(line.split()[0] for line in log.read_text().splitlines()) == ["128", "64"]
    assert result.winner.tile["BLOCK_N"] == 128


def test_no_more_than_most_are_timed(sweep, times):
    times({64: 9e-6})
    result = sweep(most=1)
    assert [row.status for row in result.rows] == ["measured", "pruned", "pruned"]


def test_what_is_in_the_cache_is_not_done_again(sweep, times):
    log = times({32: 3e-6, 64: "illegal", 128: 2e-6})
    first = sweep()
    log.unlink()
    times({})
    second = sweep()
    assert not log.exists()
    assert [(row.candidate, row.status) for row in second.rows] == [(row.candidate, row.status) for row in first.rows]


def test_again_times_anew(sweep, times, monkeypatch):
    times({32: 3e-6, 64: 9e-6, 128: 2e-6})
    sweep()
    log = times({32: 1e-6, 64: 9e-6, 128: 2e-6})
    # again= compiles anew as well, which is not what is tested here
    monkeypatch.setattr("twill.tune.sweep._Sweep._known", lambda self: {})
    assert sweep().winner.tile["BLOCK_N"] == 32
    assert len(log.read_text().splitlines()) == 6


def test_ctrl_c_keeps_what_was_measured(sweep, times, filled):
    times({32: 3e-6, 64: 1e-6, 128: 2e-6})
    seen = []
    result = sweep(stop=lambda: len(filled.times(next(iter(filled.problems())))) >= 1, tell=seen.append)
    assert result.interrupted
    measured = [row for row in result.rows if row.status == "measured"]
    assert [row.tile["BLOCK_N"] for row in measured] == [64]  # predicted best: timed first
    assert result.winner.seconds == 1e-6
    assert any(getattr(message, "total", None) == 3 for message in seen)


def test_without_a_gpu_the_predicted_best_is_taken_and_labelled(sweep):
    result = sweep(timer="twill.tune.cuda")
    assert "no CUDA device here" in result.no_gpu
    assert result.winner.tile["BLOCK_N"] == 64
    assert result.label == "predicted, not measured"
    assert [row.status for row in result.rows] == ["predicted"] * 3


def test_points_that_fail_to_compile_are_reported(sweep, times, filled, kernel_request):
    times({64: 9e-6, 128: 2e-6})
    key = next(iter(filled.problems()))
    failed = {"status": "crashed", "why": "ended with signal SIGSEGV", "asked": {"best": 9, "time_limit": 999.0}}
    filled.keep_build(key, "BLOCK_K=64 BLOCK_N=32 subtiles=1", failed)
    result = sweep()
    assert result.failed["BLOCK_K=64 BLOCK_N=32 subtiles=1"] == "ended with signal SIGSEGV"
    assert len(result.rows) == 2


def test_tile_sizes_that_no_program_fills_are_left_out(kernel_request):
    asked = request_of(kernel_request.source, "hopper", {"BLOCK_K": 64}, {"N": 64}, subtiles=1)
    found = points_of(asked, print, bool)
    assert {point.tile["BLOCK_N"] for point in found.points} == {32, 64}
    assert any("BLOCK_N=128" in name and "1 x 0 x 1" in why for name, why in found.impossible.items())


def test_nothing_compiles(sweep, filled):
    key = next(iter(filled.problems()))
    for size in (32, 64, 128):
        failed = {"status": "failed", "why": "no schedule", "asked": {"best": 9, "time_limit": 999.0}}
        filled.keep_build(key, f"BLOCK_K=64 BLOCK_N={size} subtiles=1", failed)
    with pytest.raises(NoSchedule, match=r"no candidate of `tuned` became a kernel: with .*, no schedule"):
        sweep()
