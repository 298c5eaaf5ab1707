"""The TOML text of a measured machine: what differs from its base, each number with where it was taken."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from twill import __version__
from twill.calibrate.derive import Finding
from twill.calibrate.reading import Device, Reading

BASE = "hopper"


def machine_text(
    name: str,
    device: Device,
    findings: Sequence[Finding],
    readings: Mapping[str, Reading],
    failures: Mapping[str, str],
) -> str:
    """A machine file with base "hopper" and the plausible findings; the rest, and all readings, as comments."""
    clock = next((f.value for f in findings if f.name == "clock_mhz" and f.value is not None and not f.problem), None)
    limit = f", highest {device.clock_limit_mhz} MHz" if device.clock_limit_mhz else ""
    lines = [
        "# Measured by `twill calibrate`; docs/calibration.md says how. What is not here is taken from the base.",
        f"# Device: {_comment(device.name)}, {device.sm_count} SMs",
        f"# SM clock: {f'{clock:.0f} MHz under dense MMA' if clock else 'not measured'}{limit}",
        f"# Date: {device.date}",
        f"# Versions: twill {__version__}, torch {device.torch}, triton {device.triton}, driver {device.driver}",
        f"name = {_string(name)}",
        f"title = {_string(f'{device.name}, measured {device.date}')}",
        f"base = {_string(BASE)}",
    ]
    written = [finding for finding in findings if finding.value is not None and not finding.problem]
    for finding in written:
        assert finding.value is not None
        source = f"measured on {device.name}, {device.date}, triton {device.triton}"
        if finding.probes:
            source += f": {', '.join(dict.fromkeys(finding.probes))}"
        number = f"{finding.value:.0f}" if finding.value.is_integer() else f"{finding.value:g}"
        lines += [
            "",
            f"[facts.{finding.name}]",
            f"value = {number}",
            f"unit = {_string(finding.unit)}",
            f"source = {_string(source)}",
        ]
    refused = [finding for finding in findings if finding.problem]
    if refused:
        lines += ["", "# Not written:"]
        lines += [f"# {finding.name}: {_comment(finding.problem)}" for finding in refused]
    lines += ["", "# Readings, cycles an iteration: whole, to issue, to completion, spread of the repeats"]
    lines += [
        f"# {probe}: {each.cycles:.1f}, {each.issue:.1f}, {each.completion:.1f}, {100 * each.spread:.1f}%"
        for probe, each in readings.items()
    ]
    lines += [f"# {probe}: failed: {_comment(why)}" for probe, why in failures.items()]
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    """A TOML basic string: JSON's escapes are a subset of TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return " ".join(text.split())
