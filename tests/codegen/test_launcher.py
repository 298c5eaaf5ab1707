"""The launcher of an emitted module, run against stand-ins: what it checks, and what it launches."""

import ast
import functools
import inspect
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import twill
from twill.codegen.gluon import emit
from twill.codegen.plan import plan
from twill.emulate.load import load
from twill.errors import Unsupported
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
        assert num_warps in (4, 8)
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
    assert described or all(op.unit != "TMA" for op in shipped(name)[1].schedule.problem.ops)
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
    assert "Raises TypeError or ValueError" in ast.get_docstring(function)


@functools.cache
def fresh(name):
    return emitted(name)


def refused(message, name="matmul_fp16", error=ValueError, **changed):
    """The launcher refuses the example with some arguments changed, and launches nothing."""
    function, recorder, arguments, _ = fresh(name)
    recorder.arguments = None
    with pytest.raises(error, match=message):
        function(**{**arguments, **changed})
    assert recorder.arguments is None


def accepted(name="matmul_fp16", **changed):
    function, recorder, arguments, _ = fresh(name)
    recorder.arguments = None
    function(**{**arguments, **changed})
    assert recorder.arguments is not None


def half(*shape):
    return torch.zeros(shape, dtype=torch.float16)


def test_what_is_no_tensor_is_refused():
    refused(r"^a must be a torch.Tensor, got list", error=TypeError, a=[1.0])
    refused(r"^c must be a torch.Tensor, got NoneType", error=TypeError, c=None)


def test_tensors_of_two_devices_are_refused():
    refused(r"^b is on meta but a on cpu: move them to one GPU", b=half(512, 512).to("meta"))
    refused(r"^b is on cpu but a on meta", a=half(256, 512).to("meta"))


@pytest.mark.parametrize("current", [0, 1])
def test_on_a_gpu_the_tensors_must_be_on_the_current_one(current, monkeypatch):
    class OnGpu(torch.Tensor):
        """One that says so: there may be no GPU."""

        device = torch.device("cuda", 0)

    function, recorder, arguments, _ = emitted("matmul_fp16")
    module = function.__globals__
    assert module["DEVICE_TYPE"] == "cpu"
    module["DEVICE_TYPE"] = "cuda"
    with pytest.raises(ValueError, match=r"^a is on cpu, where the kernel does not run: move the tensors to cuda"):
        function(**arguments)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current)
    moved = {name: OnGpu(x) if isinstance(x, torch.Tensor) else x for name, x in arguments.items()}
    if current == 0:
        function(**moved)
        assert recorder.arguments is not None
    else:
        with pytest.raises(ValueError, match=r"^a is on cuda:0, not on the current GPU: use `with torch.cuda.device"):
            function(**moved)


def test_scalars_are_numbers_of_32_bits():
    refused(r"^K must be an int, got float", error=TypeError, K=512.0)
    refused(r"^N must be an int, got Tensor", error=TypeError, N=torch.tensor(512))
    refused(r"^M=2147483648 overflows the 32 bits", M=2**31)
    refused(r"^scale must be a number, got str", "attention_d128_fp16", TypeError, scale="1")
    accepted("attention_d128_fp16", scale=1)


def test_a_tensor_smaller_than_its_descriptor_is_refused():
    refused(r"^a has shape \[256, 256\].*takes it as shape \[256, 512\].*131072 elements", a=half(256, 256))
    refused(r"^c has shape \[256\]", c=half(256))
    refused(r"^k has shape", "attention_d128_fp16", k=half(1, 128))
    refused(r"^c has shape \[0\]", c=half(0))


def test_a_contiguous_tensor_that_is_larger_or_flat_is_taken():
    accepted(a=half(300, 512))
    accepted(a=half(256 * 512), c=half(1, 256, 512))


@pytest.mark.parametrize(
    "view",
    [
        lambda: half(512, 256).T,  # the elements of a [256, 512] tensor in another order
        lambda: half(256, 1024)[:, :512],
        lambda: half(256, 1024)[:, ::2],
        lambda: half(1, 512).expand(256, 512),
        lambda: half(512, 512)[::2],
    ],
    ids=["transposed", "columns", "every other column", "expanded", "every other row"],
)
def test_a_tensor_with_other_strides_is_refused(view):
    refused(r"^a has shape \[256, 512\] and strides .*those are other elements: pass a contiguous tensor", a=view())


