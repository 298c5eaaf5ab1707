"""The mutation benchmark: mutators change what they say, broken modules are caught, survivors are told apart."""

import json
from collections import Counter

import pytest
from click.testing import CliRunner

from benchmarks import mutation, mutation_page, mutation_trial
from benchmarks.mutants import KINDS, Edit, Mutant, mutants
from benchmarks.mutation_equivalents import EQUIVALENTS, justified
from benchmarks.mutation_trial import NAMES, Verdict, paths, prepared, trial
from twill.emulate import cases
from twill.emulate.launches import loaded
from twill.emulate.verify import SEEDS, runs_of

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


def test_statements_of_an_else_branch_are_broken_too():
    text = SOURCE.replace(
        "    stage.store(s)", "    if n >= 2:\n        x = 1\n    else:\n        mbarrier.arrive(turn)"
    )
    assert "mbarrier.arrive(turn)" in {mutant.statement for mutant in mutants(text) if mutant.kind == "drop-arrive"}


@pytest.mark.parametrize("kind", ["drop-wait", "drop-mma-wait", "init-count", "ring-allocation", "expect-bytes"])
def test_a_broken_module_is_caught(kind):
    text = paths("matmul_fp16")[0].read_text()
    number = next(number for number, mutant in enumerate(mutants(text)) if mutant.kind == kind)
    verdict = trial("matmul_fp16", number, (0,))
    assert verdict.caught_by is not None
    assert verdict.report


@pytest.mark.parametrize("number", range(7, 222, 18))
def test_a_sample_is_caught_or_explained(number):
    text, _, _, made = prepared("matmul_fp16")
    verdict = trial("matmul_fp16", number)
    survived = verdict.caught_by is None and not verdict.unordered
    explained = survived and justified("matmul_fp16", made[number], text, True)
    assert verdict.caught_by or explained, made[number]


@pytest.mark.parametrize("name", ["matmul_fp16", "attention_d64_causal_fp16"])
def test_without_the_fence_behind_the_barriers_set_up_it_is_caught(name):
    made = prepared(name)[3]
    numbers = [at for at, mutant in enumerate(made) if mutant.kind == "drop-fence" and "kernel" in mutant.role]
    assert [trial(name, number, (0,)).caught_by for number in numbers] == ["fence"]


def test_the_unbroken_module_survives_every_interleaving():
    verdict = trial("matmul_fp16", -1)
    assert verdict.caught_by is None, verdict.report
    assert verdict.ordered == (0, 1, 2, 3, 4, 5, 7, 8)
    assert verdict.unordered == ()
    assert verdict.runs == len(verdict.ordered)  # one answers for all seeds


def test_a_short_case_comes_first_then_the_longest():
    _, found, _, _ = prepared("matmul_fp16")
    assert [case.trip_count for case in mutation_trial.hastened(found)] == [3, 8, 7, 5, 4, 2, 1, 0]


def test_a_wait_behind_its_load_is_caught_by_more_interleavings():
    """Under the first seeds it passes; under others the release comes first, and the phase it looks for is over."""
    name = "attention_dq_d128_fp16"
    made = prepared(name)[3]
    wait = "mbarrier.wait(v_tile_ring_empty.index(i %"
    (number,) = (
        at for at, mutant in enumerate(made) if mutant.kind == "move-wait" and mutant.statement.startswith(wait)
    )
    verdict = trial(name, number)
    assert verdict.caught_by == "deadlock"
    assert verdict.runs > len(prepared(name)[1])  # each case has passed once


def test_a_group_that_runs_ahead_is_caught_by_starving_the_other():
    """consumer1 releases V's slot one early, twice while consumer0 stands before its first wait: V is loaded there
    again, and consumer0 waits for a phase that is over. The seeds pass."""
    path, _ = paths("attention_dq_d64_causal_fp16")
    text = path.read_text()
    mutant = next(  # of the loop, not of the one for few iterations below it
        one
        for one in mutants(text)
        if one.kind == "slot-arrived" and one.role == "consumer1" and "v_tile_ring_empty.index(i %" in one.statement
    )
    kernel = cases.opened(path, None, (7,))
    module, launcher = loaded(path, kernel.graph.name, mutant.apply(text))
    (trip,) = kernel.trips
    runs = list(runs_of(module, launcher, kernel.case(trip, kernel.sample(trip, 1)), SEEDS, 1))
    assert [run.failure for run in runs[: len(SEEDS)]] == [None] * len(SEEDS)
    assert runs[-1].interleaving.startswith("starve")
    assert runs[-1].failure.kind == "deadlock"


