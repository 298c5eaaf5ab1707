"""The four files in problems/ are what the builders make today."""

from benchmarks import attention_problems
from twill.schedule.graph_file import read_problem


def test_files_are_up_to_date():
    """If not: python -m benchmarks.attention_problems."""
    problems = attention_problems.library()
    assert len(problems) == 4
    for problem in problems:
        assert read_problem(attention_problems.ROOT / "problems" / f"{problem.name}.json") == problem