def test_heads_out_of_a_larger_tensor_are_refused_unless_they_lie_together():
    _, _, arguments, _ = fresh("attention_d128_fp16")
    heads, rows, depth = arguments["q"].shape
    assert heads > 1
    refused(r"^q has shape", "attention_d128_fp16", q=half(rows, heads, depth).transpose(0, 1))
    refused(r"^q has shape", "attention_d128_fp16", q=half(heads, 2 * rows, depth)[:, :rows])
    accepted("attention_d128_fp16", q=half(2 * heads, rows, depth)[heads:])
    accepted("attention_d128_fp16", q=half(heads, rows, 1, depth).transpose(1, 2))


def test_an_address_and_a_pitch_that_tma_does_not_take_are_refused():
    refused(r"^a .*begin at a multiple of 16 bytes: use a tensor of its own", a=half(256 * 512 + 1)[1:])
    accepted(a=half(256 * 512 + 8)[8:])
    refused(r"^a .*a multiple of 16 bytes, 8 elements: pad its rows", K=508)


def test_sizes_below_zero_or_beyond_32_bit_coordinates_are_refused():
    refused(r"^[ac] .*sizes must be in 0..2\*\*31-1", M=-5)
    refused(r"^k .*sizes must be in 0..2\*\*31-1", "attention_d128_fp16", N=2**30)


def test_a_grid_that_no_gpu_launches_is_refused():
    refused(r"^grid \(4, 65536\) has 65536, not in 0..65535", "attention_d128_fp16", H=2**16, M=512)
    function, _, arguments, _ = emitted("matmul_fp16", grid_text=None, grid=None)
    for wrong in (7, (), (1, 1, 1, 1), lambda meta: (1,)):
        with pytest.raises(TypeError, match=r"^grid must be a tuple of one to three ints"):
            function(**arguments, grid=wrong)
    with pytest.raises(ValueError, match=r"^grid \(-1,\) has -1, not in 0..2147483647"):
        function(**arguments, grid=(-1,))


def test_without_rows_nothing_is_launched():
    function, recorder, arguments, _ = emitted("matmul_fp16")
    assert function(**{**arguments, "M": 0, "a": half(0, 512), "c": half(0, 512)}) is None
    assert recorder.arguments is None
    function(**{**arguments, "K": 0, "a": half(256, 0), "b": half(0, 512)})
    assert recorder.arguments is not None


def test_what_is_read_by_pointers_must_be_contiguous():
    refused(r"^bias has shape \[512\] and strides \[2\].*pass a contiguous tensor", bias=torch.zeros(1024)[::2])
    refused(r"^bias has shape", bias=torch.zeros(1).expand(512))
    accepted(bias=torch.zeros(1024)[512:])


def test_offsets_of_pointers_stay_within_32_bits():
    check = fresh("matmul_fp16")[0].__globals__["require_pointer"]
    large = torch.empty(2**31 + 1, device="meta")
    with pytest.raises(ValueError, match=r"^bias reaches beyond the kernel's 32-bit offsets"):
        check("bias", large)
    check("bias", large, narrow=False)
    check("bias", large[: 2**31])


def test_a_tensor_is_taken_in_the_order_it_was_compiled_for():
    _, _, launch = shipped("matmul_fp16")
    (k, n) = launch.argument("b").shape
    changed = tuple(replace(spec, strides=(1, k)) if spec.name == "b" else spec for spec in launch.arguments)
    function, recorder, arguments, source = emitted("matmul_fp16", arguments=changed)
    assert 'require_view("b", b, [K, N], [N, 1], order=(1, 0))' in source
    assert arguments["b"].stride() == (1, k)
    function(**arguments)
    assert recorder.arguments is not None
    for wrong, why in ((half(k, n), "other elements"), (half(k * n), "compiled for 2 dimensions")):
        with pytest.raises(ValueError, match=rf"^b has shape.*{why}"):
            function(**{**arguments, "b": wrong})


def test_a_pointer_compiled_for_a_tensor_that_is_not_contiguous_takes_such():
    _, _, launch = shipped("matmul_fp16")
    changed = tuple(replace(spec, strides=(2,)) if spec.name == "bias" else spec for spec in launch.arguments)
    function, _, arguments, _ = emitted("matmul_fp16", arguments=changed)
    assert arguments["bias"].stride() == (2,)
    function(**arguments)


@pytest.mark.parametrize("name", ["require_view", "merged", "DEVICE_TYPE", "grid"])
def test_names_that_the_launcher_uses_are_not_the_user_s(name):
    _, _, launch = shipped("matmul_fp16")
    renamed = tuple(replace(spec, name=name) if spec.name == "M" else spec for spec in launch.arguments)
    with pytest.raises(Unsupported, match=f"a kernel parameter named `{name}` is not emitted"):
        emitted("matmul_fp16", arguments=renamed)


