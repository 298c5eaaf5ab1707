"""Sweeps on a local Ray cluster whose workers die: no result lost, no candidate twice. Skipped without Ray."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from twill.errors import Unsupported
from twill.tune import executors

HERE = Path(__file__).parent


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(Unsupported, match=r"Ray is not installed.*pip install 'twill\[ray\]'"):
        executors.executor("ray", 2)


def test_an_unknown_executor():
    from twill.errors import InputError

    with pytest.raises(InputError, match="no executor `slurm`"):
        executors.executor("slurm", 2)


PROGRAM = """
    import json, os, signal, sys, time
    from pathlib import Path

    folder = Path(sys.argv[1])
    COMMAND = [sys.executable, "-c", '''
    import json, os, sys, time
    from pathlib import Path
    request, folder = json.load(open(sys.argv[1])), Path(json.load(open(sys.argv[1]))["folder"])
    def log(name, text):
        to = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(to, text.encode())
    log("begun", f"{request['n']} {os.getppid()}\\\\n")
    if request["n"] == 3:
        os.abort()
    time.sleep(0.5)
    log("ended", f"{request['n']}\\\\n")
    json.dump({"status": "ok", "n": request["n"]}, open(sys.argv[2], "w"))
    ''']
    import ray
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    from twill.tune.executors import Job, OnRay
    from twill.tune.process import run_job

    def with_command(request, seconds):
        from twill.tune import process
        process.COMMAND = COMMAND
        return run_job(request, seconds)

    from twill.tune import executors
    executors.run_job = with_command
    jobs = [Job(str(n), {"n": n, "folder": str(folder)}, 60.0) for n in range(8)]
    killed, found = set(), []
    for job, answer in OnRay(2).run(jobs, bool):
        found.append((job.name, answer["status"]))
        if len(found) in (2, 5):  # mid-sweep: the worker of a candidate that has begun and not ended
            end = time.monotonic() + 60
            while True:
                begun = [line.split() for line in (folder / "begun").read_text().splitlines()]
                ended = (folder / "ended").read_text().split()
                open_ = [(n, int(pid)) for n, pid in begun if n not in ended and n != "3" and int(pid) not in killed]
                if open_:
                    os.kill(open_[-1][1], signal.SIGKILL)
                    killed.add(open_[-1][1])
                    break
                assert time.monotonic() < end
                time.sleep(0.01)
    print(json.dumps({"found": found, "killed": len(killed), "begun": len(begun),
                      "starts": len((folder / "begun").read_text().splitlines()),
                      "ended": (folder / "ended").read_text().split()}))
"""


def test_a_worker_killed_mid_sweep_loses_no_result_and_runs_no_candidate_twice(tmp_path):
    """8 candidates on 2 workers; two workers are killed at work, and one candidate crashes by itself."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'twill[ray]'")
    import json

    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM))
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    data = json.loads(done.stdout.strip().splitlines()[-1])
    assert data["killed"] == 2
    assert dict(data["found"]) == {str(n): "crashed" if n == 3 else "ok" for n in range(8)}
    assert len(data["found"]) == 8
    # What ended, ended once; each killed one, and no other, began once more.
    assert sorted(data["ended"]) == [str(n) for n in range(8) if n != 3]
    assert data["starts"] == 8 + 2


def test_a_sweep_on_ray_measures_and_keeps(sweep, times, filled):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'twill[ray]'")
    times({32: 3e-6, 64: "crash", 128: 2e-6})
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    try:
        result = sweep(executors.executor("ray", 2))
    finally:
        ray.shutdown()
    assert {row.tile["BLOCK_N"]: row.status for row in result.rows} == {32: "measured", 64: "crashed", 128: "measured"}
    assert result.winner.tile["BLOCK_N"] == 128
    assert len(filled.times(result.problem.key)) == 3


def test_ctrl_c_on_ray_ends_the_tasks(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'twill[ray]'")
    ray.init(num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    place = tmp_path / "pid"

    def hangs(request, seconds):
        import time

        Path(request["place"]).write_text(str(os.getpid()))
        time.sleep(600)

    monkeypatch.setattr(executors, "run_job", hangs)
    try:
        jobs = [executors.Job("a", {"place": str(place)}, 600.0)]
        stop = lambda: place.exists() and bool(place.read_text())  # noqa: E731
        assert list(executors.executor("ray", 2).run(jobs, stop)) == []
        pid = int(place.read_text())
        for _ in range(300):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            import time

            time.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        pytest.fail("the task still ran 30 seconds after Ctrl-C")
    finally:
        ray.shutdown()
