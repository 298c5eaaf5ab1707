"""Stand-in for `gluon.language.nvidia.hopper.cluster`: barriers of all threads of a cluster."""

from __future__ import annotations

from typing import Any

from twill.emulate import cluster
from twill.emulate.constants import unwrap

__all__ = ["arrive", "barrier", "wait"]


def barrier(relaxed: Any = False) -> None:
    """Go on when all threads of the cluster are here; what they did before is visible, unless relaxed."""
    here = cluster.current()
    if here is not None:
        here.meet("cluster barrier", bool(unwrap(relaxed)))


def arrive(relaxed: Any = False) -> None:
    """Arrive at the barrier of the cluster."""
    here = cluster.current()
    if here is not None:
        here.scheduler.pause()
        here.arrive("cluster barrier", bool(unwrap(relaxed)))


def wait() -> None:
    """Wait for all threads of the cluster to have arrived."""
    here = cluster.current()
    if here is not None:
        here.wait()
