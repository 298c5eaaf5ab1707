"""The ladder of checks that need no GPU: meaning, schedule, emulation, machine code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twill.errors import CheckFailed, InputError, TwillError

if TYPE_CHECKING:
    from twill.codegen.machine_code import MachineCode
    from twill.compiler import Compiled
    from twill.frontend.launch import Launch
    from twill.schedule.files import ScheduleFile
    from twill.schedule.schedule import Schedule

Tell = Callable[[str], None]

_SMALLER = "It runs, but slower than predicted: try smaller tiles, or list some in tune=."


@dataclass(frozen=True)
class Check:
    """One rung: what was checked, whether it held, its figure in a sentence, and numbers for machines.

    skipped: the rung could not be climbed and says why in `detail`; it counts as neither.
    hint: what to try when it failed. where: the place to look, of the emitted module where it is empty.
    """

    name: str
    passed: bool
    detail: str
    seconds: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)
    skipped: bool = False
    hint: str = ""
    where: str = ""


def meaning(compiled: Compiled) -> Check:
    """The divided graph, run sequentially on NumPy, equals the kernel's reference in float64."""
    import torch

    from twill.emulate.updates import additions
    from twill.frontend.specialize import example_arguments
    from twill.ir.arithmetic import arithmetic
    from twill.ir.evaluate import run
    from twill.ir.tolerance import differences, magnitude, tolerance, unit_roundoff

    began = time.perf_counter()
    info = compiled.kernel.info
    if info is None or info.reference is None or info.example is None or compiled.launch.grid is None:
        lacks = "grid" if info is not None and info.reference is not None and info.example is not None else "reference"
        return Check("ir", True, f"no {lacks}: the kernel's sequential meaning is the truth", skipped=True)
    arguments = example_arguments(compiled.kernel, compiled.constants, compiled.example)
    try:
        with redirect_stdout(sys.stderr):
            expected = info.reference(**arguments)
    except Exception as error:
        raise InputError(
            f"the reference of `{compiled.kernel.name}` raises {type(error).__name__}: {error}.",
            hint="It is called with every launch argument by name.",
            location=compiled.kernel.location,
        ) from error
    if not isinstance(expected, Mapping):
        raise InputError(
            f"the reference of `{compiled.kernel.name}` returns {type(expected).__name__}, no dict.",
            hint="Return the expected outputs by argument name, in float64.",
            location=compiled.kernel.location,
        )
    added = additions(compiled.graph, arguments, compiled.launch.grid, None)
    found = run(compiled.graph, arguments, compiled.launch.grid, "native")
    worst = 0.0

    def disagree(text: str) -> Check:
        seconds, place = time.perf_counter() - began, str(compiled.kernel.location)
        return Check("ir", False, text, seconds, hint="One of the two is wrong: correct it.", where=place)

    for name, exact in expected.items():
        if name not in found:
            return disagree(f"the kernel does not write `{name}`, which its reference returns")
        try:
            truth = torch.as_tensor(exact).double().numpy()
        except (TypeError, ValueError, RuntimeError):
            raise InputError(
                f"the reference of `{compiled.kernel.name}` returns `{name}` as {type(exact).__name__}, no tensor.",
                hint="Return torch tensors, in float64.",
                location=compiled.kernel.location,
            ) from None
        if found[name].size != truth.size:
            shapes = f"{list(truth.shape)}, the kernel's tensor has {found[name].size} elements"
            raise InputError(
                f"the reference of `{compiled.kernel.name}` returns `{name}` of shape {shapes}.",
                hint="Return each output in the shape of its argument.",
                location=compiled.kernel.location,
            )
        scale = magnitude(truth)
        length, narrow, roundings = arithmetic(compiled.graph, compiled.schedule.problem.trip_count, added)
        dtype = min(narrow, compiled.launch.argument(name).dtype, key=lambda each: -unit_roundoff(each))
        allowed = tolerance(dtype, length, scale, roundings=roundings)
        off = float(differences(found[name].reshape(truth.shape), truth).max(initial=0.0))
        worst = max(worst, off / allowed if allowed else float(off > 0))
        if not off <= allowed:
            text = f"`{name}` differs from the reference by {off:.2e}, more than rounding explains ({allowed:.2e})"
            return disagree(text)
    text = f"sequential meaning equals the float64 reference (largest error {100 * worst:.0f}% of the tolerance)"
    unsaid = [name for name in compiled.launch.outputs if name not in expected]
    text += f"; it says nothing of {', '.join(unsaid)}" if unsaid else ""
    return Check("ir", True, text, time.perf_counter() - began, {"error_over_tolerance": worst})


