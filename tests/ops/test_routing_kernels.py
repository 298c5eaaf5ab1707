"""Routing by the generated kernels, which the emulator runs here, against the same by torch; and no host waits."""

from __future__ import annotations

import pytest
import torch

from twill.emulate.load import load
from twill.ops import dispatch, grouped_matmul, moe_dispatch, moe_route, routing_kernels
from twill.ops.experts import _moe_combine, _moe_combine_gradient, _moe_dispatch, _weighted_sum
from twill.ops.grouped import _grouped_matmul, _grouped_weight_gradient
from twill.ops.grouped_swiglu import grouped_swiglu, grouped_swiglu_gradient, swiglu
from twill.ops.routing import TILE_ROWS, padded_rows, route, sources, spread
from twill.shipped import ARCH, kernels_folder


def random(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def integers(low, high, *shape, seed=0):
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def emulated(monkeypatch):
    """The launches of a Hopper GPU, run by the emulator."""

    def launcher(variant, entry):
        return getattr(load(kernels_folder() / "generated" / ARCH / f"{variant}.py"), entry)

    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: True)
    monkeypatch.setattr(dispatch, "launcher", launcher)


IDS = {
    "three blocks": (integers(0, 5, 1100, 2), 5),
    "more experts than threads": (integers(0, 300, 70, 3), 300),
    "one expert of several": (torch.full((200, 2), 3), 7),
    "a single expert": (torch.zeros(129, 1, dtype=torch.long), 1),
    "out of range": (torch.tensor([[-1, 2], [3, 0], [2**40, 1], [-(2**40), 2], [2**32, 0]]), 3),
    "all out of range": (torch.full((3, 2), 4), 4),
    "of 8 bits and transposed": (integers(0, 4, 2, 90).to(torch.uint8).T, 4),
    "one choice": (torch.tensor([[1]]), 2),
}


