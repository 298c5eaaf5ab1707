"""Running kernels: `kernel[grid](...)`, arguments, thread blocks, roles."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from twill.emulate import dtypes, source
from twill.emulate.adversary import Adversary
from twill.emulate.cluster import Cluster
from twill.emulate.constants import at_compile_time, constexpr, unwrap
from twill.emulate.descriptors import DeviceDescriptor, TensorDescriptor
from twill.emulate.global_accesses import share_storage
from twill.emulate.im2col import Im2ColDescriptor, TensorDescriptorIm2Col
from twill.emulate.launch_control import Unlaunched
from twill.emulate.memory import GlobalMemory, SharedMemory, storage_array
from twill.emulate.python_errors import HostError, translate
from twill.emulate.report import Statistics
from twill.emulate.scheduler import Scheduler, activate, active, deactivate, running
from twill.emulate.tokens import Accumulator
from twill.emulate.values import Tensor, as_tensor, refuse
from twill.errors import InputError, TwillError, Unsupported

OPTIONS = {"num_warps", "num_stages", "num_ctas", "maxnreg", "enable_fp_fusion", "launch_pdl"}


class Emulator:
    """State of one loaded module: where its randomness stands and what its launches have cost.

    seed: set it before a launch to draw another interleaving. max_steps: bound per thread block.
    programs: run only these program ids (None: the whole grid). fenced_init: demand a proxy fence between an
    mbarrier.init and the first TMA operation that completes on the barrier. explicit_cluster_sync: the compiler
    puts no barrier of the cluster after the inits and at the kernel's end, as up to Triton 3.7. compiler_fences: it
    orders a role's own writes before its asynchronous reads, as from Triton 3.7 on (and always in a cluster, which
    older versions do not run). drains_stores: let a role end while its TMA stores still read.
    """

    def __init__(self, filename: str, names: dict[int, str], seed: int = 0, max_steps: int = 1_000_000) -> None:
        self.filename = filename
        self.names = names
        self.max_steps = max_steps
        self.programs: Sequence[tuple[int, int, int]] | None = None
        self.fenced_init = False
        self.explicit_cluster_sync = False
        self.drains_stores = False
        self.compiler_fences = False
        self.statistics = Statistics()
        self.seed = seed

    @property
    def seed(self) -> int:
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self._seed = seed
        self.adversary = Adversary(seed)

    def launch(
        self, kernel: JitFunction, grid: tuple[int, ...], bound: dict[str, Any], warps: int, ctas: int = 1
    ) -> None:
        """Run every program, in a random order, each to its end: a thread block, or a cluster of `ctas` of them."""
        extents = (*grid, 1, 1)[:3]
        programs = list(itertools.product(*(range(extent) for extent in extents)))
        if self.programs is not None:
            programs = [program for program in programs if program in self.programs]
        self.adversary.random.shuffle(programs)
        with _one_thread():
            self._run(kernel, Unlaunched(programs, self.seed), extents, bound, warps, ctas)

    def _run(
        self,
        kernel: JitFunction,
        unlaunched: Unlaunched,
        extents: tuple[int, ...],
        bound: dict[str, Any],
        warps: int,
        ctas: int,
    ) -> None:
        while unlaunched.programs:
            scheduler = Scheduler(self.filename, unlaunched.launch(), extents, self.names, self.max_steps)
            scheduler.fenced_init = self.fenced_init
            scheduler.drains_stores = self.drains_stores
            scheduler.compiler_fences = self.compiler_fences or ctas > 1
            scheduler.unlaunched = unlaunched
            if ctas > 1:
                scheduler.cluster = Cluster(scheduler, ctas, self.explicit_cluster_sync)
            for cta in range(ctas):
                self._spawn(scheduler, kernel, bound, warps, cta)
            self.statistics.programs += 1
            activate(scheduler)
            try:
                scheduler.run(self.adversary, self.statistics)
                if scheduler.cluster is not None:
                    scheduler.cluster.check_end()
            except TwillError:
                raise
            except Exception as error:
                raise translate(error, self.filename) from error
            finally:
                deactivate()

    def _spawn(self, scheduler: Scheduler, kernel: JitFunction, bound: dict[str, Any], warps: int, cta: int) -> None:
        def body() -> Any:
            result = kernel.fn(**bound)
            if scheduler.cluster is not None:
                scheduler.cluster.leave()
            return result

        name = kernel.__name__ if scheduler.cluster is None else f"{kernel.__name__}[CTA {cta}]"
        scheduler.spawn(name, warps, body, {}).cta = cta


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """torch computes small products faster alone than with threads that wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class JitFunction:
    """Stand-in for a `@gluon.jit` function: called by a kernel it is a call, indexed by a grid a launch."""

    def __init__(self, fn: Callable[..., Any], emulator: Emulator) -> None:
        self.fn = fn
        self.emulator = emulator
        self.signature = inspect.signature(fn)
        self.arg_names = list(self.signature.parameters)
        functools.update_wrapper(self, fn)
        self.__name__: str = fn.__name__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not running():
            raise InputError(
                f"the jitted function {self.__name__} is called outside a kernel.",
                hint=f"Launch it: {self.__name__}[grid](...).",
            )
        return self.fn(*unwrap(args), **{name: unwrap(value) for name, value in kwargs.items()})

    def __get__(self, instance: Any, owner: type) -> Any:
        """A method of an aggregate."""
        return self if instance is None else functools.partial(self, instance)

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(*args: Any, **kwargs: Any) -> None:
            options = {name: unwrap(kwargs.pop(name)) for name in list(kwargs) if name in OPTIONS}
            declared = {name: value for name, value in options.items() if name in self.signature.parameters}
            try:
                bound = self.signature.bind(*args, **kwargs, **declared)
            except TypeError as error:
                raise HostError(f"the launch of {self.__name__} does not match its parameters: {error}") from error
            bound.apply_defaults()
            values = {name: self._argument(name, value) for name, value in bound.arguments.items()}
            share_storage(values.values())
            extents = grid(dict(bound.arguments)) if callable(grid) else grid
            extents = tuple(int(extent) for extent in (extents if isinstance(extents, (tuple, list)) else (extents,)))
            ctas = int(options.get("num_ctas") or 1)
            if ctas & (ctas - 1) or not 1 <= ctas <= 16:
                raise InputError(f"num_ctas={ctas}: a cluster has 1, 2, 4, 8 or 16 thread blocks.")
            self.emulator.launch(self, extents, values, options.get("num_warps", 4), ctas)

        return launch

    def _argument(self, name: str, value: Any) -> Any:
        annotation = self.signature.parameters[name].annotation
        if annotation is constexpr or (isinstance(annotation, str) and annotation.endswith("constexpr")):
            return unwrap(value)
        return argument(name, unwrap(value))