def schedule_rules(schedule: Schedule) -> Check:
    """The independent checker accepts the schedule."""
    from twill.schedule.checker import check

    began = time.perf_counter()
    broken = check(schedule)
    seconds = time.perf_counter() - began
    if broken:
        return Check("schedule", False, str(broken[0]), seconds)
    count = len(schedule.problem.ops), len(schedule.problem.deps)
    return Check("schedule", True, f"rules 1-6 hold for {count[0]} ops and {count[1]} dependences", seconds)


def emulation(
    module: Path,
    schedule: Path,
    seeds: int,
    tell: Tell,
    trip_counts: Sequence[int] | None = None,
    max_steps: int = 1_000_000,
) -> Check:
    """The emitted source, run adversarially on the CPU, equals float64 at several trip counts."""
    from twill.emulate.verify import verify_file

    began = time.perf_counter()
    numbers = tuple(range(seeds))
    try:
        report = verify_file(
            module, schedule=schedule, seeds=numbers, trip_counts=trip_counts, max_steps=max_steps, progress=tell
        )
    except CheckFailed as error:
        return Check("emulate", False, str(error), time.perf_counter() - began)
    if trip_counts is not None and not set(trip_counts) & set(report.trip_counts):
        raise InputError(
            f"none of the trip counts {', '.join(map(str, trip_counts))} can be reached with other arguments of the "
            "example.",
            hint=f"Possible is, among others, {', '.join(map(str, report.trip_counts))}.",
            location=str(module),
        )
    text = "; ".join((report.summary(), *(report.notes if report.passed else ())))
    return Check("emulate", report.passed, text, time.perf_counter() - began, report.data())


def exploration(
    module: Path, bound: int, trip_counts: Sequence[int] | None, max_runs: int, max_steps: int, tell: Tell
) -> Check:
    """Thread blocks that differ, each alone, under every interleaving of at most `bound` deviations."""
    from twill.emulate.interleavings import explore_file

    report = explore_file(
        module,
        bound,
        schedule=schedule_of(module),
        trip_counts=trip_counts,
        max_runs=max_runs,
        max_steps=max_steps,
        progress=tell,
    )
    return Check("explore", report.passed, report.summary(), report.seconds, report.data())


def machine_code(module: Path, name: str, launch: Launch) -> Check:
    """The emitted source compiles for its target: it fits, nothing spills, wgmma is not serialized."""
    from twill.codegen.machine_code import compile_module
    from twill.frontend.materialize import materialize

    try:
        arguments = materialize(launch, 0)
    except InputError:
        return _no_example("ptxas")
    began = time.perf_counter()
    try:
        code = compile_module(module, name, arguments)
    except CheckFailed as error:
        return Check("ptxas", False, str(error), time.perf_counter() - began)
    return judged(code)


def judged(code: MachineCode) -> Check:
    """The rung of machine code that was compiled already."""
    quotas = f"quotas {'/'.join(map(str, code.role_registers))}" if code.role_registers else "one role"
    workers = [role for role in code.roles if role.live_in_loop]
    live = f" ({'/'.join(str(role.live) for role in workers)} live)" if workers else ""
    text = "; ".join(code.problems) or (
        f"sm_90a on triton {code.triton}: {code.registers} registers at launch, {quotas}{live}, "
        f"0 bytes spilled, {code.stack_bytes} bytes stack, {code.shared_bytes} bytes shared, {code.hgmma} {code.mma}"
    )
    data = {
        "triton": code.triton, "registers": code.registers, "spill_bytes": code.spill_bytes,
        "stack_bytes": code.stack_bytes, "shared_bytes": code.shared_bytes, "hgmma": code.hgmma,
        "serialized": code.serialized, "roles": [asdict(role) for role in code.roles],
    }  # fmt: skip
    return Check("ptxas", not code.problems, text, code.seconds, data, hint=_SMALLER if code.spill_bytes else "")


