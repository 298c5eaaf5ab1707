"""`twill.ops.attention_varlen` against float64, as an operator, and through the generated kernels in the emulator."""

import functools
import math
import warnings

import pytest
import torch

from twill import emulate
from twill.ops import attention, attention_kernels, attention_varlen, dispatch
from twill.shipped import kernels_folder

OPERATOR = torch.ops.twill.attention_varlen.default
BACKWARD = torch.ops.twill.attention_varlen_backward.default
KINDS = [torch.float16, torch.bfloat16, torch.float32]
# Lengths of queries and of keys: equal; empty ones of either and of both; one alone; none.
LENGTHS = [
    ((5, 12, 1), (5, 12, 1)),
    ((0, 7, 3, 0, 4), (6, 0, 9, 0, 2)),
    ((9,), (4,)),
    ((), ()),
]


def starts(lengths, dtype=torch.int32):
    return torch.tensor([0, *lengths]).cumsum(0).to(dtype)


def tensors(queries, keys, heads=4, kv_heads=2, size=8, dtype=torch.float32, behind=0):
    """q, k, v with `behind` rows of no sequence at the end, and where the sequences begin."""
    random = torch.Generator().manual_seed(0)
    q = torch.randn(sum(queries) + behind, heads, size, generator=random).to(dtype)
    k, v = (torch.randn(sum(keys) + behind, kv_heads, size, generator=random).to(dtype) for _ in range(2))
    return q, k, v, starts(queries), starts(keys)


def truth(q, k, v, starts_q, starts_k, causal=False):
    """(o, lse) in float64, sequence by sequence, from the definition; differentiable."""
    q, k, v = (x.double() for x in (q, k, v))
    outputs, totals = [], []
    rows = [0, *starts_q.tolist()[1:], q.shape[0]]
    for b in range(len(rows) - 1):
        columns = slice(*starts_k.tolist()[b : b + 2]) if b + 1 < len(starts_k) else slice(0, 0)
        mine, theirs, values = q[rows[b] : rows[b + 1]], k[columns], v[columns]
        theirs, values = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (theirs, values))
        scores = torch.einsum("ihd,jhd->hij", mine, theirs) * q.shape[2] ** -0.5
        weights = scores.exp()
        if causal:
            weights = weights.tril()
        total = weights.sum(-1)
        outputs.append(torch.einsum("hij,jhd->ihd", weights, values) / total.clamp_min(1e-300).mT[..., None])
        totals.append(total.log())
    return torch.cat(outputs), torch.cat(totals, 1)


def gradients(function, q, k, v, do, dlse=None):
    """Gradients of sum(o * do), and of sum(lse * dlse) where it is given, in q, k and v."""
    inputs = [x.detach().clone().requires_grad_() for x in (q, k, v)]
    o, lse = function(*inputs)
    loss = (o * do.to(o.dtype)).sum()
    if dlse is not None:
        seen = lse > float("-inf")
        loss = loss + (lse[seen] * dlse.to(lse.dtype)[seen]).sum()
    return torch.autograd.grad(loss, inputs)


def close(got, want, dtype, terms):
    """Equal up to the rounding of inputs of unit scale to `dtype` and of a sum of `terms` float32 terms."""
    bound = 4 * torch.finfo(dtype).eps + terms * torch.finfo(torch.float32).eps
    finite = want[want.isfinite()]
    largest = finite.abs().max().item() if finite.numel() else 1.0
    torch.testing.assert_close(got.double(), want, rtol=0, atol=bound * max(largest, 1.0))


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), LENGTHS)
@pytest.mark.parametrize("behind", [0, 3])
def test_every_sequence_is_attention_in_float64(dtype, causal, queries, keys, behind):
    q, k, v, starts_q, starts_k = tensors(queries, keys, dtype=dtype, behind=behind)
    o, lse = attention_varlen(q, k, v, starts_q, starts_k, causal=causal, return_lse=True)
    want_o, want_lse = truth(q, k, v, starts_q, starts_k, causal)
    assert (o.dtype, lse.dtype, o.is_contiguous()) == (dtype, torch.float32, True)
    close(o, want_o, dtype, sum(keys))
    close(lse, want_lse, torch.float32, sum(keys))
    longest = max(queries, default=0)
    again = attention_varlen(q, k, v, starts_q.long(), starts_k.long(), longest, causal=causal)
    torch.testing.assert_close(again, o, rtol=0, atol=0)


