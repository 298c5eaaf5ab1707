"""A generated module, imported from its file."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from twill.errors import InputError


def imported(path: Path) -> ModuleType:
    """The module, imported anew each time. Raises InputError for a file that is not named as one."""
    spec = importlib.util.spec_from_file_location(f"twill_generated_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise InputError("is not a Python module.", location=str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
