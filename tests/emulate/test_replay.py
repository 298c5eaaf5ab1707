"""A failure names its interleaving, and `--replay` runs exactly that one again."""

import json
import re

import pytest

from tests.commands import answer, twill
from tests.emulate.running import ATTENTION, attention
from twill import emulate
from twill.emulate.guided import Path
from twill.emulate.interleavings import replay_file
from twill.errors import InputError
from twill.shipped import kernels_folder, schedules_folder


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A shipped kernel with its schedule beside it."""
    return copied(tmp_path_factory.mktemp("right"), lambda text: text)


@pytest.fixture(scope="module")
def racy(tmp_path_factory):
    """The same without the wait for A's tiles in one role."""
    wait = re.compile(r"mbarrier\.wait\(a_tile_1_ring_full[^\n]*")
    return copied(tmp_path_factory.mktemp("racy"), lambda text: wait.sub("pass", text))


@pytest.fixture(scope="module")
def stuck(tmp_path_factory):
    """The same where one consumer never releases B's slots."""
    arrive = re.compile(r"(mbarrier\.arrive\(b_tile_ring_empty[^\n]*)")

    def change(text):
        head, tail = text.split("def consumer1")
        body, rest = tail.split("@gluon.jit", 1)
        assert arrive.search(body)
        return head + "def consumer1" + arrive.sub("pass", body) + "@gluon.jit" + rest

    return copied(tmp_path_factory.mktemp("stuck"), change)


def copied(folder, change):
    source = kernels_folder() / "generated" / "hopper" / "matmul_bf16.py"
    text = source.read_text()
    (folder / source.name).write_text(change(text))
    stored = schedules_folder() / "hopper" / source.with_suffix(".json").name
    (folder / stored.name).write_text(stored.read_text())
    return folder / source.name


def test_a_seed_and_trip_count_give_the_same_moves_again(right):
    first, again = (replay_file(right, "7@2", programs=2) for _ in range(2))
    assert first.run.trip_count == 2
    assert first.run.replay == "7@2"
    assert first.trace.moves == again.trace.moves
    assert first.trace.moves != replay_file(right, "8@2", programs=2).trace.moves
    assert first.run.steps == len(first.trace.moves)


def test_a_failure_names_what_replays_it(racy):
    report = emulate.verify_file(racy, seeds=(0, 1), trip_counts=(2,))
    assert not report.passed
    run = next(run for run in report.runs if run.failure is not None)
    assert f"--replay {run.replay}`" in report.summary()
    shown = replay_file(racy, run.replay)
    assert str(shown.run.failure) == str(run.failure)
    assert shown.run.steps == run.steps
    last = shown.trace.moves[-1]
    assert last.role in run.failure.roles
    assert last.line in run.failure.lines


def test_replay_on_the_command_line(racy):
    done = twill("verify", racy, "--replay", "0@2", "--last", "5", code=1)
    assert len(re.findall(r"^ +\d+ .*matmul_bf16\.py:\d+", done.stdout, re.M)) == 5
    assert "earlier moves" in done.stdout
    assert "it fails here:" in done.stdout
    assert "race on a_tile_1_ring" in done.stderr
    assert "earlier moves" not in twill("verify", racy, "--replay", "0@2", "--whole", code=1).stdout
    data = answer("verify", racy, "--replay", "0@2", "--last", "5", code=1)
    assert data["replay"] == "0@2"
    assert data["failure"]["kind"] == "race"
    assert len(data["failure"]["places"]) == 2
    assert len(data["trace"]["shown"]) == 5
    assert data["trace"]["moves"] > 5
    move = data["trace"]["shown"][-1]
    assert set(move) >= {"role", "line", "kind", "iteration", "operations"}


def test_the_trace_names_slot_iteration_and_phase(right):
    text = replay_file(right, "3@4", programs=1).text()
    assert re.search(r"loader +matmul_bf16\.py:\d+ +\[iteration 3\] expect a_tile_0_ring_full\[0\], phase 1, arr", text)
    assert re.search(r"load completes: TMA load; TMA load a_tile_0_ring_full\[\d\], \d+ bytes land in phase 0", text)
    assert re.search(r"wait b_tile_ring_full\[\d\], passes: phase 0 is complete \(parity 0\)", text)
    assert text.endswith("it ends well")


@pytest.mark.parametrize(
    "name", ["", "x", "-1", "1@", "1@x", "late.1", "late.3x0", "late.5x1.3x1", "late.5x1@@2", "late/1.2", "1/0.0.0"]
)
def test_a_name_that_is_none(right, name):
    with pytest.raises(InputError, match="names no interleaving"):
        replay_file(right, name)


def test_a_name_of_another_kernel(right):
    with pytest.raises(InputError, match=r"at step 3 only \d+ moves are possible"):
        replay_file(right, "late.3x999@1")
    for unreachable in ("1@77777", "late@77777"):
        with pytest.raises(InputError, match="trip count 77777 cannot be reached"):
            replay_file(right, unreachable)
    with pytest.raises(InputError, match=r"there is no thread block \(7, 7, 7\) at trip count 1"):
        replay_file(right, "late/7.7.7@1")
    assert "names no interleaving" in twill("verify", right, "--replay", "late.1", code=2).stderr
    assert "Leave one out" in twill("verify", right, "--replay", "1", "--explore", "1", code=2).stderr


def test_names_of_paths_round_trip():
    path = Path("early", ((3, 1), (14, 2)))
    assert str(path) == "early.3x1.14x2"
    assert Path.parse(str(path)) == path
    of_block = Path("late", ((3, 1),), (0, 12, 1))
    assert str(of_block) == "late.3x1/0.12.1"
    assert Path.parse(str(of_block)) == of_block


def test_a_deadlock_says_who_should_have_arrived(stuck):
    report = emulate.verify_file(stuck, seeds=(0,), trip_counts=(5,), programs=1)
    deadlock = next(failure for failure in report.failures if failure.kind == "deadlock")
    producer = next(waiter for waiter in deadlock.waiters if waiter.role == "loader")
    assert producer.wanted.barrier.startswith("b_tile_ring_empty[")
    assert (producer.wanted.phase, producer.wanted.missing_arrivals) == (0, 1)
    assert "beside arrive of consumer0 (line" in producer.wanted.should_have_arrived
    json.dumps(deadlock.as_dict())
    assert deadlock.as_dict()["waiters"][0].keys() >= {"role", "line", "waits_for"}


def test_a_deadlock_names_the_lines_that_arrived_before():
    """Consumers release V's slot 0 only in the first round: the phase before was released by both, this one by none."""
    old = "mbarrier.arrive(v_empty.index(i % STAGES))"
    text = ATTENTION.read_text().replace(old, "mbarrier.arrive(v_empty.index(i % STAGES), pred=i < STAGES)")
    with pytest.raises(emulate.Deadlock) as caught:
        attention(7, text=text)
    assert re.search(
        r"on v_empty\[0\], phase 1 lacks 2 arrivals; earlier phases got theirs from arrive of "
        r"consumer#\d \(line \d+\), arrive of consumer#\d \(line \d+\)",
        str(caught.value),
    ), str(caught.value)


def test_a_kernel_that_never_ends(right, tmp_path):
    done = twill("verify", right, "--no-machine-code", "--seeds", "1", "--max-steps", "30", code=1)
    assert "has not ended after 30 scheduling steps" in done.stderr
    assert "max_steps" in done.stderr
    assert "--replay 0@" in done.stderr
