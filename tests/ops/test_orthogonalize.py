"""`twill.ops.orthogonalize` and its products against float64, as operators, and through the kernels in the emulator."""

import math
import sys
import warnings

import pytest
import torch

from twill.ops import dispatch, orthogonalize, scaled_add_matmul, symmetric, symmetric_matmul, symmetric_polynomial
from twill.ops.orthogonalize import KELLER_JORDAN, METHODS, POLAR_EXPRESS, YOU_JIACHENG

OPERATORS = torch.ops.twill
HALVES = [torch.float16, torch.bfloat16]
KINDS = [*HALVES, torch.float32, torch.float64]


def matrix(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def symmetric_matrix(*shape, dtype=torch.float64, seed=0):
    x = matrix(*shape, seed=seed)
    return ((x + x.mT) * (2 * shape[-1]) ** -0.5).to(dtype)


def with_singular_values(values, columns, seed=0):
    """U diag(values) Vᵀ [m, columns] for random orthogonal U and V."""
    u = torch.linalg.qr(matrix(len(values), len(values), seed=seed)).Q
    v = torch.linalg.qr(matrix(columns, len(values), seed=seed + 1)).Q
    return u * values @ v.mT


def polynomial(values, polynomials):
    for a, b, c in polynomials:
        values = a * values + b * values**3 + c * values**5
    return values


def truth(x, polynomials, eps=1e-7):
    """U p(Σ / ‖x‖) Vᵀ in float64, by the singular value decomposition."""
    x = x.double()
    u, s, vt = torch.linalg.svd(x, full_matrices=False)
    norm = torch.linalg.matrix_norm(x)[..., None] + eps
    return u * polynomial(s / norm, polynomials)[..., None, :] @ vt


def five(coefficients):
    """The polynomials of five steps."""
    return (*coefficients, *[coefficients[-1]] * 5)[:5]


def amplification(polynomials):
    """By how much the steps can multiply a rounding: by the steepest slope of each, at 0."""
    return math.prod(a for a, _, _ in polynomials)


def near(got, want, kind, roundings):
    """Equal up to so many roundings to `kind`, in proportion to the whole."""
    assert (got.double() - want).norm() <= roundings * torch.finfo(kind).eps * want.norm()


# --- orthogonalize


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("coefficients", [None, YOU_JIACHENG, (2.0, -1.5, 0.5)])
@pytest.mark.parametrize("shape", [(6, 6), (5, 17), (17, 5), (3, 8, 5), (2, 3, 4, 9), (1, 7), (7, 1)])
def test_it_is_the_polynomial_of_the_singular_values(method, coefficients, shape):
    x = matrix(*shape)
    given = METHODS[method] if coefficients is None else coefficients
    polynomials = five((given,) if isinstance(given[0], float) else given)
    got = orthogonalize(x, method, coefficients=coefficients)
    assert (got.shape, got.dtype, got.is_contiguous()) == (x.shape, x.dtype, True)
    torch.testing.assert_close(got, truth(x, polynomials), rtol=0, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("method", METHODS)
def test_other_numbers_of_steps_repeat_the_last_polynomial(method, steps):
    x = matrix(6, 15)
    given = METHODS[method]
    polynomials = [given[min(i, len(given) - 1)] for i in range(steps)]
    # Four roundings a step at most, of which the first may be multiplied by all the steps.
    near(orthogonalize(x, method, steps), truth(x, polynomials), torch.float64, 4 * steps * amplification(polynomials))


# Where five steps take singular values from [0.01, 1]: the extrema of the polynomial, by evaluating it densely.
SPANS = {KELLER_JORDAN: (0.68, 1.14), YOU_JIACHENG: (0.97, 1.04), POLAR_EXPRESS: (0.84, 1.13)}


@pytest.mark.parametrize("coefficients", SPANS)
@pytest.mark.parametrize("method", METHODS)
def test_singular_values_end_where_the_polynomial_takes_them(method, coefficients):
    values = torch.logspace(-2, 0, 24, dtype=torch.float64)
    x = with_singular_values(values, 40)
    got = torch.linalg.svdvals(orthogonalize(x / values.norm(), method, coefficients=coefficients, eps=0.0))
    want = polynomial(values / values.norm(), five(coefficients)).sort(descending=True).values
    torch.testing.assert_close(got, want, rtol=0, atol=1e-12)
    lowest, highest = SPANS[coefficients]
    ends = polynomial(torch.linspace(0.01, 1, 10001, dtype=torch.float64), five(coefficients))
    assert lowest <= ends.min() <= lowest + 0.02
    assert highest - 0.02 <= ends.max() <= highest


@pytest.mark.parametrize("method", METHODS)
def test_its_size_is_divided_out_and_signs_and_rotations_pass_through(method):
    x = matrix(6, 15)
    want = orthogonalize(x, method)
    torch.testing.assert_close(orthogonalize(1e6 * x, method), want, rtol=0, atol=1e-7)
    torch.testing.assert_close(orthogonalize(-x, method), -want, rtol=0, atol=1e-12)
    torch.testing.assert_close(orthogonalize(x.mT, method), want.mT, rtol=0, atol=1e-12)
    u, v = torch.linalg.qr(matrix(6, 6, seed=1)).Q, torch.linalg.qr(matrix(15, 15, seed=2)).Q
    torch.testing.assert_close(orthogonalize(u @ x @ v, method), u @ want @ v, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32])
def test_in_lower_precision_it_is_near_the_truth(method, kind):
    x = matrix(16, 48, dtype=kind)
    got = orthogonalize(x, method)
    assert got.dtype == kind
    polynomials = five(METHODS[method])
    want = truth(x, polynomials)
    # Roundings of a step of the plain form are made good by the next, whose polynomial is flat: four of each
    # remain. Those of the Gram form add up in Q; for bfloat16 it runs in float32, and is rounded at both ends.
    roundings = 20 if method != "gram" else 2 if kind == torch.bfloat16 else amplification(polynomials)
    near(got, want, kind, roundings)


def test_products_run_in_the_dtype_asked_for():
    x = matrix(8, 24, dtype=torch.float32)
    rounded = orthogonalize(x, dtype=torch.bfloat16)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded.bfloat16().float(), rounded, rtol=0, atol=0)
    assert (rounded - orthogonalize(x)).abs().max() > 1e-4


