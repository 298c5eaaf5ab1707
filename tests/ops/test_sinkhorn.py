"""Entropic transport: against loops in float64, its marginals, its gradients, and the kernels emulated."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from twill.ops import dispatch, sinkhorn, sinkhorn_dense, sinkhorn_torch

F64 = torch.float64


def points(n, m, d, dtype=F64, seed=0):
    random = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(count, d, generator=random, dtype=F64) / d**0.5 for count in (n, m))
    return x.to(dtype), y.to(dtype)


def weights(count, seed=1, dtype=F64):
    w = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=F64) + 0.1
    return (w / w.sum()).to(dtype)


def distances(x, y):
    """Squared, [N, M], by differences."""
    return (x.double()[:, None] - y.double()).square().sum(2)


def by_scaling(cost, a, b, epsilon, iterations):
    """The plan by Sinkhorn's scalings of the kernel matrix exp(-C / epsilon), as the textbook has them."""
    kernel = (-cost / epsilon).exp()
    u = a  # f = 0
    for _ in range(iterations):
        v = b / (kernel.mT @ u)
        u = a / (kernel @ v)
    return u[:, None] * kernel * v


def plan_of(found, a, b, cost, epsilon):
    return a[:, None] * b * ((found.f[:, None] + found.g - cost) / epsilon).exp()


