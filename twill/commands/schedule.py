"""`twill schedule`: a dependence graph in, a schedule out."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import click

from twill.errors import CheckFailed, InputError, NoSchedule
from twill.exits import check_writable, print_json, refuse_problem, say_stopped
from twill.options import best_option, json_flag, time_limit_option


@click.command()
@click.argument("graph", metavar="GRAPH.json")
@time_limit_option()
@click.option(
    "--formulation",
    default="joint",
    show_default=True,
    type=click.Choice(["joint", "paper"]),
    help="The model: Twill's in real cycles, or that of Soi et al. in normalized ones, translated back.",
)
@best_option
@click.option(
    "-o",
    "--output",
    help="Also write a schedule file for `twill show` and `twill explain`; with --best, FILE_2 and so on beside it.",
)
@json_flag
def schedule(graph: str, time_limit: float, formulation: str, best: int, output: str | None, as_json: bool) -> None:
    """Schedule a dependence graph of your own.

    GRAPH.json is a twill-graph/1 file.
    """
    from twill import paper, report, ties
    from twill.explain import explain
    from twill.interrupt import ctrl_c_stops
    from twill.schedule import files, graph_file
    from twill.schedule.checker import check
    from twill.schedule.render import render
    from twill.solve import solve

    if best > 1 and formulation == "paper":
        raise InputError("--best lists schedules of Twill's own model.", hint="Leave out --formulation paper.")
    problem = graph_file.read_problem(graph)
    if output is not None:
        check_writable(Path(output).parent, output)
    several = None
    with report.progress(enabled=not as_json) as tell, ctrl_c_stops() as stop:
        title = f"solving {problem.name}"
        find = paper.solve if formulation == "paper" else solve
        solved = find(problem, time_limit=time_limit, progress=lambda record: tell(f"{title}: {record}"), stop=stop)
        if best > 1 and solved.placements:
            several = ties.find(solved, best, time_limit - solved.seconds, tell, stop)
            solved = several.schedules[0]
        stopped = stop()
    solved = files.stamp(solved)
    broken = check(solved) if solved.placements else ()
    if broken and formulation == "paper":
        raise paper.refusal(solved, broken)
    if broken:
        raise CheckFailed(f"the solver's schedule does not hold: {broken[0]}.", hint="This is a defect of Twill.")
    say_stopped(stopped and bool(solved.placements))
    if stopped and not solved.placements:
        solved = replace(solved, reason="Ctrl-C came before any schedule was found")
    paths = []
    if output is not None and solved.placements:
        for place, each in enumerate(several.schedules if several is not None else (solved,), start=1):
            paths.append(ties.numbered(output, place))
            files.write(paths[-1], each)
    if as_json:
        print_json({**files.answer_json(solved), **(ties.optima_json(several, paths) if several is not None else {})})
        sys.exit(0 if solved.placements else NoSchedule.exit_code)
    if not solved.placements:
        refuse_problem(solved, graph)
    click.echo(render(solved, "text"))
    click.echo()
    click.echo(explain(solved))
    if several is not None:
        ties.print_optima(several, best, paths)
