"""What the simulator predicts of every shipped kernel, at the sizes that the GPU benchmark times. Modelled only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.gpu.cases import FAMILIES
from twill.errors import TwillError
from twill.frontend.launch import Launch, from_json
from twill.schedule import files
from twill.shipped import Variant, schedule_path
from twill.simulate.subject import subject


def predictions(variant: Variant) -> Iterator[dict[str, Any]]:
    """A row for each size: TFLOP/s and share of the dense peak, or why there is none.

    steady_share_of_peak: with every SM in the steady state of its loop. Kernels without products have their share of
    the device memory's bandwidth instead, share_of_bandwidth.
    """
    try:
        stored = files.read(schedule_path(variant))
    except TwillError as error:
        yield {"kernel": variant.name, "sizes": {}, "failure": error.message}
        return
    if stored.launch is None:
        yield {"kernel": variant.name, "sizes": {}, "failure": "its schedule has no launch"}
        return
    launch = from_json(stored.launch)
    family = FAMILIES.get(variant.source)
    constants = {spec.name: spec.value for spec in launch.arguments if spec.kind != "tensor"}
    simulation = None
    for sizes in family.timings(constants) if family else ({},):
        row: dict[str, Any] = {"kernel": variant.name, "sizes": dict(sizes)}
        try:
            asked = subject(stored, derived(launch, sizes))
            if simulation is None:
                simulation = asked.simulate()
            found = asked.predict(simulation)
            if found is None or asked.machine is None:
                yield {**row, "failure": "its schedule has no launch"}
                continue
        except TwillError as error:
            yield {**row, "failure": error.message}
            continue
        bandwidth = asked.machine.number("hbm_bandwidth") * 1e9
        yield {
            **row, "failure": "", **found.json(),
            "share_of_bandwidth": round(found.hbm_bytes / found.seconds / bandwidth, 4),
        }  # fmt: skip


def derived(launch: Launch, sizes: Mapping[str, Any]) -> dict[str, str]:
    """The launch's integer arguments for an example's sizes; the padded size P of M columns follows from M."""
    scalars = {spec.name for spec in launch.arguments if spec.kind == "scalar"}
    asked = {name: str(value) for name, value in sizes.items()}
    if "P" in scalars and "M" in sizes:
        multiple = launch.multiple("P")
        asked["P"] = str(-(-sizes["M"] // multiple) * multiple)
    return asked
