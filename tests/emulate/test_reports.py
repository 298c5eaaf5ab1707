"""Every kind of report names role, line, buffer or barrier, slot, iteration and thread block, as fields."""

import json
import re
import textwrap

import pytest
import torch

from tests.emulate.running import ATTENTION, HEADER, attention, module
from twill import emulate
from twill.emulate import report

LOOP = """\
ring = gl.allocate_shared_memory(gl.float16, [2, 64, 64], TILE)
full = gl.allocate_shared_memory(gl.int64, [2, 1], BARRIER)
for i in gl.static_range(2):
    mbarrier.init(full.index(i), count=1)
for i in range(n):
    {body}
"""
LAUNCH = """

def launch(source, n):
    k[(1,)](TensorDescriptor.from_tensor(source, [64, 64], TILE), n, num_warps=4)
"""
STORE = "ring.index(i).store(gl.full([64, 64], 1.0, gl.float16, WIDE))"

# kind: (the body of a loop whose second turn goes wrong, what the report is on, its accesses)
BROKEN = {
    "race": (
        f"{STORE}; fence_async_shared(); mbarrier.expect(full.index(i), 8192); "
        "tma.async_copy_global_to_shared(desc, [0, 0], full.index(i), ring.index(i)); "
        "ring.index(i).load(WIDE) if i == 1 else mbarrier.wait(full.index(i), 0)",
        "ring[1]",
        2,
    ),
    "poison": (f"{STORE} if i == 0 else ring.index(i).load(WIDE)", "ring[1]", 1),
    "fence": (
        f"{STORE}; fence_async_shared() if i == 0 else None; "
        "tma.async_copy_shared_to_global(desc, [0, 0], ring.index(i)); tma.store_wait(0)",
        "ring[1]",
        2,
    ),
    "barrier": ("mbarrier.arrive(full.index(i), count=i + 1)", "full[1]", 1),
    "bytes": (
        "mbarrier.expect(full.index(i), 8192 - 8 * i); "
        "tma.async_copy_global_to_shared(desc, [0, 0], full.index(i), ring.index(i)); mbarrier.wait(full.index(i), 0)",
        "full[1]",
        1,
    ),
    "unwaited": (
        "mbarrier.expect(full.index(i), 8192); "
        "tma.async_copy_global_to_shared(desc, [0, 0], full.index(i), ring.index(i)); "
        "mbarrier.wait(full.index(i), 0) if i == 0 else None",
        "ring[1]",
        1,
    ),
    "bounds": ("ring.index(2 * i).load(WIDE) if i == 1 else None", "ring", 1),
    "layout": ("ring.index(i).store(i) if i == 1 else None", "", 1),
    "assert": ("gl.device_assert(i < 1)", "", 1),
    "endless": ("mbarrier.arrive(full.index(0))\n    while i == 1:\n        mbarrier.arrive(full.index(1))", "", 1),
    "deadlock": ("mbarrier.wait(full.index(i), i ^ 1)", "full[1]", 1),
}


def broken(tmp_path, kind):
    body, _, _ = BROKEN[kind]
    text = LOOP.format(body=body).replace("; ", "\n    ")
    if kind == "endless":
        text = text.replace("mbarrier.arrive(full.index(0))", "pass").replace("mbarrier.arrive(full.index(1))", "pass")
    body = "".join(f"    {each}\n" for each in text.splitlines())
    loaded = module(tmp_path, f"@gluon.jit\ndef k(desc, n):\n{body}{LAUNCH}", max_steps=2000)
    with pytest.raises(emulate.EmulationError) as caught:
        loaded.launch(torch.ones(64, 64).half(), 2)
    return caught.value


@pytest.mark.parametrize("kind", BROKEN)
def test_fields_of_every_kind(tmp_path, kind):
    _, on, accesses = BROKEN[kind]
    found = broken(tmp_path, kind)
    assert found.kind == kind, str(found)
    data = json.loads(json.dumps(found.as_dict()))
    assert data["roles"] == ["k"]
    assert len(data["places"]) == len(data["lines"]) == accesses
    assert all(line > HEADER.count("\n") for line in data["lines"])
    assert data["program"] == [0, 0, 0]
    assert data["buffer"] + data["barrier"] == on
    assert data["slot"] == (1 if on.endswith("[1]") else None)
    assert all(place["on"] == on for place in data["places"])
    assert {place["iteration"] for place in data["places"]} == {"iteration 1"}
    assert re.search(r"k \(|Role: k, iteration 1\.", str(found))


def test_every_kind_is_covered():
    kinds = {each.kind for each in vars(report).values() if isinstance(each, type) and hasattr(each, "kind")}
    clusters = {"columns", "early-exit", "missing-cluster-sync"}
    assert kinds - {"emulation", *clusters} == {*BROKEN, "token"}


def test_an_accumulator_used_before_its_wait():
    text = ATTENTION.read_text()
    assert "warpgroup_mma_wait(1, deps=[s_next])" in text
    with pytest.raises(emulate.EmulationError) as caught:
        attention(3, text=text.replace("warpgroup_mma_wait(1, deps=[s_next])", "s_next"))
    assert caught.value.kind == "token"
    data = caught.value.as_dict()
    assert len(data["places"]) >= 2
    assert all(
        place["line"] and place["role"].startswith("consumer") and place["iteration"] for place in data["places"]
    )


def test_a_race_names_both_accesses_where_they_differ(tmp_path):
    """A slot, and the same slot seen as something else."""
    body = """\
        ring = gl.allocate_shared_memory(gl.float16, [2, 64, 64], TILE)
        full = gl.allocate_shared_memory(gl.int64, [1], BARRIER)
        mbarrier.init(full, count=1)
        mbarrier.expect(full, 8192)
        tma.async_copy_global_to_shared(desc, [0, 0], full, ring.index(1))
        ring.index(1)._reinterpret(gl.int16, [64, 64], TILE).load(WIDE)
    """
    indented = "".join(f"    {each}\n" for each in textwrap.dedent(body).splitlines())
    loaded = module(tmp_path, f"@gluon.jit\ndef k(desc, n):\n{indented}{LAUNCH}")
    with pytest.raises(emulate.Race) as caught:
        loaded.launch(torch.ones(64, 64).half(), 1)
    assert [place["on"] for place in caught.value.as_dict()["places"]] == ["ring[1]", "ring[1] as int16[64, 64]"]
    assert caught.value.slot == 1


def test_a_deadlock_names_every_waiter(tmp_path):
    old = re.search(r"mbarrier\.arrive\(k_empty[^\n]*", ATTENTION.read_text())
    assert old
    with pytest.raises(emulate.Deadlock) as caught:
        attention(7, text=ATTENTION.read_text().replace(old[0], "pass"))
    data = caught.value.as_dict()
    stuck = [waiter for waiter in data["waiters"] if waiter.get("barrier")]
    assert stuck
    for waiter, place in zip(stuck, data["places"], strict=True):
        assert (waiter["role"], waiter["line"], waiter["barrier"]) == (place["role"], place["line"], place["on"])
        assert waiter["iteration"]
        assert waiter["phase"] is not None
        assert waiter["parity"] in (0, 1)
        assert waiter["should_have_arrived"]
    assert data["barrier"] == stuck[0]["barrier"]
    assert data["slot"] is not None
