"""The stand-in modules a Gluon source imports in place of triton's, and the import that finds them."""

from __future__ import annotations

import builtins
import functools
import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any

from twill.emulate import (
    async_copy,
    cluster_barriers,
    constants,
    descriptors,
    dtypes,
    float2,
    host,
    im2col,
    language,
    launch,
    launch_control,
    layouts,
    mathematics,
    mbarrier,
    roles,
    source,
    tcgen05,
    tensor_layouts,
    tensor_memory,
    tma,
    tma_reductions,
    tokens,
    values,
    wgmma,
)
from twill.emulate.launch import Emulator, JitFunction
from twill.emulate.memory import SharedMemory
from twill.emulate.scheduler import active, running
from twill.errors import Location, Unsupported

GLUON = "triton.experimental.gluon"
TENSOR_LAYOUTS = ("TensorMemoryLayout", "TensorMemoryScalesLayout", "get_tmem_reg_layout")
TCGEN05 = ("tcgen05_commit", "tcgen05_copy", "tcgen05_mma", "tcgen05_mma_barrier_count", "tcgen05_mma_scaled")
IM2COL = ("async_copy_global_to_shared_im2col", "async_load_im2col")
PACKED = ("add2", "sub2", "mul2", "fma2", "min2", "max2")
# Host-side modules of triton's that are Python over torch: the installed ones are imported.
INSTALLED = ("triton.testing", "triton.tools.mxfp", "triton._C", "triton._C.libtriton", "triton.profiler")


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
    return active().here() if running() else source.caller()


def _module(name: str, kind: type[StandIn] = StandIn, /, **names: Any) -> StandIn:
    module = kind(name)
    module.__path__ = []
    for key, value in names.items():
        setattr(module, key, value)
    return module


def _public(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}