def test_which_dtype_that_is_by_default():
    from twill.ops.orthogonalize import _products_in

    assert [_products_in(matrix(2, 2, dtype=kind), "newton_schulz") for kind in KINDS] == KINDS
    assert [_products_in(matrix(2, 2, dtype=kind), "gram") for kind in KINDS] == [
        torch.float16, torch.float32, torch.float32, torch.float64
    ]  # fmt: skip
    kinds = {kind: matrix(2, 2).to("meta", kind) for kind in KINDS}
    assert [_products_in(x, "newton_schulz") for x in kinds.values()] == [
        torch.float16, torch.bfloat16, torch.bfloat16, torch.float64
    ]  # fmt: skip
    assert [_products_in(x, "gram") for x in kinds.values()] == [
        torch.float16, torch.float16, torch.float16, torch.float64
    ]  # fmt: skip


def test_a_zero_matrix_stays_zero_and_nan_stays_in_its_matrix():
    x = matrix(3, 4, 6)
    x[0] = 0
    x[1, 2, 3] = math.nan
    for method in METHODS:
        got = orthogonalize(x, method)
        assert (got[0] == 0).all()
        assert got[1].isnan().all()
        torch.testing.assert_close(got[2], orthogonalize(x[2], method), rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 3, 4), (2, 0, 0)])
def test_without_elements_there_is_nothing_to_do(shape):
    x = torch.empty(shape)
    got = orthogonalize(x)
    assert got.shape == x.shape
    assert got.data_ptr() != x.data_ptr() or x.data_ptr() == 0


@pytest.mark.parametrize("method", METHODS)
def test_the_input_stays_as_it_is_in_any_layout(method):
    x = matrix(2, 5, 8)
    want = orthogonalize(x, method)
    for view in (x, x.mT.contiguous().mT, x.transpose(0, 1).contiguous().transpose(0, 1), x.repeat(1, 1, 2)[..., :8]):
        before = view.clone()
        got = orthogonalize(view, method)
        assert torch.equal(view, before)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (2, 2, 3)])
def test_its_gradient(method, shape):
    # On a symmetric path the operands are symmetric, which perturbing x keeps.
    x = matrix(*shape).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: orthogonalize(x, method, 3), x)


