"""Proof that the emulator bites: shipped modules broken in every way of `benchmarks.mutants`, and emulated.

    python -m benchmarks.mutation [NAME ...] [--again] [--twins] [--output FILE]
    python -m benchmarks.mutation [NAME ...] [--kinds KIND ...] [--limit N] [--output FILE]
    python -m benchmarks.mutation --explain

A mutant is run to its first report. Survivors are listed one by one: equivalent, where
`benchmarks.mutation_equivalents` says why, or a hole; holes end the command with exit code 1.
Verdicts that the result file holds on unchanged modules stand unless `--again`; it is written after each module.
Modules that differ from another in the name of the dtype only are left out unless `--twins` asks for them.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from benchmarks import record
from benchmarks.mutants import KINDS, Mutant, mutants
from benchmarks.mutation_equivalents import justified
from benchmarks.mutation_page import cells, counted
from benchmarks.mutation_trial import NAMES, SEEDS, Verdict, paths, trial
from twill.schedule.document import write_text


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME ...]")
@click.option("--kinds", multiple=True, type=click.Choice(KINDS), help="Only mutants of this kind; repeat for several.")
@click.option("--limit", type=click.IntRange(1), help="At most so many mutants, spread evenly over all.")
@click.option("--twins", is_flag=True, help="Also the bf16 modules that are their fp16 twins but for the dtype.")
@click.option("--again", is_flag=True, help="Judge anew what the result file holds on these modules.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
@click.option("--explain", is_flag=True, help="Run nothing: explain survivors anew, name what is missing.")
def main(
    names: tuple[str, ...],
    kinds: tuple[str, ...],
    limit: int | None,
    twins: bool,
    again: bool,
    workers: int,
    output: Path | None,
    explain: bool,
) -> None:
    """Break the shipped modules, or those of these names, on purpose and count what the emulator catches."""
    part = bool(kinds or limit)
    target = output or (Path("mutation.json") if part else record.RESULTS / "mutation.json")
    if explain:
        document = explained(read(target))
        write_text(target, text_of(document))
        sys.exit(reported(document["results"]["mutants"], [], document["provenance"], target))
    names = names or tuple(name for name in NAMES if twins or not is_twin(name))
    todo = [
        (name, number, mutant)
        for name in names
        for number, mutant in enumerate(mutants(paths(name)[0].read_text()))
        if not kinds or mutant.kind in kinds
    ]
    if limit is not None and limit < len(todo):
        todo = [todo[at * len(todo) // limit] for at in range(limit)]
    if not todo:
        raise click.UsageError("these modules have no mutant of these kinds.")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    kept = [] if part or not target.exists() else still_valid(read(target), names if again else ())
    judged = {(row["module"], row["number"]) for row in kept}
    wanted = {*((row["module"], row["number"]) for row in kept), *((name, number) for name, number, _ in todo)}
    todo = [each for each in todo if each[:2] not in judged]
    covered = [name for name in NAMES if name in names or any(row["module"] == name for row in kept)]
    sources = {name: digest(name) for name in covered}

    def write(rows: Sequence[dict[str, Any]], interrupted: bool) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        same = [name for name in covered if digest(name) == sources[name]]  # not compiled anew since the start
        rows = [row for row in [*kept, *rows] if row["module"] in same]
        rows.sort(key=lambda row: (covered.index(row["module"]), row["number"]))
        facts = {
            **coverage(same),
            "sources": {name: sources[name] for name in same},
            "seeds": list(SEEDS),
            "interrupted": interrupted,
            "of": sum(name in same for name, _ in wanted),
        }
        write_text(target, text_of(record.document("mutation", results(rows), facts)))
        return rows, facts

    found, broken, interrupted = run(names, todo, workers, lambda rows: write(rows, True))
    rows, facts = write(found, interrupted)
    sys.exit(reported(rows, broken, facts, target))


def read(path: Path) -> dict[str, Any]:
    """A result file of this benchmark. Raises UsageError."""
    try:
        document = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise click.UsageError(f"cannot read {path}: {error}.") from None
    if not isinstance(document, dict) or document.get("benchmark") != "mutation":
        raise click.UsageError(f"{path} is no result of this benchmark.")
    return document


def text_of(document: Mapping[str, Any]) -> str:
    """The document as JSON, a line for each mutant."""
    found = document["results"]
    lines = ",\n".join(json.dumps(row) for row in found["mutants"])
    whole = json.dumps({**document, "results": {**found, "mutants": []}}, indent=1)
    return whole.replace('"mutants": []', f'"mutants": [\n{lines}\n]') + "\n"


def reported(rows: Sequence[Mapping[str, Any]], broken: Sequence[str], facts: Mapping[str, Any], target: Path) -> int:
    """Print the tables; the exit code."""
    console = record.console()
    console.print(table(rows))
    console.print(survivors(rows))
    holes = [row for row in rows if row["caught_by"] is None and row["equivalent"] is None]
    equivalent = sum(row["equivalent"] is not None for row in rows)
    console.print(
        f"{len(rows)} of {facts['of']} mutants of {len(facts['modules'])} modules: "
        f"{len(rows) - equivalent - len(holes)} caught, {equivalent} equivalent, {len(holes)} holes; "
        f"wrote {os.path.relpath(target)}"
    )
    for failure in broken:
        console.print(f"failed unbroken: {failure}", style="red", markup=False)
    return 130 if facts["interrupted"] else 1 if holes or broken else 0


def is_twin(name: str) -> bool:
    """Whether a bf16 module is the fp16 one but for the name of the dtype."""
    if not name.endswith("_bf16") or f"{name[:-5]}_fp16" not in NAMES:
        return False
    source, twin = (paths(one)[0].read_text() for one in (name, f"{name[:-5]}_fp16"))
    return source.replace("bfloat16", "float16").replace("bf16", "f16") == twin


def twins_of(names: Sequence[str]) -> list[str]:
    """The bf16 modules that are twins of these, and not of them."""
    return [name for name in NAMES if name not in names and is_twin(name) and f"{name[:-5]}_fp16" in names]


def coverage(names: Sequence[str]) -> dict[str, list[str]]:
    """Modules of these names, their twins, and the shipped modules that are neither."""
    twins = twins_of(names)
    missing = [name for name in NAMES if name not in names and name not in twins]
    return {"modules": list(names), "twins": twins, "missing": missing}


def digest(name: str) -> str:
    """Of a module's source, so that results can be told to be of it."""
    return hashlib.sha256(paths(name)[0].read_bytes()).hexdigest()[:16]