@pytest.mark.parametrize("causal", [False, True])
def test_equal_lengths_are_a_batch(causal):
    q, k, v, begin, _ = tensors((6, 6, 6), (6, 6, 6), dtype=torch.float64)
    batch = (x.unflatten(0, (3, 6)).transpose(1, 2) for x in (q, k, v))
    want = attention(*batch, causal=causal, scale=0.3).transpose(1, 2).flatten(0, 1)
    torch.testing.assert_close(attention_varlen(q, k, v, begin, causal=causal, scale=0.3), want)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), LENGTHS[:3])
def test_gradients_are_those_of_float64(causal, queries, keys):
    q, k, v, *begin = tensors(queries, keys, dtype=torch.float16, behind=2)
    random = torch.Generator().manual_seed(1)
    do = torch.randn(q.shape, generator=random).half()
    dlse = torch.randn(q.shape[1], q.shape[0], generator=random)
    got = gradients(lambda *x: attention_varlen(*x, *begin, causal=causal, return_lse=True), q, k, v, do, dlse)
    want = gradients(lambda *x: truth(*x, *begin, causal), q.double(), k.double(), v.double(), do, dlse)
    for one, other in zip(got, want, strict=True):
        close(one, other, torch.float16, sum(queries) + sum(keys))


def test_gradcheck():
    q, k, v, *begin = tensors((0, 3, 2), (2, 0, 4), size=3, dtype=torch.float64)
    inputs = [x.requires_grad_() for x in (q, k, v)]
    assert torch.autograd.gradcheck(lambda *x: attention_varlen(*x, *begin, causal=True), inputs)


@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, lambda x: x.transpose(0, 1).contiguous().transpose(0, 1)])
@pytest.mark.parametrize("causal", [False, True])
def test_opcheck(layout, causal):
    q, k, v, *begin = tensors((3, 0, 4), (2, 5, 6))
    q, k, v = (layout(x).requires_grad_() for x in (q, k, v))
    torch.library.opcheck(OPERATOR, (q, k, v, *begin, 4, causal, None))
    q, k, v = (x.detach() for x in (q, k, v))
    o, lse = OPERATOR(q, k, v, *begin, None, causal, 0.4)
    for dlse in (None, torch.ones_like(lse)):
        torch.library.opcheck(BACKWARD, (layout(torch.ones_like(o)), dlse, q, k, v, o, lse, *begin, None, causal, 0.4))


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_without_a_graph_break(backend):
    q, k, v, begin, _ = tensors((3, 0, 4), (3, 0, 4))

    def function(q, k, v):
        o, lse = attention_varlen(q * 2, k, v, begin, max_seqlen_q=4, causal=True, return_lse=True)
        return o + 1, lse

    compiled = torch.compile(function, backend=backend, fullgraph=True)
    do = torch.ones_like(q)
    for got, want in zip(gradients(compiled, q, k, v, do), gradients(function, q, k, v, do), strict=True):
        torch.testing.assert_close(got, want)


