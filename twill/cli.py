"""The command line: arguments in, one library call per subcommand, one report out."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twill import __version__
from twill.errors import CheckFailed, InputError, NoSchedule
from twill.exits import Commands, check_writable, end_with, fail_with, print_json, refuse_problem, say_stopped
from twill.options import best_option, interleaving_options, json_flag, named_values, sizes_option, time_limit_option
from twill.timeline_command import timeline

if TYPE_CHECKING:
    from twill.ladder import Check

SEEDS = 3


@click.group("twill", cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="twill")
def main() -> None:
    """Compile an iterative Triton kernel into a provably optimal warp-specialized one."""


main.add_command(timeline)
_STAGES = ("ttir", "graph", "problem", "schedule", "plan", "source")


@main.command("compile")
@click.argument("kernel", metavar="KERNEL.py[::NAME]")
@click.option("--arch", default="hopper", show_default=True, help="A machine (see `twill machines`) or a .toml file.")
@click.option("-D", "constants", multiple=True, metavar="NAME=VALUE", callback=named_values, help="Set a tl.constexpr.")
@click.option(
    "--example", multiple=True, metavar="NAME=VALUE", callback=named_values, help="Set an option of the example."
)
@click.option(
    "--signature", help="Types of the arguments, such as '*fp16, *fp16, i32', for a kernel without an example."
)
@click.option(
    "--subtiles",
    metavar="NUMBER",
    type=click.IntRange(1, 8),
    help="Warp groups that divide a tile's rows among them; by default the best of 1, 2 and 3.",
)
@click.option(
    "--tune/--no-tune",
    default=True,
    show_default=True,
    help="Search the tile sizes that the kernel's tune= allows and -D does not fix; else take the example's.",
)
@sizes_option()
@click.option("-o", "--output", default="build", show_default=True, help="Folder for what is written.")
@click.option("--emit", type=click.Choice(_STAGES), help="Print one stage and stop.")
@best_option
@time_limit_option()
@click.option("--verify/--no-verify", default=True, show_default=True, help="Run the checks on the result.")
@json_flag
def compile_command(
    kernel: str,
    arch: str,
    constants: dict[str, str],
    example: dict[str, str],
    signature: str | None,
    subtiles: int | None,
    tune: bool,
    sizes: dict[str, str],
    output: str,
    emit: str | None,
    best: int,
    time_limit: float,
    verify: bool,
    as_json: bool,
) -> None:
    """Compile a Triton kernel and check the result.

    Lowers the kernel, chooses its tile sizes, schedules its loop with proof, and writes the kernel, its
    schedule and a drawing to a folder. Then the checks: its meaning, the rules of the schedule, the
    emitted kernel on the CPU, its machine code.
    """
    from twill import alternatives, report, summary
    from twill.compiler import compile
    from twill.ladder import climb
    from twill.simulate.sizes import with_sizes

    options: dict[str, Any] = {
        "constants": constants, "example": example, "signature": signature,
        "subtiles": subtiles, "tune": tune, "time_limit": time_limit,
    }  # fmt: skip
    if emit is not None and best > 1:
        raise InputError("--emit prints one stage of one schedule, --best asks for several.", hint="Leave one out.")
    if emit is not None:
        from twill.stages import print_stage

        with report.progress(enabled=not as_json) as tell:
            text = print_stage(kernel, arch, emit, options, tell)
        print_json({"stage": emit, "text": text}) if as_json else click.echo(text)
        return
    check_writable(Path(output))
    with report.progress(enabled=not as_json) as tell:
        compiled = compile(kernel, arch, progress=tell, **options)
    with_sizes(compiled.launch, sizes)  # refused before anything is written
    paths = compiled.save(output)
    stopped = any(candidate.stopped for candidate in compiled.candidates)
    say_stopped(stopped)
    if not as_json:
        summary.print_compiled(compiled, paths, sizes)
    others: alternatives.Alternatives | None = None
    if best > 1:
        with report.progress(enabled=not as_json) as tell:
            found = alternatives.alternatives(compiled, best, 0.0 if stopped else time_limit, tell)
        others = alternatives.save(found, output)
        if not as_json:
            alternatives.print_alternatives(others, best)
    checks: tuple[Check, ...] = ()
    if verify:
        with report.progress(enabled=not as_json) as tell:
            checks = climb(compiled, SEEDS, tell)
            others = others and alternatives.verify(others, SEEDS, tell)
    all_checks = (*checks, *(others.checks if others is not None else ()))
    if as_json:
        data = summary.compiled_json(compiled, checks, paths, sizes)
        print_json({**data, **(alternatives.alternatives_json(others, paths, checks) if others is not None else {})})
    elif verify:
        report.print_checks(all_checks)
    fail_with(all_checks, str(paths[0]), as_json)


@main.command()
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


@main.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@click.option(
    "--format", "form", default="text", show_default=True, type=click.Choice(["text", "svg", "html", "perfetto"])
)
@click.option("-o", "--output", help="Write to a file instead of printing.")
@click.option("--simulated", is_flag=True, help="Draw a simulated run with varying load latencies; predict the launch.")
@sizes_option("; with --simulated")
@click.option("--arch", help="Simulate with the numbers of this machine or .toml file; with --simulated.")
@click.option("--spread", type=float, help="Standard deviation of the logarithm of load latencies; with --simulated.")
@click.option("--slowdown", type=float, help="Factor on what loads take; with --simulated.")
@json_flag
def show(
    schedule_file: str,
    form: str,
    output: str | None,
    simulated: bool,
    sizes: dict[str, str],
    arch: str | None,
    spread: float | None,
    slowdown: float | None,
    as_json: bool,
) -> None:
    """Draw a schedule as a Gantt chart.

    With --simulated, a run of its kernel on a model of the machine whose loads vary: the interval it reaches,
    how busy the units are, where groups wait, and the time of the kernel's launch. All of that is modelled.
    """
    from twill.schedule import files
    from twill.schedule.document import write_text
    from twill.schedule.render import render

    if not simulated and (sizes or arch is not None or spread is not None or slowdown is not None):
        raise InputError("--size, --arch, --spread and --slowdown say what to simulate.", hint="Add --simulated.")
    stored = files.read(schedule_file)
    more: dict[str, Any] = {}
    found = prediction = drawn = None
    without = ""
    if simulated:
        from twill.simulate.picture import simulated_timeline
        from twill.simulate.report import shown, simulation_json, subject

        about_it = subject(stored, sizes, arch)
        without = about_it.without
        found = about_it.simulate(spread, slowdown)
        prediction = about_it.predict(found)
        drawn = simulated_timeline(found)
        more = {"simulation": simulation_json(found, prediction)}
    picture = text = render(stored.schedule, form, drawn)
    if output is not None:
        write_text(output, picture)
        text = output
    if as_json:
        about = {"output": output} if output is not None else {"text": text}
        print_json({"format": form, **about, **more})
        return
    click.echo(text)
    if found is not None and (form == "text" or output is not None):
        from twill.report import show as print_parts

        print_parts(*shown(found, prediction, without))


@main.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@click.option(
    "--what-if",
    "questions",
    multiple=True,
    metavar="CHANGE",
    help="Ask this instead of the usual questions, such as SFU=2x, registers+16, smem=200000, groups+1, value_hop=0.",
)
@click.option("--no-what-if", is_flag=True, help="Only say what binds and why no shorter interval is possible.")
@time_limit_option(
    20.0, "Time for each what-if, twice that for the rules in conflict; Ctrl-C ends all and keeps what is known."
)
@json_flag
def explain(schedule_file: str, questions: tuple[str, ...], no_what_if: bool, time_limit: float, as_json: bool) -> None:
    """Say what binds a schedule, and what would make it faster.

    What is full; which rules together exclude the next shorter interval; and the new optimum if the
    machine had a faster unit, more memory, more registers, another warp group or hops that cost nothing.
    """
    from twill import report
    from twill.explain.whole import explain_whole, print_whole
    from twill.interrupt import ctrl_c_stops
    from twill.schedule import files

    if questions and no_what_if:
        raise InputError("--what-if and --no-what-if ask for opposite things.", hint="Leave one of them out.")
    solved = files.read(schedule_file).schedule
    with report.progress(enabled=not as_json) as tell, ctrl_c_stops() as stop:
        whole = explain_whole(solved, questions, usual=not no_what_if, time_limit=time_limit, tell=tell, stop=stop)
        stopped = stop()
    if stopped:
        click.echo("stopped by Ctrl-C: what was not asked is marked so.", err=True)
    print_json(whole.json()) if as_json else print_whole(whole)


@main.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@time_limit_option(help="Time for each of the two solvers; at Ctrl-C, what was confirmed is the certificate.")
@click.option("--ii", type=click.IntRange(min=1), metavar="CYCLES", help="Refute this interval only.")
@click.option("-o", "--output", help="Also write the certificate to a file, as JSON.")
@json_flag
def certify(schedule_file: str, time_limit: float, ii: int | None, output: str | None, as_json: bool) -> None:
    """Check again what a schedule claims.

    The bound is derived again. Intervals that it leaves open are refuted again by CP-SAT and, on an
    encoding of its own, by Z3, which also refutes better values of every tier.
    """
    from twill import report
    from twill.certify import certificate_json, certificate_text
    from twill.certify import certify as certified
    from twill.interrupt import ctrl_c_stops
    from twill.schedule import files
    from twill.schedule.document import write_json

    solved = files.read(schedule_file).schedule
    if output is not None:
        check_writable(Path(output).parent, output)
    with report.progress(enabled=not as_json) as tell, ctrl_c_stops() as stop:
        certificate = certified(solved, time_limit=time_limit, ii=ii, progress=tell, stop=stop)
    if output is not None:
        write_json(output, certificate_json(certificate))
    print_json(certificate_json(certificate)) if as_json else click.echo(certificate_text(certificate))
    if not certificate.holds:
        hint = "Was the file edited? Solve it again."
        end_with(CheckFailed(f"{'; '.join(certificate.failures)}.", hint=hint, location=schedule_file), as_json)


@main.command()
@click.argument("generated", metavar="GENERATED.py")
@click.option("--seeds", default=SEEDS, show_default=True, type=click.IntRange(1, 1000), help="Interleavings to try.")
@click.option(
    "--machine-code/--no-machine-code", default=True, show_default=True, help="Also compile it for its target."
)
@interleaving_options
@json_flag
def verify(
    generated: str,
    seeds: int,
    machine_code: bool,
    name: str | None,
    last: int,
    whole: bool,
    explore: int | None,
    trips: tuple[int, ...] | None,
    max_runs: int,
    max_steps: int,
    as_json: bool,
) -> None:
    """Check an emitted kernel, without a GPU.

    Its schedule keeps the rules; the kernel itself, run on the CPU with its asynchrony made hostile,
    equals float64; it compiles for its target. A failure names its interleaving; --replay shows that one,
    and checks nothing else.
    """
    from twill import report
    from twill.ladder import exploration, verify_generated

    if name is not None:
        if explore is not None:
            raise InputError("--replay shows one interleaving, --explore runs many.", hint="Leave one out.")
        _replay(Path(generated), name, None if whole else last, trips, max_steps, as_json)
        return
    with report.progress(enabled=not as_json) as tell:
        checks = verify_generated(Path(generated), seeds, machine_code, tell, trips, max_steps)
        if explore is not None:
            checks = (*checks, exploration(Path(generated), explore, trips, max_runs, max_steps, tell))
    if as_json:
        print_json(report.checks_json(checks))
    else:
        report.print_checks(checks)
    fail_with(checks, generated, as_json)


def _replay(
    module: Path, name: str, last: int | None, trips: tuple[int, ...] | None, max_steps: int, as_json: bool
) -> None:
    from twill.emulate.interleavings import replay_file
    from twill.ladder import schedule_of

    shown = replay_file(module, name, schedule=schedule_of(module), trip_counts=trips, max_steps=max_steps)
    print_json(shown.data(last)) if as_json else click.echo(shown.text(last))
    if shown.run.failure is not None:
        end_with(shown.run.failure, as_json)


@main.command()
@click.argument("name", required=False)
@json_flag
def machines(name: str | None, as_json: bool) -> None:
    """List the machines, or every number of one with its source."""
    from twill import report
    from twill.machine import known, load, rows

    if name is None:
        found = [load(each) for each in known()]
        if as_json:
            print_json({"machines": [{"name": machine.name, "title": machine.title} for machine in found]})
        else:
            report.print_machines(found)
        return
    machine = load(name)
    if as_json:
        keys = ("name", "value", "unit", "source")
        print_json({"name": machine.name, "numbers": [dict(zip(keys, row, strict=True)) for row in rows(machine)]})
    else:
        report.print_machine(machine)


@main.command()
@click.option("-o", "--output", metavar="FILE.toml", help="The machine file; by default named after the device.")
@json_flag
def calibrate(output: str | None, as_json: bool) -> None:
    """Measure a Hopper GPU; write its machine file.

    Micro-benchmarks give the numbers that no document states. A number that cannot be is reported and
    not written; --arch FILE.toml then compiles for the machine.
    """
    from twill import report
    from twill.calibrate import command

    if output is not None:
        command.check_name(output)
        check_writable(Path(output).parent, output)
    with report.progress(enabled=not as_json) as tell:
        path, measured, findings = command.calibrate(output, tell)
    if as_json:
        print_json(command.calibration_json(path, measured, findings))
    else:
        command.print_findings(findings)
        click.echo(f"wrote {path}")
    refused = [finding for finding in findings if finding.problem]
    if refused:
        message = (
            f"{len(refused)} of {len(findings)} numbers were not written; {refused[0].name}: {refused[0].problem}."
        )
        hint = "Is anything else running on the GPU? Measure again; the file says which numbers are missing."
        end_with(CheckFailed(message, hint=hint, location=str(path)), as_json)


@main.command("bench-problems")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@time_limit_option()
@json_flag
def bench_problems(names: tuple[str, ...], time_limit: float, as_json: bool) -> None:
    """Solve the problem library beside two classical schedulers.

    A list scheduler keeps the rules of the machine, plain modulo scheduling knows no warp groups. The
    answers are known: any other is a failure.
    """
    from twill import report
    from twill.comparison import compare, comparisons_json, print_comparisons
    from twill.interrupt import ctrl_c_stops

    with report.progress(enabled=not as_json) as tell, ctrl_c_stops() as stop:
        found = list(compare(names, time_limit, tell, stop))
        stopped = stop()
    if stopped:
        click.echo("stopped by Ctrl-C: these are the problems that were done.", err=True)
    print_json(comparisons_json(found)) if as_json else print_comparisons(found)
    wrong = [each for each in found if each.mismatch]
    if wrong:
        hint = "This is a defect of Twill or of the library."
        end_with(CheckFailed(f"{wrong[0].name}: {wrong[0].mismatch}.", hint=hint), as_json)


if __name__ == "__main__":
    main()
