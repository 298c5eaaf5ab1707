"""`twill compile`: a kernel file in; the emitted kernel, its schedule, a drawing and the checks out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from twill.errors import InputError
from twill.exits import check_writable, fail_with, print_json, say_stopped
from twill.options import SEEDS, best_option, json_flag, named_values, sizes_option, time_limit_option

if TYPE_CHECKING:
    from twill.ladder import Check

_STAGES = ("ttir", "graph", "problem", "schedule", "plan", "source")


@click.command("compile")
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
            checks = climb(compiled, SEEDS, tell, paths)
            others = others and alternatives.verify(others, SEEDS, tell)
    all_checks = (*checks, *(others.checks if others is not None else ()))
    if as_json:
        data = summary.compiled_json(compiled, checks, paths, sizes)
        print_json({**data, **(alternatives.alternatives_json(others, paths, checks) if others is not None else {})})
    elif verify:
        report.print_checks(all_checks)
    fail_with(all_checks, str(paths[0]), as_json)
