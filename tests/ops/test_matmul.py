"""The product with its epilogue: against float64, its gradients, what is refused, and the kernels emulated."""

import pytest
import torch

from twill.ir.tolerance import tolerance
from twill.ops import dispatch, matmul
from twill.ops.matmul import persists

F64 = torch.float64
NAMES = {torch.float16: "f16", torch.bfloat16: "bf16", torch.float32: "f32", torch.float64: "f64"}


def tensors(m=5, k=8, n=4, dtype=F64, seed=0):
    """a: [m, k], b: [k, n], bias: [n], residual: [m, n]."""
    random = torch.Generator().manual_seed(seed)
    shapes = {"a": (m, k), "b": (k, n), "bias": (n,), "residual": (m, n)}
    made = {name: torch.randn(shape, generator=random, dtype=F64) for name, shape in shapes.items()}
    made["b"] /= max(k, 1) ** 0.5
    return {name: x.to(dtype) for name, x in made.items()}


def exact(a, b, bias=None, activation="none", residual=None):
    """In float64, gelu written out."""
    x = a.double() @ b.double() + (0 if bias is None else bias.double())
    if activation == "silu":
        x = x / (1 + (-x).exp())
    elif activation == "gelu":
        x = x / 2 * (1 + ((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)).tanh())
    return x + (0 if residual is None else residual.double())


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("activation", ["none", "silu", "gelu"])
@pytest.mark.parametrize("given", [(), ("bias",), ("residual",), ("bias", "residual")])
def test_it_is_the_product_and_its_epilogue(dtype, activation, given):
    made = tensors(33, 70, 50, dtype)
    named = {name: made[name] for name in given}
    found = matmul(made["a"], made["b"], activation=activation, **named)
    expected = exact(made["a"], made["b"], activation=activation, **named)
    assert found.dtype == dtype
    assert found.is_contiguous()
    allowed = tolerance(NAMES[dtype], 70, float(expected.abs().max()), roundings=1)
    assert (found.double() - expected).abs().max() <= allowed


@pytest.mark.parametrize("sizes", [(0, 8, 4), (5, 0, 4), (5, 8, 0), (1, 1, 1)])
def test_empty_and_tiny_products(sizes):
    made = tensors(*sizes)
    torch.testing.assert_close(matmul(**made, activation="silu"), exact(**made, activation="silu"))


def test_permuted_layouts_and_inputs_stay():
    made = tensors(6, 8, 10)
    permuted = {name: x.mT.contiguous().mT if x.dim() == 2 else x.repeat(2, 1).mT[:, 0] for name, x in made.items()}
    kept = {name: x.clone() for name, x in permuted.items()}
    torch.testing.assert_close(matmul(**permuted, activation="gelu"), exact(**made, activation="gelu"))
    assert all(torch.equal(x, kept[name]) for name, x in permuted.items())


@pytest.mark.parametrize("activation", ["none", "silu", "gelu"])
def test_gradients_and_theirs(activation):
    made = tuple(x.requires_grad_() for x in tensors().values())

    def product(a, b, bias, residual):
        return matmul(a, b, bias, activation, residual)

    assert torch.autograd.gradcheck(product, made)
    assert torch.autograd.gradgradcheck(product, made)
    a, b, _, _ = made
    assert torch.autograd.gradcheck(lambda a, b: matmul(a, b, activation=activation), (a, b))


def test_gradients_come_in_their_tensors_dtypes():
    made = {name: x.requires_grad_() for name, x in tensors(16, 24, 8, torch.bfloat16).items()}
    made["bias"] = made["bias"].detach().float().requires_grad_()
    upstream = torch.randn(16, 8, generator=torch.Generator().manual_seed(3)).bfloat16()
    matmul(**made, activation="silu").backward(upstream)
    wide = {name: x.detach().double().requires_grad_() for name, x in made.items()}
    exact(**wide, activation="silu").backward(upstream.double())
    for name, x in made.items():
        assert x.grad.dtype == x.dtype
        # Rounded where the activation's slope is, in the product, and in the result.
        allowed = tolerance("bf16", 24, float(wide[name].grad.abs().max()), roundings=3)
        assert (x.grad.double() - wide[name].grad).abs().max() <= allowed


