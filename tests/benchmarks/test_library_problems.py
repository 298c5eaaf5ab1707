"""The library's priced problems are what the machine files and the cost model give today."""

import pytest

from benchmarks.library_problems import PROBLEMS
from twill import problems
from twill.schedule.graph_file import problem_json
from twill.schedule.loads import unit_loads


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_file_is_what_its_builder_gives(name):
    assert problem_json(PROBLEMS[name]()) == problem_json(problems.load(name)), (
        "run python -m benchmarks.library_problems"
    )


def busy(name):
    return {load.unit: load.busy_cycles for load in unit_loads(problems.load(name))}


def test_loads_by_hand():
    # 237 + 237 + 948 for tiles of 8, 8 and 32 KiB at 34.6 B a cycle; 2 * 64 x 256 x 64 at 4096 FLOP a cycle
    assert busy("gemm") == {"TMA": 1422, "TC": 1024}
    # 8 * 1024 elements: 7 passes at 128 a cycle and one conversion at 64, twice
    assert busy("layer_norm")["ALU"] == 2 * (128 + 64 + 64 + 128 + 64 + 64 + 64)
    # S, P V, Q state, K^T V in two halves of 64 rows; two groups
    assert busy("retention")["TC"] == 2 * (256 + 128 + 256 + 256)
    # six products of 64 x 128 x 128
    assert busy("newton_schulz")["TC"] == 6 * 512
    assert busy("cooperative_gemm") == busy("one_group_gemm") == {"TMA": 474 + 948, "TC": 1024}