@pytest.mark.parametrize(("n", "m", "d"), [(30, 40, 3), (1, 7, 2), (7, 1, 2), (1, 1, 1), (65, 129, 20)])
def test_the_plan_is_that_of_the_scalings(n, m, d):
    x, y = points(n, m, d)
    a, b = weights(n), weights(m, 2)
    cost = distances(x, y)
    for found in (
        sinkhorn(x, y, epsilon=0.3, a=a, b=b, iterations=25),
        sinkhorn_dense(cost, epsilon=0.3, a=a, b=b, iterations=25),
    ):
        expected = by_scaling(cost, a, b, 0.3, 25)
        plan = plan_of(found, a, b, cost, 0.3)
        torch.testing.assert_close(plan, expected, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(plan.sum(1), a, rtol=1e-12, atol=0)


def test_both_marginals_hold_and_the_cost_is_the_primal_s():
    x, y = points(50, 60, 4)
    a, b = weights(50), weights(60, 2)
    cost = distances(x, y)
    found = sinkhorn(x, y, epsilon=0.2, a=a, b=b, iterations=2000)
    plan = plan_of(found, a, b, cost, 0.2)
    torch.testing.assert_close(plan.sum(0), b, rtol=1e-9, atol=1e-14)
    primal = (plan * cost).sum() + 0.2 * (plan * (plan / (a[:, None] * b)).log()).sum()
    torch.testing.assert_close(found.cost, primal, rtol=1e-10, atol=0)


def test_against_pot():
    ot = pytest.importorskip("ot", reason="POT is not installed")
    x, y = points(40, 30, 3)
    a, b = weights(40), weights(30, 2)
    cost = distances(x, y)
    expected = ot.bregman.sinkhorn_log(
        a.numpy(), b.numpy(), cost.numpy(), reg=0.1, numItermax=3000, stopThr=1e-13, warn=False
    )
    plan = plan_of(sinkhorn(x, y, epsilon=0.1, a=a, b=b, iterations=3000), a, b, cost, 0.1)
    torch.testing.assert_close(plan, torch.from_numpy(expected), rtol=1e-8, atol=1e-12)


def test_a_small_epsilon_approaches_the_assignment():
    # Sorted points on a line are matched in order: the mean of the squared differences.
    x = torch.tensor([[0.0], [1.0], [2.0]], dtype=F64)
    y = torch.tensor([[2.5], [0.25], [1.0]], dtype=F64)
    found = sinkhorn(x, y, epsilon=1e-3, iterations=5000)
    # (0.25^2 + 0 + 0.5^2) / 3, and epsilon log 3 for the entropy of a matching relative to a b^T.
    assert float(found.cost) == pytest.approx(0.3125 / 3 + 1e-3 * math.log(3), abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_points_are_computed_in_float32(dtype):
    x, y = points(100, 120, 8, dtype)
    found = sinkhorn(x, y, epsilon=0.2)
    exact = sinkhorn(x.double(), y.double(), epsilon=0.2)
    assert found.f.dtype == found.g.dtype == found.cost.dtype == torch.float32
    torch.testing.assert_close(found.f.double(), exact.f, rtol=0, atol=2e-5)
    torch.testing.assert_close(found.g.double(), exact.g, rtol=0, atol=2e-5)
    dense = sinkhorn_dense(distances(x, y).to(dtype), epsilon=0.2)
    exact = sinkhorn_dense(distances(x, y).to(dtype).double(), epsilon=0.2)
    torch.testing.assert_close(dense.f.double(), exact.f, rtol=0, atol=2e-5)


def test_points_far_from_the_origin_lose_nothing_in_torch():
    x, y = points(20, 30, 3, torch.float32)
    there = sinkhorn(x + 1024, y + 1024, epsilon=0.2)
    exact = sinkhorn((x + 1024).double(), (y + 1024).double(), epsilon=0.2)
    torch.testing.assert_close(there.f.double(), exact.f, rtol=0, atol=2e-5)


def test_weights_may_be_zero():
    x, y = points(6, 8, 2)
    a, b = weights(6), weights(8, 2)
    a[2] = 0
    b[[0, 7]] = 0
    a, b = a / a.sum(), b / b.sum()
    kept = sinkhorn(x[a > 0], y[b > 0], epsilon=0.3, a=a[a > 0], b=b[b > 0])
    found = sinkhorn(x, y, epsilon=0.3, a=a, b=b)
    torch.testing.assert_close(found.cost, kept.cost)
    torch.testing.assert_close(found.f[a > 0], kept.f)
    assert found.f.isfinite().all()
    assert found.g.isfinite().all()
    inputs = [v.clone().requires_grad_() for v in (x, y)]
    gradients = torch.autograd.grad(sinkhorn(*inputs, epsilon=0.3, a=a, b=b).cost, inputs)
    assert (gradients[0][2] == 0).all()
    assert (gradients[1][[0, 7]] == 0).all()


def test_chunks_do_not_matter(monkeypatch):
    x, y = (v.requires_grad_() for v in points(50, 60, 4))
    whole = sinkhorn(x, y, epsilon=0.3)
    gradients = torch.autograd.grad(whole.cost, (x, y))
    monkeypatch.setattr(sinkhorn_torch, "_CHUNK", 7 * 60)
    found = sinkhorn(x, y, epsilon=0.3)
    torch.testing.assert_close(found.f, whole.f)
    for one, other in zip(torch.autograd.grad(found.cost, (x, y)), gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_the_cost_matrix_is_never_whole(monkeypatch):
    largest = 0

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            nonlocal largest
            out = function(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.untyped_storage().nbytes() // out.element_size())
            return out

    monkeypatch.setattr(sinkhorn_torch, "_CHUNK", 2000)
    x, y = points(300, 400, 2)
    a, b = weights(300), weights(400, 2)
    with Watched():
        _, f, g = sinkhorn_torch.iterate(sinkhorn_torch.Points(x, y, 0.3), a, b, 0.3, 2, None)
        sinkhorn_torch.points_gradient(torch.ones((), dtype=F64), x, y, a, b, f, g, 0.3)
    assert 2 * 400 < largest <= 2000


def test_gradients_are_those_of_the_converged_cost():
    x, y = (v.requires_grad_() for v in points(4, 5, 2))
    a, b = weights(4), weights(5, 2)
    assert torch.autograd.gradcheck(lambda x, y: sinkhorn(x, y, epsilon=1.0, a=a, b=b, iterations=60).cost, (x, y))
    cost = distances(x, y).detach().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda c: sinkhorn_dense(c, epsilon=1.0, a=a, b=b, iterations=60).cost, (cost,)
    )  # fmt: skip

    def of_weights(logits_a, logits_b):
        return sinkhorn(
            x.detach(), y.detach(), epsilon=1.0, a=logits_a.softmax(0), b=logits_b.softmax(0), iterations=60
        ).cost

    logits = [torch.randn(n, dtype=F64, generator=torch.Generator().manual_seed(n)).requires_grad_() for n in (4, 5)]
    assert torch.autograd.gradcheck(of_weights, logits)


def test_the_gradient_comes_in_the_points_dtype_and_potentials_have_none():
    x, y = (v.half().requires_grad_() for v in points(20, 30, 3))
    found = sinkhorn(x, y, epsilon=0.3)
    assert not found.f.requires_grad
    assert not found.g.requires_grad
    found.cost.backward()
    assert x.grad.dtype == y.grad.dtype == torch.float16
    exact = [v.detach().double().requires_grad_() for v in (x, y)]
    sinkhorn(*exact, epsilon=0.3).cost.backward()
    torch.testing.assert_close(x.grad.double(), exact[0].grad, rtol=2e-3, atol=1e-5)


def test_the_tolerance_ends_the_iterations_or_is_missed_aloud(monkeypatch):
    x, y = points(30, 40, 3)
    cost = distances(x, y)
    counted = []
    plain = sinkhorn_torch.Points.columns
    monkeypatch.setattr(
        sinkhorn_torch.Points, "columns", lambda self, h, shift: counted.append(1) or plain(self, h, shift)
    )
    found = sinkhorn(x, y, epsilon=0.5, iterations=10000, tolerance=1e-6)
    assert len(counted) < 500
    a, b = torch.full((30,), 1 / 30, dtype=F64), torch.full((40,), 1 / 40, dtype=F64)
    assert (plan_of(found, a, b, cost, 0.5).sum(0) - b).abs().sum() <= 1e-6
    for iterations in (1, 2, 15):
        with pytest.warns(UserWarning, match=rf"{iterations} iterations did not reach the tolerance 1e-12"):
            sinkhorn(x, y, epsilon=0.01, iterations=iterations, tolerance=1e-12)


def test_permuted_layouts_and_inputs_stay():
    x, y = points(20, 30, 3)
    cost = distances(x, y)
    expected = sinkhorn(x, y, epsilon=0.3)
    found = sinkhorn(x.mT.contiguous().mT, torch.stack((y, y), 2)[..., 0], epsilon=0.3)
    torch.testing.assert_close(found.f, expected.f)
    kept = cost.clone()
    found = sinkhorn_dense(cost.mT.contiguous().mT, epsilon=0.3)
    torch.testing.assert_close(found.f, expected.f)
    assert torch.equal(cost, kept)


@pytest.mark.parametrize("dense", [False, True])
def test_the_operators_are_registered_right(dense):
    x, y = points(6, 8, 2)
    a, b = weights(6), weights(8, 2)
    if dense:
        inputs = (distances(x, y).requires_grad_(), a.requires_grad_(), b, 0.5, 3, None)
        torch.library.opcheck(torch.ops.twill.sinkhorn_dense.default, inputs)
        return
    permuted = torch.randn(2, 6, dtype=F64).mT.requires_grad_()
    for first in (x.requires_grad_(), permuted):
        torch.library.opcheck(torch.ops.twill.sinkhorn.default, (first, y.requires_grad_(), a, b, 0.5, 3, None))
    f, g = torch.zeros_like(a), torch.zeros_like(b)
    found = (torch.ones((), dtype=F64), x.detach(), y.detach(), a, b, f, g, 0.5)
    torch.library.opcheck(torch.ops.twill.sinkhorn_gradient.default, found)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_there_is_no_graph_break(backend):
    x, y = (v.requires_grad_() for v in points(20, 30, 3))

    def loss(x, y):
        return sinkhorn(x, y, epsilon=0.3, iterations=5).cost + sinkhorn_dense(x @ y.mT, epsilon=0.3, iterations=5).cost

    expected = torch.autograd.grad(loss(x, y), (x, y))
    found = torch.autograd.grad(torch.compile(loss, backend=backend, fullgraph=True)(x, y), (x, y))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def ones(*shape, **kind):
    return torch.ones(shape, **kind)


@pytest.mark.parametrize(
    ("error", "message", "x", "y", "more"),
    [
        (ValueError, r"x must be points \[count, D\], got shape \[2, 3, 4\]", ones(2, 3, 4), ones(3, 4), {}),
        (ValueError, r"y must be points", ones(3, 4), ones(4), {}),
        (ValueError, "points of one size", ones(3, 4), ones(3, 5), {}),
        (TypeError, "x must be float16.*int64", ones(3, 4).long(), ones(3, 4), {}),
        (TypeError, "one dtype", ones(3, 4), ones(3, 4).double(), {}),
        (ValueError, "one device", ones(3, 4), ones(3, 4, device="meta"), {}),
        (ValueError, "0 rows and 3 columns", ones(0, 4), ones(3, 4), {}),
        (ValueError, "3 rows and 0 columns", ones(3, 4), ones(0, 4), {}),
        (ValueError, "one number or more", ones(3, 0), ones(3, 0), {}),
        (ValueError, "x has a NaN or an infinity", ones(3, 4) * math.nan, ones(3, 4), {}),
        (ValueError, "y has a NaN or an infinity", ones(3, 4), ones(3, 4) / 0, {}),
        (ValueError, "a must be 3 weights", ones(3, 4), ones(3, 4), {"a": ones(4) / 4}),
        (ValueError, "b must be 3 weights", ones(3, 4), ones(3, 4), {"b": ones(3, 1) / 3}),
        (TypeError, "weights must be floating-point", ones(3, 4), ones(3, 4), {"b": ones(3).long()}),
        (ValueError, "b has a NaN", ones(3, 4), ones(3, 4), {"b": torch.tensor([1, math.nan, 0])}),
        (ValueError, "a has a negative weight", ones(3, 4), ones(3, 4), {"a": torch.tensor([1.0, -1, 1])}),
        (ValueError, "equal sums, got 3 and 1", ones(3, 4), ones(3, 4), {"a": ones(3)}),
        (ValueError, "no mass", ones(3, 4), ones(3, 4), {"a": ones(3) * 0, "b": ones(3) * 0}),
        (ValueError, "epsilon must be positive", ones(3, 4), ones(3, 4), {"epsilon": 0.0}),
        (ValueError, "epsilon must be positive", ones(3, 4), ones(3, 4), {"epsilon": math.nan}),
        (ValueError, "iterations must be 1 or more", ones(3, 4), ones(3, 4), {"iterations": 0}),
        (ValueError, "tolerance must be positive", ones(3, 4), ones(3, 4), {"tolerance": -1.0}),
    ],
)
def test_what_is_wrong_is_refused(error, message, x, y, more):
    with pytest.raises(error, match=message):
        sinkhorn(x, y, **{"epsilon": 0.5, **more})


@pytest.mark.parametrize(
    ("error", "message", "cost"),
    [
        (ValueError, r"cost must be a matrix \[N, M\], got shape \[3\]", ones(3)),
        (TypeError, "cost must be float16", ones(3, 3).int()),
        (ValueError, "0 rows and 3 columns", ones(0, 3)),
        (ValueError, "cost has a NaN or an infinity", ones(3, 3) / 0),
    ],
)
def test_what_is_no_cost_matrix_is_refused(error, message, cost):
    with pytest.raises(error, match=message):
        sinkhorn_dense(cost, epsilon=0.5)


@pytest.fixture
def emulated(launched, monkeypatch):
    """As on a Hopper GPU, the generated kernels being emulated; what is declined is an error. Yields what was run."""

    def decline(operator, why):
        raise AssertionError(f"{operator} declined: {why}")

    monkeypatch.setattr(dispatch, "on_hopper", lambda *tensors: True)
    monkeypatch.setattr(dispatch, "decline", decline)
    return launched


@pytest.mark.parametrize(
    ("variant", "n", "m", "d", "dtype"),
    [
        ("sinkhorn_d64_fp16", 128, 256, 64, torch.float16),
        ("sinkhorn_d64_bf16", 40, 130, 5, torch.bfloat16),
        ("sinkhorn_d128_fp16", 129, 7, 100, torch.float16),
    ],
)
def test_generated_kernels_do_the_same(emulated, variant, n, m, d, dtype):
    x, y = points(n, m, d, dtype)
    a, b = weights(n, dtype=torch.float32), weights(m, 2, torch.float32)
    if m > 128:
        b[:128] = 0  # the whole first tile
        b /= b.sum()
    found = sinkhorn(x, y, epsilon=0.2, a=a, b=b, iterations=2)
    assert emulated == [variant]
    exact = sinkhorn_torch.iterate(
        sinkhorn_torch.Points(x.double(), y.double(), 0.2), a.double(), b.double(), 0.2, 2, None
    )
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "n", "m", "dtype"),
    [("sinkhorn_dense_fp32", 70, 130, torch.float32), ("sinkhorn_dense_bf16", 64, 9, torch.bfloat16)],
)
def test_generated_kernels_of_a_matrix_do_the_same(emulated, variant, n, m, dtype):
    cost = distances(*points(n, m, 4)).to(dtype)
    found = sinkhorn_dense(cost, epsilon=0.2, iterations=2)
    assert emulated == [variant]
    a, b = torch.full((n,), 1 / n, dtype=F64), torch.full((m,), 1 / m, dtype=F64)
    exact = sinkhorn_torch.iterate(sinkhorn_torch.Dense(cost.double(), 0.2), a, b, 0.2, 2, None)
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5)


def test_declining_is_said_once(monkeypatch):
    monkeypatch.setattr(dispatch, "on_hopper", lambda *tensors: True)
    dispatch.decline.cache_clear()
    x, y = points(5, 6, 200, torch.float32)
    for dtype, why in ((torch.float32, "no generated kernel for points of torch.float32"), (torch.half, "200 numbers")):
        with pytest.warns(UserWarning, match=why):
            sinkhorn(x.to(dtype), y.to(dtype), epsilon=1.0)
        sinkhorn(x.to(dtype), y.to(dtype), epsilon=1.0)  # warnings are errors: there is no other one
    with pytest.warns(UserWarning, match="no generated kernel for costs of torch.float64"):
        sinkhorn_dense(torch.ones(3, 4, dtype=F64), epsilon=1.0)
    dispatch.decline.cache_clear()