BAD = {
    "rank": (lambda q, k, v, a, b: (q[None], k, v, a, b), {}, ValueError, r"q must be \[tokens, heads, head size\]"),
    "dtype": (lambda q, k, v, a, b: (q.int(), k, v, a, b), {}, TypeError, "q must be float16"),
    "dtypes": (lambda q, k, v, a, b: (q, k, v.half(), a, b), {}, TypeError, "one dtype"),
    "heads": (lambda q, k, v, a, b: (q[:, 1:], k, v, a, b), {}, ValueError, "a multiple of the key heads, got 3 and 2"),
    "no heads": (lambda q, k, v, a, b: (q[:, :0], k, v, a, b), {}, ValueError, "heads of some size"),
    "values": (lambda q, k, v, a, b: (q, k, v[1:], a, b), {}, ValueError, "k and v must have one shape"),
    "head size": (lambda q, k, v, a, b: (q[..., 1:], k, v, a, b), {}, ValueError, "one head size, got 7 and 8"),
    "device": (lambda q, k, v, a, b: (q, k, v, a.to("meta"), b), {}, ValueError, "got cpu for q and meta for cu_seqle"),
    "starts dtype": (lambda q, k, v, a, b: (q, k, v, a.float(), b), {}, TypeError, "cu_seqlens_q must be int32"),
    "starts rank": (lambda q, k, v, a, b: (q, k, v, a[None], b), {}, ValueError, r"must be \[sequences \+ 1\]"),
    "no starts": (lambda q, k, v, a, b: (q, k, v, a[:0], b), {}, ValueError, r"must be \[sequences \+ 1\]"),
    "counts": (lambda q, k, v, a, b: (q, k, v, a[1:], b), {}, ValueError, "of one length, got 2 and 3"),
    "not 0": (lambda q, k, v, a, b: (q, k, v, a + 1, b), {}, ValueError, "cu_seqlens_q must begin with 0"),
    "falls": (lambda q, k, v, a, b: (q, k, v, a, b[[0, 2, 1]]), {}, ValueError, "cu_seqlens_k must begin with 0"),
    "beyond": (lambda q, k, v, a, b: (q[:-1], k, v, a, b), {}, ValueError, "end with at most 6, got"),
    "longest": (lambda *x: x, {"max_seqlen_q": 3}, ValueError, "at least the 4 queries of the longest sequence"),
    "negative": (lambda *x: x, {"max_seqlen_q": -1}, ValueError, "max_seqlen_q must be 0 or more"),
    "scale": (lambda *x: x, {"scale": math.nan}, ValueError, "scale must be finite, got nan"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_a_sentence(case):
    change, options, error, says = BAD[case]
    with pytest.raises(error, match=says) as raised:
        attention_varlen(*change(*tensors((4, 3), (4, 5))), **options)
    assert "\n" not in str(raised.value)


# The generated kernels


@pytest.fixture
def emulated(monkeypatch):
    """As on a Hopper GPU, the generated kernels being emulated. Yields what was run."""
    ran = []

    def launcher(variant, entry):
        ran.append(variant)
        return getattr(emulate.load(kernels_folder() / "generated" / "hopper" / f"{variant}.py"), entry)

    monkeypatch.setattr(dispatch, "launcher", launcher)
    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: True)
    dispatch.decline.cache_clear()
    yield ran
    dispatch.decline.cache_clear()


@pytest.mark.parametrize(("size", "causal", "queries", "keys"), [
    (64, True, (130, 0, 40), (130, 0, 40)),
    (64, False, (20, 7), (140, 0)),
    (128, True, (0, 130), (50, 70)),
    (128, False, (33, 60), (33, 129)),
    (256, True, (70, 5), (70, 9)),
    (256, False, (9, 0), (40, 70)),
])  # fmt: skip
def test_generated_kernels_do_the_same(emulated, size, causal, queries, keys):
    q, k, v, *begin = tensors(queries, keys, 2, 1, size, torch.float16, behind=3)
    o, lse = attention_varlen(q, k, v, *begin, max(queries), causal=causal, return_lse=True)
    assert emulated == [f"attention_varlen_d{size}{'_causal' if causal else ''}_fp16"]
    want_o, want_lse = truth(q, k, v, *begin, causal)
    close(o, want_o, torch.float16, sum(keys))
    close(lse, want_lse, torch.float16, sum(keys))


@pytest.mark.parametrize(("changes", "why"), [
    ({"size": 96}, "head size 96 in torch.float16"),
    ({"size": 128, "dtype": torch.float32}, "head size 128 in torch.float32"),
    ({"queries": ()}, "no queries"),
    ({"heads": 70000, "kv_heads": 1}, "more than one launch takes"),
])  # fmt: skip
def test_what_the_kernels_do_not_cover_says_why(changes, why):
    made = {"queries": (5,), "keys": (5,), "size": 128, "dtype": torch.float16, **changes}
    q, k, _, begin, _ = (
        tensors(**{name: value for name, value in made.items() if name != "heads"})
        if ("heads" not in made)
        else (
            torch.empty(5, 70000, 128, dtype=torch.float16, device="meta"),
            torch.empty(5, 1, 128),
            0,
            starts((5,)),
            0,
        )
    )
    assert why in attention_kernels.uncovered_varlen(q, k, begin, False)


def test_declining_is_said_once(emulated):
    q, k, v, begin, _ = tensors((3, 4), (3, 4), dtype=torch.float16)
    q.requires_grad_()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            attention_varlen(q, k, v, begin).sum().backward()
    assert [str(each.message).split(" runs as torch operations")[0] for each in said] == [
        "twill.ops.attention_varlen", "twill.ops.attention_varlen's backward",
    ]  # fmt: skip
    assert not emulated


def test_starts_are_not_changed_and_inputs_stay():
    q, k, v, *begin = tensors((3, 4), (3, 4))
    before = [x.clone() for x in (q, k, v, *begin)]
    functools.partial(attention_varlen, causal=True)(q, k, v, *begin)
    assert all(torch.equal(x, old) for x, old in zip((q, k, v, *begin), before, strict=True))
