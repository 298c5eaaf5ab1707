"""The launcher of an emitted module, run against stand-ins: what it checks, and what it launches."""

import ast
import inspect
from dataclasses import replace

import pytest
import torch

from twill.codegen.gluon import emit
from twill.codegen.plan import plan
from twill.emulate.load import load
from twill.frontend.launch import from_json
from twill.frontend.materialize import materialize
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, module_path, schedule_path

NAMES = [variant.name for variant in VARIANTS]


class Recorder:
    """Stands where the kernel is and keeps its launches."""

    def __init__(self):
        self.grid = self.arguments = None

    def __getitem__(self, grid):
        self.grid = grid
        return self

    def __call__(self, *arguments, num_warps):
        assert num_warps == 4
        self.arguments = arguments


def shipped(name):
    (variant,) = [variant for variant in VARIANTS if variant.name == name]
    file = files.read(schedule_path(variant))
    return variant, file, from_json(file.launch)


def launcher(name):
    """(launcher, recorder, example arguments, launch) of a shipped module."""
    variant, file, launch = shipped(name)
    module = load(module_path(variant))
    entry = file.schedule.problem.name
    recorder = Recorder()
    setattr(module, f"{entry}_kernel", recorder)
    return getattr(module, entry), recorder, materialize(launch), launch


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_launched_on_its_grid(name):
    function, recorder, arguments, launch = launcher(name)
    function(**arguments)
    padded = (*recorder.grid, 1, 1)[:3]
    assert tuple(padded) == launch.grid
    # A descriptor for every tensor the kernel reads or writes by TMA, over that tensor's memory.
    described = [value for value in recorder.arguments if hasattr(value, "block_shape")]
    assert described
    bases = {spec.name: arguments[spec.name].data_ptr() for spec in launch.arguments if spec.kind == "tensor"}
    assert {value.base.data_ptr() for value in described} <= set(bases.values())


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_the_source_kernel_s(name):
    function, _, _, launch = launcher(name)
    parameters = inspect.signature(function).parameters
    assert list(parameters) == [spec.name for spec in launch.arguments]
    for spec in launch.arguments:
        if spec.kind == "constexpr":
            assert parameters[spec.name].default == spec.value


@pytest.mark.parametrize("name", NAMES)
def test_every_argument_that_differs_is_named(name):
    function, recorder, arguments, launch = launcher(name)
    for spec in launch.arguments:
        if spec.kind == "tensor":
            wrong = arguments[spec.name].to(torch.float64)
            with pytest.raises(ValueError, match=rf"^{spec.name} must be torch\.\w+, got torch\.float64"):
                function(**{**arguments, spec.name: wrong})
        elif spec.kind == "constexpr":
            for wrong in (f"not {spec.value}", None):
                with pytest.raises(ValueError, match=rf"^compiled for {spec.name}=.* got {wrong!r}: compile it again"):
                    function(**{**arguments, spec.name: wrong})
    for argument in launch.multiple_of:
        wrong = arguments[argument] + 1
        with pytest.raises(ValueError, match=rf"^{argument} must be a multiple of \w+, got {wrong}"):
            function(**{**arguments, argument: wrong})
    assert recorder.arguments is None


@pytest.mark.parametrize("name", ["attention_d128_fp16", "attention_dq_d128_bf16"])
def test_some_shipped_launchers_need_multiples(name):
    assert launcher(name)[3].multiple_of


def emitted(name, **changes):
    """The module of a shipped schedule under another launch, loaded with its kernel recorded."""
    _, file, launch = shipped(name)
    launch = replace(launch, **changes)
    source = emit(plan(parse_graph(file.graph), file.schedule, launch))
    entry = file.schedule.problem.name
    module = load("emitted.py", text=source)
    recorder = Recorder()
    setattr(module, f"{entry}_kernel", recorder)
    return getattr(module, entry), recorder, materialize(launch), source


def test_without_a_grid_the_caller_gives_one():
    function, recorder, arguments, _ = emitted("matmul_fp16", grid_text=None, grid=None)
    parameter = inspect.signature(function).parameters["grid"]
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert parameter.default is inspect.Parameter.empty
    with pytest.raises(TypeError, match="grid"):
        function(**arguments)
    function(**arguments, grid=(3, 2))
    assert recorder.grid == (3, 2)


def test_what_follows_a_constant_is_a_keyword():
    _, _, launch = shipped("matmul_fp16")
    constants = [spec for spec in launch.arguments if spec.kind == "constexpr"]
    others = [spec for spec in launch.arguments if spec.kind != "constexpr"]
    reordered = (*constants[:1], *others, *constants[1:])
    for changes in ({}, {"grid_text": None, "grid": None}):
        function, _, arguments, _ = emitted("matmul_fp16", arguments=reordered, **changes)
        parameters = inspect.signature(function).parameters
        assert [spec.name for spec in reordered] == [name for name in parameters if name != "grid"]
        assert all(parameters[spec.name].kind is inspect.Parameter.KEYWORD_ONLY for spec in others)
        function(**arguments, **({"grid": (1,)} if changes else {}))


def test_an_empty_tensor_still_has_a_descriptor():
    function, recorder, arguments, _ = emitted("matmul_fp16")
    function(**{**arguments, "K": 0})
    shapes = [list(value.shape) for value in recorder.arguments if hasattr(value, "block_shape")]
    assert all(extent >= 1 for shape in shapes for extent in shape)


def test_the_launcher_is_plain_python_with_a_docstring():
    *_, source = emitted("attention_d64_causal_fp16")
    function = ast.parse(source).body[-1]
    assert isinstance(function, ast.FunctionDef)
    assert "Raises ValueError" in ast.get_docstring(function)