@pytest.mark.parametrize(("method", "backend"), [("newton_schulz", "eager"), ("gram", "aot_eager")])
def test_compiled_without_a_graph_break(method, backend):
    x = matrix(2, 6, 9, dtype=torch.float32).requires_grad_()
    compiled = torch.compile(lambda x: orthogonalize(x, method).square().sum(), backend=backend, fullgraph=True)
    want = torch.autograd.grad(orthogonalize(x, method).square().sum(), x)
    torch.testing.assert_close(torch.autograd.grad(compiled(x), x), want)


def test_it_does_as_torch_s_muon():
    muon = pytest.importorskip("torch.optim._muon")
    for shape in ((32, 80), (80, 32)):
        x = matrix(*shape, dtype=torch.bfloat16)
        want = muon._zeropower_via_newtonschulz(x, KELLER_JORDAN[0], 5, 1e-7)
        difference = (orthogonalize(x) - want).float().norm() / want.float().norm()
        # Only the norm is rounded differently: a relative change of one bf16 rounding in σ.
        assert difference <= 4 * torch.finfo(torch.bfloat16).eps


@pytest.mark.parametrize(
    ("error", "message", "x", "options"),
    [
        (ValueError, r"x must be \[\.\.\., rows, columns\], got shape \[3\]", torch.ones(3), {}),
        (TypeError, "x must be float16, .*got torch.int64", torch.ones(3, 3, dtype=torch.long), {}),
        (TypeError, "got torch.complex64", torch.ones(3, 3, dtype=torch.complex64), {}),
        (TypeError, "dense tensor", torch.eye(3).to_sparse(), {}),
        (ValueError, "method must be one of newton_schulz, .*, got 'svd'", torch.eye(3), {"method": "svd"}),
        (ValueError, "steps must be 1 or more, got 0", torch.eye(3), {"steps": 0}),
        (TypeError, "steps must be an int, got float", torch.eye(3), {"steps": 5.0}),
        (ValueError, r"coefficients must be \(a, b, c\)", torch.eye(3), {"coefficients": (1.0, 2.0)}),
        (ValueError, r"coefficients must be \(a, b, c\)", torch.eye(3), {"coefficients": ()}),
        (ValueError, r"coefficients must be \(a, b, c\)", torch.eye(3), {"coefficients": [(1.0, 2.0, 3.0), 4.0]}),
        (ValueError, "coefficients must be finite", torch.eye(3), {"coefficients": (1.0, 2.0, math.nan)}),
        (ValueError, "eps must be finite and 0 or more, got -1", torch.eye(3), {"eps": -1.0}),
        (TypeError, "dtype must be float16", torch.eye(3), {"dtype": torch.int8}),
    ],
)  # fmt: skip
def test_bad_input_is_refused(error, message, x, options):
    with pytest.raises(error, match=rf"^orthogonalize: .*{message}"):
        orthogonalize(x, **options)


# --- the products


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(4, 7), (3, 7, 4), (2, 2, 5, 5), (3, 0), (0, 3, 4)])
def test_products_are_those_of_float64(kind, shape):
    x, a = matrix(*shape, dtype=kind), symmetric_matrix(*shape[:-1], shape[-2], dtype=kind)
    wide, square = x.double(), a.double()
    for got, want in (
        (symmetric_matmul(x), wide @ wide.mT),
        (symmetric_polynomial(a, a, a, -4.5, 2.0), -4.5 * square + 2.0 * square @ square),
        (scaled_add_matmul(a, x, 3.5), 3.5 * wide + square @ wide),
    ):
        assert (got.dtype, got.shape, got.is_contiguous()) == (kind, want.shape, True)
        scale = max([1.0, *want.abs().flatten().tolist()])
        torch.testing.assert_close(got.double(), want, rtol=0, atol=4 * torch.finfo(kind).eps * scale)


@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, lambda x: x.mT.contiguous().mT])
def test_opcheck(layout):
    x, a = (layout(y).requires_grad_() for y in (matrix(2, 3, 5), symmetric_matrix(2, 3, 3)))
    torch.library.opcheck(OPERATORS.symmetric_matmul.default, (x,))
    torch.library.opcheck(OPERATORS.symmetric_polynomial.default, (a, a, a, -4.5, 2.0))
    torch.library.opcheck(OPERATORS.scaled_add_matmul.default, (a, x, 3.5))


