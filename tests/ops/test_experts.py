"""Experts: dispatch, grouped products and combine against a loop over tokens in float64."""

from __future__ import annotations

import pytest
import torch

from twill.emulate.load import load
from twill.ops import dispatch, grouped_matmul, moe_combine, moe_dispatch
from twill.ops.grouped import _products_of_tiles, _weight_products_of_tiles
from twill.ops.routing import LARGEST, Routing, padded_rows, route
from twill.shipped import ARCH, kernels_folder

TILE = 128
ROUTINGS = ["random", "one expert", "empty experts", "ragged", "one token", "no tokens"]


def random(*shape, dtype=torch.float64, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def chosen(name, choices=2, experts=5):
    """[T, choices] expert ids."""
    generator = torch.Generator().manual_seed(1)
    match name:
        case "random":
            return torch.randint(experts, (90, choices), generator=generator)
        case "one expert":
            return torch.full((150, choices), 3)
        case "empty experts":
            return torch.tensor([1, experts - 1])[torch.randint(2, (140, choices), generator=generator)]
        case "ragged":
            # One row more than a tile, a tile, and one row.
            return torch.cat([torch.full((129,), 4), torch.full((128,), 0), torch.full((1,), 2)]).view(-1, 1)
        case "one token":
            return torch.tensor([[2, 0]])
        case "no tokens":
            return torch.zeros(0, choices, dtype=torch.long)
    raise AssertionError(name)


def swiglu(x):
    gate, up = x.chunk(2, -1)
    return gate * torch.sigmoid(gate) * up


def layer(x, ids, weights, first, second):
    """The whole of it by the operators."""
    rows, routing = moe_dispatch(x, ids, first.shape[0])
    hidden = grouped_matmul(rows, first, routing, activation="swiglu")
    return moe_combine(grouped_matmul(hidden, second, routing), routing, weights)


def loop(x, ids, weights, first, second):
    """The same, an expert at a time: what its tokens choose of it, summed where they are."""
    out = x.new_zeros(x.shape[0], second.shape[2])
    for e in range(first.shape[0]):
        for j in range(ids.shape[1]):
            tokens = (ids[:, j] == e).nonzero()[:, 0]
            y = swiglu(x[tokens] @ first[e]) @ second[e]
            out = out.index_add(0, tokens, weights[tokens, j, None] * y)
    return out


def operands(ids, dtype=torch.float64, experts=5, inner=24, hidden=16, out=40):
    tokens, choices = ids.shape
    return (
        random(tokens, inner, dtype=dtype),
        ids,
        torch.softmax(random(tokens, choices, seed=1), 1).to(dtype),
        (random(experts, inner, 2 * hidden, seed=2) * inner**-0.5).to(dtype),
        (random(experts, hidden, out, seed=3) * hidden**-0.5 * 2).to(dtype),
    )


@pytest.mark.parametrize("name", ROUTINGS)
def test_the_layout(name):
    ids = chosen(name)
    x = torch.arange(1.0, ids.shape[0] + 1)[:, None].expand(-1, 8)
    rows, routing = moe_dispatch(x, ids, 5)
    assert rows.shape == (padded_rows(ids.numel(), 5), 8)
    assert routing.positions.shape == ids.shape
    assert routing.tile_experts.shape == (rows.shape[0] // TILE,)
    counts = torch.bincount(ids.flatten(), minlength=5)
    assert routing.offsets.diff().tolist() == [-(-count // TILE) * TILE for count in counts.tolist()]
    expected = torch.zeros_like(rows)
    following = routing.offsets.tolist()
    for token, experts in enumerate(ids.tolist()):
        for choice, e in enumerate(experts):
            assert routing.positions[token, choice] == following[e]
            expected[following[e]] = token + 1
            following[e] += 1
    assert torch.equal(rows, expected)
    for tile, e in enumerate(routing.tile_experts.tolist()):
        inside = [i for i in range(5) if routing.offsets[i] <= tile * TILE < routing.offsets[i + 1]]
        assert inside == ([e] if e >= 0 else [])


def test_the_bound_on_rows_is_reached_and_never_passed():
    # Experts with one row each waste 127; 300 rows of one expert take three tiles.
    assert padded_rows(4, 64) == 4 * TILE
    assert padded_rows(0, 8) == 0
    generator = torch.Generator().manual_seed(0)
    for choices, experts in ((1, 1), (5, 3), (127, 2), (129, 1), (256, 9), (1000, 7), (12, 64)):
        bound = padded_rows(choices, experts)
        for _ in range(20):
            counts = torch.bincount(torch.randint(experts, (choices,), generator=generator), minlength=experts)
            assert sum(-(-count // TILE) * TILE for count in counts.tolist()) <= bound


@pytest.mark.parametrize("name", ROUTINGS)
def test_a_layer_and_its_gradients_equal_the_loop(name):
    args = operands(chosen(name))
    leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in args]
    copies = [x.clone().requires_grad_() if x.is_floating_point() else x for x in args]
    got, expected = layer(*leaves), loop(*copies)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)
    if expected.numel():
        assert expected.square().mean().sqrt() > 0.2  # activations of unit scale: a wrong gate cannot hide
    cotangent = random(*expected.shape, seed=4)
    got.backward(cotangent)
    expected.backward(cotangent)
    for mine, theirs in zip(leaves, copies, strict=True):
        if mine.is_floating_point():
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_in_other_dtypes_a_layer_is_as_near_as_its_roundings(dtype):
    args = operands(chosen("random"), dtype)
    leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in args]
    exact = [x.double().requires_grad_() if x.is_floating_point() else x for x in args]
    got, expected = layer(*leaves), loop(*exact)
    assert got.dtype == dtype
    # Hidden values, products and the sum round once each to dtype; sums of 24 and 16 terms in float32.
    tolerance = 8 * torch.finfo(dtype).eps + (24 + 16) * torch.finfo(torch.float32).eps
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)
    got.sum().backward()
    expected.sum().backward()
    for mine, theirs in zip(leaves, exact, strict=True):
        if mine.is_floating_point():
            assert mine.grad.dtype == dtype
            error = (mine.grad.double() - theirs.grad).norm() / theirs.grad.norm()
            assert error < tolerance


def test_combine_is_the_same_bits_every_time_and_nothing_is_mutated():
    args = operands(chosen("random"), torch.float32)
    before = [x.clone() for x in args]
    first, second = layer(*args), layer(*args)
    assert torch.equal(first, second)
    assert all(torch.equal(x, y) for x, y in zip(args, before, strict=True))


def routed(experts=3, tokens=6, choices=2):
    ids = torch.randint(experts - 1, (tokens, choices), generator=torch.Generator().manual_seed(0))
    return ids, Routing(*route(ids, experts))


def test_gradients_of_dispatch_and_combine_by_finite_differences():
    ids, routing = routed()
    x = random(6, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: moe_dispatch(x, ids, 3)[0], (x,), fast_mode=True)
    y = random(routing.tile_experts.shape[0] * TILE, 2).requires_grad_()
    weights = random(6, 2, seed=1).requires_grad_()
    combine = (lambda y, weights: moe_combine(y, routing, weights), (y, weights))
    assert torch.autograd.gradcheck(*combine, fast_mode=True)
    assert torch.autograd.gradgradcheck(*combine, fast_mode=True)


@pytest.mark.parametrize("kind", ["plain", "transposed", "swiglu"])
def test_gradients_of_the_grouped_product_by_finite_differences(kind):
    _, routing = routed()
    x = random(routing.tile_experts.shape[0] * TILE, 3).requires_grad_()
    w = random(3, *((4, 3) if kind == "transposed" else (3, 4)), seed=1).requires_grad_()
    options = {"plain": {}, "transposed": {"transposed": True}, "swiglu": {"activation": "swiglu"}}[kind]
    product = (lambda x, w: grouped_matmul(x, w, routing, **options), (x, w))
    assert torch.autograd.gradcheck(*product, fast_mode=True)
    assert torch.autograd.gradgradcheck(*product, fast_mode=True)


def test_operators_pass_opcheck():
    ids, routing = routed()
    rows = routing.tile_experts.shape[0] * TILE

    def leaf(*shape):
        """Of the transposed layout."""
        return random(*shape, dtype=torch.float32).mT.contiguous().mT.requires_grad_()

    groups = routing.tile_experts, routing.offsets
    operators = torch.ops.twill
    for operator, args in [
        (operators.moe_dispatch, (leaf(6, 8), ids.T.contiguous().T, 3)),
        (operators.moe_combine, (leaf(rows, 8), routing.positions, leaf(6, 2))),
        (operators.moe_combine_gradient, (leaf(rows, 8), leaf(6, 8), routing.positions, leaf(6, 2))),
        (operators.grouped_matmul, (leaf(rows, 8), leaf(3, 8, 4), *groups, False)),
        (operators.grouped_matmul, (leaf(rows, 8).detach().contiguous(), leaf(3, 4, 8), *groups, True)),
        (operators.grouped_swiglu, (leaf(rows, 8), leaf(3, 8, 4), *groups)),
        (operators.grouped_swiglu_gradient, (leaf(rows, 8), leaf(3, 8, 4), leaf(rows, 2), *groups)),
        (operators.grouped_weight_gradient, (leaf(rows, 8), leaf(rows, 4), *groups)),
    ]:
        torch.library.opcheck(operator.default, args)


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_layer_compiles_without_a_graph_break(dynamic):
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=dynamic)
    for name in ("random", "one expert"):
        args = operands(chosen(name))
        leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in args]
        torch.testing.assert_close(compiled(*leaves), layer(*args))
        compiled(*leaves).sum().backward()
        assert leaves[3].grad is not None


