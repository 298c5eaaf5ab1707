"""Explanations: what binds a schedule, which rules exclude a shorter interval, and what would have to change.

`explain` and `explain_data` only read the schedule. `below` (a minimal conflict) and `what_ifs` (each
solved) run the solver, which is loaded by the first call.
"""

from twill.explain.facts import explain_data
from twill.explain.text import explain

__all__ = ["explain", "explain_data"]
