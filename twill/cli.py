"""The command line: arguments in, one library call per subcommand, one report out."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from twill import __version__
from twill.errors import CheckFailed, InputError, NoSchedule, TwillError


class _Group(click.Group):
    """Turns every TwillError into one paragraph on stderr and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except TwillError as error:
            if ctx.meta.get("twill.json"):
                _print_json({"status": "error", "message": str(error), "exit_code": error.exit_code})
            else:
                click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("interrupted: nothing was written.", err=True)
            ctx.exit(130)
        except BrokenPipeError:
            ctx.exit(0)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="twill")
def main() -> None:
    """Compile an iterative Triton kernel into a provably optimal warp-specialized one."""


def _json_flag(command: Callable[..., Any]) -> Callable[..., Any]:
    def remember(ctx: click.Context, _: click.Parameter, value: bool) -> bool:
        ctx.meta["twill.json"] = value
        return value

    return click.option(
        "--json", "as_json", is_flag=True, callback=remember, is_eager=True, help="Print one JSON object, nothing else."
    )(command)


def _pairs(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", ctx, parameter)
        found[name] = text
    return found


_STAGES = ("ttir", "graph", "problem", "schedule", "plan", "source")


@main.command("compile")
@click.argument("kernel", metavar="KERNEL.py[::NAME]")
@click.option("--arch", default="hopper", show_default=True, help="A machine (see `twill machines`) or a .toml file.")
@click.option("-D", "constants", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="Set a tl.constexpr.")
@click.option("--example", multiple=True, metavar="NAME=VALUE", callback=_pairs, help="Set an option of the example.")
@click.option("--signature", help="Types of the arguments, as Triton's ahead-of-time tool takes them.")
@click.option("--subtiles", type=click.IntRange(1, 8), help="Number of sub-tiles; the best of 1, 2, 3 by default.")
@click.option("-o", "--output", default="build", show_default=True, help="Folder for what is written.")
@click.option("--emit", type=click.Choice(_STAGES), help="Print one stage and stop.")
@click.option("--time-limit", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds to solve.")
@click.option("--verify/--no-verify", default=True, show_default=True, help="Run the checks on the result.")
@_json_flag
def compile_command(
    kernel: str,
    arch: str,
    constants: dict[str, str],
    example: dict[str, str],
    signature: str | None,
    subtiles: int | None,
    output: str,
    emit: str | None,
    time_limit: float,
    verify: bool,
    as_json: bool,
) -> None:
    """Compile a Triton kernel: lower, schedule with proof, write the kernel, check it."""
    from twill import report
    from twill.compiler import compile

    options: dict[str, Any] = {
        "constants": constants, "example": example, "signature": signature, "subtiles": subtiles, "time_limit": time_limit,
    }  # fmt: skip
    if emit is not None:
        from twill.stages import print_stage

        text = print_stage(kernel, arch, emit, options)
        click.echo(json.dumps({"stage": emit, "text": text}) if as_json else text)
        return
    _check_folder(output)
    with report.progress(enabled=not as_json) as tell:
        compiled = compile(kernel, arch, progress=tell, **options)
        checks = report.run_checks(compiled, tell) if verify else ()
        paths = compiled.save(output)
    if as_json:
        _print_json(report.compiled_json(compiled, checks, paths))
    else:
        report.print_compiled(compiled, checks, paths)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise CheckFailed(f"{failed[0].name}: {failed[0].detail}", location=str(paths[0]))


@main.command()
@click.argument("graph", metavar="GRAPH.json")
@click.option("--time-limit", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds to solve.")
@click.option("-o", "--output", help="Also write a schedule file for `twill show` and `twill explain`.")
@_json_flag
def schedule(graph: str, time_limit: float, output: str | None, as_json: bool) -> None:
    """Schedule a dependence graph of your own (a twill-graph/1 file)."""
    from twill import report
    from twill.schedule import files, graph_file
    from twill.schedule.checker import check
    from twill.schedule.explain import explain
    from twill.schedule.render import render
    from twill.solve import solve

    problem = graph_file.read_problem(graph)
    with report.solving(problem.name, enabled=not as_json) as tell:
        solved = files.stamp(solve(problem, time_limit=time_limit, progress=tell))
    broken = check(solved) if solved.placements else ()
    if broken:
        raise CheckFailed(f"the solver's schedule does not hold: {broken[0]}.", hint="This is a defect of Twill.")
    if output is not None and solved.placements:
        files.write(output, solved)
    if as_json:
        _print_json(files.answer_json(solved))
    elif solved.placements:
        click.echo(render(solved, "text"))
        click.echo()
        click.echo(explain(solved))
    if not solved.placements:
        if as_json:
            sys.exit(NoSchedule.exit_code)
        raise NoSchedule(f"{solved.status}: {solved.reason}", location=graph)


@main.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@click.option("--format", "form", default="text", show_default=True, type=click.Choice(["text", "svg", "html", "perfetto"]))
@click.option("-o", "--output", help="Write to a file instead of printing.")
@_json_flag
def show(schedule_file: str, form: str, output: str | None, as_json: bool) -> None:
    """Draw a schedule as a Gantt chart."""
    from twill.schedule import files
    from twill.schedule.document import write_text
    from twill.schedule.render import render

    text = render(files.read(schedule_file).schedule, form)
    if output is not None:
        write_text(output, text)
        text = output
    if as_json:
        _print_json({"format": form, "output": output} if output is not None else {"format": form, "text": text})
    else:
        click.echo(text)


@main.command()
@click.argument("schedule_file", metavar="SCHEDULE.json")
@_json_flag
def explain(schedule_file: str, as_json: bool) -> None:
    """Say what binds a schedule: the unit with its ops, or the cycle with its latencies."""
    from twill.schedule import files
    from twill.schedule.explain import explain as explained
    from twill.schedule.explain import explain_data

    solved = files.read(schedule_file).schedule
    if as_json:
        _print_json(explain_data(solved))
    else:
        click.echo(explained(solved))


@main.command()
@click.argument("generated", metavar="GENERATED.py")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1, 1000), help="Interleavings to try.")
@click.option("--machine-code/--no-machine-code", default=True, show_default=True, help="Also compile it for its target.")
@_json_flag
def verify(generated: str, seeds: int, machine_code: bool, as_json: bool) -> None:
    """Run an emitted kernel on the CPU, adversarially, and compile it; compare with float64."""
    from twill import report

    with report.progress(enabled=not as_json) as tell:
        checks = report.verify_generated(Path(generated), seeds, machine_code, tell)
    if as_json:
        _print_json(report.checks_json(checks))
    else:
        report.print_checks(checks)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise CheckFailed(f"{failed[0].name}: {failed[0].detail}", location=generated)


@main.command()
@click.argument("name", required=False)
@_json_flag
def machines(name: str | None, as_json: bool) -> None:
    """List the machines, or every number of one with its source."""
    from twill import report
    from twill.machine import known, load, rows

    if name is None:
        found = [load(each) for each in known()]
        if as_json:
            _print_json({"machines": [{"name": machine.name, "title": machine.title} for machine in found]})
        else:
            report.print_machines(found)
        return
    machine = load(name)
    if as_json:
        keys = ("name", "value", "unit", "source")
        _print_json({"name": machine.name, "numbers": [dict(zip(keys, row, strict=True)) for row in rows(machine)]})
    else:
        report.print_machine(machine)


def _check_folder(output: str) -> None:
    """Fail before long work when its results could not be written."""
    import os

    folder = Path(output)
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise InputError(f"{existing} is not a folder.", hint="Give another with -o.", location=output)
    if not os.access(existing, os.W_OK):
        raise InputError("the folder cannot be written.", hint="Give another with -o.", location=output)


def _print_json(data: object) -> None:
    click.echo(json.dumps(data, ensure_ascii=False, allow_nan=False))


if __name__ == "__main__":
    main()