def still_valid(document: Mapping[str, Any], without: Container[str] = ()) -> list[dict[str, Any]]:
    """The rows of a result whose modules are as they were, but for those of these names, explained anew."""
    rows = document["results"]["mutants"]
    sources = document["provenance"]["sources"]
    same = {name for name, was in sources.items() if name in NAMES and digest(name) == was and name not in without}
    return _explained([row for row in rows if row["module"] in same])


def explained(document: dict[str, Any]) -> dict[str, Any]:
    """A result file's document with its survivors justified anew.

    Raises UsageError when a module has changed since it was run.
    """
    changed = [name for name, was in document["provenance"]["sources"].items() if digest(name) != was]
    if changed:
        raise click.UsageError(f"{', '.join(changed)} changed since the run: run them again.")
    facts = {**document["provenance"], **coverage(document["provenance"]["modules"])}
    return {**document, "provenance": facts, "results": results(_explained(document["results"]["mutants"]))}


def _explained(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    sources = {name: paths(name)[0].read_text() for name in {row["module"] for row in rows}}
    made = {name: dict(enumerate(mutants(text))) for name, text in sources.items()}
    found = []
    for row in rows:
        mutant = made[row["module"]].get(row["number"])
        if mutant is None or (mutant.line, mutant.kind, mutant.change) != (row["line"], row["kind"], row["change"]):
            raise click.UsageError(f"{row['module']} has other mutants since the run: run it again.")
        why = None
        if row["caught_by"] is None:
            why = justified(row["module"], mutant, sources[row["module"]], not row["unordered"])
        found.append(_kept({**row, "equivalent": why}))
    return found


def run(
    names: Sequence[str],
    todo: Sequence[tuple[str, int, Mutant]],
    workers: int,
    save: Callable[[list[dict[str, Any]]], object] = lambda rows: None,
) -> tuple[list[dict[str, Any]], list[str], bool]:
    """(a row per judged mutant in the order of `todo`, unbroken modules that fail, whether Ctrl-C ended it).

    save: told all rows so far whenever a module is done.
    """
    done: dict[int, Verdict] = {}
    broken: list[str] = []
    interrupted = False
    sources = {name: paths(name)[0].read_text() for name in names}
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with _pool(workers) as pool, Progress(*columns, transient=True) as progress:
        futures: dict[Future[Verdict], int] = {}
        for start, name in enumerate(names):
            futures[pool.submit(trial, name, -1, SEEDS)] = -1 - start
            futures.update(
                {pool.submit(trial, name, number, SEEDS): at for at, (of, number, _) in enumerate(todo) if of == name}
            )
        left = Counter(name for name, _, _ in todo)
        bar = progress.add_task("mutants", total=len(todo))
        try:
            for future in as_completed(futures):
                at, verdict = futures[future], future.result()
                if at >= 0:
                    done[at] = verdict
                    progress.update(bar, advance=1, description=todo[at][0])
                    left[todo[at][0]] -= 1
                    if not left[todo[at][0]]:
                        save([_row(*todo[one], done[one], sources) for one in sorted(done)])
                elif verdict.caught_by is not None:
                    broken.append(f"{names[-1 - at]}: {verdict.report}")
        except KeyboardInterrupt:
            interrupted = True
            for future in futures:
                future.cancel()
    return [_row(*todo[at], done[at], sources) for at in sorted(done)], broken, interrupted


def _pool(workers: int) -> ProcessPoolExecutor:
    """Processes of one thread each: the products are small, and threads of several processes wait for each other."""
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # read where numpy and torch are imported
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_deaf)