class _Triton(StandIn):
    """The package itself: some of its modules are the installed ones."""

    def __getattr__(self, name: str) -> Any:
        if f"triton.{name}" in INSTALLED:
            return importlib.import_module(f"triton.{name}")
        return super().__getattr__(name)


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
    reductions = {name: getattr(tma_reductions, name) for name in tma_reductions.__all__}
    copies = _module(
        f"{GLUON}.language.nvidia.hopper.tma",
        **{name: getattr(tma, name) for name in transfers},
        make_tensor_descriptor=descriptors.make_tensor_descriptor,
        **reductions,
        tensor_descriptor=descriptors.DeviceDescriptor,
        tensor_descriptor_im2col=im2col.Im2ColDescriptor,
        **{name: getattr(im2col, name) for name in IM2COL},
    )
    clusters = {name: getattr(cluster_barriers, name) for name in cluster_barriers.__all__}
    copying = {name: getattr(async_copy, name) for name in async_copy.__all__}
    ampere = _module(
        f"{GLUON}.language.nvidia.ampere",
        async_copy=_module(f"{GLUON}.language.nvidia.ampere.async_copy", **copying),
        mbarrier=_module(f"{GLUON}.language.nvidia.ampere.mbarrier", **_public(barriers)),
    )
    hopper = _module(
        f"{GLUON}.language.nvidia.hopper",
        async_copy=ampere.async_copy,
        mbarrier=barriers,
        tma=copies,
        cluster=_module(f"{GLUON}.language.nvidia.hopper.cluster", **clusters),
        fence_async_shared=wgmma.fence_async_shared,
        warpgroup_mma=wgmma.warpgroup_mma,
        warpgroup_mma_accumulator=tokens.Accumulator,
        warpgroup_mma_init=lambda value: value,
        warpgroup_mma_wait=wgmma.warpgroup_mma_wait,
    )
    gathers = ("async_gather", "async_scatter")
    blackwell_copies = _module(
        f"{GLUON}.language.nvidia.blackwell.tma",
        **{name: getattr(tma, name) for name in (*transfers, *gathers)},
        make_tensor_descriptor=descriptors.make_tensor_descriptor,
        **reductions,
        tensor_descriptor=descriptors.DeviceDescriptor,
        **{name: getattr(im2col, name) for name in IM2COL},
    )
    blackwell = _module(
        f"{GLUON}.language.nvidia.blackwell",
        mbarrier=_module(f"{GLUON}.language.nvidia.blackwell.mbarrier", **_public(barriers)),
        tma=blackwell_copies,
        clc=_module(
            f"{GLUON}.language.nvidia.blackwell.clc",
            **{name: getattr(launch_control, name) for name in launch_control.__all__},
        ),
        cluster=_module(f"{GLUON}.language.nvidia.blackwell.cluster", **clusters),
        async_copy=_module(f"{GLUON}.language.nvidia.blackwell.async_copy", **copying),
        fence_async_shared=wgmma.fence_async_shared,
        tensor_memory_descriptor=tensor_memory.TensorMemory,
        tensor_memory_descriptor_type=tensor_layouts.TensorMemoryType,
        float2=_module(
            f"{GLUON}.language.nvidia.blackwell.float2", **{name: getattr(float2, name) for name in float2.__all__}
        ),
        **{name: getattr(tensor_layouts, name) for name in TENSOR_LAYOUTS},
        allocate_tensor_memory=tensor_memory.allocate_tensor_memory,
        **{name: getattr(tcgen05, name) for name in TCGEN05},
        **{name: getattr(mathematics, name) for name in PACKED},
    )
    libdevice = _module("triton.language.extra.libdevice", **{n: getattr(mathematics, n) for n in mathematics.__all__})
    gl = _Language(f"{GLUON}.language")
    gl.__path__ = []
    _fill_language(gl)
    gl.nvidia = _module(f"{GLUON}.language.nvidia", ampere=ampere, hopper=hopper, blackwell=blackwell)  # type: ignore[attr-defined]
    gl.extra = _module(f"{GLUON}.language.extra", libdevice=libdevice)  # type: ignore[attr-defined]
    hosts = {
        name: _module(
            f"{GLUON}.nvidia.{name}",
            TensorDescriptor=descriptors.TensorDescriptor,
            TensorDescriptorIm2Col=im2col.TensorDescriptorIm2Col,
        )
        for name in ("hopper", "blackwell")
    }
    gluon = _module(
        GLUON,
        jit=jit,
        aggregate=host.aggregate,
        constexpr_function=constants.constexpr_function,
        must_use_result=lambda x, *_: x,
        language=gl,
        nvidia=_module(f"{GLUON}.nvidia", **hosts),
    )
    plain = _Language("triton.language")
    plain.__path__ = []
    _fill_language(plain)
    plain.extra = _module("triton.language.extra", libdevice=libdevice)  # type: ignore[attr-defined]
    plain.core = _module("triton.language.core", _aggregate=host.aggregate)  # type: ignore[attr-defined]
    descriptor = _module("triton.tools.tensor_descriptor", TensorDescriptor=descriptors.TensorDescriptor)
    triton = _module(
        "triton",
        _Triton,
        __version__="0+twill",
        jit=jit,
        Config=host.Config,
        OutOfResources=host.OutOfResources,
        autotune=host.autotune,
        cdiv=lambda x, y: -(-x // y),
        next_power_of_2=lambda n: 1 << max(0, int(n) - 1).bit_length(),
        set_allocator=lambda allocator: None,
        knobs=host.Knobs(),
        experimental=_module("triton.experimental", gluon=gluon),
        language=plain,
        runtime=_module("triton.runtime", driver=host.driver()),
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
    gl.constexpr_function = constants.constexpr_function  # type: ignore[attr-defined]
    gl.aggregate = host.aggregate  # type: ignore[attr-defined]
    gl.dtype = dtypes.DType  # type: ignore[attr-defined]
    gl.pointer_type = dtypes.PointerType  # type: ignore[attr-defined]
    gl.tensor = values.Tensor  # type: ignore[attr-defined]
    gl.tuple = tuple  # type: ignore[attr-defined]
    gl.shared_memory_descriptor = SharedMemory  # type: ignore[attr-defined]
    gl.warp_specialize = roles.warp_specialize  # type: ignore[attr-defined]


def _collect(module: ModuleType, found: dict[str, ModuleType]) -> None:
    found[module.__name__] = module
    for value in list(vars(module).values()):
        if isinstance(value, StandIn) and value.__name__ not in found:
            _collect(value, found)


def namespace(emulator: Emulator, siblings: ModuleType | None = None) -> dict[str, Any]:
    """Builtins of an emulated module: its imports of triton find the stand-ins, its loops are Gluon's.

    siblings: what it gets for importlib.
    """
    modules = build(emulator)

    def find(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if name.partition(".")[0] == "importlib" and siblings is not None and name != "importlib.metadata":
            return siblings
        if level or name.partition(".")[0] != "triton":
            return builtins.__import__(name, globals, locals, fromlist, level)
        if name in INSTALLED:
            return builtins.__import__(name, globals, locals, fromlist, 0) if fromlist else modules["triton"]
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
