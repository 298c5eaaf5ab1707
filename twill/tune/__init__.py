"""The tuner: candidates of one kernel compiled, pruned by prediction, timed on the GPU, and kept in a cache on disk.

`sweep.tune` runs a sweep; `best` says which candidate to run, as measured before, else as predicted.
"""

from twill.tune.best import Choice, best

__all__ = ["Choice", "best"]
