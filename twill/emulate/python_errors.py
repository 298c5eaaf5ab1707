"""Python errors that kernels and their launchers raise, as reports at the user's own line.

An error raised by a line of the emulated file is the user's (InputError); a name or a parameter that a stand-in does
not have is a construct the emulator does not know (Unsupported); both keep the original message.
"""

from __future__ import annotations

import re
from types import TracebackType

from twill.emulate import source
from twill.emulate.report import AssertionFailed
from twill.errors import InputError, Location, TwillError, Unsupported

_PARAMETER = re.compile(r"got (an unexpected keyword argument|some positional-only|\w+$)")


class HostError(InputError, ValueError):
    """A launch argument that cannot be used, at the line of the emulated file that makes it."""

    def __init__(self, message: str) -> None:
        super().__init__(f"{message}.", location=source.caller())


def translate(error: Exception, filename: str) -> TwillError:
    """`error`, raised while a kernel of `filename` ran. AssertionFailed is a failed check, as the kernel's own."""
    places = _emulated(error.__traceback__)
    location = places[-1] if places else Location(filename)
    text = f"{type(error).__name__}: {error}".rstrip(".") + "."
    if isinstance(error, AssertionError):
        return AssertionFailed(f"an assertion does not hold: {text}", location=location)
    if isinstance(error, AttributeError) and type(error.obj).__module__.startswith("twill.emulate"):
        return Unsupported(f"the emulator does not know .{error.name} of a {_kind(error.obj)}.", location=location)
    if isinstance(error, TypeError) and _PARAMETER.search(str(error)):
        return Unsupported(f"the emulator does not know this parameter: {text}", location=location)
    if isinstance(error, (NotImplementedError, RecursionError, MemoryError)):
        return Unsupported(f"the emulator cannot run this line: {text}", location=location)
    return InputError(text, hint="The kernel's own code raises it.", location=location)


def _kind(value: object) -> str:
    names = {"SharedMemory": "shared_memory_descriptor", "TensorMemory": "tensor_memory_descriptor"}
    name = type(value).__name__
    return names.get(name, name)


def _emulated(trace: TracebackType | None) -> list[Location]:
    """The lines of emulated files in a traceback, outermost first."""
    found = []
    while trace is not None:
        if source.CARRY in trace.tb_frame.f_builtins:
            found.append(Location(trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return found