def test_a_phase_that_is_stuck_behind_a_loop_is_caught_where_the_ring_is_used_again():
    """V's third tile from the end, in a ring of four: its phase is 1 from 7 iterations on."""
    path, _ = paths("attention_varlen_d64_causal_fp16")
    text = path.read_text()
    wait = "mbarrier.wait(v_tile_ring_full.index((n + 1) % 4), ((n - 3) // 4) & 1)"
    (mutant,) = (one for one in mutants(text) if one.kind == "phase-stuck" and one.statement == wait)
    kernel = cases.opened(path, None, None)
    (trip,) = (trip for trip in kernel.trips if trip.trip_count == 7)
    module, launcher = loaded(path, kernel.graph.name, mutant.apply(text))
    run = next(runs_of(module, launcher, kernel.case(trip, kernel.sample(trip, 1)), (0,)))
    assert run.failure.kind == "deadlock"


def test_a_survivor_is_justified_by_what_stands_there():
    text = "def f():\n    tma.store_wait(0)\n    o_stage.store(x)\n    tma_store(o_stage)\n    tma.store_wait(0)\n"
    text += "    o_stage.store(y)\n"
    first = Mutant("drop-store-wait", "f", 2, "tma.store_wait(0)", "dropped", ())
    last = Mutant("drop-store-wait", "f", 5, "tma.store_wait(0)", "dropped", ())
    assert justified("matmul_fp16", first, text)
    assert justified("matmul_fp16", last, text) is None


@pytest.mark.parametrize(
    ("kind", "statement", "most"),  # iterations, with a ring of three
    [
        ("drop-arrive", "mbarrier.arrive(a_ring_empty.index(i % 3), count=1)", 3),
        ("ring-modulo", "mbarrier.arrive(a_ring_empty.index(i % 3), count=1)", 3),
        ("phase-stuck", "mbarrier.wait(a_ring_full.index(i % 3), (i // 3) & 1)", 3),
        ("ring-modulo", "mbarrier.wait(a_ring_full.index(i % 3), (i // 3) & 1)", 2),
        ("ring-modulo", "s = warpgroup_mma(q, a_ring.index(i % 3), s)", 2),
        ("ring-modulo", "s = warpgroup_mma(q, b_ring.index(i % 4), s)", 0),
    ],
)
def test_a_short_loop_is_told_from_one_that_uses_a_slot_twice(kind, statement, most):
    text = "def f():\n    if n >= {}:\n        pass\n    else:\n        {}\n"
    text += "    a_ring_full = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)\n"
    text += "    a_ring_empty = gl.allocate_shared_memory(gl.int64, [3, 1], barrier)\n"
    mutant = Mutant(kind, "f", 5, statement, "dropped", ())
    found = [n for n in range(6) if justified("matmul_fp16", mutant, text.format(n + 1, statement))]
    assert max(found, default=0) == most
    assert all(n in found for n in range(1, most))


@pytest.mark.parametrize(("below", "right"), [("turn_0", True), ("v_tile_ring_full", False)])
def test_the_fence_may_miss_a_turn_s_barriers_only(below, right):
    text = f"def f():\n    mbarrier.init({below}.index(slot), count=1)\n    fence_async_shared()\n"
    mutant = Mutant("move-fence", "f", 3, "fence_async_shared()", "moved before line 1", ())
    assert (justified("matmul_fp16", mutant, text) is not None) is right


@pytest.mark.parametrize(("left", "deps", "right"), [(0, "dk, dq", True), (1, "dk, dq", False), (0, "dk", False)])
def test_mmas_change_places_only_where_both_are_waited_for_together(left, deps, right):
    text = "def consumer0():\n    dq_part = warpgroup_mma(a, b, zero)\n    dk_acc = warpgroup_mma(c, d, dk_acc)\n"
    names = deps.replace("dk", "dk_acc").replace("dq", "dq_part")
    text += f"    {names} = warpgroup_mma_wait({left}, deps=[{names}])\n"
    statement = "dq_part = warpgroup_mma(a, b, zero)"
    mutant = Mutant("mma-swapped", "consumer0", 2, statement, "exchanged with line 3", ())
    assert (justified("attention_backward_d64_fp16", mutant, text) is not None) is right