@pytest.mark.parametrize("activation", ["none", "silu"])
def test_the_operator_is_registered_right(activation):
    made = {name: x.requires_grad_() for name, x in tensors().items()}
    a, b, bias, residual = made.values()
    torch.library.opcheck(torch.ops.twill.matmul.default, (a, b, bias, activation, residual))
    permuted = a.detach().mT.contiguous().mT.requires_grad_()
    torch.library.opcheck(torch.ops.twill.matmul.default, (permuted, b, None, activation, None))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_there_is_no_graph_break(backend):
    made = tuple(x.requires_grad_() for x in tensors().values())

    def loss(a, b, bias, residual):
        return matmul(a, b, bias, "gelu", residual).square().sum()

    expected = torch.autograd.grad(loss(*made), made)
    found = torch.autograd.grad(torch.compile(loss, backend=backend, fullgraph=True)(*made), made)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("error", "message", "changed"),
    [
        (ValueError, r"a must be a matrix, got shape \[2, 3, 8\]", {"a": torch.ones(2, 3, 8)}),
        (ValueError, "b must be a matrix", {"b": torch.ones(8)}),
        (TypeError, "a must be float16.*int32", {"a": torch.ones(5, 8).int()}),
        (TypeError, "one dtype, got torch.float64 and torch.float32", {"b": torch.ones(8, 4)}),
        (ValueError, "as many as the rows of b", {"b": torch.ones(7, 4, dtype=F64)}),
        (ValueError, "bias must be 4 numbers", {"bias": torch.ones(5, dtype=F64)}),
        (TypeError, "bias must be torch.float64 or float32", {"bias": torch.ones(4).half()}),
        (ValueError, r"shape \[5, 4\], got \[4\]", {"residual": torch.ones(4, dtype=F64)}),
        (TypeError, "residual must be torch.float64", {"residual": torch.ones(5, 4)}),
        (ValueError, "residual is on meta, a on cpu", {"residual": torch.ones(5, 4, dtype=F64, device="meta")}),
        (ValueError, "activation must be one of none, silu, gelu, got 'relu'", {"activation": "relu"}),
    ],
)
def test_what_is_wrong_is_refused(error, message, changed):
    with pytest.raises(error, match=message):
        matmul(**{**tensors(), **changed})


@pytest.fixture
def emulated(launched, declines_anew, monkeypatch):
    """As on a Hopper GPU, the generated kernels being emulated. Yields what was run."""
    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: True)
    return launched


@pytest.mark.parametrize(
    ("variant", "activation", "given", "dtype", "sizes"),
    [
        ("matmul_residual_fp16", "none", ("bias", "residual"), torch.float16, (130, 72, 264)),
        ("matmul_residual_bf16", "none", ("residual",), torch.bfloat16, (20, 64, 16)),
        ("matmul_fp16", "silu", ("bias",), torch.float16, (20, 72, 16)),
    ],
)
def test_generated_kernels_do_the_same(emulated, variant, activation, given, dtype, sizes):
    made = tensors(*sizes, dtype)
    made["a"] = made["a"].mT.contiguous().mT
    made["residual"] = made["residual"].mT.contiguous().mT
    named = {name: made[name] for name in given}
    found = matmul(made["a"], made["b"], activation=activation, **named)  # warnings are errors
    assert emulated == [variant]
    expected = exact(made["a"], made["b"], activation=activation, **named)
    assert (found.double() - expected).abs().max() <= tolerance(NAMES[dtype], sizes[1], float(expected.abs().max()))


@pytest.mark.parametrize(
    ("variant", "activation", "given", "dtype"),
    [
        ("matmul_persistent_fp16", "silu", ("bias",), torch.float16),
        ("matmul_persistent_residual_bf16", "none", ("bias", "residual"), torch.bfloat16),
    ],
)
def test_with_more_tiles_than_multiprocessors_programs_stay(emulated, monkeypatch, variant, activation, given, dtype):
    monkeypatch.setattr(dispatch, "multiprocessors", lambda device: 2)
    made = tensors(130, 72, 264, dtype)  # 2 by 2 tiles
    named = {name: made[name] for name in given}
    found = matmul(made["a"], made["b"], activation=activation, **named)
    assert emulated == [variant]
    expected = exact(made["a"], made["b"], activation=activation, **named)
    assert (found.double() - expected).abs().max() <= tolerance(NAMES[dtype], 72, float(expected.abs().max()))


def test_where_programs_stay():
    assert not persists(2048, 2048, 132)  # 128 tiles
    assert persists(2048, 2049, 132)
    assert not persists(1, 1, 1)


@pytest.mark.parametrize(
    ("why", "sizes", "dtype", "activation", "given"),
    [
        ("no generated kernel for torch.float32", (5, 8, 8), torch.float32, "silu", ()),
        ("for activation 'gelu' with a residual", (5, 8, 8), torch.float16, "gelu", ("residual",)),
        ("multiple of 8 numbers, not 9 and 8", (5, 9, 8), torch.float16, "silu", ()),
        ("without elements", (5, 0, 8), torch.float16, "silu", ()),
    ],
)
def test_declining_is_said_once(emulated, why, sizes, dtype, activation, given):
    made = tensors(*sizes, dtype)
    named = {name: made[name] for name in given}
    with pytest.warns(UserWarning, match=why):
        matmul(made["a"], made["b"], activation=activation, **named)
    matmul(made["a"], made["b"], activation=activation, **named)  # warnings are errors: there is no other one
    assert not emulated