def test_permuted_layouts_give_the_same():
    x, ids, weights, first, second = operands(chosen("random"))
    permuted = (x.T.contiguous().T, ids.T.contiguous().T, weights.T.contiguous().T, first.mT.contiguous().mT,
                second.permute(2, 0, 1).contiguous().permute(1, 2, 0))  # fmt: skip
    assert not any(tensor.is_contiguous() for tensor in permuted)
    torch.testing.assert_close(layer(*permuted), layer(x, ids, weights, first, second))


def test_without_bounds_on_the_host_the_products_are_the_same():
    """What a GPU runs where no kernel covers the operands; tiles without an expert may hold anything."""
    x, ids, _, first, _ = operands(chosen("empty experts"))
    rows, routing = moe_dispatch(x, ids, 5)
    assert routing.tile_experts[-1] == -1
    expected = grouped_matmul(rows, first, routing)
    dy = random(*expected.shape, seed=5)
    _, gradient = torch.autograd.grad(
        grouped_matmul(rows.requires_grad_(), first.requires_grad_(), routing), (rows, first), dy
    )
    rows = rows.detach().clone()
    rows[routing.tile_experts.repeat_interleave(TILE) < 0] = float("nan")
    torch.testing.assert_close(_products_of_tiles(rows, first, routing.tile_experts), expected)
    torch.testing.assert_close(_weight_products_of_tiles(rows, dy, routing.tile_experts, 5), gradient)


