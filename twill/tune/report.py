"""A sweep and the cache, as tables for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from twill.report import columns, heading, row, show
from twill.tune.best import choice_of
from twill.tune.result import Result, Row, label
from twill.tune.store import Store

_MOST_ROWS = 24
_MOST_FAILED = 8


def save_winner(result: Result, folder: Path) -> tuple[Path, ...]:
    """Write the winner's module and schedule, named as `twill compile` names them; nothing without a winner."""
    if result.winner is None:
        return ()
    choice = choice_of(result.problem.kernel, result.winner.build, result.winner.answer)
    return choice.save(folder, f"{result.problem.kernel}_{result.problem.arch}")


def print_result(result: Result, store: Store, files: Sequence[Path]) -> None:
    """The candidates, best first, what was not compiled, and the winner with what its time is."""
    table = columns("candidate", "measured", "predicted", "II", "status", "why",
                    right=("measured", "predicted", "II"), free=("candidate", "why"))  # fmt: skip
    for each in result.rows[:_MOST_ROWS]:
        row(table, each.name, _time(each.seconds), _time(each.predicted_seconds), each.build["ii"], each.status,
            each.why)  # fmt: skip
    hidden = len(result.rows) - _MOST_ROWS
    parts: list[RenderableType] = [
        Text(f"{result.problem.kernel} on {result.problem.arch}", style="bold"),
        Text(f"Shape class: {result.problem.shape_class}"),
        heading("Candidates"),
        table,
        *([Text(f"and {hidden} more; --json lists all")] if hidden > 0 else []),
    ]
    if result.failed:
        left = columns("not a candidate", "why", free=("not a candidate", "why"))
        for name, why in list(result.failed.items())[:_MOST_FAILED]:
            row(left, name, why)
        hidden = len(result.failed) - _MOST_FAILED
        parts += [heading("Points without a kernel"), left, *([Text(f"and {hidden} more")] if hidden > 0 else [])]
    if result.no_gpu:
        parts += [Text(""), Text(result.no_gpu)]
    parts.append(heading("Winner"))
    parts.append(Text(_winner(result)))
    if len(result.rows) == 1:
        parts.append(Text("It is the only candidate: tune= in @twill.kernel gives tile sizes to choose from."))
    parts += [Text(str(path)) for path in files]
    parts.append(Text(f"Kept in {store.path}."))
    show(*parts)


def _winner(result: Result) -> str:
    winner = result.winner
    if winner is None:
        return "None: every candidate failed."
    seconds = winner.seconds if winner.seconds is not None else winner.predicted_seconds
    return f"{winner.name}: {_time(seconds) or 'no time known'} ({result.label})"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e6:.1f} us"


def result_json(result: Result, store: Store, files: Sequence[Path]) -> dict[str, Any]:
    """The sweep as one JSON object; `winner` is null when every candidate failed."""
    winner = result.winner
    return {
        "status": "interrupted" if result.interrupted else "done",
        "problem": {**asdict(result.problem), "key": result.problem.key},
        "label": result.label,
        "no_gpu": result.no_gpu or None,
        "winner": _row_json(winner) if winner is not None else None,
        "candidates": [_row_json(each) for each in result.rows],
        "without_kernel": dict(result.failed),
        "files": [str(path) for path in files],
        "cache": str(store.path),
    }


def _row_json(each: Row) -> dict[str, Any]:
    return {
        "candidate": each.candidate,
        "tile": dict(each.tile),
        "subtiles": each.subtiles,
        "place": each.build["place"],
        "differs": list(each.build["differs"]),
        "ii": each.build["ii"],
        "claim": each.build["status"],
        "status": each.status,
        "why": each.why,
        "seconds": each.seconds,
        "predicted_seconds": each.predicted_seconds,
        "label": label(each.answer),
        "timing": dict(each.answer) if each.answer is not None else None,
    }


def listing(store: Store) -> list[dict[str, Any]]:
    """What the cache holds: each problem with its candidates, measured ones first."""
    found = []
    for key, about in store.problems().items():
        times = store.times(key)
        candidates = []
        for point, build in store.builds(key).items():
            if build["status"] != "ok":
                candidates.append({"point": point, "status": build["status"], "why": build["why"]})
                continue
            for each in build["candidates"]:
                entry = {
                    "point": point, "candidate": each["candidate"], "place": each["place"], "ii": each["ii"],
                    "predicted_seconds": each["predicted_seconds"],
                }  # fmt: skip
                answers = {device: answer for (name, device), answer in times.items() if name == each["candidate"]}
                for device, answer in answers.items():
                    status = "measured" if answer["status"] == "ok" else answer["status"]
                    candidates.append(
                        {**entry, "status": status, "device": device, "seconds": answer.get("seconds"),
                         "why": answer.get("why", ""), "date": answer["date"], "label": label(answer)}
                    )  # fmt: skip
                if not answers:
                    candidates.append({**entry, "status": "predicted", "seconds": None, "label": label(None)})
        candidates.sort(key=_listed_rank)
        found.append({"key": key, **about, "candidates": candidates})
    return found


def _listed_rank(entry: dict[str, Any]) -> tuple[int, float]:
    order = {"measured": 0, "predicted": 1}.get(entry["status"], 2)
    seconds = entry.get("seconds") or entry.get("predicted_seconds")
    return order, float("inf") if seconds is None else seconds


def print_listing(store: Store) -> None:
    """The cache as tables, a problem each."""
    problems = listing(store)
    parts: list[RenderableType] = []
    for problem in problems:
        words = " ".join(f"{name} {version}" for name, version in problem["versions"].items())
        parts += [
            heading(f"{problem['kernel']} on {problem['arch']}"),
            Text(f"Shape class: {problem['shape_class']}"),
            Text(f"Source {problem['source_sha256'][:12]}; {words}; first tuned {problem['date'][:16]}"),
        ]
        table = columns("candidate", "measured", "predicted", "status", "on or why", right=("measured", "predicted"),
                        free=("candidate", "on or why"))  # fmt: skip
        for each in problem["candidates"][:_MOST_ROWS]:
            place = f", schedule {each['place']}" if each.get("place", 1) > 1 else ""
            row(table, f"{each['point']}{place}", _time(each.get("seconds")), _time(each.get("predicted_seconds")),
                each["status"], each.get("why") or each.get("device", ""))  # fmt: skip
        parts.append(table)
    if not problems:
        parts.append(Text("Nothing was tuned yet."))
    show(*parts, Text(f"\n{store.path}"))
