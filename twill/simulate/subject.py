"""What a schedule file lets one simulate: the schedule, and the kernel behind it with its graph, launch and machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from twill.errors import InputError
from twill.frontend.launch import Launch
from twill.frontend.stored import stored_kernel
from twill.ir.graph import Graph
from twill.machine import Machine, load
from twill.schedule.files import ScheduleFile
from twill.schedule.schedule import Schedule
from twill.simulate.kernel import Kernel, kernel_of
from twill.simulate.latency import SPREAD, LoadLatency
from twill.simulate.measure import Simulation, simulate
from twill.simulate.predict import Prediction, predict
from twill.simulate.sizes import with_sizes


@dataclass(frozen=True)
class Subject:
    """What a schedule file lets one simulate: its kernel, or why there is none; its graph, launch and machine."""

    schedule: Schedule
    kernel: Kernel | None = None
    without: str = ""
    graph: Graph | None = None
    launch: Launch | None = None
    machine: Machine | None = None

    def simulate(self, spread: float | None = None, slowdown: float | None = None) -> Simulation:
        """Runs of it; by default with the machine file's spread of load latencies."""
        return simulate(self.schedule, self.latency(spread, slowdown), kernel=self.kernel)

    def latency(self, spread: float | None = None, slowdown: float | None = None) -> LoadLatency:
        """How late loads are; by default as the machine file says."""
        usual = self.machine.number("load_spread") if self.machine is not None else SPREAD
        return LoadLatency(usual if spread is None else spread, 1.0 if slowdown is None else slowdown)

    def predict(self, simulation: Simulation) -> Prediction | None:
        """The time of the launch; None when there is none."""
        if self.graph is None or self.launch is None or self.machine is None:
            return None
        return predict(simulation, self.graph, self.launch, self.machine)


def subject(stored: ScheduleFile, sizes: Mapping[str, str], arch: str | None = None, location: str = "") -> Subject:
    """What a schedule file holds, for other integer arguments of its kernel, on its own machine or another.

    arch: a known machine or the path of a machine file; by default the one it was compiled for. location: the file.

    Raises InputError for an argument that is no integer of the kernel, and a machine that cannot be found.
    """
    held = stored_kernel(stored, location)
    if held is None:
        if sizes or arch:
            what = "sizes" if sizes else "machine file"
            raise InputError(
                f"the schedule is not that of a kernel: it has no {what}.",
                hint=f"Leave out {'--size' if sizes else '--arch'}.",
            )
        return Subject(stored.schedule)
    machine = _machine(stored, arch)
    graph, launch = held[0], with_sizes(held[1], sizes, location)
    kernel = kernel_of(graph, stored.schedule, launch, machine)
    if isinstance(kernel, str):
        return Subject(stored.schedule, None, kernel, graph, launch, machine)
    return Subject(stored.schedule, kernel, "", graph, launch, machine)


def _machine(stored: ScheduleFile, arch: str | None) -> Machine:
    provenance = stored.schedule.provenance
    file, name = provenance.get("machine_file"), provenance.get("machine", stored.schedule.problem.limits.name)
    try:
        return load(arch if arch is not None else str(file or name))
    except InputError as error:
        if arch is not None:
            raise
        raise InputError(
            f"the schedule was made for machine `{name}`, whose numbers cannot be read: {error.message}",
            hint="Give its file: --arch FILE.toml.",
        ) from None
