"""Loading a Gluon source file into the emulator."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import ModuleType

from twill.emulate import host, modules, source
from twill.emulate.launch import Emulator
from twill.errors import InputError, Location, TwillError


class EmulatedModule(ModuleType):
    """A module whose kernels run on the CPU. `emulator` holds the seed, the step bound and statistics."""

    emulator: Emulator


def load(path: str | Path, *, text: str | None = None, seed: int = 0, max_steps: int = 1_000_000) -> EmulatedModule:
    """Execute the Gluon module at `path` with stand-ins for triton; its launchers then run emulated.

    text: source to run in place of the file's, under the same name (for mutated sources). max_steps:
    bound of scheduling steps per thread block. Raises InputError when the file cannot be read or parsed,
    Unsupported for an import the emulator has no stand-in for.
    """
    path = Path(path)
    if text is None:
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the module: {error}.", location=str(path)) from error
    compiled = source.read(text, str(path))
    module = EmulatedModule(path.stem)
    module.__file__ = str(path)
    module.emulator = Emulator(str(path), compiled.names, seed, max_steps)
    module.emulator.explicit_cluster_sync = "sync_cluster_init" in text  # which Triton 3.8 no longer has
    module.__dict__["__builtins__"] = modules.namespace(
        module.emulator, host.Importlib(path.parent, lambda other: load(other, seed=seed, max_steps=max_steps))
    )
    try:
        exec(compiled.code, module.__dict__)
    except TwillError:
        raise
    except Exception as error:
        line = next(
            (f.lineno for f in reversed(traceback.extract_tb(error.__traceback__)) if f.filename == str(path)), 0
        )
        message, hint = f"cannot be executed: {type(error).__name__}: {error}.", ""
        if isinstance(error, ModuleNotFoundError):
            message, hint = f"needs the module {error.name}, which is not installed.", "Install it, or add its folder."
        raise InputError(message, hint=hint, location=Location(str(path), line or 0)) from error
    return module
