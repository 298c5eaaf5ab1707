"""The stand-in modules a Gluon source imports in place of triton's, and the import that finds them."""

from __future__ import annotations

import builtins
import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from twill.emulate import (
    constants,
    dtypes,
    language,
    launch,
    layouts,
    mathematics,
    mbarrier,
    source,
    tma,
    values,
    wgmma,
)
from twill.emulate.launch import Emulator, JitFunction
from twill.emulate.memory import SharedMemory
from twill.emulate.scheduler import active, running
from twill.errors import Location, Unsupported

GLUON = "triton.experimental.gluon"


class UnknownName(Unsupported, AttributeError):
    """A name of triton's that has no stand-in. An AttributeError too, so that a source may probe for it."""


class StandIn(ModuleType):
    """A module of which only some names are known; any other is unsupported, by name and line."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnknownName(f"the emulator does not know {self.__name__}.{name}.", location=_importer())


def _importer() -> Location | None:
    """The line of the emulated module that asks for a name."""
    if running():
        return active().here()
    frame: Any = sys._getframe(2)
    while frame is not None:
        if source.CARRY in frame.f_globals.get("__builtins__", {}):
            return Location(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def _module(name: str, **names: Any) -> StandIn:
    module = StandIn(name)
    module.__path__ = []
    for key, value in names.items():
        setattr(module, key, value)
    return module


class _Language(StandIn):
    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(language, name)
        except AttributeError:
            return super().__getattr__(name)


def build(emulator: Emulator) -> dict[str, ModuleType]:
    """All stand-in modules by their full name; `jit` binds functions to `emulator`."""

    def jit(fn: Callable[..., Any] | None = None, **options: Any) -> Any:
        return functools.partial(JitFunction, emulator=emulator) if fn is None else JitFunction(fn, emulator)

    barriers = _module(
        f"{GLUON}.language.nvidia.hopper.mbarrier", **{name: getattr(mbarrier, name) for name in mbarrier.__all__}
    )
    transfers = (
        "async_load",
        "async_store",
        "async_copy_global_to_shared",
        "async_copy_shared_to_global",
        "store_wait",
    )
    copies = _module(
        f"{GLUON}.language.nvidia.hopper.tma",
        **{name: getattr(tma, name) for name in (*transfers, "make_tensor_descriptor")},
        tensor_descriptor=tma.DeviceDescriptor,
    )
    hopper = _module(
        f"{GLUON}.language.nvidia.hopper",
        mbarrier=barriers,
        tma=copies,
        fence_async_shared=wgmma.fence_async_shared,
        warpgroup_mma=wgmma.warpgroup_mma,
        warpgroup_mma_init=lambda value: value,
        warpgroup_mma_wait=wgmma.warpgroup_mma_wait,
    )
    libdevice = _module("triton.language.extra.libdevice", **{n: getattr(mathematics, n) for n in mathematics.__all__})
    gl = _Language(f"{GLUON}.language")
    gl.__path__ = []
    _fill_language(gl)
    gl.nvidia = _module(f"{GLUON}.language.nvidia", hopper=hopper)  # type: ignore[attr-defined]
    gl.extra = _module(f"{GLUON}.language.extra", libdevice=libdevice)  # type: ignore[attr-defined]
    host = _module(f"{GLUON}.nvidia.hopper", TensorDescriptor=tma.TensorDescriptor)
    gluon = _module(
        GLUON,
        jit=jit,
        constexpr_function=constants.constexpr_function,
        must_use_result=lambda x, *_: x,
        language=gl,
        nvidia=_module(f"{GLUON}.nvidia", hopper=host),
    )
    descriptor = _module("triton.tools.tensor_descriptor", TensorDescriptor=tma.TensorDescriptor)
    triton = _module(
        "triton",
        __version__="0+twill",
        cdiv=lambda x, y: -(-x // y),
        next_power_of_2=lambda n: 1 << max(0, int(n) - 1).bit_length(),
        set_allocator=lambda allocator: None,
        experimental=_module("triton.experimental", gluon=gluon),
        tools=_module("triton.tools", tensor_descriptor=descriptor),
    )
    found: dict[str, ModuleType] = {}
    _collect(triton, found)
    return found


def _fill_language(gl: ModuleType) -> None:
    types = (
        "int1 int8 int16 int32 int64 uint8 uint16 uint32 uint64 float8e5 float8e4nv float16 bfloat16 float32 float64"
    )
    forms = "AutoLayout CoalescedLayout BlockedLayout SliceLayout DistributedLinearLayout DotOperandLayout"
    shared = "NVMMADistributedLayout NVMMASharedLayout SwizzledSharedLayout PaddedSharedLayout SharedLinearLayout"
    for module, names in ((dtypes, f"{types} void"), (layouts, f"{forms} {shared}")):
        for name in names.split():
            setattr(gl, name, getattr(module, name))
    gl.constexpr = constants.constexpr  # type: ignore[attr-defined]
    gl.dtype = dtypes.DType  # type: ignore[attr-defined]
    gl.pointer_type = dtypes.PointerType  # type: ignore[attr-defined]
    gl.tensor = values.Tensor  # type: ignore[attr-defined]
    gl.tuple = tuple  # type: ignore[attr-defined]
    gl.shared_memory_descriptor = SharedMemory  # type: ignore[attr-defined]
    gl.warp_specialize = launch.warp_specialize  # type: ignore[attr-defined]


def _collect(module: ModuleType, found: dict[str, ModuleType]) -> None:
    found[module.__name__] = module
    for value in list(vars(module).values()):
        if isinstance(value, StandIn) and value.__name__ not in found:
            _collect(value, found)


def namespace(emulator: Emulator) -> dict[str, Any]:
    """Builtins of an emulated module: its imports of triton find the stand-ins, its loops are Gluon's."""
    modules = build(emulator)

    def find(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if level or name.partition(".")[0] != "triton":
            return builtins.__import__(name, globals, locals, fromlist, level)
        if name not in modules:
            raise Unsupported(f"the emulator has no stand-in for the module {name}.", location=_importer())
        for wanted in fromlist or ():
            if not hasattr(modules[name], wanted):  # else Python makes an ImportError of it
                raise Unsupported(f"the emulator does not know {name}.{wanted}.", location=_importer())
        return modules[name] if fromlist else modules["triton"]

    return {
        **vars(builtins),
        "__import__": find,
        "range": launch.kernel_range,
        "min": _extremum(builtins.min, mathematics.minimum),
        "max": _extremum(builtins.max, mathematics.maximum),
        source.CARRY: launch.carry,
        source.TICK: lambda: active().tick(),
        source.VALUE: launch.value_of,
    }


def _extremum(plain: Callable[..., Any], of_tensors: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def choose(*args: Any, **options: Any) -> Any:
        if any(isinstance(value, values.Tensor) for value in args):
            return functools.reduce(of_tensors, args)
        return plain(*args, **options)

    return choose
