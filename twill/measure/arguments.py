"""What a kernel is timed on: its example's arguments, at sizes of the user's choice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twill.errors import InputError
from twill.frontend.launch import from_json
from twill.schedule.files import ScheduleFile
from twill.shipped import VARIANTS, kernels_folder


def launch_arguments(stored: ScheduleFile, path: Path, example: Mapping[str, object], device: str) -> dict[str, Any]:
    """Every launch argument by name, tensors on `device`.

    example: options of the kernel's example, such as N=8192; without any, arguments like those it was compiled for.
    Raises InputError when the kernel's source, which makes the example, is not found.
    """
    from twill import frontend
    from twill.frontend.materialize import materialize
    from twill.frontend.specialize import example_arguments

    assert stored.launch is not None
    launch = from_json(stored.launch)
    if not example:
        found = materialize(launch)
    else:
        source = frontend.load(f"{source_of(launch.source, path)}::{launch.kernel}")
        shipped = next((variant.example for variant in VARIANTS if variant.name == path.stem), {})
        found = example_arguments(source, launch.constants, {**shipped, **example})
    return {name: value.to(device) if hasattr(value, "to") else value for name, value in found.items()}


def source_of(source: str, schedule: Path) -> Path:
    """The kernel's source file, from where people stand, beside the schedule, or among the shipped kernels."""
    for candidate in (Path(source), schedule.parent / source, schedule.parent / Path(source).name,
                      kernels_folder() / Path(source).name):  # fmt: skip
        if candidate.is_file():
            return candidate
    raise InputError(
        f"was made from {source}, which is not found: --example needs the kernel's own example.",
        hint="Run it where that file is, or leave out --example.",
        location=str(schedule),
    )
