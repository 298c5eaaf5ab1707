"""The mutation benchmark: mutators change what they say, broken modules are caught, survivors are told apart."""

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from benchmarks import mutation
from benchmarks.mutants import KINDS, Edit, Mutant, mutants, ring_depths
from benchmarks.mutation_equivalents import EQUIVALENTS, justified
from benchmarks.mutation_trial import NAMES, Verdict, lengthen, paths, trial

SOURCE = """
@gluon.jit
def consumer(ring, ring_full, ring_empty, desc, stage):
    for i in range(0, n):
        mbarrier.wait(ring_full.index(i % 3), (i // 3) & 1)
        s = warpgroup_mma(q, ring.index(i % 3), s)
        acc = warpgroup_mma(p, ring.index((i + 1) % 3), acc)
        s = warpgroup_mma_wait(1, deps=[s])
        mbarrier.arrive(ring_empty.index(i % 3), count=1, pred=i >= 1)
    stage.store(s)
    fence_async_shared()
    tma_store(desc, [0, 0], stage)
    tma.store_wait(0)


@gluon.jit
def loader(ring, ring_full, ring_empty, desc):
    for i in range(0, n):
        mbarrier.wait(ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)
        mbarrier.expect(ring_full.index(i % 3), 8192)
        tma_load(desc, [0, 0], ring_full.index(i % 3), ring.index(i % 3))


@gluon.jit
def kernel(desc):
    ring = gl.allocate_shared_memory(gl.float16, [3, 64, 64], desc.layout)
    ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)
    stage = gl.allocate_shared_memory(gl.float16, [64, 64], desc.layout)
    for slot in gl.static_range(3):
        mbarrier.init(ring_empty.index(slot), count=2)
"""


def lines(kind, role=None):
    """For each mutant of a kind: the lines that it takes away and the lines that it puts in."""
    found = []
    for mutant in mutants(SOURCE):
        if mutant.kind == kind and role in (None, mutant.role):
            old, new = SOURCE.splitlines(), mutant.apply(SOURCE).splitlines()
            gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
            found.append(([line.strip() for line in gone], [line.strip() for line in come if line.strip() != "pass"]))
    return found


def test_every_kind_of_mutant_is_made_of_a_small_source():
    assert {mutant.kind for mutant in mutants(SOURCE)} == set(KINDS)


def test_every_mutant_is_python_and_differs():
    made = [mutant.apply(SOURCE) for mutant in mutants(SOURCE)]
    assert SOURCE not in made
    for text in made:
        compile(text, "mutant", "exec")


def test_depths_are_those_of_rings_and_barriers():
    assert ring_depths(SOURCE) == {"ring": 3, "ring_full": 3, "ring_empty": 3}


@pytest.mark.parametrize(
    ("kind", "role", "expected"),
    [
        ("drop-arrive", None, [(["mbarrier.arrive(ring_empty.index(i % 3), count=1, pred=i >= 1)"], [])]),
        ("drop-fence", None, [(["fence_async_shared()"], [])]),
        ("phase-inverted", "loader", [(
            ["mbarrier.wait(ring_empty.index(i % 3), ((i // 3) & 1) ^ 1)"],
            ["mbarrier.wait(ring_empty.index(i % 3), (i // 3) & 1)"],
        )]),
        ("phase-inverted", "consumer", [(
            ["mbarrier.wait(ring_full.index(i % 3), (i // 3) & 1)"],
            ["mbarrier.wait(ring_full.index(i % 3), ((i // 3) & 1) ^ 1)"],
        )]),
        ("predicate-dropped", None, [(
            ["mbarrier.arrive(ring_empty.index(i % 3), count=1, pred=i >= 1)"],
            ["mbarrier.arrive(ring_empty.index(i % 3), count=1, pred=True)"],
        )]),
        ("expect-bytes", None, [
            (["mbarrier.expect(ring_full.index(i % 3), 8192)"], ["mbarrier.expect(ring_full.index(i % 3), 4096)"]),
            (["mbarrier.expect(ring_full.index(i % 3), 8192)"], ["mbarrier.expect(ring_full.index(i % 3), 16384)"]),
        ]),
        ("mma-wait-depth", None, [
            (["s = warpgroup_mma_wait(1, deps=[s])"], ["s = warpgroup_mma_wait(0, deps=[s])"]),
            (["s = warpgroup_mma_wait(1, deps=[s])"], ["s = warpgroup_mma_wait(2, deps=[s])"]),
        ]),
        ("mma-operand-swapped", None, [(
            ["s = warpgroup_mma(q, ring.index(i % 3), s)", "acc = warpgroup_mma(p, ring.index((i + 1) % 3), acc)"],
            ["s = warpgroup_mma(q, ring.index((i + 1) % 3), s)", "acc = warpgroup_mma(p, ring.index(i % 3), acc)"],
        )]),
        ("slot-expected", None, [(
            ["mbarrier.expect(ring_full.index(i % 3), 8192)"],
            ["mbarrier.expect(ring_full.index((i % 3 + 1) % 3), 8192)"],
        )]),
    ],
)  # fmt: skip
def test_a_mutant_changes_what_it_says(kind, role, expected):
    assert lines(kind, role) == expected


