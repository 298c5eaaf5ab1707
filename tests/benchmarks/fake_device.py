"""Runs a module as if this machine had an H100: `python -m tests.benchmarks.fake_device -m MODULE ARGUMENT ...`.

What a device would be asked goes through the code of torch and Triton as far as it goes without one: tensors "on cuda"
are the CPU's, every launch is bound, specialized and compiled for sm_90a by Triton's own path, and then not run.
What it would have left is made up: outputs by the reference, timed twins' records by the simulator, clock reads of the
probes from plausible readings.

Environment: FAKE_DEVICE_EXECUTABLE, the command that stands for Python in processes started from here;
FAKE_DEVICE_RESULTS, the folder that stands for benchmarks/results. With FAKE_DEVICE_BREAKS=NAME the process that runs
that kernel dies as after an illegal access.
"""

import os
import runpy
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.overrides import TorchFunctionMode

NAME = "NVIDIA H100 80GB HBM3"


class OnTheCpu(TorchFunctionMode):
    """What is asked for on "cuda" is made on the CPU."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if str(kwargs.get("device", "")).startswith("cuda"):
            kwargs["device"] = "cpu"
        args = tuple("cpu" if isinstance(each, str) and each.startswith("cuda") else each for each in args)
        if getattr(function, "__name__", "") == "cuda":
            return args[0]
        return function(*args, **kwargs)


class Event:
    """An event of a stream that does everything at once."""

    def __init__(self, enable_timing=False):
        self.at = 0.0

    def record(self):
        self.at = time.perf_counter()

    def elapsed_time(self, end):
        return 1e3 * (end.at - self.at) + 0.01


class Driver:
    """As much of Triton's driver as binding and compiling ask for."""

    def get_current_target(self):
        from triton.backends.compiler import GPUTarget

        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    def get_active_torch_device(self):
        return torch.device("cpu")


def pretend():
    """Torch and Triton see an H100."""
    properties = SimpleNamespace(name=NAME, multi_processor_count=132, L2_cache_size=50 << 20, uuid="0-1-2")
    replaced = {
        "is_available": lambda: True, "get_device_capability": lambda *_: (9, 0), "get_device_name": lambda *_: NAME,
        "get_device_properties": lambda *_: properties, "current_device": lambda: 0, "synchronize": lambda *_: None,
        "empty_cache": lambda: None, "Event": Event,
    }  # fmt: skip
    for name, stand_in in replaced.items():
        setattr(torch.cuda, name, stand_in)
    OnTheCpu().__enter__()
    from triton.runtime import driver
    from triton.runtime.jit import JITFunction

    driver.set_active(Driver())
    launched = JITFunction.run

    def run(self, *args, grid, warmup, **options):
        if probe.get("name"):
            probe["rows"](args)
        elif self.__module__.startswith("twill_"):  # a generated kernel; stock Triton's are not compiled here
            launched(self, *args, grid=grid, warmup=True, **options)

    JITFunction.run = run


probe = {}


def pretend_probes():
    """Every probe leaves the clock reads of a plausible reading."""
    from tests.calibrate.readings import plausible
    from twill.calibrate import child

    readings, measured = plausible(), child._measure

    def measure(wanted, sm_count):
        def rows(args):
            each, n = readings[wanted.name], next(value for value in args if isinstance(value, int))
            cycles = max(each.cycles, each.completion)
            row = [cycles * n, each.issue * n, each.completion * n, each.ns * n]
            args[0].copy_(torch.tensor([[1000 + round(value) for value in row]] * len(args[0])))

        probe.update(name=wanted.name, rows=rows)
        return measured(wanted, sm_count)

    child._measure = measure


def with_results(launch, source):
    """A launcher whose outputs are the reference's after the launch."""

    def run(**arguments):
        launch.__globals__["DEVICE_TYPE"] = None  # tensors are the CPU's
        given = launch(**arguments)
        if os.environ.get("FAKE_DEVICE_BREAKS") == source.name:
            raise SystemExit("CUDA error: an illegal memory access was encountered")
        given_to_it = {name: value for name, value in arguments.items() if name != "twill_records"}
        key = tuple(getattr(value, "data_ptr", lambda value=value: value)() for value in given_to_it.values())
        if key not in known:
            known[key] = source.info.reference(**given_to_it)
        for name, exact in known[key].items():
            arguments[name].copy_(exact)
        return given

    known = {}
    return run


def pretend_kernels():
    """Few and small shapes; launches leave right results."""
    from benchmarks.gpu import cases, contenders, timing

    family = cases.FAMILIES["matmul.py"]
    cases.FAMILIES["matmul.py"] = replace(
        family, checks=family.checks[:2], timings=lambda a: ({"M": 128, "N": 256, "K": 64},),
        timeline={"M": 256, "N": 256, "K": 4096},
    )  # fmt: skip
    timing.ROUNDS, timing.REPEATS = 1, 2
    contenders._launch_options = lambda: [{"num_warps": 4, "num_stages": 2}]
    contenders._other_tiles = lambda kernel, arguments: []
    loaded = cases.load

    def load(variant):
        kernel = loaded(variant)
        return replace(kernel, launch=with_results(kernel.launch, kernel.source))

    cases.load = load


def pretend_twins():
    """A timed twin leaves the records of a simulated program, each iteration 100 cycles later than simulated."""
    from tests.measure.made_up import shifted, words
    from twill import frontend
    from twill.frontend.launch import from_json
    from twill.measure import child
    from twill.measure.arguments import source_of
    from twill.measure.predicted import predicted

    made, imported, twin = {}, child._imported, child.clean_twin

    def clean_twin(stored, *args, **options):
        made.update(stored=stored, twin=twin(stored, *args, **options))
        return made["twin"]

    def load(path, source):
        module = imported(path, source)
        launch = from_json(made["stored"].launch)
        name = made["twin"].name
        kernel = frontend.load(f"{source_of(launch.source, path)}::{launch.kernel}")
        plain = with_results(getattr(module, name), kernel)

        def run(**arguments):
            records = plain(**arguments)
            if records is None:
                return None
            stamps = made["twin"].stamps
            same = predicted(made["stored"], stamps.probes, 64)
            late = shifted(same, lambda probe, iteration: 100 * iteration)
            for row in records:
                row.copy_(torch.tensor(words(late, stamps, 64)))
            return records

        setattr(module, name, run)
        return module

    child.clean_twin, child._imported = clean_twin, load


if __name__ == "__main__":
    flag, wanted, *arguments = sys.argv[1:]
    assert flag == "-m", sys.argv
    sys.executable = os.environ["FAKE_DEVICE_EXECUTABLE"]
    from benchmarks import record

    record.RESULTS = Path(os.environ["FAKE_DEVICE_RESULTS"])
    torch.set_num_threads(1)
    pretend()
    pretend_kernels()
    sys.argv = [wanted, *arguments]
    if wanted == "twill.calibrate.child":  # what was replaced in the module must be what runs
        pretend_probes()
        sys.modules[wanted].main(arguments)
    elif wanted == "twill.measure.child":
        pretend_twins()
        sys.modules[wanted].main(*arguments)
    else:
        runpy.run_module(wanted, run_name="__main__", alter_sys=True)