def test_gradients_and_their_gradients():
    x, a = matrix(2, 3, 4).requires_grad_(), matrix(2, 3, 3, seed=1).requires_grad_()
    left, right = (matrix(2, 3, 3, seed=seed).requires_grad_() for seed in (2, 3))
    for function, inputs in (
        (symmetric_matmul, (x,)),
        (lambda *each: symmetric_polynomial(*each, -4.5, 2.0), (a, left, right)),
        (lambda *each: scaled_add_matmul(*each, 3.5), (a, x)),
    ):
        assert torch.autograd.gradcheck(function, inputs)
        assert torch.autograd.gradgradcheck(function, inputs)


def test_autocast_does_not_change_their_dtype():
    x = matrix(3, 5, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gram = symmetric_matmul(x)
        for got in (gram, symmetric_polynomial(gram, gram, gram, 1.0, 1.0), scaled_add_matmul(gram, x, 1.0)):
            assert got.dtype == torch.float32
        torch.testing.assert_close(gram, (x.double() @ x.double().mT).float())


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, r"^symmetric_matmul: x must be \[\.\.\., rows, col", lambda: symmetric_matmul(torch.ones(3))),
        (TypeError, "^symmetric_matmul: x must be float16", lambda: symmetric_matmul(torch.ones(3, 3).int())),
        (
            ValueError,
            r"^symmetric_polynomial: right must have shape \[3, 3\], got \[2, 2\]",
            lambda: symmetric_polynomial(torch.eye(3), torch.eye(3), torch.eye(2), 1.0, 1.0),
        ),
        (
            ValueError,
            r"^symmetric_polynomial: a must have shape \[3, 3\], got \[3, 4\]",
            lambda: symmetric_polynomial(torch.ones(3, 4), torch.eye(3), torch.eye(3), 1.0, 1.0),
        ),
        (
            TypeError,
            "^scaled_add_matmul: b and x must have one dtype, got torch.float32 and torch.float64",
            lambda: scaled_add_matmul(torch.eye(3), torch.ones(3, 4).double(), 1.0),
        ),
        (
            ValueError,
            r"^scaled_add_matmul: b must have shape \[2, 3, 3\], got \[3, 3\]",
            lambda: scaled_add_matmul(torch.eye(3), torch.ones(2, 3, 4), 1.0),
        ),
        (
            ValueError,
            "^scaled_add_matmul: b is on cpu but x on meta",
            lambda: scaled_add_matmul(torch.eye(3), torch.ones(3, 4, device="meta"), 1.0),
        ),
    ],
)
def test_products_refuse_bad_input(error, message, call):
    with pytest.raises(error, match=message):
        call()


# --- the kernels, in the emulator


@pytest.fixture
def emulated(launched, monkeypatch):
    """The launchers of the shipped kernels run in the emulator, and every product takes them. Yields what ran."""
    monkeypatch.setattr(symmetric, "kernel_runs", lambda *_: True)
    return launched


def within(got, want, kind, terms):
    """Rounded once to `kind`, of a float32 sum of so many terms."""
    bound = torch.finfo(kind).eps + terms * torch.finfo(torch.float32).eps
    torch.testing.assert_close(got.double(), want, rtol=0, atol=bound * want.abs().max().item())


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("shape", [(2, 264, 40), (300, 24), (1, 20, 100)])
def test_kernel_of_symmetric_matmul(emulated, kind, shape):
    x = matrix(*shape, dtype=kind)
    got = symmetric_matmul(x.mT.contiguous().mT)
    assert emulated == [f"symmetric_matmul_{symmetric.KERNEL_DTYPES[kind]}"]
    assert torch.equal(got, got.mT)
    assert got.is_contiguous()
    within(got, x.double() @ x.double().mT, kind, shape[-1])


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("shape", [(2, 40, 40), (264, 264)])
def test_kernel_of_symmetric_polynomial(emulated, kind, shape):
    x = symmetric_matrix(*shape, dtype=torch.float32)
    a, left, right = (power.to(kind) for power in (x, x @ x, x @ x @ x))
    got = symmetric_polynomial(a, left, right, -4.5, 2.0)
    assert emulated == [f"symmetric_polynomial_{symmetric.KERNEL_DTYPES[kind]}"]
    upper = (-4.5 * a.double() + 2.0 * left.double() @ right.double().mT).triu()
    # Half precision's powers commute only about; what is computed is the upper half.
    within(got.triu(), upper, kind, shape[-1])
    blocks = [got[..., i : i + 256, j : j + 256] for i in range(0, shape[-1], 256) for j in range(0, i, 256)]
    mirrors = [got[..., j : j + 256, i : i + 256].mT for i in range(0, shape[-1], 256) for j in range(0, i, 256)]
    assert all(torch.equal(one, other) for one, other in zip(blocks, mirrors, strict=True))


