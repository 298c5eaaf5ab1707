"""The problem library: every file has its known answer and its source, loads, and gets that answer."""

import pytest

from twill import problems
from twill.comparison import compare
from twill.errors import InputError

QUICK = [name for name in problems.names() if problems.answer(name).seconds <= 5]
LONG = [name for name in problems.names() if name not in QUICK]
OURS = {
    "gemm", "grouped_gemm", "newton_schulz", "layer_norm", "retention", "tensor_memory_ring", "spanning",
    "vector_update", "horner", "mii_missed", "long_life", "late_is_better", "one_group_gemm", "too_few_warps",
}  # fmt: skip


def test_every_file_has_an_answer_and_every_answer_a_file():
    files = {path.stem for path in problems.FOLDER.glob("*.json")} - {"library"}
    assert files == set(problems.names())
    assert files >= OURS


@pytest.mark.parametrize("name", problems.names())
def test_an_entry_says_what_and_why(name):
    problem, known = problems.load(name), problems.answer(name)
    assert problem.name == name
    assert known.status in ("optimal", "infeasible")
    assert (known.status == "optimal") == (known.ii > 0) == (not known.conflict)
    assert len(known.source) > 10
    assert len(known.why) > 10


def known_answer(name, seconds):
    (found,) = compare([name], seconds, lambda message: None, lambda: False)
    assert found.mismatch == ""
    assert found.verdict == "as known"


@pytest.mark.parametrize("name", QUICK)
def test_known_answers(name):
    known_answer(name, 120)


@pytest.mark.slow
@pytest.mark.parametrize("name", LONG)
def test_known_answers_of_kernels(name):
    known_answer(name, 600)


def test_a_wrong_name_gets_the_one_that_was_meant():
    with pytest.raises(InputError, match="no problem 'gem'"):
        problems.load("gem")
