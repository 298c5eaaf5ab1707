"""The compile-time benchmark: stages are told apart, samples summed up, its kernels exist."""

from io import StringIO

import pytest
from rich.console import Console

from benchmarks.compile_stages import CASES, STAGES, Stopwatch
from benchmarks.compile_time import summary, table
from benchmarks.record import ROOT


def watch_with(times):
    ticks = iter(times)
    return Stopwatch(lambda: next(ticks))


def test_time_belongs_to_the_stage_that_was_announced_last():
    watch = watch_with([0, 2, 5, 9, 14, 20, 27])
    watch.progress("lowering the kernel")  # 2: reading the file belongs to the front end too
    watch.progress("solving 2 sub-tiles: 16 ops")  # 5
    watch.progress("a message of no stage")
    watch.progress("writing the kernel")  # 9
    watch.progress("compiling to machine code")  # 14
    watch.enter("emulate")  # 20
    assert watch.stop() == dict(zip(STAGES, (5, 4, 5, 6, 7), strict=True))


def test_a_stage_that_was_never_announced_is_an_error():
    watch = watch_with([0, 1, 2, 3])
    watch.progress("lowering the kernel")
    watch.enter("emulate")
    with pytest.raises(RuntimeError, match="solve, plan"):
        watch.stop()


def sample(scale, ii=2048, failures=()):
    seconds = {stage: scale * (1.0 + number) for number, stage in enumerate(STAGES)}
    one = {"seconds": seconds, "ii_cycles": ii, "subtiles": 2, "status": "optimal", "failures": list(failures)}
    return {"import_seconds": 1.0, "peak_bytes": 2e9, "cold": one, "warm": one}


def test_medians_are_taken_by_stage_and_different_answers_are_all_kept():
    found = summary([sample(1), sample(3), sample(2, ii=2100, failures=["emulate: deadlock"])])
    assert found["cold"]["solve"]["median"] == 4.0
    assert found["cold"]["total"]["median"] == 30.0
    assert [one["ii_cycles"] for one in found["schedules"]] == [2048, 2100]
    assert found["failures"] == ["emulate: deadlock"]


def test_the_table_shows_every_stage():
    console = Console(file=StringIO(), width=200)
    console.print(table({"matmul": summary([sample(1)])}))
    shown = console.file.getvalue()
    assert all(stage in shown for stage in STAGES)
    assert "15.00 (15.00 to 15.00)" in shown
    assert "2000" in shown


def test_its_kernels_are_files_of_the_checkout():
    assert [case.file for case in CASES.values() if not (ROOT / "kernels" / case.file).is_file()] == []