def test_the_table_of_equivalents_names_kinds_that_exist():
    assert {kind for entry in EQUIVALENTS for kind in entry.kinds} <= set(KINDS)
    assert all(entry.reason.endswith(".") for entry in EQUIVALENTS)


def test_twins_differ_in_the_dtype_only():
    assert {name for name in NAMES if mutation.is_twin(name)} <= {name for name in NAMES if name.endswith("_bf16")}


def test_every_shipped_module_is_broken_or_the_twin_of_one_that_is_or_named_as_missing():
    facts = mutation.read(mutation_page.RESULT)["provenance"]
    assert {*facts["modules"], *facts["twins"], *facts["missing"]} == set(NAMES), (
        "run python -m benchmarks.mutation (--explain: only name what is missing), then benchmarks.mutation_page"
    )
    assert {name: mutation.digest(name) for name in facts["modules"]} == facts["sources"]
    assert all(f"{name[:-5]}_fp16" in facts["modules"] for name in facts["twins"])


def test_the_result_has_no_hole():
    document = mutation.read(mutation_page.RESULT)
    rows = document["results"]["mutants"]
    assert len(rows) == document["provenance"]["of"] > 300
    assert not document["provenance"]["interrupted"]
    assert {row["kind"] for row in rows} == set(KINDS)
    assert [row for row in rows if row["caught_by"] is None and not row["equivalent"]] == []


def test_the_page_shows_the_result():
    page = mutation_page.PAGE.read_text()
    assert mutation_page.renewed(page, mutation.read(mutation_page.RESULT)) == page, (
        "run python -m benchmarks.mutation_page"
    )


def test_a_file_that_is_no_result_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    for name in ("a.json", "missing.json"):
        done = CliRunner().invoke(mutation.main, ["--explain", "--output", str(tmp_path / name)])
        assert done.exit_code == 2, done.output


def test_survivors_are_explained_anew(tmp_path):
    name = "matmul_fp16"
    number, mutant = next((at, one) for at, one in enumerate(prepared(name)[3]) if one.kind == "move-expect")
    row = {
        "module": name, "number": number, "kind": mutant.kind, "role": mutant.role, "line": mutant.line,
        "statement": mutant.statement, "change": mutant.change, "caught_by": None, "equivalent": None,
        "ordered": [1], "unordered": [],
    }  # fmt: skip
    facts = {"modules": [name], "sources": {name: mutation.digest(name)}, "interrupted": False, "of": 1}
    target = tmp_path / "mutation.json"
    document = {"benchmark": "mutation", "provenance": facts, "results": {"kinds": {}, "mutants": [row]}}
    target.write_text(json.dumps(document))
    done = CliRunner().invoke(mutation.main, ["--explain", "--output", str(target)])
    assert done.exit_code == 0, done.output
    assert json.loads(target.read_text())["results"]["mutants"][0]["equivalent"].startswith("The expect")
    document["provenance"]["sources"][name] = "another"
    target.write_text(json.dumps(document))
    done = CliRunner().invoke(mutation.main, ["--explain", "--output", str(target)])
    assert done.exit_code == 2
    assert "changed since the run" in done.output


def earlier_run(target, name, of=2):
    """A result file that holds the verdict on the first mutant of a module; all mutants of the module."""
    made = list(enumerate(prepared(name)[3]))
    mutant = made[0][1]
    row = {
        "module": name, "number": 0, "kind": mutant.kind, "line": mutant.line, "change": mutant.change,
        "caught_by": "fence", "equivalent": None,
    }  # fmt: skip
    facts = {"modules": [name], "sources": {name: mutation.digest(name)}, "interrupted": True, "of": of}
    target.write_text(json.dumps({"benchmark": "mutation", "provenance": facts, "results": {"mutants": [row]}}))
    return row, made


