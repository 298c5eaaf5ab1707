"""One run that answers for all: against every interleaving of small random programs, each run whole."""

import random
import textwrap

import pytest
import torch

from tests.emulate.running import module
from twill.emulate import EmulationError, trace
from twill.emulate.explore import explore
from twill.emulate.guided import Guided, Path
from twill.emulate.ordering import Ordering

ROLE = "@gluon.jit\ndef role{number}(tile, a, b):\n{body}\n\n\n"
KERNEL = """
@gluon.jit
def k(out):
    tile = gl.allocate_shared_memory(gl.float16, [8, 8], TILE)
    a = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    b = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
    mbarrier.init(a, count={a})
    mbarrier.init(b, count={b})
    gl.warp_specialize([{roles}], [4] * {workers}, [24] * {workers})
"""
SIGNALS = ["mbarrier.arrive(a)", "mbarrier.arrive(b)"]
WAITS = [f"mbarrier.wait({name}, {parity})" for name in "ab" for parity in (0, 1)]
MEMORY = ["tile.store(gl.full([8, 8], 1.0, gl.float16, WIDE))", "x = tile.load(WIDE)"]


def program(seed, roles, operations):
    """A random kernel, which may race, hang or go wrong on a barrier; few of them do everything right."""
    draw = random.Random(seed)
    text = ""
    for number in range(roles):
        body = [draw.choice(draw.choice((SIGNALS, SIGNALS, WAITS, WAITS, MEMORY))) for _ in range(operations)]
        text += ROLE.format(number=number, body=textwrap.indent("\n".join(body), "    "))
    names = ", ".join(f"(role{number}, (tile, a, b))" for number in range(roles))
    counts = {"a": draw.choice((1, 1, 2)), "b": draw.choice((1, 1, 2))}
    return text + KERNEL.format(roles=names, workers=roles - 1, **counts)


def outcome(loaded, adversary):
    loaded.emulator.adversary = adversary
    try:
        loaded.k[(1,)](torch.zeros(64), num_warps=4)
    except EmulationError as error:
        return error
    return None


class _Everything(Guided):
    """Puts every alternative behind the last deviation on a list, and prunes nothing."""

    def __init__(self, path, waiting):
        super().__init__(path)
        self.waiting = waiting

    def at_choice(self, step, choices):
        if not self.path.deviations or step > self.path.deviations[-1][0]:
            self.waiting.extend(self.path.then(step, alternative) for alternative in range(1, choices))


def every_outcome(loaded, limit):
    """The kinds of all interleavings' outcomes; None when there are more than `limit` interleavings."""
    waiting, kinds, runs = [Path("late")], set(), 0
    while waiting:
        runs += 1
        if runs > limit:
            return None
        error = outcome(loaded, _Everything(waiting.pop(), waiting))
        kinds.add("ends" if error is None else error.kind)
    return kinds


def compare(tmp_path, seed, roles, operations):
    """Check one program; (was it judged ordered, the kinds of its outcomes), or None when it is too large."""
    loaded = module(tmp_path, program(seed, roles, operations))
    truth = every_outcome(loaded, 1000)
    if truth is None:
        return None
    watcher = Ordering()
    with trace.watching(watcher):
        first = outcome(loaded, Guided(Path("late")))
    ordered = first is None and watcher.ordered
    if ordered:
        assert truth == {"ends"}, program(seed, roles, operations)
    found = explore(lambda guided: outcome(loaded, guided), 100, 100_000)
    if found.failure is None:
        assert found.complete
        assert truth == {"ends"}, program(seed, roles, operations)
    else:
        assert found.failure.kind in truth
        assert outcome(loaded, Guided(Path.parse(str(found.path)))).kind == found.failure.kind
    return ordered, truth


def test_exploration_is_right_about_random_programs(tmp_path):
    sizes = [(2, 3)] * 90 + [(2, 4)] * 5 + [(3, 2)] * 15
    verdicts = [compare(tmp_path, seed, *size) for seed, size in enumerate(sizes)]
    verdicts = [verdict for verdict in verdicts if verdict is not None]
    assert sum(ordered for ordered, _ in verdicts) >= 5
    assert sum("ends" in truth and len(truth) > 1 for _, truth in verdicts) >= 5  # some orders only go wrong
    assert sum("ends" not in truth for _, truth in verdicts) >= 5


def watched(tmp_path, text):
    """What keeps the first run of a kernel from answering for all; None when nothing does."""
    loaded = module(tmp_path, text)
    watcher = Ordering()
    with trace.watching(watcher):
        assert outcome(loaded, Guided(Path("late"))) is None
    assert watcher.ordered == (watcher.unordered is None)
    return watcher.unordered


PAIR = """
@gluon.jit
def left(tile, a, b):
    {left}


@gluon.jit
def right(tile, a, b):
    {right}

"""


@pytest.mark.parametrize(
    ("left", "right", "why"),
    [
        ("mbarrier.arrive(a)", "mbarrier.wait(a, 0)", None),
        # a second round, after the answer to the first
        (
            "mbarrier.arrive(a)\n    mbarrier.wait(b, 0)\n    mbarrier.arrive(a)",
            "mbarrier.wait(a, 0)\n    mbarrier.arrive(b)\n    mbarrier.wait(a, 1)",
            None,
        ),
        # the same without waiting for the answer: the second phase may complete before the first is seen
        (
            "mbarrier.arrive(a)\n    mbarrier.arrive(a)",
            "mbarrier.wait(a, 1)\n    mbarrier.arrive(b)",
            "it passes after 2 completed phases, and could have passed after 0",
        ),
        # two roles arrive on a barrier of one arrival each phase
        ("mbarrier.arrive(a)", "mbarrier.arrive(a)", "it adds to phase 1, but nothing orders it after phase 0"),
    ],
)
def test_what_keeps_a_run_from_answering_for_all(tmp_path, left, right, why):
    text = PAIR.format(left=left, right=right) + KERNEL.format(
        a=1, b=1, roles="(left, (tile, a, b)), (right, (tile, a, b))", workers=1
    )
    found = watched(tmp_path, text)
    assert (found is None) == (why is None), str(found)
    if why is not None:
        assert why in str(found)


def test_atomics_of_two_roles_may_come_in_any_order(tmp_path):
    text = """
    @gluon.jit
    def role(out):
        gl.atomic_add(out, 1.0)


    @gluon.jit
    def k(out):
        gl.warp_specialize([(role, (out,)), (role, (out,))], [4], [24])
    """
    assert "nothing orders it with atomic_add of role#" in str(watched(tmp_path, text))
    found = explore(lambda guided: outcome(module(tmp_path, text), guided), 100, 1000)
    assert found.complete
    assert found.failure is None
    assert found.interleavings >= 3  # the two base orders, and the other order
