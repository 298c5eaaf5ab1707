"""Jobs in processes of their own: limits, crashes, Ctrl-C, and no orphan left behind."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from twill.tune import process
from twill.tune.executors import Job, Local
from twill.tune.process import Children, run_job


@pytest.fixture
def does(monkeypatch):
    """does(code): what the child does with `request` and `answer`, a path; it starts at once."""

    def tell(code):
        program = f"import json, os, sys, time\nrequest, answer = json.load(open(sys.argv[1])), sys.argv[2]\n{code}"
        monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", program))

    return tell


ANSWER = "json.dump({'status': 'ok', **request}, open(answer, 'w'))"


def test_an_answer(does):
    does(ANSWER)
    assert run_job({"x": 1}, 30.0) == {"status": "ok", "x": 1}


@pytest.mark.parametrize(
    ("code", "status", "why"),
    [
        ("print('last words', flush=True); os.abort()", "crashed", "ended with signal SIGABRT: last words"),
        ("sys.exit(3)", "crashed", "ended with exit code 3: it said nothing"),
        ("pass", "crashed", "ended with exit code 0: it said nothing"),
        ("time.sleep(60)", "hung", "no answer within 0.5 seconds: it was killed"),
    ],
)
def test_what_becomes_of_a_job(does, code, status, why):
    does(code)
    answer = run_job({}, 0.5 if status == "hung" else 30.0)
    assert (answer["status"], answer["why"]) == (status, why)


def test_nothing_starts_after_the_end(does):
    does(ANSWER)
    children = Children()
    children.end()
    assert run_job({}, 30.0, children)["status"] == "ended"


def test_one_crash_among_parallel_jobs_costs_one(does):
    does(f"os.abort() if request['n'] == 2 else {ANSWER}")
    jobs = [Job(str(n), {"n": n}, 30.0) for n in range(5)]
    found = {job.name: answer["status"] for job, answer in Local(3).run(jobs, bool)}
    assert found == {"0": "ok", "1": "ok", "2": "crashed", "3": "ok", "4": "ok"}


def test_jobs_are_asked_for_when_there_is_room(does):
    does(ANSWER)
    asked = []

    def jobs():
        for n in range(6):
            asked.append(n)
            yield Job(str(n), {"n": n}, 30.0)

    running = Local(2).run(jobs(), bool)
    next(running)
    assert len(asked) == 2
    running.close()


def test_jobs_that_need_a_gpu_run_one_at_a_time(does, tmp_path):
    place = tmp_path / "running"
    does(f"assert not os.path.exists({str(place)!r}); open({str(place)!r}, 'w').close(); time.sleep(0.2)\n{ANSWER}\n"
         f"os.remove({str(place)!r})")  # fmt: skip
    jobs = [Job(str(n), {"n": n}, 30.0, gpu=True) for n in range(3)]
    assert [answer["status"] for _, answer in Local(3).run(jobs, bool)] == ["ok"] * 3


def test_stop_ends_what_runs(does, tmp_path):
    place = tmp_path / "pid"
    does(f"open({str(place)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)")
    began = time.monotonic()
    assert list(Local(1).run([Job("a", {}, 600.0)], lambda: place.exists() and bool(place.read_text()))) == []
    assert time.monotonic() - began < 60
    with pytest.raises(ProcessLookupError):
        os.kill(int(place.read_text()), 0)


def test_a_child_leaves_ctrl_c_to_its_parent(tmp_path):
    """It is in the same foreground group, and gets the signal too."""
    code = (
        "import twill.tune.child as child, os, signal, sys\n"
        "child.answer = lambda request: (os.kill(os.getpid(), signal.SIGINT), {'status': 'ok'})[1]\n"
        "child.main(*sys.argv[1:3])"
    )
    (tmp_path / "request").write_text("{}")
    subprocess.run([sys.executable, "-c", code, tmp_path / "request", tmp_path / "answer"], check=True)
    assert (tmp_path / "answer").read_text() == '{"status": "ok"}'


def test_a_child_dies_with_its_parent(tmp_path):
    """A worker that is killed leaves nobody on the GPU."""
    child = (
        "import os, time; from twill.tune.child import end_with_parent; end_with_parent(os.getppid());"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"]
    )
    place = tmp_path / "pid"
    wait_until(lambda: place.exists() and place.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not alive(int(place.read_text())))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(holds, seconds=60.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        threading.Event().wait(0.05)