def _deaf() -> None:
    """Ctrl-C is for the parent, which then lets the trials in progress end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _row(name: str, number: int, mutant: Mutant, verdict: Verdict, sources: Mapping[str, str]) -> dict[str, Any]:
    why = justified(name, mutant, sources[name], not verdict.unordered) if verdict.caught_by is None else None
    return _kept({
        "module": name, "number": number, "kind": mutant.kind, "line": mutant.line, "change": mutant.change,
        "caught_by": verdict.caught_by, "equivalent": why,
        "role": mutant.role, "statement": mutant.statement, "runs": verdict.runs,
        "ordered": list(verdict.ordered), "unordered": list(verdict.unordered),
    })  # fmt: skip


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    """A row as the result file holds it: of a caught mutant without what is of interest in a survivor."""
    short = ("module", "number", "kind", "line", "change", "caught_by", "equivalent")
    return row if row["caught_by"] is None else {key: row[key] for key in short}


def results(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Counts by kind of mutation, and every mutant."""
    return {"kinds": {kind: dict(counts) for kind, counts in counted(rows).items()}, "mutants": list(rows)}


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row per kind of mutation and their sum."""
    shown = Table(title="Mutants by kind", title_justify="left", box=None, pad_edge=False)
    for column in ("kind", "mutants", "caught", "equivalent", "survived", "caught by"):
        shown.add_column(column, justify="left" if column in ("kind", "caught by") else "right")
    counts = counted(rows)
    total: Counter[str] = sum(counts.values(), Counter())
    for kind, fates in [*counts.items(), ("all", total)]:
        shown.add_row(kind, *cells(fates))
    return shown


def survivors(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row per mutant that nothing caught; holes first."""
    shown = Table(title="Survivors", title_justify="left", box=None, pad_edge=False)
    for column in ("module:line", "kind", "statement", "change", "why it is right"):
        shown.add_column(column, overflow="fold")
    left = [row for row in rows if row["caught_by"] is None]
    for row in sorted(left, key=lambda row: row["equivalent"] is not None):
        place = f"{row['module']}:{row['line']}"
        shown.add_row(place, row["kind"], row["statement"], row["change"], row["equivalent"] or "A HOLE")
    return shown


if __name__ == "__main__":
    main()