@pytest.mark.parametrize("name", IDS)
def test_the_kernels_sort_as_torch_does(emulated, name):
    ids, experts = IDS[name]
    assert routing_kernels.sorts(ids, experts)
    for mine, theirs in zip(routing_kernels.route(ids, experts), route(ids, experts), strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.equal(mine, theirs)


def test_counts_that_overflow_are_left_to_torch(emulated):
    dispatch.decline.cache_clear()
    ids = torch.zeros(1, 1, dtype=torch.long).expand(2**20, 2)
    with pytest.warns(UserWarning, match="twill.ops.moe_dispatch runs as torch operations: the counts .* overflow"):
        assert not routing_kernels.sorts(ids, 2**20)
    assert not routing_kernels.sorts(ids[:0], 4)


@pytest.mark.parametrize("choices", [1, 3])
@pytest.mark.parametrize("columns", [8, 200, 264])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rows_are_moved_and_summed_as_torch_does(emulated, dtype, columns, choices):
    ids = integers(-1, 4, 90, choices)
    positions = route(ids, 4).positions
    rows = padded_rows(ids.numel(), 4)
    x = random(columns, 90, dtype=dtype).T  # not contiguous
    moved = routing_kernels.spread(x, positions, rows)
    assert torch.equal(moved, spread(x, positions, rows))

    y, weights = random(rows, columns, dtype=dtype, seed=1), random(choices, 90, seed=2).T.to(dtype)
    summed = routing_kernels.weighted_sum(y, positions, weights)
    # A product and a sum may round as one: in float32, then once to dtype.
    torch.testing.assert_close(summed, _weighted_sum(y, positions, weights), rtol=torch.finfo(dtype).eps, atol=1e-6)

    dy, dweights = routing_kernels.gradients(y, x, positions, weights)
    assert torch.equal(dy, spread(x, positions, rows, weights))
    products = torch.where(positions[..., None] >= 0, y[positions.clamp(min=0)].double() * x[:, None].double(), 0)
    scale = products.abs().sum(2)
    assert torch.all((dweights.double() - products.sum(2)).abs() <= columns * torch.finfo(torch.float32).eps * scale)


@pytest.mark.parametrize("name", IDS)
def test_rows_are_found_as_torch_finds_them(emulated, name):
    ids, experts = IDS[name]
    positions, choices = route(ids, experts).positions, ids.shape[1]
    rows = padded_rows(ids.numel(), experts)
    expected = sources(positions, rows)
    assert torch.equal(routing_kernels.choices_of(positions, rows), expected)
    for dtype in (torch.int32, torch.int64):
        tokens = routing_kernels.tokens_of(positions, rows, dtype)
        assert tokens.dtype == dtype
        assert torch.equal(tokens.long(), torch.where(expected >= 0, expected // choices, -1))


def test_positions_that_lie_anyhow_are_inverted(emulated):
    positions = route(integers(0, 3, 40, 2), 3).positions
    rows = padded_rows(80, 3)
    transposed = positions.T.contiguous().T
    shifted = torch.cat([positions.new_zeros(1), positions.flatten()])[1:].view(40, 2)
    for same in (transposed, shifted):
        assert torch.equal(routing_kernels.choices_of(same, rows), sources(positions, rows))


def test_choices_without_a_row_count_as_nothing_whatever_their_weight(emulated):
    positions = torch.tensor([[0, -1], [-1, -1], [1, 2]])
    weights = torch.tensor([[1.0, float("nan")], [float("inf"), 1.0], [0.5, 0.25]])
    y = random(128, 8, dtype=torch.float16)
    y[3:] = float("nan")  # rows of nobody
    out = routing_kernels.weighted_sum(y, positions, weights)
    assert torch.equal(out, torch.stack([y[0], torch.zeros_like(y[0]), (y[1].float() / 2 + y[2].float() / 4).half()]))
    dy, dweights = routing_kernels.gradients(y, random(3, 8, dtype=torch.float16, seed=1), positions, weights)
    assert dy.isfinite().all()
    assert dweights.isfinite().all()
    assert torch.equal(dweights != 0, positions >= 0)


def test_a_nan_weight_of_a_row_comes_out_in_its_token_alone(emulated):
    positions = torch.tensor([[0], [1], [2]])
    y, weights = random(128, 8, dtype=torch.bfloat16), torch.tensor([[1.0], [float("nan")], [1.0]])
    out = routing_kernels.weighted_sum(y, positions, weights)
    assert out.isnan().any(1).tolist() == [False, True, False]


def bodies(ids, x, weights, first, second, experts):
    """Every operator of the pipeline, forward and backward, by what it runs on a device; nothing is looked at."""
    rows, positions, tile_experts, offsets = _moe_dispatch._init_fn(x, ids, experts)
    groups = tile_experts, offsets
    hidden = grouped_swiglu._init_fn(rows, first, *groups)
    y = _grouped_matmul._init_fn(hidden, second, *groups, False)
    out = _moe_combine._init_fn(y, positions, weights)
    dy, dweights = _moe_combine_gradient._init_fn(y, out, positions, weights)
    dhidden = _grouped_matmul._init_fn(dy, second, *groups, True)
    dsecond = _grouped_weight_gradient._init_fn(hidden, dy, *groups)
    dboth = grouped_swiglu_gradient._init_fn(rows, first, dhidden, *groups)
    return out, dweights, dhidden, dsecond, dboth


@pytest.mark.parametrize("covered", [False, True], ids=["torch", "kernels"])
def test_nothing_waits_for_the_device(monkeypatch, covered):
    """Tensors without values: reading one on the host, or a size that depends on one, is an error."""
    launched = []
    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: covered)
    monkeypatch.setattr(dispatch, "launcher", lambda variant, _: lambda *args: launched.append(variant))
    with torch.device("meta"):
        ids = torch.empty(90, 2, dtype=torch.long)
        x, weights = torch.empty(90, 128, dtype=torch.float16), torch.empty(90, 2)
        first, second = torch.empty(4, 128, 256).half(), torch.empty(4, 128, 128).half()
    results = bodies(ids, x, weights, first, second, 4)
    rows = padded_rows(180, 4)
    assert [list(t.shape) for t in results] == [[90, 128], [90, 2], [rows, 128], [4, 128, 128], [rows, 256]]
    assert len(launched) == (14 if covered else 0)
    for look in (lambda: ids.max().item(), lambda: ids.tolist(), lambda: ids.nonzero(), lambda: ids.cpu()):
        with pytest.raises((RuntimeError, NotImplementedError)):
            look()


def test_the_layout_needs_no_more_rows_than_are_reserved():
    ids = integers(0, 9, 400, 2)
    positions, tile_experts, offsets = route(ids, 9)
    source = sources(positions, padded_rows(800, 9))
    assert torch.equal(source[positions].flatten(), torch.arange(800))
    assert (source >= 0).sum() == 800
    assert offsets[-1] <= len(tile_experts) * TILE_ROWS


@pytest.mark.parametrize("kind", ["gathered inside", "transposed", "swiglu", "swiglu of strided weights"])
def test_tokens_gathered_by_the_product_are_the_rows_of_dispatch(kind):
    ids = integers(0, 3, 200, 2)
    x, w = random(200, 6, dtype=torch.float64), random(3, 6, 8, dtype=torch.float64, seed=1)
    options = {"gathered inside": {}, "transposed": {"transposed": True}, "swiglu": {"activation": "swiglu"}}[
        kind.split(" of")[0]
    ]
    if kind == "transposed":
        w = w.mT.contiguous()
    if "strided" in kind:
        w = w.mT.contiguous().mT
    leaves, copies = ([t.detach().clone().requires_grad_() for t in (x, w)] for _ in range(2))
    routing = moe_route(ids, 3)
    got = grouped_matmul(leaves[0], leaves[1], routing, tokens=True, **options)
    rows, same = moe_dispatch(copies[0], ids, 3)
    assert all(map(torch.equal, routing, same))
    expected = grouped_matmul(rows, copies[1], same, **options)
    assert torch.equal(got, expected)
    cotangent = random(*got.shape, dtype=torch.float64, seed=2)
    got.backward(cotangent)
    expected.backward(cotangent)
    for mine, theirs in zip(leaves, copies, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_gathered_products_have_gradients_of_gradients_and_pass_opcheck():
    routing = moe_route(torch.tensor([[0, 1], [1, 1], [2, 0]]), 4)
    rows = TILE_ROWS * len(routing.tile_experts)
    x = random(3, 4, dtype=torch.float64).requires_grad_()
    w = random(4, 4, 5, dtype=torch.float64, seed=1).requires_grad_()
    for activation in (None, "swiglu"):
        options = {"tokens": True, "activation": activation}
        product = (lambda x, w, o=options: grouped_matmul(x, w[..., :4].contiguous(), routing, **o)), (x, w)
        assert torch.autograd.gradcheck(*product, fast_mode=True)
        assert torch.autograd.gradgradcheck(*product, fast_mode=True)
    operators = torch.ops.twill
    torch.library.opcheck(
        operators.grouped_matmul_gather.default, (x.detach().mT.contiguous().mT, w.detach(), *routing)
    )
    torch.library.opcheck(
        operators.grouped_swiglu_gather.default, (x, w[..., :4].detach().clone().requires_grad_(), *routing)
    )
    torch.library.opcheck(operators.moe_gather.default, (x, routing.positions, rows))
    torch.library.opcheck(operators.moe_route.default, (torch.tensor([[0, 1]]), 4))


@pytest.mark.parametrize("activation", [None, "swiglu"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_the_gathering_kernel_is_the_product_of_gathered_rows(emulated, dtype, activation):
    ids = torch.tensor([0] * 130 + [2] * 40)[torch.randperm(170, generator=torch.Generator().manual_seed(0))]
    x, w = random(170, 128, dtype=dtype), (random(3, 128, 136, seed=1) * 128**-0.5).to(dtype)
    routing = moe_route(ids, 3)
    if activation:
        w = w[..., :128].contiguous()
    got = grouped_matmul(x, w, routing, tokens=True, activation=activation)
    expected = torch.einsum("tk,tkn->tn", x.double(), w.double()[ids])
    expected = swiglu(expected) if activation else expected
    tolerance = 4 * torch.finfo(dtype).eps
    torch.testing.assert_close(got[routing.positions[:, 0]].double(), expected, rtol=tolerance, atol=tolerance)
    empty = torch.ones(len(got), dtype=torch.bool)
    empty[routing.positions[:, 0]] = False
    assert not got[empty].any()


def test_a_routing_of_other_tokens_is_refused():
    routing = moe_route(torch.zeros(4, 2, dtype=torch.long), 2)
    with pytest.raises(ValueError, match="the routing is of 4 tokens but x has 5"):
        grouped_matmul(torch.ones(5, 8), torch.ones(2, 8, 8), routing, tokens=True)
    with pytest.raises(ValueError, match=r"moe_route: expert_ids\[0, 1\] is 7, not an expert: there are 2, 0 to 1"):
        moe_route(torch.tensor([[0, 7]]), 2)
    with pytest.raises(ValueError, match=r"moe_route: expert_ids must be \[tokens, choices\]"):
        moe_route(torch.zeros(2, 2, 2, dtype=torch.long), 2)
