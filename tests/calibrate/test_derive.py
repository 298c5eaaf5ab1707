"""Facts from readings: the arithmetic, and what is refused."""

from dataclasses import replace

import pytest

from tests.calibrate.readings import DEVICE, plausible
from twill.calibrate.derive import BOUNDS, derive, line
from twill.calibrate.names import NAMES
from twill.calibrate.reading import Reading
from twill.machine import load


def facts(readings):
    return {finding.name: finding for finding in derive(readings, DEVICE)}


def test_the_made_up_readings_are_of_every_probe():
    assert sorted(plausible()) == sorted(NAMES)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sm_count", 132),
        ("clock_mhz", 1707),  # 1024 cycles in 600 ns
        ("float_rate", 128),
        ("half_rate", 256),  # two results an instruction
        ("narrow_rate", 128),
        ("mufu_rate", 16),
        ("alu_latency", 4),
        ("mufu_latency", 30),
        ("named_barrier", 25),
        ("mma_16bit", 4096),
        ("mma_8bit", 8192),
        ("mma_tf32", 2048),
        ("mma_issue", 30),
        ("mma_pipeline", 70),  # completion less N K / 32 cycles of arithmetic
        ("tma_issue", 40),
        ("tma_latency", 600),
        ("tma_bandwidth", 32),  # 16 KiB in 512 cycles
        ("tma_store_latency", 150),
        ("tma_store_per_kib", 10),
        ("signal_hop", 80),  # half a round trip
        ("value_hop", 100),
        ("value_hop_per_kib", 18),
        ("tile_drain", 15),
    ],
)
def test_a_fact_is_what_its_readings_say(name, value):
    finding = facts(plausible())[name]
    assert finding.problem == ""
    assert finding.value == value


def test_a_number_that_cannot_be_is_refused_with_the_reason():
    readings = plausible()
    readings["mufu_rate"] = Reading(16384 / 32)
    finding = facts(readings)["mufu_rate"]
    assert finding.value == 32
    assert finding.problem.startswith("32 results/cycle/SM is not between 14 and 17: 16 a cycle")


def test_what_rests_on_a_refused_number_is_refused_too():
    readings = plausible()
    readings["wgmma_rate_16bit"] = Reading(100, ns=60.0)
    found = facts(readings)
    assert "not between" in found["mma_16bit"].problem
    assert found["mma_pipeline"].value is None
    assert found["mma_pipeline"].problem == "it needs `mma_16bit`, which has no plausible value"


def test_a_noisy_reading_is_not_used():
    readings = plausible()
    readings["signal_hop"] = replace(readings["signal_hop"], spread=0.5)
    assert facts(readings)["signal_hop"].problem == "`signal_hop` is noisy: its repeats differ by 50% (at most 20%)"


def test_a_probe_that_failed_takes_only_its_facts_along():
    readings = plausible()
    del readings["tma_store_8k"]
    refused = {name for name, finding in facts(readings).items() if finding.problem}
    assert refused == {"tma_store_latency", "tma_store_per_kib"}


def test_a_probe_that_took_no_time_is_no_infinite_rate():
    readings = plausible()
    readings["tma_stream"] = Reading(0)
    assert facts(readings)["tma_bandwidth"].problem == "`tma_stream` took no time: 0"


def test_a_line_through_points_on_it():
    assert line([1, 2, 4], [13, 23, 43]) == pytest.approx((3, 10))


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_hold_what_the_machine_file_says(name):
    value = load("hopper").number(name)
    assert BOUNDS[name].low <= value <= BOUNDS[name].high
    assert BOUNDS[name].reason
