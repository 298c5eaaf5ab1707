"""Schedulers to compare with: what a compiler does without warp specialization, and without proof.

`list_schedule` does not overlap iterations; `iterative_modulo` overlaps them in one instruction stream.
Both return ordinary Schedules, which the independent checker judges.
"""

from twill.baselines.iterative_modulo import iterative_modulo, one_stream
from twill.baselines.list_scheduling import list_schedule

__all__ = ["iterative_modulo", "list_schedule", "one_stream"]