def order(kind, first, second):
    """Whether the mutant of a kind has a line with `first` before one with `second`."""
    (mutant,) = [mutant for mutant in mutants(SOURCE) if mutant.kind == kind and first in mutant.statement]
    text = mutant.apply(SOURCE)
    return text.index(first) < text.index(second)


def test_statements_move_in_the_dangerous_direction():
    assert not order("move-wait", "mbarrier.wait(ring_full", "s = warpgroup_mma(q")
    assert order("move-arrive", "mbarrier.arrive", "warpgroup_mma_wait")
    assert not order("move-expect", "mbarrier.expect", "tma_load(")


def test_a_ring_is_shortened_in_every_index_and_phase():
    (mutant,) = [mutant for mutant in mutants(SOURCE) if mutant.kind == "ring-depth"]
    text = mutant.apply(SOURCE)
    assert "% 3" not in text
    assert "// 3" not in text
    assert text.count("% 2") == SOURCE.count("% 3")
    assert "[3, 64, 64]" in text  # the memory stays


def test_edits_are_in_bytes():
    mutant = Mutant("drop-wait", "f", 1, "", "", (Edit(3, 4, "x"),))
    assert mutant.apply("é y") == "é x"


@pytest.mark.parametrize("kind", ["drop-wait", "drop-mma-wait", "init-count", "ring-allocation", "expect-bytes"])
def test_a_broken_module_is_caught(kind):
    text = paths("matmul_fp16")[0].read_text()
    number = next(number for number, mutant in enumerate(mutants(text)) if mutant.kind == kind)
    verdict = trial("matmul_fp16", number, (0,))
    assert verdict.caught_by is not None
    assert verdict.report


def test_the_unbroken_module_survives():
    verdict = trial("matmul_fp16", -1, (0,))
    assert verdict.caught_by is None, verdict.report
    assert verdict.runs > 3


def test_a_longer_example_goes_round_its_deepest_ring():
    launch = json.loads(paths("attention_d64_causal_fp16")[1].read_text())["launch"]
    lengthen(launch, 11)
    arguments = {argument["name"]: argument for argument in launch["arguments"]}
    length = arguments["N"]["value"]
    assert length == arguments["M"]["value"] >= 11 * 128
    heads, rows, columns = arguments["k"]["shape"]
    assert (heads, rows, columns) == (arguments["H"]["value"], length, 64)
    assert arguments["k"]["strides"] == [length * 64, 64, 1]


def test_a_survivor_is_justified_by_what_stands_there():
    text = "tma.store_wait(0)\no_stage.store(x)\ntma.store_wait(0)\n"
    first = Mutant("drop-store-wait", "f", 1, "tma.store_wait(0)", "dropped", ())
    last = Mutant("drop-store-wait", "f", 3, "tma.store_wait(0)", "dropped", ())
    assert justified("matmul_fp16", first, text)
    assert justified("matmul_fp16", last, text) is None


def test_the_table_of_equivalents_names_kinds_that_exist():
    assert {kind for entry in EQUIVALENTS for kind in entry.kinds} <= set(KINDS)
    assert all(entry.reason.endswith(".") for entry in EQUIVALENTS)


def test_twins_differ_in_the_dtype_only():
    assert {name for name in NAMES if mutation.is_twin(name)} <= {name for name in NAMES if name.endswith("_bf16")}


ROW = {"module": "m", "line": 1, "statement": "x", "change": "y", "kind": "drop-wait"}


def test_fates_are_counted_by_kind():
    rows = [
        {**ROW, "caught_by": "race", "equivalent": None},
        {**ROW, "caught_by": None, "equivalent": "Because."},
        {**ROW, "caught_by": None, "equivalent": None},
    ]
    assert mutation.counted(rows) == {"drop-wait": {"race": 1, "equivalent": 1, "survived": 1}}


def test_a_hole_ends_the_command_with_1(monkeypatch, tmp_path):
    monkeypatch.setattr(mutation, "run", lambda names, todo, workers: (
        [{**ROW, "caught_by": None, "equivalent": None}], [], False))  # fmt: skip
    target = tmp_path / "mutation.json"
    done = CliRunner().invoke(mutation.main, ["--modules", "matmul_fp16", "--limit", "1", "--output", str(target)])
    assert done.exit_code == 1, done.output
    assert "1 holes" in done.output
    assert json.loads(target.read_text())["results"]["kinds"] == {"drop-wait": {"survived": 1}}


def test_an_interrupt_keeps_what_was_done(monkeypatch, tmp_path):
    monkeypatch.setattr(mutation, "run", lambda names, todo, workers: (
        [{**ROW, "caught_by": "race", "equivalent": None}], [], True))  # fmt: skip
    target = tmp_path / "mutation.json"
    done = CliRunner().invoke(mutation.main, ["--modules", "matmul_fp16", "--output", str(target)])
    assert done.exit_code == 130
    document = json.loads(target.read_text())
    assert document["provenance"]["interrupted"] is True
    assert len(document["results"]["mutants"]) == 1


def test_a_verdict_without_a_report_is_a_survivor():
    assert Verdict(None).caught_by is None