def argument(name: str, value: Any) -> Any:
    """What a kernel sees of a launch argument: pointers, scalars, descriptors, tuples of them."""
    if isinstance(value, (bool, int, float, np.number)):
        return as_tensor(value.item() if isinstance(value, np.number) else value)
    if isinstance(value, TensorDescriptorIm2Col):
        return Im2ColDescriptor(pointer(name, value.base), value)
    if isinstance(value, TensorDescriptor):
        value.check()
        base = pointer(name, value.base)
        return DeviceDescriptor(base, value.shape, value.strides, value.block_shape, value.layout, value.padding)
    if isinstance(value, (tuple, list)):
        return tuple(argument(f"{name}[{i}]", item) for i, item in enumerate(value))
    if hasattr(value, "data_ptr"):
        return pointer(name, value)
    return value


def pointer(name: str, tensor: Any) -> Tensor:
    """A pointer to the first element of a torch tensor; its bounds are those of the storage."""
    if tensor.device.type != "cpu":
        raise HostError(f"argument {name} lies on {tensor.device}; the emulator takes CPU tensors")
    dtype = dtypes.TORCH_NAMES.get(str(tensor.dtype).removeprefix("torch."))
    if dtype is None:
        message = f"argument {name} has dtype {tensor.dtype}, which the emulator does not know."
        raise Unsupported(message, location=source.caller())
    memory = GlobalMemory(name, storage_array(tensor, dtype))
    return Tensor(np.int64(tensor.storage_offset()), dtypes.PointerType(dtype), None, memory)


def kernel_range(*bounds: Any) -> Any:
    """`range` as Gluon compiles it: inside a kernel the index is an integer of the machine."""
    if not running() or active().task is None or at_compile_time():
        return range(*unwrap(bounds))
    return _turns(*(as_tensor(bound) for bound in unwrap(bounds)))


def _turns(*bounds: Tensor) -> Iterator[Tensor]:
    dtype = bounds[0].dtype
    for bound in bounds:
        if bound.shape or bound.dtype.is_floating():
            refuse(f"a loop bound of type {bound!r}.")
        dtype = dtypes.promote_integers(dtype, bound.dtype)
    scheduler = active()
    turns = scheduler.current().turns
    turns.append(0)
    depth = len(turns)
    try:
        for turn, index in enumerate(range(*(int(bound.data) for bound in bounds))):
            turns[depth - 1] = turn
            scheduler.tick()
            yield Tensor(dtype.numpy.type(index), dtype)
    finally:
        del turns[depth - 1 :]


def carry(value: Any) -> Any:
    """A number carried around a loop is a scalar of the machine from then on."""
    value = unwrap(value)
    if isinstance(value, (bool, int, float)):
        return as_tensor(value)
    if isinstance(value, tuple):
        return tuple(carry(item) for item in value)
    return value


def value_of(value: Any) -> Any:
    """`.value` of a compile-time constant."""
    plain = unwrap(value)
    return (
        plain.value if hasattr(plain, "value") and not isinstance(plain, (Tensor, Accumulator, SharedMemory)) else plain
    )
