"""The family of problems one kernel gives: its tile sizes and numbers of sub-tiles, bounded first, then solved.

Candidates are compared by the SM cycles that the whole launch takes (`Work`): a unit of work that is
the same whatever the tiles are.
"""

from twill.candidates.candidate import Candidate
from twill.candidates.choice import search
from twill.candidates.space import SUBTILES, Request, enumerate_candidates
from twill.candidates.work import Work, work_of

__all__ = ["SUBTILES", "Candidate", "Request", "Work", "enumerate_candidates", "search", "work_of"]
