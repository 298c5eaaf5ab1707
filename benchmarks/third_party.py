"""Gluon kernels written by others, unchanged, on the emulator.

    python -m benchmarks.third_party FOLDER [--only NAME ...] [--seeds N] [--limit SECONDS] [--output FILE]

FOLDER is a checkout of Triton, or its python/tutorials/gluon and python/examples/gluon. Each file's own tests are
called at the small sizes of `third_party_calls.py`, each with `--seeds` interleavings; the reference is theirs. Of a
file it says: equal to its reference; differs; a defect, with the emulator's report; refused, with the name and line
that the emulator does not know; out of time. The results are written after each file; Ctrl-C keeps them.
"""

from __future__ import annotations

import inspect
import itertools
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks import record
from benchmarks.third_party_calls import CALLS, Calls
from twill import emulate
from twill.emulate.on_cpu import on_cpu
from twill.errors import InputError, TwillError, Unsupported

WORST = ("equal", "skipped", "out of time", "refused", "input", "differs", "defect")


class OutOfTime(BaseException):
    """Not an Exception, so that nothing on its way takes it for the kernel's."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--only", multiple=True, help="Files to run, by name without .py.")
@click.option("--seeds", default=2, show_default=True, type=click.IntRange(1), help="Interleavings of each call.")
@click.option("--limit", default=60.0, show_default=True, help="Seconds for one call.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
def main(folder: Path, only: tuple[str, ...], seeds: int, limit: float, output: Path | None) -> None:
    """Run Triton's Gluon tutorials and examples on the emulator."""
    files = [path for path in gluon_files(folder) if not only or path.stem in only]
    if not files:
        raise click.UsageError(f"{folder} has no Gluon files{' of these names' if only else ''}.")
    console = record.console()
    table = Table(title="Gluon files on the emulator", title_justify="left", box=None)
    for column in ("file", "outcome", "calls equal", "seconds", "what"):
        table.add_column(column, justify="right" if column in ("calls equal", "seconds") else "left", overflow="fold")
    results: dict[str, Any] = {}
    stopped = False
    for path in files:
        try:
            with console.status(path.name):
                result = run_file(path, CALLS.get(path.stem, Calls()), seeds, limit)
        except KeyboardInterrupt:
            stopped = True
            break
        name = str(path.relative_to(folder))
        results[name] = result
        written = record.write("third_party", results, output, {"seeds": seeds, "complete": False})
        equal = sum("equal" in (call["outcome"], call.get("otherwise")) for call in result["calls"])
        counts = f"{equal} of {len(result['calls'])}"
        said = result.get("finding") or result["what"]
        table.add_row(name, result["outcome"], counts, f"{result['seconds']:.1f}", said)
    console.print(table)
    if results:
        written = record.write("third_party", results, output, {"seeds": seeds, "complete": not stopped and not only})
        console.print(f"wrote {os.path.relpath(written)}")
    sys.exit(130 if stopped else 0)


def gluon_files(folder: Path) -> list[Path]:
    """The files of a checkout that define Gluon kernels and tests, or of the folder given."""
    parts = [folder / "python" / kind / "gluon" for kind in ("tutorials", "examples")]
    found = [path for part in (parts if parts[0].is_dir() else [folder]) for path in sorted(part.glob("**/*.py"))]
    return [path for path in found if "gluon" in (text := path.read_text(errors="replace")) and "def test_" in text]


