"""The launch: FLOP, bytes and waves by hand, and what is said to limit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from twill.errors import InputError
from twill.frontend.launch import from_json
from twill.ir.parser import parse_graph
from twill.machine import load
from twill.schedule import files
from twill.simulate import LoadLatency, simulate
from twill.simulate.predict import predict
from twill.simulate.sizes import with_sizes
from twill.simulate.traffic import traffic

FOLDER = Path(__file__).parents[2] / "schedules" / "hopper"


def kernel(name):
    stored = files.read(FOLDER / f"{name}.json")
    return stored.schedule, parse_graph(stored.graph), from_json(stored.launch)


def predicted(name, slower=(), **sizes):
    schedule, graph, launch = kernel(name)
    machine = load("hopper")
    facts = {**machine.facts, **{key: replace(machine.facts[key], value=value) for key, value in slower}}
    launch = with_sizes(launch, {key: str(value) for key, value in sizes.items()})
    return predict(simulate(schedule, LoadLatency(0.0)), graph, launch, replace(machine, facts=facts))


def test_traffic_of_a_matrix_product():
    """4096 x 8192 x 2048 in fp16, tiles 128 x 256 x 64: A is read by each of 32 columns, B by each of 32 rows."""
    _, graph, launch = kernel("matmul_fp16")
    found = traffic(graph, with_sizes(launch, {"M": "4096", "N": "8192", "K": "2048"}))
    a, b, c = (next(each for each in found.tensors if each.name == name) for name in "abc")
    assert found.programs == 32 * 32
    assert set(found.trips) == {32}
    assert found.flop == 2 * 4096 * 8192 * 2048
    assert found.operand == "f16"
    assert (a.own_bytes, a.loaded_bytes, a.times_read) == (4096 * 2048 * 2, 32 * 4096 * 2048 * 2, 32)
    assert (b.own_bytes, b.loaded_bytes, b.times_read) == (2048 * 8192 * 2, 32 * 2048 * 8192 * 2, 32)
    assert (c.own_bytes, c.loaded_bytes, c.stored_bytes) == (4096 * 8192 * 2, 0, 4096 * 8192 * 2)
    bias = next(each for each in found.tensors if each.name == "bias")
    once = a.own_bytes + b.own_bytes + bias.read_once_bytes
    assert found.hbm_bytes(132, once) == once + c.stored_bytes
    # 32 rows are the fast axis. 128 programs at a time are 4 columns: all of A, 4 x 256 columns of B and bias.
    wave = a.own_bytes + 4 * 256 * (2048 * 2 + 4)
    assert found.hbm_bytes(128, once - 1) == 8 * wave + c.stored_bytes


def test_traffic_of_attention():
    """Example: 2 heads of 512 x 128; four programs a head read all of its K and V."""
    _, graph, launch = kernel("attention_d128_fp16")
    found = traffic(graph, launch)
    tensors = {each.name: each for each in found.tensors}
    assert found.flop == 2 * 2 * 2 * 512 * 512 * 128
    assert {name: each.times_read for name, each in tensors.items()} == {"q": 1, "k": 4, "v": 4, "o": 0}
    assert all(each.own_bytes == 2 * 512 * 128 * 2 for each in tensors.values())
    assert found.load_bytes == found.store_bytes == 128 * 128 * 2


def test_heads_of_attention_come_from_memory_as_waves_need_them():
    """32 heads of 64 programs, 132 at a time: 15 of the 16 waves end inside a head, whose K and V come twice."""
    _, graph, launch = kernel("attention_d128_fp16")
    found = traffic(graph, with_sizes(launch, {"M": "8192", "N": "8192", "H": "32"}))
    head = 8192 * 128 * 2
    assert sum(tensor.read_once_bytes for tensor in found.tensors) == 3 * 32 * head > 50 * 2**20
    assert found.hbm_bytes(132, 50 * 2**20) == 32 * head + 2 * (32 + 15) * head + 32 * head
    assert found.hbm_bytes(132, 2**30) == 4 * 32 * head
    # Many more waves than are looked at one by one: an estimate from those, here within a twentieth.
    more = traffic(graph, with_sizes(launch, {"M": "8192", "N": "8192", "H": "330"}))
    waves, split = 160, 150  # boundaries at multiples of 132 that are no multiple of 64
    assert more.programs == 132 * waves
    assert more.hbm_bytes(132, 50 * 2**20) == pytest.approx((2 * 330 + 2 * (330 + split)) * head, rel=0.05)


def test_offsets_that_nobody_knows_before_are_read_anew_by_every_wave():
    """K's rows come from memory: each wave reads as much of it as its programs ask for, at most all."""
    _, graph, launch = kernel("attention_d128_fp16")
    launch = with_sizes(launch, {"M": "8192", "N": "8192", "H": "32"})
    found = traffic(graph, launch)
    unknown = replace(found.footprint, loads=tuple(_hidden(load) for load in found.footprint.loads))
    assert unknown.read_bytes(132)["k"] == 16 * 32 * 8192 * 128 * 2