def test_a_run_goes_on_from_an_earlier_one(monkeypatch, tmp_path):
    name, other, target = "matmul_fp16", "grouped_matmul_fp16", tmp_path / "mutation.json"
    row, made = earlier_run(target, name)
    asked = []

    def run(names, todo, workers, save):
        asked.append([(of, number) for of, number, _ in todo])
        found = [
            {**row, "module": of, "number": number, "kind": one.kind, "line": one.line, "change": one.change}
            for of, number, one in todo
        ]
        save(found[:1])
        assert json.loads(target.read_text())["provenance"]["interrupted"]
        return found, [], False

    monkeypatch.setattr(mutation, "run", run)
    done = CliRunner().invoke(mutation.main, [name, "--output", str(target)])
    assert done.exit_code == 0, done.output
    assert asked == [[(name, number) for number, _ in made[1:]]]
    done = CliRunner().invoke(mutation.main, [other, "--output", str(target)])  # what is there stays
    assert done.exit_code == 0, done.output
    document = json.loads(target.read_text())
    counts = Counter(each["module"] for each in document["results"]["mutants"])
    assert counts == {name: len(made), other: len(prepared(other)[3])}
    assert document["provenance"]["of"] == sum(counts.values())
    assert document["provenance"]["modules"] == [one for one in NAMES if one in counts]
    assert set(document["provenance"]["missing"]).isdisjoint(
        {name, other, "matmul_bf16", "grouped_matmul_bf16"}
    )  # of the twins it holds too
    done = CliRunner().invoke(mutation.main, [name, "--again", "--output", str(target)])
    assert done.exit_code == 0, done.output
    assert asked[-1] == [(name, number) for number, _ in made]


def test_verdicts_on_a_module_that_changed_do_not_stand(monkeypatch, tmp_path):
    target = tmp_path / "mutation.json"
    earlier_run(target, "matmul_fp16")
    document = json.loads(target.read_text())
    assert len(mutation.still_valid(document)) == 1
    document["provenance"]["sources"]["matmul_fp16"] = "another"
    assert mutation.still_valid(document) == []


ROW = {
    "module": "matmul_fp16",
    "change": "y",
    "role": "f",
    "runs": 1,
    "ordered": [],
    "number": 0,
    "line": 1,
    "statement": "x",
    "kind": "drop-wait",
    "unordered": [],
}


def test_fates_are_counted_by_kind():
    rows = [
        {**ROW, "caught_by": "race", "equivalent": None},
        {**ROW, "caught_by": None, "equivalent": "Because."},
        {**ROW, "caught_by": None, "equivalent": None},
    ]
    assert mutation_page.counted(rows) == {"drop-wait": {"race": 1, "equivalent": 1, "survived": 1}}


def test_a_hole_ends_the_command_with_1(monkeypatch, tmp_path):
    monkeypatch.setattr(mutation, "run", lambda names, todo, workers, save: (
        [{**ROW, "caught_by": None, "equivalent": None}], [], False))  # fmt: skip
    target = tmp_path / "mutation.json"
    done = CliRunner().invoke(mutation.main, ["matmul_fp16", "--limit", "1", "--output", str(target)])
    assert done.exit_code == 1, done.output
    assert "1 holes" in done.output
    assert json.loads(target.read_text())["results"]["kinds"] == {"drop-wait": {"survived": 1}}


def test_an_interrupt_keeps_what_was_done(monkeypatch, tmp_path):
    monkeypatch.setattr(mutation, "run", lambda names, todo, workers, save: (
        [{**ROW, "caught_by": "race", "equivalent": None}], [], True))  # fmt: skip
    target = tmp_path / "mutation.json"
    done = CliRunner().invoke(mutation.main, ["matmul_fp16", "--output", str(target)])
    assert done.exit_code == 130
    document = json.loads(target.read_text())
    assert document["provenance"]["interrupted"] is True
    assert len(document["results"]["mutants"]) == 1


def test_verdicts_on_a_module_that_changes_meanwhile_are_not_written(monkeypatch, tmp_path):
    names, target = ("matmul_fp16", "grouped_matmul_fp16"), tmp_path / "mutation.json"
    real = mutation.digest

    def run(asked, todo, workers, save):
        monkeypatch.setattr(mutation, "digest", lambda name: "another" if name == names[0] else real(name))
        return [{**ROW, "module": name, "caught_by": "race", "equivalent": None} for name in names], [], False

    monkeypatch.setattr(mutation, "run", run)
    done = CliRunner().invoke(mutation.main, [*names, "--limit", "20", "--output", str(target)])
    assert done.exit_code == 0, done.output
    document = json.loads(target.read_text())
    assert [row["module"] for row in document["results"]["mutants"]] == [names[1]]
    assert document["provenance"]["sources"] == {names[1]: real(names[1])}
    assert names[0] in document["provenance"]["missing"]
    assert 0 < document["provenance"]["of"] < 20


def test_a_verdict_without_a_report_is_a_survivor():
    assert Verdict(None).caught_by is None
