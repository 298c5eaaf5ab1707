"""How long the joint model and the paper's formulation take on the same problems, and how good their answers are.

    python -m benchmarks.solve_time [--runs N] [--time-limit SECONDS] [--problems NAME ...]
                                    [--output FILE] [--plot FILE]

Both run in one process, on one core each, on the graph files in problems/. Ours works in real cycles and
proves its interval; the paper's (`twill.paper`, Z3) works in normalized ones, and its answer is
translated back to real cycles. A peer that does not finish within its limit makes the ratio a lower
bound. Ctrl-C keeps what was measured.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from benchmarks import record
from benchmarks.solve_pair import Pair, Side, measure
from twill import paper
from twill.interrupt import ctrl_c_stops
from twill.schedule.document import write_text
from twill.schedule.graph_file import read_problem
from twill.schedule.problem import Limits, Op, Problem
from twill.solve import solve

ATTENTION = (
    "hopper_attention_forward", "blackwell_attention_forward", "hopper_attention_backward",
    "blackwell_attention_backward",
)  # fmt: skip
PROBLEMS = (*ATTENTION, "gemm", "grouped_gemm", "newton_schulz", "layer_norm", "retention")
TARGET_RATIO = 20.0  # times faster than the peer, in the median


def target_seconds(name: str) -> float | None:
    """Seconds in which ours is to prove an attention problem; None for the others."""
    if name not in ATTENTION:
        return None
    return 20.0 if name.endswith("backward") else 5.0


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--runs", default=5, show_default=True, type=click.IntRange(1), help="Repetitions of ours.")
@click.option(
    "--time-limit", default=300.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds for each side."
)
@click.option("--problems", multiple=True, type=click.Choice(PROBLEMS), help="Only this one; repeat for several.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="The result file.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="The plot, as SVG.")
def main(runs: int, time_limit: float, problems: tuple[str, ...], output: Path | None, plot: Path | None) -> None:
    """Time both formulations on the problems of the library."""
    console = record.console()
    pairs: list[Pair] = []
    with ctrl_c_stops() as stop:
        warm_up()
        for name in problems or PROBLEMS:
            if stop():
                break
            problem = read_problem(record.ROOT / "problems" / f"{name}.json")
            with console.status(f"{name}: {len(problem.ops)} ops"):
                pair = measure(name, problem, runs, time_limit, stop)
            if pair is not None:
                pairs.append(pair)
                console.print(f"{name}: {sentence(pair)}", highlight=False)
        stopped = stop()
    if not pairs:
        raise click.ClickException("stopped before a problem was measured; nothing is written")
    console.print(table(pairs))
    for line in targets(pairs):
        console.print(line, highlight=False)
    facts = {
        "runs": runs, "time_limit_seconds": time_limit, "z3-solver": metadata.version("z3-solver"),
        "complete": not stopped and len(pairs) == len(PROBLEMS),
    }  # fmt: skip
    written = record.write("solve_time", results(pairs), output, facts)
    drawn = plot or record.RESULTS / "solve_time.svg"
    write_text(drawn, picture(pairs, time_limit))
    console.print(f"wrote {os.path.relpath(written)} and {os.path.relpath(drawn)}")


def warm_up() -> None:
    """Load both solvers, so that the first measurement does not."""
    problem = Problem("warm-up", Limits({"A": 1}), (Op("a", "A", 1),), ())
    solve(problem)
    paper.solve(problem)


def results(pairs: Sequence[Pair]) -> dict[str, Any]:
    """What goes into the result file."""
    middle, bound = median_ratio(pairs)
    return {
        "problems": {pair.name: pair.json() for pair in pairs},
        "median_ratio": middle,
        "median_ratio_is_lower_bound": bound,
        "targets": targets(pairs),
    }


def median_ratio(pairs: Sequence[Pair]) -> tuple[float | None, bool]:
    """The median of the ratios, and whether some of them, and so it, are lower bounds."""
    known = [pair for pair in pairs if pair.ratio is not None]
    if not known:
        return None, False
    ratios = [pair.ratio for pair in known if pair.ratio is not None]
    return statistics.median(ratios), any(not pair.peer.finished for pair in known)


def targets(pairs: Sequence[Pair]) -> list[str]:
    """The targets, each with what was measured and whether it is met."""
    lines = []
    for pair in pairs:
        limit = target_seconds(pair.name)
        if limit is not None:
            met = pair.ours.status == "optimal" and pair.ours.median <= limit
            lines.append(f"{_met(met)}: {pair.name} proved in at most {limit:g} s: {_claim(pair.ours)}")
    middle, bound = median_ratio(pairs)
    measured = "not measured" if middle is None else f"{'at least ' if bound else ''}{middle:.1f}"
    met = middle is not None and middle >= TARGET_RATIO
    proved = sum(pair.ratio is not None for pair in pairs)
    over = f"over the {proved} of {len(pairs)} problems that ours proves"
    lines.append(f"{_met(met)}: at least {TARGET_RATIO:g} times faster in the median: {measured}, {over}")
    worse = [pair.name for pair in pairs if pair.never_worse is False]
    compared = sum(pair.never_worse is not None for pair in pairs)
    which = f"worse on {', '.join(worse)}" if worse else f"{compared} of {len(pairs)} compared"
    lines.append(f"{_met(not worse and compared > 0)}: II never worse in real cycles: {which}")
    return lines


def _met(met: bool) -> str:
    return "met" if met else "NOT MET"


def _claim(side: Side) -> str:
    return f"{side.status}, {side.median:.2f} s ({min(side.seconds):.2f} to {max(side.seconds):.2f})"


def sentence(pair: Pair) -> str:
    """One problem in a line, for who watches."""
    return f"ours {_claim(pair.ours)}; the paper's {pair.peer.status}, {pair.peer.median:.1f} s"


def table(pairs: Sequence[Pair]) -> Table:
    """A row a problem. `rounded`: our model on the paper's costs; what it is longer by is normalization's price."""
    shown = Table(title="Seconds (medians) and intervals (real cycles)", title_justify="left", box=None, pad_edge=False)
    names = (
        "problem", "ops", "ours s", "spread", "with tiers s", "paper s", "ratio", "ours II", "paper II",
        "rounded II", "",
    )  # fmt: skip
    for column in names:
        shown.add_column(column, justify="left" if column in ("problem", "") else "right", no_wrap=column != "")
    for pair in pairs:
        ours, peer = pair.ours, pair.peer
        ratio = "-" if pair.ratio is None else f"{'' if peer.finished else '≥ '}{pair.ratio:.1f}"
        shown.add_row(
            pair.name, str(pair.ops), f"{ours.median:.2f}", f"{min(ours.seconds):.2f} to {max(ours.seconds):.2f}",
            f"{pair.tiers.median:.2f}", f"{'' if peer.finished else '> '}{peer.median:.1f}", ratio,
            f"{ours.ii_cycles or '-'}{'' if ours.status == 'optimal' else ' (' + ours.status + ')'}",
            str(peer.ii_cycles or "-"), str(pair.rounded_cycles or "-"),
            "; ".join(dict.fromkeys(f"breaks {violation.partition(':')[0]}" for violation in peer.violations)),
        )  # fmt: skip
    return shown


def picture(pairs: Sequence[Pair], time_limit: float) -> str:
    """Both sides' seconds on a log scale, a line a problem, as SVG; hollow where it was cut short."""
    import io

    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.6 + 0.42 * len(pairs)), layout="constrained")
    axes = figure.subplots()
    rows = range(len(pairs))
    medians = [pair.ours.median for pair in pairs]
    spread = [
        [pair.ours.median - min(pair.ours.seconds) for pair in pairs],
        [max(pair.ours.seconds) - pair.ours.median for pair in pairs],
    ]
    axes.hlines(rows, medians, [pair.peer.median for pair in pairs], color="0.85", zorder=0)
    axes.errorbar(medians, rows, xerr=spread, fmt="o", color="#1b6ca8", capsize=3, label="joint model, real cycles")
    unproved = [(pair.ours.median, row) for row, pair in enumerate(pairs) if pair.ours.status != "optimal"]
    if unproved:
        axes.plot(*zip(*unproved, strict=True), "o", color="#1b6ca8", mfc="white", label="joint model, not proved")
    done = [(pair.peer.median, row) for row, pair in enumerate(pairs) if pair.peer.finished]
    late = [(pair.peer.median, row) for row, pair in enumerate(pairs) if not pair.peer.finished]
    axes.plot(*zip(*done, strict=True) if done else ([], []), "s", color="#c4512d", label="paper's formulation, Z3")
    if late:
        axes.plot(
            *zip(*late, strict=True),
            ">",
            color="#c4512d",
            mfc="none",
            label=f"paper's, not finished in {time_limit:g} s",
        )
    axes.set_xscale("log")
    axes.set_xlabel("seconds")
    axes.set_yticks(list(rows), [pair.name.replace("_", " ") for pair in pairs])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    drawn = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "twill", "svg.fonttype": "none"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


if __name__ == "__main__":
    main()