def run_file(path: Path, calls: Calls, seeds: int, limit: float) -> dict[str, Any]:
    """Outcome of a file (the worst of its calls), with each call's."""
    start = time.perf_counter()
    done: list[dict[str, Any]] = []
    try:
        text = path.read_text()
        for line in calls.without:
            text = text.replace(f"\n{line}\n", "\n\n")
        module = emulate.load(path, text=text)
        module.emulator.compiler_fences = True  # as the compilers insert them that these files are written for
        tests = [name for name, value in vars(module).items() if name.startswith("test_") and callable(value)]
    except TwillError as error:
        done.append({"test": "import", "parameters": {}, **judged(error, path)})
        tests = []
    for name in tests:
        sizes = {**calls.sizes.get("", {}), **calls.sizes.get(name, {})}
        chosen = combinations(getattr(module, name), sizes)
        for parameters in spread(chosen, calls.samples):
            for seed in range(seeds):
                answer = call(module, name, parameters, seed, calls.capability, limit)
                shown = {key: getattr(value, "__name__", None) or str(value) for key, value in parameters.items()}
                done.append({"test": name, "seed": seed, "parameters": shown, **answer})
    worst = max((one["outcome"] for one in done), key=WORST.index, default="skipped")
    what = next((one["what"] for one in done if one["outcome"] == worst), "")
    finding = {"finding": calls.finding} if calls.finding else {}
    return {"outcome": worst, "what": what, **finding, "seconds": round(time.perf_counter() - start, 1), "calls": done}


def combinations(test: Any, sizes: dict[str, Any]) -> list[dict[str, Any]]:
    """Every call its parametrize marks make, with `sizes` in place of theirs, without repetitions."""
    accepted = inspect.signature(test).parameters
    axes: list[list[dict[str, Any]]] = []
    for mark in getattr(test, "pytestmark", []):
        if mark.name == "parametrize":
            given = mark.args[0]
            names = [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)
            axes.append([dict(zip(names, value if len(names) > 1 else [value], strict=True)) for value in mark.args[1]])
    result: list[dict[str, Any]] = []
    fixed = {name: value for name, value in sizes.items() if name in accepted}
    for parts in itertools.product(*axes):
        merged = {key: value for part in parts for key, value in part.items()} | fixed
        if merged not in result:
            result.append(merged)
    return result


def spread(items: list[Any], count: int) -> list[Any]:
    """At most `count` of them, from the first to the last."""
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)] if count > 1 else items[:1]


def call(
    module: Any, name: str, parameters: dict[str, Any], seed: int, capability: tuple[int, int], limit: float
) -> dict[str, str]:
    """One call of a file's own test. What only leaves stores in flight is called again with these let through."""
    module.emulator.seed, module.emulator.drains_stores = seed, False
    answer = once(module, name, parameters, capability, limit)
    if answer["outcome"] == "defect" and "TMA store" in answer["what"] and "still in flight" in answer["what"]:
        module.emulator.seed, module.emulator.drains_stores = seed, True
        answer["otherwise"] = once(module, name, parameters, capability, limit)["outcome"]
    return answer


def once(
    module: Any, name: str, parameters: dict[str, Any], capability: tuple[int, int], limit: float
) -> dict[str, str]:
    """The outcome of a call, and what was said."""
    import pytest

    try:
        with on_cpu(capability), _limited(limit):
            getattr(module, name)(**parameters)
    except pytest.skip.Exception as reason:
        return {"outcome": "skipped", "what": str(reason)}
    except OutOfTime:
        return {"outcome": "out of time", "what": f"over {limit:g} s"}
    except TwillError as error:
        return judged(error, Path(module.__file__))
    except AssertionError as error:
        return {"outcome": "differs", "what": " ".join(str(error).split())}
    except Exception as error:  # of the host code: what it would say to any user
        return {"outcome": "input", "what": f"{type(error).__name__}: {error}"}
    return {"outcome": "equal", "what": ""}


def judged(error: TwillError, path: Path) -> dict[str, str]:
    """A report, with the file's name for its path."""
    refused = isinstance(error, Unsupported) or isinstance(error.__cause__, ImportError)
    outcome = "refused" if refused else "input" if isinstance(error, InputError) else "defect"
    return {"outcome": outcome, "what": str(error).replace(f"{path.parent}{os.sep}", "")}


class _limited:
    """Raises OutOfTime in the block after `seconds`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        self.before = signal.signal(signal.SIGALRM, self._end)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.before)

    @staticmethod
    def _end(*_: object) -> Iterator[None]:
        raise OutOfTime


if __name__ == "__main__":
    main()