def test_what_has_no_expert_counts_as_zero_where_the_host_does_not_look():
    """The GPU's way with ids out of range, by the functions that run there."""
    ids = torch.tensor([[0, 7], [-1, 1], [2, 2]])
    routing = route(ids, 3)
    assert (routing.positions < 0).tolist() == [[False, True], [True, False], [False, False]]
    assert routing.offsets.tolist() == [0, 128, 256, 384]
    y = torch.full((routing.tile_experts.shape[0] * TILE, 4), float("nan"))
    y[routing.positions[routing.positions >= 0]] = 1.0
    weights = torch.ones(3, 2, requires_grad=True)
    combined = moe_combine(y, routing, weights)
    assert combined.tolist() == [[1.0] * 4, [1.0] * 4, [2.0] * 4]
    combined.sum().backward()
    assert weights.grad.tolist() == [[4.0, 0.0], [0.0, 4.0], [4.0, 4.0]]


@pytest.mark.parametrize("wrong", [-1, 5, 2**31])
def test_ids_out_of_range_are_refused(wrong):
    ids = torch.tensor([[0, 1], [4, wrong]])
    with pytest.raises(ValueError, match=rf"expert_ids\[1, 1\] is {wrong}, not an expert: there are 5, 0 to 4"):
        moe_dispatch(torch.ones(2, 4), ids, 5)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(wrong):
    x, ids, weights, first, second = operands(chosen("one token"))
    weights[0, 1] = wrong
    with pytest.raises(ValueError, match=rf"weights\[0, 1\] is {wrong}: routing weights must be finite"):
        layer(x, ids, weights, first, second)


