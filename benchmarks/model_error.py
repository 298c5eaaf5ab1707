"""How far the model is off: each shipped schedule's predicted interval, launch time and ops beside what was measured.

    python -m benchmarks.model_error [--measured FOLDER] [--output FILE]

FOLDER holds `NAME.measured.json`, as `twill timeline` and `make gpu` write them (benchmarks/results/timelines by
default), measured with the schedules that ship. Without any, it says so and writes nothing: exit code 2. A measurement
of another schedule than the one that ships is left out, by name. Exit code 0 when all measurements were compared,
1 when some could not be.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import record
from twill.errors import TwillError
from twill.measure.comparison import Comparison, compare
from twill.measure.measurement import Measurement, read
from twill.measure.predicted import expected_of
from twill.schedule import files
from twill.shipped import VARIANTS, Variant, schedule_path
from twill.simulate.subject import subject

TIMELINES = record.RESULTS / "timelines"
NOTHING_MEASURED = 2


def compared(variant: Variant, measured: Measurement, location: str) -> dict[str, Any]:
    """Errors of one kernel, as data. Raises TwillError when it cannot be compared."""
    stored = files.read(schedule_path(variant))
    found = compare(stored.schedule, measured, expected_of(stored, measured, location))
    return {**found.json(), **_launch(stored, measured), "summary": summary(found), "about": dict(measured.about)}


def summary(found: Comparison) -> dict[str, float]:
    """The share by which the interval is off, and medians over the ops of the absolute errors, in cycles."""
    shares = {"ii": found.ii.error / found.ii.predicted if found.ii.predicted else 0.0}
    for name in ("offset", "occupancy", "latency"):
        errors = [abs(figure.error) for op in found.ops if (figure := getattr(op, name)) is not None]
        if errors:
            shares[f"median_{name}_cycles"] = median(errors)
    return {name: round(value, 4) for name, value in shares.items()}


def _launch(stored: files.ScheduleFile, measured: Measurement) -> dict[str, Any]:
    """Predicted and measured seconds of the launch that was timed; {} where it was not."""
    seconds = measured.about.get("seconds")
    if seconds is None:
        return {}
    sizes = {name: str(value) for name, value in dict(measured.about.get("sizes", {})).items()}
    about = subject(stored, sizes)
    prediction = about.predict(about.simulate())
    if prediction is None:
        return {}
    expected = prediction.seconds
    return {"launch": {"measured_seconds": seconds, "predicted_seconds": expected, "error": seconds / expected - 1}}


def main(arguments: list[str] | None = None) -> int:
    """Compare all measurements and write the result file; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.model_error", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--measured", type=Path, default=TIMELINES, help="folder of the measurements")
    parser.add_argument("--output", type=Path, help="the result file")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = {}
    failures: dict[str, str] = {}
    for variant in VARIANTS:
        path = options.measured / f"{variant.name}.measured.json"
        if not path.is_file():
            continue
        try:
            results[variant.name] = compared(variant, read(path), str(path))
        except TwillError as error:
            failures[variant.name] = str(error)
            print(f"{variant.name}: {error}", file=sys.stderr)
    if not results and not failures:
        print(
            f"Nothing was measured: {os.path.relpath(options.measured)} holds no timeline of a shipped kernel."
            " On a machine with a Hopper GPU,"
            " `make gpu` measures them all; `twill timeline SCHEDULE.json --measured FILE.json` measures one."
            " Until then the model is checked against nothing, and no error of it is claimed.",
            file=sys.stderr,
        )
        return NOTHING_MEASURED
    print(
        f"{'kernel':32} {'II':>8} {'predicted':>9} {'error':>7} {'launch':>8}"
        "  median error of starts, durations, latencies"
    )
    for name, result in results.items():
        print(_line(name, result))
    target = record.write("model_error", {"kernels": results, "failures": failures}, options.output)
    print(f"wrote {os.path.relpath(target)}")
    return 1 if failures else 0


def _line(name: str, result: dict[str, Any]) -> str:
    ii, launch, short = result["ii"], result.get("launch"), result["summary"]
    parts = [
        f"{short[key]:.0f}" if (key := f"median_{each}_cycles") in short else "-"
        for each in ("offset", "occupancy", "latency")
    ]
    share = f"{launch['error']:+.1%}" if launch else "-"
    return f"{name:32} {ii['measured']:8.0f} {ii['predicted']:9.0f} {short['ii']:+7.1%} {share:>8}  {', '.join(parts)}"


if __name__ == "__main__":
    sys.exit(main())