def _hidden(load):
    return replace(load, op=replace(load.op, operands=(load.op.operands[0], "of_nowhere")))


def test_causal_programs_have_their_own_trips():
    _, graph, launch = kernel("attention_d128_causal_fp16")
    assert sorted(set(traffic(graph, launch).trips)) == [1, 2, 3, 4]


def test_a_large_attention_is_limited_by_the_tensor_core():
    found = predicted("attention_d128_fp16", M=8192, N=8192, H=33)
    assert found.programs == 64 * 33
    assert found.waves == 16
    assert "unit TC" in found.limit
    # 4096 FLOP a cycle and SM: no less than this many cycles on 132 SMs.
    least = found.flop / 4096 / 132 / 1.755e9
    assert least < found.seconds < 1.1 * least
    assert 0.9 < found.share_of_peak < 1
    assert found.tflops == pytest.approx(found.flop / found.seconds / 1e12)
    assert found.peak_tflops == pytest.approx(4096 * 132 * 1.755e9 / 1e12)
    assert found.tflops < found.roofline_tflops


def test_what_limits():
    assert "too few programs: 8 of 132" in predicted("attention_d128_fp16").limit
    assert "the last wave" in predicted("attention_d128_fp16", M=128 * 133, N=8192, H=1).limit
    assert "filling and draining" in predicted("attention_d128_fp16", M=128 * 132, N=128, H=1).limit
    sizes = {"M": 8192, "N": 8192, "H": 33}
    slow_memory = predicted("attention_d128_fp16", [("hbm_bandwidth", 100)], **sizes)
    assert "the bandwidth of device memory" in slow_memory.limit
    assert slow_memory.seconds == pytest.approx(slow_memory.hbm_bytes / 100e9)
    assert "L2" in predicted("attention_d128_fp16", [("tma_bandwidth", 10)], **sizes).limit


def test_programs_share_sms_in_waves():
    one, two = (predicted("attention_d128_fp16", M=128 * n, N=4096, H=1) for n in (132, 133))
    assert (one.waves, two.waves) == (1, 2)
    assert two.seconds == pytest.approx(2 * one.seconds)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"Z": "8"}, "no integer argument `Z`"),
        ({"scale": "8"}, "no integer argument `scale`"),
        ({"M": "many"}, "no positive whole number"),
        ({"M": "0"}, "no positive whole number"),
        ({"M": "1000"}, "no multiple of 128"),
    ],
)
def test_sizes_that_cannot_be_launched(sizes, said):
    with pytest.raises(InputError, match=said):
        with_sizes(kernel("attention_d128_fp16")[2], sizes)


def test_the_json_is_json():
    data = predicted("matmul_fp16").json()
    assert json.loads(json.dumps(data)) == data
    assert data["modelled"] is True