def test_dispatch_refuses_what_does_not_fit():
    x, ids = torch.ones(4, 8), torch.zeros(4, 2, dtype=torch.long)
    for error, message, args in [
        (TypeError, "x must be float16, .*, got torch.int64", (x.long(), ids, 2)),
        (TypeError, "expert_ids must be integers, got torch.float32", (x, ids.float(), 2)),
        (TypeError, "expert_ids must be integers, got torch.bool", (x, ids.bool(), 2)),
        (ValueError, r"x must be \[tokens, features\], got shape \[4\]", (x[:, 0], ids, 2)),
        (ValueError, r"expert_ids must be \[4, choices\].*got shape \[3, 2\]", (x, ids[:3], 2)),
        (ValueError, r"got shape \[4, 2, 1\]", (x, ids[..., None], 2)),
        (ValueError, "x is on cpu but expert_ids on meta", (x, ids.to("meta"), 2)),
        (ValueError, "there must be an expert, got num_experts=0", (x, ids, 0)),
    ]:
        with pytest.raises(error, match=f"^moe_dispatch: .*{message}"):
            moe_dispatch(*args)


def test_sizes_beyond_32_bits_are_refused_before_anything_is_allocated():
    ids = torch.zeros(1, 1, dtype=torch.long).expand(2**30, 2)
    with pytest.raises(ValueError, match=r"^moe_dispatch: 2147483648 rows .* overflow the 32-bit offsets"):
        moe_dispatch(torch.zeros(1, 1).expand(2**30, 1), ids, 1)
    _, routing = routed(experts=3)
    wide = torch.zeros(1).expand(3, LARGEST // 3 + 1, 1)
    x = torch.zeros(1).expand(routing.tile_experts.shape[0] * TILE, wide.shape[1])
    with pytest.raises(ValueError, match=r"^grouped_matmul: 2147483649 experts times rows of w overflow the 32-bit"):
        grouped_matmul(x, wide, routing)
    with pytest.raises(ValueError, match=r"^grouped_matmul: 2147483649 experts times columns of w overflow"):
        grouped_matmul(x[:, :1], wide.mT, routing)


def test_the_grouped_product_refuses_what_does_not_fit():
    _, routing = routed()
    x, w = torch.ones(routing.tile_experts.shape[0] * TILE, 8), torch.ones(3, 8, 4)
    for error, message, args, options in [
        (TypeError, "both be float16.*, got torch.float32 and torch.float16", (x, w.half()), {}),
        (TypeError, "both be float16.*, got torch.int64 and torch.int64", (x.long(), w.long()), {}),
        (ValueError, r"w \[experts, K, N\], got shapes .* and \[8, 4\]", (x, w[0]), {}),
        (ValueError, "rows of x have 8 values but the weights take 4", (x, w), {"transposed": True}),
        (ValueError, "the routing is of .* rows but x has 7", (x[:7], w), {}),
        (ValueError, "w has 2 experts but the routing has 3", (x, w[:2]), {}),
        (ValueError, "x is on cpu, w on meta", (x, w.to("meta")), {}),
        (ValueError, "activation must be None or \"swiglu\", got 'gelu'", (x, w), {"activation": "gelu"}),
        (ValueError, "even number of columns .*, got 3", (x, w[..., :3]), {"activation": "swiglu"}),
        (ValueError, "weights that are not transposed", (x, w), {"activation": "swiglu", "transposed": True}),
    ]:
        with pytest.raises(error, match=f"^grouped_matmul: .*{message}"):
            grouped_matmul(*args[:2], routing, **options)


def test_combine_refuses_what_does_not_fit():
    _, routing = routed()
    y, weights = torch.ones(routing.tile_experts.shape[0] * TILE, 8), torch.ones(6, 2)
    for error, message, args in [
        (TypeError, "y and weights must be .*, got torch.float32 and torch.int64", (y, routing, weights.long())),
        (ValueError, r"y must be \[rows, features\]", (y[0], routing, weights)),
        (
            ValueError,
            r"weights must have the shape of the choices, \[6, 2\], got \[6, 1\]",
            (y, routing, weights[:, 0]),
        ),
        (ValueError, "the routing is of .* rows but y has 6", (y[:6], routing, weights)),
        (ValueError, "weights on meta", (y, routing, weights.to("meta"))),
    ]:
        with pytest.raises(error, match=f"^moe_combine: .*{message}"):
            moe_combine(*args)


@pytest.fixture
def launched(monkeypatch):
    """The launches of a Hopper GPU, run by the emulator; the names of the modules that were launched."""
    names = []

    def launcher(variant, entry):
        names.append(variant)
        return getattr(load(kernels_folder() / "generated" / ARCH / f"{variant}.py"), entry)

    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: True)
    monkeypatch.setattr(dispatch, "launcher", launcher)
    return names


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_on_hopper_the_generated_kernels_run_forward_and_backward(launched, dtype):
    # 130 rows of the first expert, none of the second, 40 of the third: tiles 0, 0, 2 and two without an expert.
    ids = torch.tensor([0] * 130 + [2] * 40)[:, None]
    args = operands(ids, dtype, experts=3, inner=128, hidden=128, out=128)
    leaves = [x.clone().requires_grad_() if x.is_floating_point() else x for x in args]
    exact = [x.double().requires_grad_() if x.is_floating_point() else x for x in args]
    got, expected = layer(*leaves), loop(*exact)
    tolerance = 8 * torch.finfo(dtype).eps
    torch.testing.assert_close(got.double(), expected, rtol=tolerance, atol=tolerance)
    cotangent = random(*expected.shape, seed=4).to(dtype)
    got.backward(cotangent)
    expected.backward(cotangent.double())
    for mine, theirs in zip(leaves, exact, strict=True):
        if mine.is_floating_point():
            assert (mine.grad.double() - theirs.grad).norm() < tolerance * theirs.grad.norm()
    short = {torch.float16: "fp16", torch.bfloat16: "bf16"}[dtype]
    kernels = ("swiglu", "swiglu_gradient", "matmul", "matmul_transposed", "weight_gradient")
    moved = ("gather", "combine", "combine_gradient")
    sort = {"moe_histogram", "moe_scan", "moe_tile_table", "moe_positions", "moe_sources_int64"}
    expected = {f"grouped_{kernel}_{short}" for kernel in kernels} | {f"moe_{kernel}_{short}" for kernel in moved}
    assert set(launched) == expected | sort


