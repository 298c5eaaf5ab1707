"""What a stranger does to the operators: wrong kinds of arguments, autocast, large numbers, dynamic shapes."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from twill.ops import (
    grouped_matmul,
    matmul,
    moe_combine,
    moe_dispatch,
    orthogonalize,
    sinkhorn,
    sinkhorn_dense,
    symmetric_matmul,
)
from twill.ops.routing import Routing


def random(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def layer(x, ids, weights, first, second):
    rows, routing = moe_dispatch(x, ids, first.shape[0])
    hidden = grouped_matmul(rows, first, routing, activation="swiglu")
    return moe_combine(grouped_matmul(hidden, second, routing), routing, weights)


def operands(tokens=10, dtype=torch.float32):
    ids = torch.randint(3, (tokens, 2), generator=torch.Generator().manual_seed(tokens))
    return (
        random(tokens, 8, dtype=dtype),
        ids,
        torch.softmax(random(tokens, 2, seed=1), 1),
        random(3, 8, 12, dtype=dtype, seed=2) / 3,
        random(3, 6, 8, dtype=dtype, seed=3) / 3,
    )


IDS = torch.zeros(4, 1, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: orthogonalize([[1.0]]), "orthogonalize: x must be a torch tensor, got list"),
        (lambda: orthogonalize(torch.eye(3).to_sparse()), "orthogonalize: x must be a dense tensor"),
        (lambda: orthogonalize(torch.eye(3), steps=True), "orthogonalize: steps must be an int, got bool"),
        (lambda: symmetric_matmul(torch.eye(3).to_sparse()), "symmetric_matmul: x must be a dense tensor"),
        (lambda: matmul([[1.0]], torch.eye(1)), "matmul: a must be a torch tensor, got list"),
        (lambda: matmul(torch.eye(2).to_sparse(), torch.eye(2)), "matmul: a must be a dense tensor"),
        (lambda: moe_dispatch(torch.ones(4, 4), [0, 1, 2, 3], 4), "expert_ids must be a torch tensor, got list"),
        (lambda: moe_dispatch(torch.ones(4, 4), IDS, 2.0), "num_experts must be an int, got float"),
        (lambda: moe_dispatch(torch.ones(4, 4), IDS, torch.tensor(2)), "num_experts must be an int, got Tensor"),
        (lambda: moe_dispatch(torch.ones(4, 4).to(torch.float8_e4m3fn), IDS, 2), "x must be float16, bfloat16"),
        (lambda: moe_combine(torch.ones(128, 4), (IDS, IDS, IDS), torch.ones(4, 1)), "routing must be the Routing"),
        (lambda: moe_combine(torch.ones(128, 4), torch.ones(4, 1), None), "weights must be a torch tensor"),
        (lambda: grouped_matmul(torch.ones(128, 4), torch.ones(2, 4, 4), None), "routing must be the Routing"),
        (lambda: sinkhorn([[1.0]], torch.ones(2, 1), epsilon=1.0), "sinkhorn: x must be a torch tensor, got list"),
        (lambda: sinkhorn(torch.ones(2, 1), torch.ones(2, 1), epsilon="1"), "epsilon must be a number, got str"),
        (lambda: sinkhorn_dense(torch.ones(2, 2).to_sparse(), epsilon=1.0), "sinkhorn_dense: cost must be a dense"),
        (lambda: sinkhorn_dense(torch.ones(2, 2), epsilon=1.0, iterations=1.5), "iterations must be an int, got float"),
        (lambda: sinkhorn_dense(torch.ones(2, 2), epsilon=1.0, a=[0.5, 0.5]), "a must be a torch tensor, got list"),
    ],
)
def test_what_is_of_the_wrong_kind_is_a_type_error_in_a_sentence(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["newton_schulz", "polar_express", "gram"])
def test_a_matrix_whose_norm_overflows_is_orthogonalized(dtype, method):
    x = random(24, 40, dtype=dtype)
    large = x.double() / x.double().abs().max() * (torch.finfo(dtype).max * 0.99)
    kind = torch.float64 if dtype == torch.float64 else torch.float32
    got = orthogonalize(torch.stack([large.to(dtype), x]), method, dtype=kind)
    expected = orthogonalize(torch.stack([large.to(dtype).double() * 2.0**-90, x.double()]), method)
    tolerance = 4e-2 if method == "gram" and kind == torch.float32 else 1e-3
    tolerance += 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)


def test_coefficients_of_any_iterable():
    x, triples = random(3, 4), [(3.4445, -4.775, 2.0315)] * 2
    expected = orthogonalize(x, steps=2)
    for given in (iter(triples), torch.tensor(triples[0]), tuple(triples), triples[0]):
        torch.testing.assert_close(orthogonalize(x, steps=2, coefficients=given), expected)
    for wrong in ("abc", [1.0, (1.0, 2.0, 3.0)], [], [(1.0, 2.0)]):
        with pytest.raises(ValueError, match="coefficients must be"):
            orthogonalize(x, coefficients=wrong)


def test_under_autocast_products_run_in_its_dtype_as_torchs_do():
    x, ids, weights, first, second = operands()
    narrow = [each.bfloat16() for each in (x, first, second)]
    expected = layer(narrow[0], ids, weights, *narrow[1:])
    leaves = [each.clone().requires_grad_() for each in (x, first, second)]
    a, b, bias = random(5, 8), random(8, 4, seed=1), random(4, seed=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = layer(leaves[0], ids, weights, *leaves[1:])
        mixed = layer(narrow[0], ids, weights, first, second)
        product = matmul(a, b, bias, "silu")
        wide = matmul(a.double(), b.double())
    assert torch.equal(got, expected)
    assert torch.equal(mixed, expected)
    assert torch.equal(product, matmul(a.bfloat16(), b.bfloat16(), bias.bfloat16(), "silu"))
    assert torch.equal(wide, a.double() @ b.double())
    got.float().sum().backward()
    assert all(leaf.grad.dtype == torch.float32 and leaf.grad.any() for leaf in leaves)


def test_autocast_does_not_reach_inside():
    x, y = random(9, 3), random(11, 3, seed=1)
    cost = torch.cdist(x, y).square()
    plain = sinkhorn(x, y, epsilon=0.1), sinkhorn_dense(cost, epsilon=0.1)
    leaf = x.clone().requires_grad_()
    sinkhorn(leaf, y, epsilon=0.1).cost.backward()
    again = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = sinkhorn(x, y, epsilon=0.1), sinkhorn_dense(cost, epsilon=0.1)
        orthogonal = orthogonalize(x)
        sinkhorn(again, y, epsilon=0.1).cost.backward()
    for mine, theirs in zip(got, plain, strict=True):
        assert all(map(torch.equal, mine, theirs))
    assert torch.equal(orthogonal, orthogonalize(x))
    assert torch.equal(leaf.grad, again.grad)


@pytest.mark.parametrize("epsilon", [1e-38, 1e-44])
def test_an_epsilon_that_overflows_is_refused(epsilon):
    x, y = random(5, 2), random(6, 2, seed=1)
    with pytest.raises(ValueError, match=r"epsilon is 1e-\d\d: costs of up to about .* overflow torch.float32"):
        sinkhorn(x, y, epsilon=epsilon)
    with pytest.raises(ValueError, match=r"overflow torch\.float32; take a larger one"):
        sinkhorn_dense(torch.cdist(x, y), epsilon=epsilon)
    assert sinkhorn(x.double(), y.double(), epsilon=epsilon).cost.isfinite()
    assert sinkhorn(x, y, epsilon=1e-30).cost.isfinite()


def test_a_gradient_of_sinkhorns_gradient_is_refused_rather_than_wrong():
    x, y = random(5, 2).requires_grad_(), random(6, 2, seed=1)
    a = torch.full((5,), 0.2).requires_grad_()
    cost = torch.cdist(x, y).detach().requires_grad_()
    for value, leaf in (
        (sinkhorn(x, y, epsilon=0.5).cost, x),
        (sinkhorn(x.detach(), y, epsilon=0.5, a=a).cost, a),
        (sinkhorn_dense(cost, epsilon=0.5).cost, cost),
    ):
        (gradient,) = torch.autograd.grad(value, leaf, create_graph=True)
        with pytest.raises(RuntimeError, match="sinkhorn: its gradient, by the envelope theorem, has no gradient"):
            gradient.square().sum().backward()


def test_shapes_may_be_dynamic():
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    for tokens in (5, 300, 11):
        args = operands(tokens)
        torch.testing.assert_close(compiled(*args), layer(*args))
    iteration = torch.compile(orthogonalize, fullgraph=True, dynamic=True, backend="aot_eager")
    for x in (random(4, 5), random(7, 5)):
        torch.testing.assert_close(iteration(x, eps=1e-6), orthogonalize(x, eps=1e-6))


class Layer(torch.nn.Module):
    def forward(self, *args):
        return layer(*args)


def test_a_layer_can_be_exported_with_a_dynamic_number_of_tokens():
    auto = torch.export.Dim.AUTO
    first = [{0: auto}] * 3 + [None] * 2
    exported = torch.export.export(Layer(), operands(), dynamic_shapes={"args": tuple(first)})
    args = operands(17)
    torch.testing.assert_close(exported.module()(*args), layer(*args))


def test_a_routing_can_be_copied_and_kept():
    _, routing = moe_dispatch(random(4, 8), IDS, 2)
    for other in (copy.deepcopy(routing), pickle.loads(pickle.dumps(routing))):
        assert isinstance(other, Routing)
        assert all(map(torch.equal, other, routing))


@pytest.mark.parametrize("wanted", [0, 2, 3, 4])
def test_a_gradient_in_one_input_only(wanted):
    args = list(operands())
    full = [each.clone().requires_grad_(each.is_floating_point()) for each in args]
    layer(*full).square().sum().backward()
    args[wanted] = args[wanted].clone().requires_grad_()
    layer(*args).square().sum().backward()
    assert torch.equal(args[wanted].grad, full[wanted].grad)


def test_inference_mode_and_deterministic_algorithms():
    args = operands()
    with torch.inference_mode():
        assert torch.equal(layer(*args), layer(*operands()))
    torch.use_deterministic_algorithms(True)
    try:
        leaf = args[0].clone().requires_grad_()
        layer(leaf, *args[1:]).sum().backward()
    finally:
        torch.use_deterministic_algorithms(False)
    assert leaf.grad.isfinite().all()
