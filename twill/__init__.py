"""Twill: from an ordinary Triton kernel to a proved schedule to a checked warp-specialized kernel.

    import twill
    compiled = twill.compile("kernels/attention.py", arch="hopper")
    compiled.save("build")

Names load on first use: `import twill` imports neither torch nor triton nor a solver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twill.compiler import Compiled, compile
    from twill.frontend.kernel import kernel

__version__ = "0.1.0"
__all__ = ["Compiled", "__version__", "compile", "kernel"]

_HOMES = {"compile": "twill.compiler", "Compiled": "twill.compiler", "kernel": "twill.frontend.kernel"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'twill' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
