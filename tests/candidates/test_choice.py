"""The search over tile sizes and sub-tiles, on a kernel whose best sizes are known."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import pytest

from candidates.tuning import Solves, changed, request, sizes
from twill.candidates import choice, search
from twill.errors import InputError
from twill.solve import Progress, solve
from twill.steps import Step


def test_the_known_winner(monkeypatch):
    """A [128, 64] and a B [64, BLOCK_N] of 2 bytes come at 34.6 B/cycle, and the product waits for them.

    BLOCK_N 64: 24576 B, 711 cycles an iteration, in 2 programs. BLOCK_N 128: 32768 B, 948 cycles, in one: A is
    read once only. BLOCK_N 32: 20480 B, 593 cycles, in 4 programs: 4 * 3 * 593 = 7116 and four times a first
    iteration, more than the winner takes in all.
    """
    solves = Solves(monkeypatch)
    ranked = search(request(), 60)
    assert [sizes(candidate) for candidate in ranked[:4]] == [
        (128, 64, 2), (128, 64, 1), (64, 64, 2), (64, 64, 1)
    ]  # fmt: skip
    assert [candidate.schedule.ii for candidate in ranked[:4]] == [948, 948, 711, 711]
    assert [candidate.incumbent for candidate in ranked[:4]] == [False, False, True, True]
    for candidate in ranked[:4]:
        loop = 3 * candidate.schedule.ii + candidate.schedule.length
        assert candidate.sm_cycles == candidate.work.programs * loop >= candidate.bound_sm_cycles
    # Never solved, because the bound says enough.
    pruned = ranked[4:6]
    assert [sizes(candidate) for candidate in pruned] == [(32, 64, 2), (32, 64, 1)]
    for candidate in pruned:
        assert candidate.bound_sm_cycles > ranked[0].sm_cycles
        assert (candidate.schedule, candidate.reason) == (None, "cannot win")
    assert solves.count == 4


def test_what_is_impossible_stays_with_its_reason():
    ranked = search(request(), 60)
    reasons = {sizes(candidate): candidate.reason for candidate in ranked if candidate.problem is None}
    assert set(reasons) == {
        (96, 64, 0), (96, 1024, 0), (32, 64, 3), (64, 64, 3), (128, 64, 3),
        *((n, 1024, subtiles) for n in (32, 64, 128) for subtiles in (1, 2, 3)),
    }  # fmt: skip
    assert "power of 2" in reasons[96, 64, 0]
    assert "558080 B of shared memory" in reasons[128, 1024, 1]
    assert "128 rows" in reasons[64, 64, 3]


def test_what_the_user_fixed_is_not_searched(monkeypatch):
    solves = Solves(monkeypatch)
    ranked = search(request(constants={"BLOCK_N": "64"}, subtiles=1), 60)
    assert [(dict(candidate.tile), candidate.subtiles) for candidate in ranked] == [
        ({"BLOCK_K": 64}, 1), ({"BLOCK_K": 1024}, 1)
    ]  # fmt: skip
    assert solves.count == 1
    assert ranked[0].launch.constants["BLOCK_N"] == 64


@pytest.mark.parametrize(
    "options",
    [{"tune": False}, {"constants": {"BLOCK_N": 64, "BLOCK_K": 64}}],
)
def test_without_tile_sizes_only_sub_tiles_are_compared(options):
    ranked = search(request(**options), 60)
    assert [candidate.subtiles for candidate in ranked] == [2, 1, 3]
    assert [dict(candidate.tile) for candidate in ranked] == [{}] * 3
    assert ranked[0].launch.constants["BLOCK_N"] == 64


def test_a_signature_says_nothing_of_the_launch():
    """No grid, so no unit of work: the tile sizes are those given."""
    constants = {"BLOCK_M": 128, "BLOCK_N": 64, "BLOCK_K": 64}
    ranked = search(request(constants=constants, signature="*bf16:16, *bf16:16, *bf16:16, i32, i32, i32"), 60)
    assert [candidate.subtiles for candidate in ranked] == [2, 1, 3]
    assert ranked[0].sm_cycles == ranked[0].cycles == 63 * ranked[0].schedule.ii + ranked[0].schedule.length
    assert request(signature="*bf16, *bf16, *bf16, i32, i32, i32").searched == {}


def test_the_example_need_not_be_listed(tmp_path):
    """BLOCK_K of the example is 32, which tune does not have: it competes all the same."""
    path = changed(tmp_path, ('"BLOCK_K": 64}', '"BLOCK_K": 32}'))
    ranked = search(request(path, constants={"BLOCK_N": 128}, subtiles=1), 60)
    assert sorted(candidate.tile["BLOCK_K"] for candidate in ranked) == [32, 64, 1024]
    assert [candidate.tile["BLOCK_K"] for candidate in ranked if candidate.incumbent] == [32]


def test_an_example_that_is_impossible_is_not_the_end(tmp_path):
    path = changed(tmp_path, ('"BLOCK_K": 64}', '"BLOCK_K": 1024}'))
    ranked = search(request(path), 60)
    assert sizes(ranked[0]) == (128, 64, 2)
    assert [sizes(candidate) for candidate in ranked if candidate.incumbent] == [(64, 1024, n) for n in (1, 2, 3)]


def test_an_error_of_all_candidates_is_that_error(tmp_path):
    path = changed(tmp_path, ("acc = tl.dot(a_desc", "acc = tl.dott(a_desc"))
    with pytest.raises(InputError, match=r"changed\.py:\d+:\d+.*dott"):
        search(request(path), 60)
    path = changed(tmp_path, ('    return {"a": a', "    raise ValueError('none today')\n    return {\"a\": a"))
    with pytest.raises(InputError, match="none today"):
        search(request(path), 60)


def test_a_grid_that_leaves_rows_out_does_not_win(tmp_path):
    """192 columns are one and a half tiles of 128: N // BLOCK_N would skip the last 64."""
    path = changed(tmp_path, ("N=128, K=256", "N=192, K=256"))
    ranked = search(request(path), 60)
    assert sizes(ranked[0]) == (64, 64, 2)
    reasons = [candidate.reason for candidate in ranked if candidate.tile == {"BLOCK_N": 128, "BLOCK_K": 64}]
    assert reasons == ["its launch stores 16384 elements where the example's stores 24576: the grid leaves some out"]


