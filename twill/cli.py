"""The command line: its subcommands, one module of `twill.commands` each."""

from __future__ import annotations

import click

from twill import __version__
from twill.commands.bench_problems import bench_problems
from twill.commands.calibrate import calibrate
from twill.commands.certify import certify
from twill.commands.compile import compile_command
from twill.commands.explain import explain
from twill.commands.machines import machines
from twill.commands.schedule import schedule
from twill.commands.show import show
from twill.commands.timeline import timeline
from twill.commands.tune import tune
from twill.commands.verify import verify
from twill.exits import Commands


@click.group("twill", cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="twill")
def main() -> None:
    """Compile an iterative Triton kernel into a provably optimal warp-specialized one."""


for command in (
    compile_command, schedule, show, timeline, explain, certify, verify, machines, calibrate, bench_problems, tune,
):  # fmt: skip
    main.add_command(command)

if __name__ == "__main__":
    main()
