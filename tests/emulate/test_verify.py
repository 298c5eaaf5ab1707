"""verify and verify_file: what they run, what they compare with, what they report."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.emulate.running import ATTENTION, MATMUL
from twill import emulate
from twill.emulate.cases import Case, Truth, arithmetic, vacuous
from twill.emulate.ordering import Ordering
from twill.emulate.verify import runs_of
from twill.errors import InputError
from twill.ir.parser import parse_graph
from twill.schedule import files
from twill.schedule.problem import Limits, Op, Problem
from twill.schedule.schedule import Group, Placement, Schedule

SOURCE = """
import torch
import triton
import triton.language as tl

import twill


def inputs(M=128, N=128, K=256):
    random = torch.Generator().manual_seed(0)
    a, b = (torch.randn(*s, generator=random).bfloat16() for s in ((M, K), (K, N)))
    return dict(a=a, b=b, c=torch.zeros(M, N).bfloat16(), M=M, N=N, K=K, BLOCK=64)


@twill.kernel(example=inputs, grid=lambda a: (a["M"] // a["BLOCK"], a["N"] // a["BLOCK"]), multiple_of={"K": "BLOCK"})
@triton.jit
def product(a, b, c, M, N, K, BLOCK: tl.constexpr):
    ad = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BLOCK, BLOCK])
    bd = tl.make_tensor_descriptor(b, [K, N], [N, 1], [BLOCK, BLOCK])
    cd = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BLOCK, BLOCK])
    row = tl.program_id(0) * BLOCK
    column = tl.program_id(1) * BLOCK
    acc = tl.zeros([BLOCK, BLOCK], tl.float32)
    for k in range(0, K, BLOCK):
        acc = tl.dot(ad.load([row, k]), bd.load([k, column]), acc)
    cd.store([row, column], tl.maximum(acc, 0.0).to(tl.bfloat16))
