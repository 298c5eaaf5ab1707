"""What Gluon files use around their kernels: aggregates, autotuning, the driver's name, sibling files.

None of it changes a kernel's meaning: an aggregate is its Python class, an autotuned kernel runs with its first
configuration, and the driver says that no GPU is there, so that a file skips what would need one.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from twill.emulate import on_cpu
from twill.emulate.launch import JitFunction


def aggregate(cls: type) -> type:
    """A class of fields that a kernel passes around; without an `__init__` it takes them in order."""
    return cls if "__init__" in vars(cls) else dataclasses.dataclass(eq=False)(cls)


@dataclasses.dataclass
class Config:
    """One configuration of an autotuned kernel: its compile-time arguments and launch options."""

    kwargs: dict[str, Any]
    num_warps: int = 4
    num_stages: int = 3
    num_ctas: int = 1
    maxnreg: int | None = None
    pre_hook: Callable[..., None] | None = None

    def all_kwargs(self) -> dict[str, Any]:
        return {**self.kwargs, "num_warps": self.num_warps, "num_ctas": self.num_ctas}


class Autotuned:
    """A kernel that is launched with the first of its configurations."""

    def __init__(self, kernel: JitFunction, first: Config) -> None:
        self.kernel = kernel
        self.best_config = first

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(*args: Any, **kwargs: Any) -> None:
            if self.best_config.pre_hook is not None:
                names = self.kernel.arg_names
                self.best_config.pre_hook({**dict(zip(names, args, strict=False)), **kwargs, **self.best_config.kwargs})
            self.kernel[grid](*args, **{**self.best_config.all_kwargs(), **kwargs})

        return launch


def autotune(configs: list[Config], key: Any = (), **options: Any) -> Callable[[JitFunction], Any]:
    """The kernel with the first of `configs`."""

    def wrap(kernel: JitFunction) -> Any:
        return Autotuned(kernel, configs[0]) if configs else kernel

    return wrap


def driver() -> SimpleNamespace:
    """triton.runtime.driver: a target that is no GPU's, but the one of `on_cpu` where that is on."""

    def target() -> SimpleNamespace:
        capability = on_cpu.pretended()
        if capability is None:
            return SimpleNamespace(backend="emulator", arch=0, warp_size=32)
        return SimpleNamespace(backend="cuda", arch=10 * capability[0] + capability[1], warp_size=32)

    return SimpleNamespace(active=SimpleNamespace(get_current_target=target))


class OutOfResources(Exception):
    """triton.OutOfResources: nothing here raises it."""


class Knobs(SimpleNamespace):
    """triton.knobs: settings of a compiler that does not run here; any may be set."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, Knobs())
        return getattr(self, name)


class Importlib(ModuleType):
    """importlib for an emulated file: modules beside it, by name or by path, are emulated as well."""

    def __init__(self, folder: Path, load: Callable[[Path], ModuleType]) -> None:
        super().__init__("importlib")
        self.folder = folder
        self.load = load
        self.loaded: dict[Path, ModuleType] = {}
        self.util = SimpleNamespace(
            spec_from_file_location=self._spec, module_from_spec=lambda spec: self._module(Path(spec.origin))
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib, name)

    def import_module(self, name: str, package: str | None = None) -> ModuleType:
        path = self.folder / f"{name}.py"
        return self._module(path) if path.exists() else importlib.import_module(name, package)

    def _module(self, path: Path) -> ModuleType:
        if path not in self.loaded:
            self.loaded[path] = self.load(path)
        return self.loaded[path]

    def _spec(self, name: str, location: Any, **options: Any) -> SimpleNamespace:
        """A specification whose module is whole as soon as it is made."""
        return SimpleNamespace(name=name, origin=str(location), loader=SimpleNamespace(exec_module=lambda module: None))
