"""One launch of a module on one case, and what its outputs differ from float64 by.

An output is filled with NaN before the launch, so that an element the kernel forgets, or writes where it
should not, is seen like a wrong one.
"""

from __future__ import annotations

import contextlib
import copy
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from twill.emulate.cases import Case
from twill.emulate.guided import Guided
from twill.emulate.host import Autotuned
from twill.emulate.launch import JitFunction
from twill.emulate.load import EmulatedModule, load
from twill.emulate.memory import torch_array
from twill.emulate.report import EmulationError
from twill.errors import InputError, Location, TwillError
from twill.ir.tolerance import differences


class WrongResult(EmulationError):
    """An output differs from float64 by more than rounding explains: by `error`, with `allowed` allowed."""

    kind: ClassVar[str] = "result"
    error = float("inf")
    allowed = 0.0


@dataclass(frozen=True)
class Run:
    """One launch under one seed. max_error and tolerance are of the output nearest its tolerance; trip_count
    is that of the longest program (None when not known); failure is what went wrong, if anything."""

    case: str
    seed: int
    trip_count: int | None
    max_error: float
    tolerance: float
    programs: int
    steps: int
    seconds: float
    failure: EmulationError | None = None
    interleaving: str = ""  # how `replay` names it; empty: by its seed
    ordered: bool = False  # by its barriers, so that it answers for every interleaving (see `ordering`)

    @property
    def replay(self) -> str:
        """What `twill verify FILE --replay` takes to run exactly this again."""
        name = self.interleaving or str(self.seed)
        return name if self.trip_count is None else f"{name}@{self.trip_count}"


def loaded(
    path: Path, entry: str, text: str | None = None, max_steps: int = 1_000_000, fenced_init: bool | None = None
) -> tuple[EmulatedModule, Callable[..., Any]]:
    """The module at `path` and its launcher `entry`. Raises InputError when it has none.

    fenced_init: ask for a proxy fence between the set-up of a barrier and the first TMA load that completes on it,
    as PTX does; None: of modules that Twill wrote. Triton itself inserts none, and kernels of others run without.
    """
    with contextlib.redirect_stdout(sys.stderr):  # what the module prints is no part of a report
        module = load(path, text=text, max_steps=max_steps)
    module.emulator.fenced_init = "written by Twill" in (module.__doc__ or "") if fenced_init is None else fenced_init
    launcher = module.__dict__.get(entry)
    if isinstance(launcher, (JitFunction, Autotuned)):
        raise InputError(
            f"{entry} is a kernel here; a module that `twill compile` wrote has a launcher of that name.",
            hint="To verify a kernel of your own, compile it with twill and verify the module that this writes.",
            location=str(path),
        )
    if not callable(launcher):
        raise InputError(
            f"the module has no launcher {entry}.",
            hint="Its schedule file is of a kernel of that name; give the module that `twill compile` wrote with it.",
            location=str(path),
        )
    return module, launcher


def run_case(
    module: EmulatedModule, launcher: Callable[..., Any], case: Case, seed: int, guided: Guided | None = None
) -> Run:
    """One launch, on fresh copies of what it writes; `guided` chooses its interleaving in place of the seed."""
    emulator = module.emulator
    emulator.seed = seed
    if guided is not None:
        emulator.adversary = guided
    emulator.programs = case.programs
    arguments = {**case.arguments, **_fresh({name: case.arguments[name] for name in case.outputs})}
    for name, expected in case.outputs.items():
        if expected.fill:
            torch_array(arguments[name])[...] = np.nan
    steps, blocks = emulator.statistics.steps, emulator.statistics.programs
    began = time.perf_counter()
    failure: EmulationError | None = None
    error, allowed = float("inf"), 0.0
    try:
        launcher(**arguments)
        error, allowed = _compare(case, arguments, str(module.__file__))
    except WrongResult as wrong:
        failure, error, allowed = wrong, wrong.error, wrong.allowed
    except EmulationError as hazard:
        failure = hazard
    except TwillError:
        raise
    except Exception as problem:
        raise InputError(
            f"the launcher raises {type(problem).__name__}: {problem}.", location=str(module.__file__)
        ) from problem
    return Run(
        case.name,
        seed,
        case.trip_count,
        error,
        allowed,
        emulator.statistics.programs - blocks,
        emulator.statistics.steps - steps,
        time.perf_counter() - began,
        failure,
        str(guided.path) if guided is not None else "",
    )


def _compare(case: Case, arguments: Mapping[str, Any], file: str) -> tuple[float, float]:
    """(error, tolerance) of the output that comes nearest its tolerance. Raises WrongResult."""
    nearest = (0.0, 0.0)
    for name, truth in case.outputs.items():
        written = torch_array(arguments[name])
        result, expected = written.ravel(), truth.values.ravel()
        told = np.arange(0)
        if truth.fill:  # where both are NaN nothing was written, and nothing should have been
            told = np.flatnonzero(~(np.isnan(result) & truth.blank))
            result, expected = result[told], expected[told]
        difference = differences(result, expected)
        error, allowed = float(difference.max(initial=0.0)), truth.tolerance
        if error > allowed:
            first = int(difference.argmax())
            at = np.unravel_index(int(told[first]) if truth.fill else first, written.shape)
            count = int((difference > allowed).sum())
            wrong = WrongResult(
                f"{case.name}: {name}{[int(i) for i in at]} is {result[first]:.6g}, float64 says "
                f"{expected[first]:.6g}; {count} of {written.size} elements differ by more than {allowed:.2e}.",
                hint="NaN stands for an element that was not written, or came from poison.",
                location=Location(file),
                buffer=name,
            )
            wrong.error, wrong.allowed = error, allowed
            raise wrong
        if allowed and (nearest[1] == 0.0 or error / allowed > nearest[0] / nearest[1]):
            nearest = (error, allowed)
    return nearest


def _fresh(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors and host descriptors with a storage of their own; those that share one go on sharing."""
    storages: dict[int, Any] = {}

    def copied(tensor: Any) -> Any:
        import torch

        old = tensor.untyped_storage()
        new = storages.setdefault(old.data_ptr(), old.clone())
        return torch.empty(0, dtype=tensor.dtype).set_(new, tensor.storage_offset(), tensor.size(), tensor.stride())

    result = {}
    for name, value in arguments.items():
        if hasattr(value, "untyped_storage"):
            value = copied(value)
        elif hasattr(value, "base") and hasattr(value, "block_shape"):  # a host tensor descriptor
            value = copy.copy(value)
            value.base = copied(value.base)
        result[name] = value
    return result