def test_descriptors_that_the_caller_makes_are_checked():
    _, file, launch = shipped("matmul_fp16")
    made = plan(parse_graph(file.graph), file.schedule, launch)
    given = [replace(one, sizes=(), strides=()) if one.base == "a" else one for one in made.descriptors]
    specs = [replace(spec, kind="descriptor") if spec.name == "a" else spec for spec in launch.arguments]
    source = emit(replace(made, descriptors=tuple(given), launch=replace(launch, arguments=tuple(specs))))
    module = load("emitted.py", text=source)
    recorder = module.matmul_kernel = Recorder()
    arguments = materialize(launch)
    layout = module.gl.NVMMASharedLayout.get_default_for([64, 64], module.gl.float16)

    def launched(a):
        module.matmul(**{**arguments, "a": a})

    def described(base, *shape):
        return module.TensorDescriptor(base, shape, (*shape[1:], 1), (64,) * len(shape), layout)

    for wrong, error, message in (
        (arguments["a"], TypeError, r"^a must be a TensorDescriptor, got Tensor"),
        (described(half(512), 512), ValueError, r"^a must have rank 2, got shape \[512\]"),
        (described(torch.zeros(256, 512), 256, 512), ValueError, r"^a must be torch.float16"),
        (described(half(255, 512), 256, 512), ValueError, r"^a has shape .*131072 elements"),
    ):
        with pytest.raises(error, match=message):
            launched(wrong)
    assert recorder.arguments is None
    launched(described(half(256, 512), 256, 512))
    assert recorder.arguments is not None


STRIDED = Path(__file__).parents[1] / "kernels_for_tests" / "strided.py"


@pytest.fixture(scope="module")
def strided():
    """(launcher, its example) of a kernel that takes strides, emulated."""
    compiled = twill.compile(STRIDED, subtiles=1, tune=False, time_limit=4)
    return load("strided.py", text=compiled.source).strided, materialize(compiled.launch)


def padded(tensor, columns=8):
    """The same numbers in rows that are further apart."""
    wide = torch.full((tensor.shape[0], tensor.shape[1] + columns), math.nan, dtype=tensor.dtype)
    wide[:, : tensor.shape[1]] = tensor
    return wide[:, : tensor.shape[1]]


def test_a_kernel_that_takes_strides_takes_tensors_that_have_them(strided):
    function, arguments = strided
    expected = arguments["a"].double() @ arguments["b"].double() + arguments["bias"].double()
    bias = arguments["bias"].T.contiguous().T
    rows = {name: padded(arguments[name]) for name in "abc"}
    pitch = rows["a"].stride(0)
    given = {"stride_am": pitch, "stride_bk": pitch, "stride_cm": pitch, "stride_rm": 1, "stride_rn": bias.stride(1)}
    function(**{**arguments, **rows, "bias": bias, **given})
    torch.testing.assert_close(rows["c"].double(), expected, rtol=2**-9, atol=2**-9)


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_and_refuses_those_that_have_others(strided, name):
    function, arguments = strided
    with pytest.raises(ValueError, match=rf"^{name} has shape .*those are other elements"):
        function(**{**arguments, name: padded(arguments[name])})


def test_and_refuses_what_its_pointers_would_miss(strided):
    function, arguments = strided
    with pytest.raises(ValueError, match=r"^bias has shape .*the kernel takes it as contiguous"):
        function(**{**arguments, "bias": padded(arguments["bias"])})
    with pytest.raises(ValueError, match=re.escape("TMA needs a last stride of 1")):
        function.__globals__["require_view"]("a", arguments["a"], [128, 128], [1, 128], told=True)


def test_what_is_copied_in_vectors_begins_at_one():
    """A tensor that asynchronous copies read: 16 bytes at a time."""
    variant = next(each for each in VARIANTS if each.name == "grouped_matmul_gather_fp16")
    module = load(module_path(variant))
    module.grouped_matmul_gather_kernel = recorder = Recorder()
    arguments = materialize(from_json(files.read(schedule_path(variant)).launch))
    module.grouped_matmul_gather(**arguments)
    assert recorder.grid == (4, 2)
    longer = torch.zeros(arguments["x"].numel() + 1, dtype=torch.float16)[1:].view_as(arguments["x"])
    with pytest.raises(ValueError, match="x is copied 16 bytes at a time, and begins elsewhere"):
        module.grouped_matmul_gather(**{**arguments, "x": longer})
    with pytest.raises(ValueError, match="K must be a multiple of"):
        module.grouped_matmul_gather(**{**arguments, "K": 100})