def verify_generated(
    module: Path,
    seeds: int,
    with_machine_code: bool,
    tell: Tell,
    trip_counts: Sequence[int] | None = None,
    max_steps: int = 1_000_000,
) -> tuple[Check, ...]:
    """The rungs that apply to an emitted module with its schedule file.

    Raises InputError for a file that is no such module, and for a schedule file without kernel or from
    another version.
    """
    from twill.schedule import files

    if not module.is_file():
        raise InputError("there is no such file.", location=str(module))
    if module.suffix != ".py":
        raise InputError(
            "is not a generated module.", hint="Give the .py file that `twill compile` wrote.", location=str(module)
        )
    companion = schedule_of(module)
    stored = files.read(companion)
    launch = _launch(stored, companion)
    tell("checking the schedule")
    checks = [schedule_rules(stored.schedule)]
    tell("running the kernel on the emulator")
    if launch.grid is None:
        checks.append(_no_grid())
    else:
        checks.append(emulation(module, companion, seeds, tell, trip_counts, max_steps))
    if with_machine_code:
        tell("compiling to machine code")
        checks.append(machine_code(module, stored.schedule.problem.name, launch))
    return tuple(checks)


def _launch(stored: ScheduleFile, path: Path) -> Launch:
    """The launch in a schedule file whose graph can be read too. Raises InputError naming the file."""
    from twill.frontend.stored import stored_kernel

    kernel = stored_kernel(stored, str(path))
    if kernel is None:
        raise InputError(
            "holds a schedule without its kernel.",
            hint="Give a module and schedule that `twill compile` wrote.",
            location=str(path),
        )
    return kernel[1]


def schedule_of(module: Path) -> Path:
    """The schedule file of an emitted module: beside it, or in the shipped `schedules` of its architecture.

    Raises InputError when there is none.
    """
    from twill.shipped import found_schedule

    found = found_schedule(module)
    if found is None:
        raise InputError(
            f"its schedule file {module.with_suffix('.json').name} is not beside it, so it cannot be checked.",
            hint="Give a module that `twill compile` wrote, with the schedule it wrote beside it.",
            location=str(module),
        )
    return found


def climb(compiled: Compiled, seeds: int, tell: Tell, written: Sequence[Path] = ()) -> tuple[Check, ...]:
    """Every rung for a freshly compiled kernel; a rung that fails does not stop the others.

    written: its files, as `save` gave them, which failures then name; otherwise they are written for the time it takes.
    """
    import tempfile

    from twill.compiler import save

    checks = []
    tell("checking the meaning")
    checks.append(_guard("ir", lambda: meaning(compiled)))
    checks.append(_guard("schedule", lambda: schedule_rules(compiled.schedule)))
    with tempfile.TemporaryDirectory() as folder:
        module, schedule, *_ = written or save(compiled, Path(folder))
        if compiled.launch.grid is None:
            checks.append(_no_grid())
        else:
            tell("running the kernel on the emulator")
            checks.append(_guard("emulate", lambda: emulation(module, schedule, seeds, tell)))
    checks.append(judged(compiled.code) if compiled.code is not None else _no_example("ptxas"))
    return tuple(checks)


def _no_example(name: str) -> Check:
    return Check(name, True, "no example: shapes and grid are unknown, so nothing was run", skipped=True)


def _no_grid() -> Check:
    text = "no example or no grid: how it is launched is unknown, so it was not run"
    return Check("emulate", True, text, skipped=True)


def _guard(name: str, rung: Callable[[], Check]) -> Check:
    """A rung whose error is a failed check, but for errors in the user's own input."""
    try:
        return rung()
    except InputError:
        raise
    except TwillError as error:
        return Check(name, False, str(error))