def test_weights_that_lie_transposed_are_not_copied(launched):
    rows, routing = moe_dispatch(random(10, 64, dtype=torch.float16), torch.zeros(10, dtype=torch.long), 1)
    w = random(1, 72, 64, dtype=torch.float16, seed=1)
    launched.clear()
    got = grouped_matmul(rows, w.mT, routing)
    assert torch.equal(got, grouped_matmul(rows, w, routing, transposed=True))
    assert launched == ["grouped_matmul_transposed_fp16"] * 2
    torch.testing.assert_close(got.double(), rows.double() @ w[0].double().mT, rtol=2**-9, atol=2**-9)


def test_operands_that_do_not_begin_where_tma_reads_are_copied(launched):
    rows, routing = moe_dispatch(random(10, 64, dtype=torch.float16), torch.zeros(10, dtype=torch.long), 1)
    w = random(64 * 8 + 1, dtype=torch.float16, seed=1)[1:].view(1, 64, 8)
    expected = rows.double() @ w[0].double()
    torch.testing.assert_close(grouped_matmul(rows, w, routing).double(), expected, rtol=2**-9, atol=2**-6)
    assert launched


def test_what_no_kernel_covers_is_said_once(launched):
    dispatch.decline.cache_clear()
    rows, routing = moe_dispatch(random(10, 24, dtype=torch.float16), torch.zeros(10, dtype=torch.long), 1)
    launched.clear()
    for dtype, why in ((torch.float32, "float16 and bfloat16, not torch.float32"), (torch.float16, "not 24 and 8")):
        x, w = rows.to(dtype), random(1, 24, 8, dtype=dtype)
        with pytest.warns(UserWarning, match=rf"twill.ops.grouped_matmul runs as torch operations: .*{why}"):
            got = grouped_matmul(x, w, routing)
        tolerance = 4 * torch.finfo(dtype).eps * 24**0.5
        torch.testing.assert_close(got.double(), x.double() @ w[0].double(), rtol=tolerance, atol=tolerance)
        grouped_matmul(x, w, routing)  # no second warning: warnings are errors
    assert not launched