@pytest.mark.parametrize("kind", HALVES)
@pytest.mark.parametrize("shape", [(2, 24, 40), (130, 264)])
def test_kernel_of_scaled_add_matmul(emulated, kind, shape):
    b, x = matrix(*shape[:-1], shape[-2], dtype=kind), matrix(*shape, dtype=kind, seed=1)
    got = scaled_add_matmul(b, x, 3.5)
    assert emulated == [f"scaled_add_matmul_{symmetric.KERNEL_DTYPES[kind]}"]
    within(got, 3.5 * x.double() + b.double() @ x.double(), kind, shape[-2])


@pytest.mark.parametrize(("method", "kind"), [("newton_schulz", torch.bfloat16), ("gram", torch.float16)])
def test_the_whole_iteration_by_kernels(emulated, method, kind):
    x = matrix(2, 16, 40, dtype=kind)
    got = orthogonalize(x, method, steps=3)
    suffix = symmetric.KERNEL_DTYPES[kind]
    assert {name.removesuffix(f"_{suffix}") for name in emulated} == {
        "symmetric_matmul", "symmetric_polynomial", "scaled_add_matmul"
    }  # fmt: skip
    polynomials = five(METHODS[method])[:3]
    near(got, truth(x, polynomials), kind, amplification(polynomials))


def test_how_many_products_each_method_takes(monkeypatch):
    # As an attribute of `twill.ops` the name is the function.
    module, counted = sys.modules["twill.ops.orthogonalize"], []
    for name in ("symmetric_matmul", "symmetric_polynomial", "scaled_add_matmul"):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *x, n=name, f=function: counted.append(n) or f(*x))
    x = matrix(4, 16)

    def flops(method):
        """In m² n and m³: a symmetric product is half of 2 m² n (2 m³), the other is whole."""
        counted.clear()
        orthogonalize(x, method)
        tall = counted.count("symmetric_matmul") + 2 * counted.count("scaled_add_matmul")
        return tall, counted.count("symmetric_polynomial")

    # 5 (x xᵀ, half; the update) and 5 (b A + c A², half).
    assert flops("newton_schulz") == flops("polar_express") == (15, 5)
    # Two parts with x xᵀ and Q x each; 5 Z, 3 Q (not the first of a part), 2 R (not the last of a part) twice... = 14.
    assert flops("gram") == (6, 14)


# --- which implementation runs


@pytest.fixture
def hopper(monkeypatch):
    """A Hopper GPU of 132 processors is said to hold every tensor."""
    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: True)
    properties = type("Properties", (), {"multi_processor_count": 132})()
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda *_: properties)


@pytest.mark.parametrize(
    ("shape", "runs"),
    [((256, 4096), False), ((2048, 8192), False), ((4096, 4096), True), ((64, 512, 512), True), ((0, 512, 512), False)],
)
def test_small_products_are_torch_s(hopper, shape, runs):
    x = torch.empty(shape, device="meta", dtype=torch.bfloat16)
    assert symmetric.kernel_runs("symmetric_matmul", x, shape[-2]) == runs


def test_a_dtype_without_a_kernel_is_said_once(hopper):
    x = torch.empty(4096, 4096, device="meta")
    dispatch.decline.cache_clear()
    with pytest.warns(UserWarning, match="symmetric_matmul runs as torch operations: its kernels take float16"):
        assert not symmetric.kernel_runs("symmetric_matmul", x, 4096)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not symmetric.kernel_runs("symmetric_matmul", x, 4096)


def test_more_matrices_than_a_grid_takes_are_torch_s(hopper):
    x = torch.empty(65536, 512, 16, device="meta", dtype=torch.float16)
    dispatch.decline.cache_clear()
    with pytest.warns(UserWarning, match="up to 65535 matrices"):
        assert not symmetric.kernel_runs("symmetric_matmul", x, 512)
