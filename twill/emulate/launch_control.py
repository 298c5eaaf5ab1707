"""Stand-in for `gluon.language.nvidia.blackwell.clc`: cluster launch control.

A running cluster asks to cancel one that has not been launched yet, and does its work. Which one it gets is drawn from
the seed, and so is a failure: the hardware promises neither an order nor that a request succeeds while clusters are
left, so what is not cancelled is launched later.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from twill.emulate import cluster, dtypes, tma, trace
from twill.emulate.constants import unwrap
from twill.emulate.memory import SharedMemory, record_generic
from twill.emulate.report import BarrierMisuse, Place
from twill.emulate.scheduler import active
from twill.emulate.values import Array, Tensor, as_tensor, refuse

__all__ = ["clc_result", "load_result", "try_cancel"]

_CANCELED = np.int64(1) << 62
_UNDEFINED = np.iinfo(np.int32).max  # the ids in a response that cancelled nothing


class Unlaunched:
    """The programs of a launch that no cluster runs yet, and whether the one that runs knows of a failure."""

    def __init__(self, programs: list[tuple[int, ...]], seed: int) -> None:
        self.programs = programs
        self.random = random.Random(seed)
        self.failure: Place | None = None

    def launch(self) -> tuple[int, ...]:
        """The next program that gets a cluster of its own."""
        self.failure = None
        return self.programs.pop(0)

    def steal(self) -> tuple[int, ...] | None:
        if not self.programs or self.random.random() < 0.2:
            return None
        return self.programs.pop(self.random.randrange(len(self.programs)))


@dataclass(frozen=True)
class clc_result:
    """A response in registers."""

    words: Array

    def is_canceled(self) -> Tensor:
        return Tensor(np.bool_(self.words[1] & _CANCELED != 0), dtypes.int1)

    def program_id(self, dim: Any) -> Tensor:
        """The program id of the cancelled cluster; undefined (here out of any bounds) when none was."""
        if not self.words[1] & _CANCELED:
            return as_tensor(_UNDEFINED)
        ids = (self.words[0] & 0xFFFFFFFF, self.words[0] >> 32, self.words[1] & 0xFFFFFFFF)
        return Tensor(np.int32(ids[int(unwrap(dim))]), dtypes.int32)


def try_cancel(result: SharedMemory, barrier: SharedMemory) -> None:
    """Ask for another cluster's work: 16 bytes in `result`, counted on `barrier`; in every CTA, asked by the first."""
    scheduler = active()
    scheduler.pause()
    place = scheduler.place("launch control request")
    waiting: Unlaunched = scheduler.unlaunched
    _check(result)
    if scheduler.current().cta != 0:
        cluster.settle()
        return
    if waiting.failure is not None:
        raise BarrierMisuse(
            f"{place} follows {waiting.failure}, which found that an earlier request had failed; then no other may be "
            "made.",
            hint="Leave the loop at the first response that is not is_canceled().",
            location=place.where,
            places=(waiting.failure, place),
        )
    answer: list[Array] = []

    def respond(_: int) -> Array:
        if not answer:
            stolen = waiting.steal()
            x, y, z = stolen or (0, 0, 0)
            answer.append(np.array([x | y << 32, z | (int(_CANCELED) if stolen else 0)], np.int64))
        return answer[0]

    trace.unsettled(place, result.path, "which thread block it takes over is drawn")
    tma.deliver(place, barrier, result, True, lambda cta: cta, respond)


def load_result(src: SharedMemory) -> clc_result:
    """Read a response."""
    scheduler = active()
    scheduler.pause()
    _check(src)
    place = scheduler.place("load of a launch control response")
    part = src.part()
    record_generic(scheduler, part, place, write=False)
    part.check_valid(place)
    response = clc_result(part.data.copy())
    if not response.is_canceled():
        scheduler.unlaunched.failure = place
    return response


def _check(view: Any) -> None:
    if not isinstance(view, SharedMemory) or view.dtype is not dtypes.int64 or view.shape != [2]:
        refuse(f"{view!r} cannot hold a launch control response (shared memory of int64 [2]).")
