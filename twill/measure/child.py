"""The process that times one kernel on this machine's GPU: `python -m twill.measure.child REQUEST.json MEASURED.json`.

REQUEST: schedule (path), example (options), iterations, samples. It compiles the timed twin, runs the kernel and the
twin on the same arguments, and writes the measurement.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

from twill import __version__
from twill.codegen.gluon import emit
from twill.codegen.imported import imported
from twill.errors import CheckFailed
from twill.measure.arguments import launch_arguments
from twill.measure.measurement import Measurement, Sample, decode, write
from twill.measure.predicted import fingerprint
from twill.measure.timer import CudaTimer
from twill.measure.twin import clean_twin, plan_of
from twill.schedule import files

_REPEATS = 20


def measure(request: Mapping[str, Any]) -> Measurement:
    """The measurement of one kernel. Raises CheckFailed when the twin's results differ from the kernel's."""
    import torch

    path = Path(request["schedule"])
    stored = files.read(path)
    whole, _ = plan_of(stored, str(path))
    arguments = launch_arguments(stored, path, request["example"], "cpu")
    timed = clean_twin(
        stored, arguments, iterations=request["iterations"], samples=request["samples"], location=str(path),
        tell=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    arguments = {name: value.cuda() if hasattr(value, "cuda") else value for name, value in arguments.items()}
    outputs = whole.launch.outputs
    with tempfile.TemporaryDirectory() as folder:
        plain = getattr(_imported(Path(folder, "plain.py"), emit(whole)), whole.name)
        twin = getattr(_imported(Path(folder, "timed.py"), timed.source), whole.name)
        plain(**arguments)
        torch.cuda.synchronize()
        expected = {name: arguments[name].clone() for name in outputs}
        records = twin(**arguments)
        torch.cuda.synchronize()
        differing = _differing(whole.name, expected, arguments)
        timer = CudaTimer()
        seconds = median(timer.samples(lambda: plain(**arguments), _REPEATS))
        timed_seconds = median(timer.samples(lambda: twin(**arguments, twill_records=records), _REPEATS))
        records.zero_()
        twin(**arguments, twill_records=records)  # warm: this launch is the one that counts
        torch.cuda.synchronize()
        words = records.cpu().tolist()
    grid = _grid(whole.launch, arguments)
    every = max(1, grid[0] * grid[1] * grid[2] // timed.stamps.samples)
    samples = decode(words, timed.stamps, every)
    sizes = {
        spec.name: arguments[spec.name] for spec in whole.launch.arguments if spec.kind == "scalar"
        and isinstance(arguments[spec.name], int)
    }  # fmt: skip
    about = {
        **_machine(), "sizes": sizes, "grid": list(grid), "details": dict(timed.details),
        "clocks": {"MHz while measured": _clock(samples)}, "seconds": seconds, "timed_seconds": timed_seconds,
    }  # fmt: skip
    notes = [*timed.notes, *differing]
    if timed_seconds > 1.05 * seconds:
        share = timed_seconds / seconds - 1
        notes.append(f"Keeping the times makes the kernel {share:.0%} slower: read the cycles with that in mind.")
    name = stored.schedule.problem.name
    return Measurement(
        name, fingerprint(stored.schedule), "measured", timed.stamps.probes, samples, about, tuple(notes)
    )


def _imported(path: Path, source: str) -> ModuleType:
    path.write_text(source)
    return imported(path)


def _differing(kernel: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """What to say of outputs of the twin that differ in their last bits: code around clock reads may round otherwise.

    Raises CheckFailed when one differs by more, or is not a number where the kernel's is.
    """
    import torch

    notes = []
    for name, exact in expected.items():
        if torch.equal(found[name], exact):
            continue
        error = (found[name].double() - exact.double()).abs().max()
        allowed = 4 * torch.finfo(exact.dtype).eps * exact.double().abs().max()
        if not bool(error <= allowed):
            raise CheckFailed(f"the timed twin of `{kernel}` computes another `{name}` than the kernel itself.")
        notes.append(f"The twin's `{name}` differs from the kernel's by up to {float(error):.2g}: another rounding.")
    return notes


def _grid(launch: Any, arguments: Mapping[str, Any]) -> tuple[int, int, int]:
    changed = launch.with_values(
        {spec.name: arguments[spec.name] for spec in launch.arguments if spec.kind == "scalar"}
    )
    return changed.grid or (1, 1, 1)


def _clock(samples: tuple[Sample, ...]) -> float | None:
    """MHz of the SM clock while the sampled roles ran: cycles over nanoseconds."""
    rates = [
        1e3 * (times.end_cycles - times.begin_cycles) / (times.end_ns - times.begin_ns)
        for sample in samples
        for times in sample.roles.values()
        if times.end_ns > times.begin_ns
    ]
    return round(median(rates), 1) if rates else None


def _machine() -> dict[str, Any]:
    import torch
    import triton

    from twill.calibrate.child import driver

    version, limit = driver()
    return {
        "device": torch.cuda.get_device_name(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "twill": __version__, "torch": torch.__version__, "triton": triton.__version__, "driver": version,
        },
        "clock_limit_mhz": limit,
        "commit": _commit(),
    }  # fmt: skip


def _commit() -> str | None:
    """The commit of the checkout that Twill runs from, None outside of one."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def main(request: str, target: str) -> None:
    """Do what the request asks for."""
    write(target, measure(json.loads(Path(request).read_text())))


if __name__ == "__main__":
    main(*sys.argv[1:3])