def test_after_ctrl_c_the_best_so_far(monkeypatch):
    """Pressed in the first solve, of the example's sizes: those are the answer, and nothing else is lowered."""
    solves = Solves(monkeypatch, after=lambda: signal.raise_signal(signal.SIGINT))
    ranked = search(request(), 60)
    assert solves.count == 1
    assert sizes(ranked[0]) == (64, 64, 2)
    assert {candidate.reason for candidate in ranked[1:] if candidate.error is None} == {
        "not tried: stopped by Ctrl-C"
    }  # fmt: skip
    assert [sizes(candidate) for candidate in ranked if candidate.subtiles == 0][:2] == [(32, 64, 0), (32, 1024, 0)]


def test_without_time_the_example_alone(monkeypatch):
    """The limit is over when the first solve ends; it could have had all of it."""
    over = []
    solves = Solves(monkeypatch, after=lambda: over.append(True))
    monkeypatch.setattr(choice._Search, "left", property(lambda self: 0.0 if over else 60.0))
    ranked = search(request(), 60)
    assert solves.limits == [60.0]
    assert sizes(ranked[0]) == (64, 64, 2)
    assert {candidate.reason for candidate in ranked[1:] if candidate.error is None} == {"not tried: no time was left"}


def test_time_is_shared(monkeypatch):
    """The example's candidates may use all that is left, the others a quarter of it each, the last one the rest."""
    solves = Solves(monkeypatch)
    search(request(), 10000)
    assert [round(limit, -2) for limit in solves.limits] == [10000, 10000, 2500, 2500]


def test_patience_with_a_candidate_without_any_schedule(monkeypatch):
    """Ten seconds of a hundred, where there is another answer already; the example's sizes are not given up."""
    now = [0.0]
    stops: list[list[bool]] = []

    def solve_slowly(problem, *, progress, stop, **options):
        """After 9 seconds and after 11 without a schedule, then with one, stop is asked."""
        asked = []
        for ii, seconds in ((0, 9), (0, 2), (700, 0)):
            progress(Progress("interval", ii, 1, 0.0))
            now[0] += seconds
            asked.append(stop())
        stops.append(asked)
        return solve(problem, **options)

    monkeypatch.setattr("twill.solve.solve", solve_slowly)
    monkeypatch.setattr(choice, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    search(request(subtiles=2), 100)
    assert stops == [[False, False, False], [False, True, False]]


def test_progress_says_how_far_it_is():
    told = []
    search(request(), 60, told.append)
    steps = [message for message in told if isinstance(message, Step)]
    assert any(message.startswith("lowering the kernel with BLOCK_N=") for message in steps)
    solving = [message for message in steps if message.startswith("solving BLOCK_N=128")]
    assert "best so far " in solving[0]
    assert (solving[0].done, solving[0].total) == (0, 4)