"""

LAUNCHER = '''

def product(a, b, c, M, N, K, BLOCK=64):
    """The launcher a generated module would have: the source kernel's arguments."""
    default = gl.NVMMASharedLayout.get_default_for([64, 64], gl.bfloat16)
    ad = TensorDescriptor(a, [M, max(K, 1)], [max(K, 8), 1], [64, 64], default)
    bd = TensorDescriptor(b, [max(K, 1), N], [N, 1], [64, 64], default)
    cd = TensorDescriptor(c, [M, N], [N, 1], [64, 64], default)
    matmul[(M // 64, N // 64)](ad, bd, cd, K // 64, 64, 64, 3, num_warps=4)
'''


@pytest.fixture
def generated(tmp_path):
    """A module with its schedule file beside it, as `twill compile` would leave them."""
    pytest.importorskip("triton")
    from twill import frontend
    from twill.frontend.launch import to_json
    from twill.ir.simplify import simplify
    from twill.ir.text import print_graph

    kernel = tmp_path / "product.py"
    kernel.write_text(SOURCE)
    graph, launch = frontend.lower(frontend.load(kernel))
    problem = Problem("product", Limits({"TC": 1}), (Op("acc", "TC", occupancy=4, issue=4, latency=4),), ())
    placed = {"acc": Placement(0, 0, (0,))}
    schedule = Schedule(problem, "optimal", 4, 4, "unit TC", 4, placed, {}, (Group(1, 240),))
    files.write(tmp_path / "product_hopper.json", schedule, graph=print_graph(simplify(graph)), launch=to_json(launch))
    module = tmp_path / "product_hopper.py"
    module.write_text(MATMUL.read_text() + LAUNCHER)
    return module


def test_a_right_kernel_passes(generated):
    report = emulate.verify_file(generated, seeds=(0, 1), trip_counts=(0, 1, 2, 3, 7))
    assert report.passed, report.summary()
    assert report.trip_counts == (0, 1, 2, 3, 7)  # the example has 4
    assert report.notes == ()
    assert len(report.runs) == 2 * 5
    assert all(run.steps > 0 and 0 <= run.max_error <= run.tolerance for run in report.runs)
    assert [run.programs for run in report.runs if run.seed == 0] == [1, 1, 1, 1, 3]
    assert max(run.max_error for run in report.runs) > 0
    assert "10 runs under 2 interleavings, trip counts 0, 1, 2, 3, 7: no race, no deadlock" in report.summary()
    json.dumps(report.data(), allow_nan=False)


def test_without_a_wish_it_takes_the_short_trip_counts_and_the_example_s_own(generated):
    report = emulate.verify_file(generated, seeds=(0,))
    assert report.trip_counts == (0, 1, 2, 3, 4, 5)


def test_a_trip_count_out_of_reach_is_noted(generated):
    report = emulate.verify_file(generated, seeds=(0,), trip_counts=(1, 100_000))
    assert report.passed
    assert report.notes == ("trip counts [100000] cannot be reached with other arguments",)


@pytest.mark.parametrize(("old", "new", "kind"), [
    ("gl.maximum(acc, 0.0)", "gl.maximum(acc * 1.1, 0.0)", emulate.WrongResult),
    ("tma.async_copy_shared_to_global(cd, [row, column], c_tile)", "pass", emulate.WrongResult),
    ("async_copy_shared_to_global(cd, [row, column]", "async_copy_shared_to_global(cd, [row, 64 - column]",
     emulate.WrongResult),
    ("K // 64, 64, 64, 3", "K // 64 + 1, 64, 64, 3", None),  # reads zeros beyond the end: right all the same
    ("        mbarrier.wait(full.index(slot), phase)\n", "", (emulate.Race, emulate.Poison)),
])  # fmt: skip
def test_a_wrong_kernel_fails(generated, old, new, kind):
    text = generated.read_text()
    assert old in text
    generated.write_text(text.replace(old, new))
    report = emulate.verify_file(generated, seeds=(0,), trip_counts=(2,))
    assert report.passed is (kind is None)
    if kind is not None:
        assert isinstance(report.failures[0], kind)
        assert report.summary().startswith("trip count 2 (K=128), seed 0: " + str(report.failures[0])[:40])
        data = report.data()
        assert data["runs"][0]["failure"]["kind"] == report.failures[0].kind
        json.dumps(data, allow_nan=False)


def test_the_schedule_file_may_lie_elsewhere(generated, tmp_path):
    moved = generated.with_suffix(".json").rename(tmp_path / "elsewhere.json")
    with pytest.raises(InputError, match=r"no schedule file product_hopper\.json"):
        emulate.verify_file(generated)
    assert emulate.verify_file(generated, schedule=moved, seeds=(0,), trip_counts=(1,)).passed


def test_a_plain_schedule_has_no_kernel_to_verify(generated):
    path = generated.with_suffix(".json")
    files.write(path, files.read(path).schedule)
    with pytest.raises(InputError, match="holds no kernel"):
        emulate.verify_file(generated)


def test_any_module_against_any_truth():
    random = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 256, 64, generator=random).half() for _ in range(3))
    arguments = {"q": q, "k": k, "v": v, "o": torch.zeros_like(q), "n": 4, "scale": 0.25, "BLOCK_N": 64}

    def truth(q, k, v, scale, **_):
        s = q.double() @ k.double().mT * scale * np.log(2)
        return {"o": torch.softmax(s, -1) @ v.double()}

    report = emulate.verify(ATTENTION, inputs=[arguments], truth=truth, entry="launch", seeds=(0, 1))
    assert report.passed, report.summary()
    assert report.trip_counts == ()
    assert torch.equal(arguments["o"], torch.zeros_like(q))  # it ran on copies
    arguments["scale"] = 0.5
    right = truth(q, k, v, 0.25)
    report = emulate.verify(ATTENTION, inputs=[arguments], truth=[right], entry="launch", seeds=(0,))
    assert isinstance(report.failures[0], emulate.WrongResult)
    with pytest.raises(InputError, match="no launcher"):
        emulate.verify(ATTENTION, inputs=[arguments], truth=truth, entry="missing")


def test_the_tolerance_is_read_off_thearithmetic(generated):
    stored = files.read(generated.with_suffix(".json"))
    graph = parse_graph(stored.graph)
    # 64 products an iteration into each output (and 1); one rounding to bf16, at the store, counted as two.
    assert arithmetic(graph, 4) == (1 + 4 * 64, "bf16", 2)


def test_the_truth_is_the_kernel_s_meaning_in_float64(generated):
    from twill.emulate.cases import from_schedule

    cases, entry, _ = from_schedule(generated, None, (2,), 3)
    assert entry == "product"
    two = cases[0].arguments
    exact = (two["a"].flatten()[: 128 * 128].view(128, 128).double() @ two["b"][:128].double()).clamp(min=0).numpy()
    found = cases[0].outputs["c"].values
    known = ~np.isnan(found)  # only some programs are run
    assert known.sum() == 64 * 64
    assert np.abs(found - exact)[known].max() < 1e-9


class Launches:
    """A stand-in for a loaded module whose launcher notes the seeds it runs under."""

    def __init__(self):
        self.emulator = SimpleNamespace(seed=None, programs=None, statistics=SimpleNamespace(steps=0, programs=0))
        self.__file__ = "stand-in.py"
        self.seeds = []

    def launch(self, **arguments):
        self.seeds.append(self.emulator.seed)


@pytest.mark.parametrize(
    ("ordered", "trip_count", "seeds"),
    [
        (True, 1, ["0", "1"]),
        (False, 1, ["0", "1", "starve1", "2", "3", "4"]),
        (False, 9, ["0", "1", "starve1"]),
        (False, None, ["0", "1", "starve1"]),
    ],
)
def test_more_interleavings_where_runs_are_not_ordered(monkeypatch, ordered, trip_count, seeds):
    monkeypatch.setattr(Ordering, "ordered", ordered)
    module = Launches()
    runs = list(runs_of(module, module.launch, Case("case", {}, {}, trip_count), (0, 1), 3))
    assert [run.interleaving or str(run.seed) for run in runs] == seeds
    assert len(module.seeds) == len(seeds)
    assert all(run.ordered is ordered for run in runs)


def test_no_more_seeds_than_asked_for():
    module = Launches()
    assert len(list(runs_of(module, module.launch, Case("case", {}, {}, 1), (5,)))) == 1
    assert module.seeds == [5]


@pytest.mark.parametrize(
    ("values", "blank"),
    [(([0.0, 0.0], [0.0, 2.0]), False), (([0.0], [-0.0]), True), (([np.nan, 0.0], [-np.inf, np.inf]), True)],
)
def test_numbers_that_say_nothing_are_noted(values, blank):
    """In every case zero or not finite: an output that nobody computed may pass for right."""
    found = [Case("a launch", {}, {"o": Truth.of(each, 64), "told": Truth.of([1.0], 64)}) for each in values]
    notes = vacuous(found)
    assert len(notes) == blank
    assert all("the numbers of o say nothing" in note for note in notes)


def test_a_report_of_zeros_says_so():
    zeros = torch.zeros(1, 128, 64).half()
    arguments = {"q": zeros, "k": zeros, "v": zeros, "o": zeros, "n": 2, "scale": 0.25, "BLOCK_N": 64}
    report = emulate.verify(ATTENTION, inputs=[arguments], truth=[{"o": zeros.double()}], entry="launch", seeds=(0,))
    assert report.passed
    assert "the numbers of o say nothing" in str(report.notes)


def test_an_output_of_zeros_beside_one_of_numbers(tmp_path):
    path = tmp_path / "two.py"
    path.write_text("def launch(o, count):\n    o.fill_(1.0)\n    count.fill_(0.0)\n")
    arguments = {"o": torch.zeros(4), "count": torch.zeros(4)}
    truth = {"o": np.ones(4), "count": np.zeros(4)}
    report = emulate.verify(path, inputs=[arguments], truth=[truth], entry="launch", seeds=(0,))
    assert report.passed
    assert report.runs[0].tolerance > 0
    assert "the numbers of count say nothing" in str(report.notes)
