"""The shipped modules with one line broken: the emulator must see it, and say which role and line."""

import re
from dataclasses import dataclass

import pytest

from twill.emulate import verify_file
from twill.shipped import VARIANTS, module_path, schedule_path

# Trip counts at which the pipeline is full and every ring is used again.
TRIPS = {"attention_d128_fp16": (4,), "matmul_fp16": (5,)}
SOURCES = {variant.name: module_path(variant).read_text() for variant in VARIANTS if variant.name in TRIPS}
SCHEDULES = {variant.name: schedule_path(variant) for variant in VARIANTS}


@dataclass(frozen=True)
class Mutation:
    """Within role `inside` (or the kernel), replace the first match of `old` by `new`.

    kinds: of the report. roles: of which the report names one. subject: a buffer or barrier that it
    speaks of, or "".
    """

    module: str
    what: str
    inside: str
    old: str
    new: str
    kinds: tuple[str, ...]
    roles: tuple[str, ...]
    subject: str = ""


def of(module):
    """The mutations of one module; its rings, roles and tokens by name."""
    attention = module.startswith("attention")
    ring = "k_tile_ring" if attention else "b_tile_ring"
    depth = 2 if attention else 3
    stage = "o_desc_0_stage" if attention else "c_desc_0_stage"
    value = "s, acc" if attention else "acc"
    everyone = ("consumer0", "consumer1", "loader")
    loop = r"(?s)(    for i in range\(.*?)"  # up to the first one in the steady state
    line = r"[^\n]*\n"
    rows = [
        ("no wait for a full slot", "consumer0", rf"{loop}[ ]*mbarrier\.wait\({ring}_full{line}", r"\1",
         ("race", "poison"), ("consumer0",), ring),
        ("no arrive on an empty slot", "consumer1", rf"{loop}[ ]*mbarrier\.arrive\({ring}_empty{line}", r"\1",
         ("deadlock",), ("loader",), f"{ring}_empty"),
        ("no wait for an empty slot", "loader", rf"[ ]*mbarrier\.wait\({ring}_empty{line}", "",
         ("race", "barrier"), ("loader",), ring),
        ("bytes not announced", "loader", rf"[ ]*mbarrier\.expect\({ring}_full{line}", "",
         ("bytes", "deadlock", "barrier", "race"), everyone, ring),
        ("half of the bytes announced", "loader", rf"(mbarrier\.expect\({ring}_full.*?), 32768", r"\1, 16384",
         ("bytes", "race"), everyone, ring),
        ("the loader's phase is not flipped", "loader", rf"(mbarrier\.wait\({ring}_empty[^\n]*) \^ 1", r"\1",
         ("deadlock",), ("loader",), f"{ring}_empty"),
        ("a reader's phase is flipped", "consumer1",
         rf"{loop}(mbarrier\.wait\({ring}_full[^\n]*?\& 1)", r"\1\2 ^ 1", ("deadlock", "race"), everyone, ring),
        ("a ring one slot short", "kernel", rf"({ring} = gl\.allocate_shared_memory\(gl\.float16, )\[{depth},",
         rf"\1[{depth - 1},", ("bounds",), everyone, ring),
        ("no wait for the MMA in the loop", "consumer0", rf"{loop}[ ]*{value} = warpgroup_mma_wait{line}", r"\1",
         ("race", "token", "unwaited"), ("consumer0",), ""),
        ("no fence before the store", "consumer0", r"(_stage\.store[^\n]*\n)[ ]*fence_async_shared\(\)\n", r"\1",
         ("fence",), ("consumer0",), stage),
        ("no signal for the other group's turn", "consumer0", rf"{loop}[ ]*mbarrier\.arrive\(turn_{line}", r"\1",
         ("deadlock",), ("consumer1",), "turn_"),
        ("a turn too many", "consumer0", rf"{loop}([ ]*mbarrier\.arrive\(turn_)({line})", r"\1\2\3\2\3",
         ("deadlock", "barrier", "race", "unwaited"), everyone, "turn_"),
        ("the store is not waited for", "consumer1", r"(tma_store\([^\n]*\n)[ ]*tma\.store_wait\(0\)\n", r"\1",
         ("unwaited",), ("consumer1",), ""),
        ("one reader is enough", "kernel", rf"(mbarrier\.init\({ring}_empty\.index\(slot\), count=)2", r"\g<1>1",
         ("race", "barrier", "deadlock"), everyone, ring),
    ]  # fmt: skip
    return [Mutation(module, *row) for row in rows]


MUTATIONS = [mutation for module in TRIPS for mutation in of(module)]


def mutated(mutation):
    """The broken source, and the lines of the function that was broken."""
    text = SOURCES[mutation.module]
    name = r"\w+_kernel" if mutation.inside == "kernel" else mutation.inside
    found = re.search(rf"(?ms)^def {name}\(.*?(?=^@gluon\.jit|^def |\Z)", text)
    body, changes = re.subn(mutation.old, mutation.new, found.group(), count=1)
    assert changes == 1, "the emitted module changed: what was to be broken is not there"
    assert body != found.group()
    return text[: found.start()] + body + text[found.end() :]


def verified(tmp_path, module, text):
    path = tmp_path / f"{module}.py"
    path.write_text(text)
    return verify_file(path, schedule=SCHEDULES[module], seeds=(0, 1), trip_counts=TRIPS[module], programs=1)


@pytest.mark.parametrize("module", TRIPS)
def test_unbroken_it_passes(module, tmp_path):
    report = verified(tmp_path, module, SOURCES[module])
    assert report.passed, report.summary()


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: f"{m.module}: {m.what}")
def test_a_broken_one_is_reported(mutation, tmp_path):
    text = mutated(mutation)
    report = verified(tmp_path, mutation.module, text)
    assert not report.passed, f"{mutation.what}: not seen"
    lines = text.splitlines()
    for failure in report.failures:
        message = str(failure)
        assert failure.kind in mutation.kinds, message
        assert mutation.subject in message
        if mutation.roles:
            assert {role.partition("#")[0] for role in failure.roles} & set(mutation.roles), message
        assert failure.lines, message
        assert all(0 < number <= len(lines) for number in failure.lines)
        assert f"{mutation.module}.py:" in message
