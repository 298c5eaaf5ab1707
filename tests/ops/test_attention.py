"""`twill.ops.attention` against float64, as an operator, and through the generated kernels in the emulator."""

import functools
import math
import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from twill import emulate
from twill.ops import attention, attention_kernels, attention_torch, dispatch
from twill.schedule import files
from twill.shipped import VARIANTS, kernels_folder, module_path, schedule_path
from twill.simulate.subject import subject

OPERATOR = torch.ops.twill.attention.default
BACKWARD = torch.ops.twill.attention_backward.default
KINDS = [torch.float16, torch.bfloat16, torch.float32]
FORMS = [(False, None), (True, None), (True, 5), (False, 5)]


def tensors(batch=2, heads=4, kv_heads=2, queries=24, keys=24, size=16, dtype=torch.float32, seed=0):
    random = torch.Generator().manual_seed(seed)
    q = torch.randn(batch, heads, queries, size, generator=random).to(dtype)
    k, v = (torch.randn(batch, kv_heads, keys, size, generator=random).to(dtype) for _ in range(2))
    return q, k, v


def truth(q, k, v, causal=False, window=None, scale=None):
    """(o, lse) in float64, from the definition."""
    q, k, v = (x.double() for x in (q, k, v))
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    scores = torch.einsum("bhid,bhjd->bhij", q, k) * (q.shape[3] ** -0.5 if scale is None else scale)
    i, j = torch.meshgrid(torch.arange(q.shape[2]), torch.arange(k.shape[2]), indexing="ij")
    hidden = ((j > i) if causal else torch.zeros_like(i, dtype=torch.bool)) | ((i - j).abs() >= (window or math.inf))
    # A number that exp makes 0 in place of -inf, so that gradients are numbers where a query sees nothing.
    weights = scores.masked_fill(hidden, -1e300).exp() * ~hidden
    total = weights.sum(-1)
    return torch.einsum("bhij,bhjd->bhid", weights, v) / total.clamp_min(1e-300)[..., None], total.log()


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
    largest = want[want.isfinite()].abs().max().item()
    torch.testing.assert_close(got.double(), want, rtol=0, atol=bound * max(largest, 1.0))


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize(("causal", "window"), FORMS)
@pytest.mark.parametrize(("queries", "keys"), [(24, 24), (7, 40), (40, 7), (1, 1)])
def test_forward_is_attention_in_float64(dtype, causal, window, queries, keys):
    q, k, v = tensors(queries=queries, keys=keys, dtype=dtype)
    o, lse = attention(q, k, v, causal=causal, window=window, return_lse=True)
    want_o, want_lse = truth(q, k, v, causal, window)
    assert (o.dtype, lse.dtype) == (dtype, torch.float32)
    assert o.is_contiguous()
    close(o, want_o, dtype, keys)
    close(lse, want_lse, torch.float32, keys)
    torch.testing.assert_close(attention(q, k, v, causal=causal, window=window), o, rtol=0, atol=0)


def test_it_is_torch_s_attention():
    q, k, v = tensors(dtype=torch.float64)
    for causal in (False, True):
        want = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
        torch.testing.assert_close(attention(q, k, v, causal=causal), want)
    want = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=-0.3, enable_gqa=True)
    torch.testing.assert_close(attention(q, k, v, scale=-0.3), want)


def test_a_query_without_keys_is_zero():
    q, k, v = tensors(queries=9, keys=3)
    o, lse = attention(q, k, v, causal=True, window=2, return_lse=True)
    # Query i sees the keys i - 1 and i; there are the keys 0, 1 and 2.
    assert (o[:, :, 4:] == 0).all()
    assert (lse[:, :, 4:] == float("-inf")).all()
    assert lse[:, :, :4].isfinite().all()


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize(("causal", "window"), FORMS)
@pytest.mark.parametrize(("queries", "keys"), [(24, 24), (7, 40), (40, 7)])
def test_gradients_are_those_of_float64(dtype, causal, window, queries, keys):
    q, k, v = tensors(queries=queries, keys=keys, dtype=dtype)
    random = torch.Generator().manual_seed(1)
    do, dlse = torch.randn(q.shape, generator=random), torch.randn(q.shape[:3], generator=random)
    options = {"causal": causal, "window": window}
    got = gradients(lambda *x: attention(*x, return_lse=True, **options), q, k, v, do.to(dtype), dlse)
    want = gradients(lambda *x: truth(*x, **options), q.double(), k.double(), v.double(), do.to(dtype), dlse)
    for one, other in zip(got, want, strict=True):
        assert one.dtype == dtype
        close(one, other, dtype, queries + keys)


@pytest.mark.parametrize(("causal", "window"), FORMS)
def test_gradcheck(causal, window):
    inputs = [x.requires_grad_() for x in tensors(1, 4, 2, 6, 5, 3, torch.float64)]

    def seen(*x):
        o, lse = attention(*x, causal=causal, window=window, return_lse=True)
        return o, lse.masked_fill(lse == float("-inf"), 0.0)

    assert torch.autograd.gradcheck(seen, inputs)


def test_a_second_derivative_is_refused():
    q, k, v = (x.requires_grad_() for x in tensors())
    (dq,) = torch.autograd.grad(attention(q, k, v).sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match=r"twill\.attention_backward"):
        torch.autograd.grad(dq.sum(), k)


def permuted(x):
    """The same tensor, with [batch, length, heads, head size] in memory."""
    return x.transpose(1, 2).contiguous().transpose(1, 2)


@pytest.mark.parametrize("layout", [torch.Tensor.contiguous, permuted, lambda x: x.mT.contiguous().mT])
@pytest.mark.parametrize(("causal", "window"), FORMS)
def test_opcheck(layout, causal, window):
    q, k, v = (layout(x).requires_grad_() for x in tensors(1, 4, 2, 6, 9, 8))
    torch.library.opcheck(OPERATOR, (q, k, v, causal, window, None))
    q, k, v = (x.detach() for x in (q, k, v))
    o, lse = OPERATOR(q, k, v, causal, window, 0.4)
    for dlse in (None, torch.ones_like(lse)):
        torch.library.opcheck(BACKWARD, (layout(torch.ones_like(o)), dlse, q, k, v, o, lse, causal, window, 0.4))


def test_inputs_are_left_as_they_are():
    q, k, v = (permuted(x).requires_grad_() for x in tensors())
    before = [x.detach().clone() for x in (q, k, v)]
    attention(q, k, v, causal=True, window=3).square().sum().backward()
    for x, old in zip((q, k, v), before, strict=True):
        assert torch.equal(x, old)
        assert x.grad is not None


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_without_a_graph_break(backend):
    q, k, v = tensors()
    do = torch.ones_like(q)

    def function(q, k, v):
        o, lse = attention(q * 2, k, v, causal=True, return_lse=True)
        return o + 1, lse

    compiled = torch.compile(function, backend=backend, fullgraph=True)
    for got, want in zip(gradients(compiled, q, k, v, do), gradients(function, q, k, v, do), strict=True):
        torch.testing.assert_close(got, want)


class Largest(TorchDispatchMode):
    """Keeps the number of elements of the largest tensor that an operation makes."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.elements = max(self.elements, made.numel())
        return made


@pytest.mark.parametrize(("causal", "window"), [*FORMS, (True, 300)])
def test_blocks_of_queries_bound_the_memory(monkeypatch, causal, window):
    q, k, v = tensors(1, 4, 2, 1000, 700, 8, torch.float64)
    do = torch.randn(q.shape, generator=torch.Generator().manual_seed(2)).double()
    whole = attention_torch.forward(q, k, v, causal, window, 0.3)
    whole_gradients = attention_torch.backward(do, None, q, k, v, *whole, causal, window, 0.3)
    monkeypatch.setattr(attention_torch, "SCORES", 2**16)
    with Largest() as largest:
        parts = attention_torch.forward(q, k, v, causal, window, 0.3)
        parts_gradients = attention_torch.backward(do, None, q, k, v, *parts, causal, window, 0.3)
    assert largest.elements <= 2**16
    for one, other in zip((*whole, *whole_gradients), (*parts, *parts_gradients), strict=True):
        torch.testing.assert_close(one, other)


BAD = {
    "rank": (lambda q, k, v: (q[0], k, v), {}, ValueError, r"q must be \[batch, heads, length, head size\], got shape"),
    "dtype": (lambda q, k, v: (q.int(), k, v), {}, TypeError, "q must be float16, bfloat16, float32 or float64"),
    "dtypes": (lambda q, k, v: (q, k, v.half()), {}, TypeError, "one dtype, got torch.float32 for q and torch.float16"),
    "device": (lambda q, k, v: (q, k.to("meta"), v), {}, ValueError, "on one device, got cpu for q and meta for k"),
    "no queries": (lambda q, k, v: (q[:, :, :0], k, v), {}, ValueError, "q must have elements"),
    "no keys": (lambda q, k, v: (q, k[:, :, :0], v[:, :, :0]), {}, ValueError, "k must have elements"),
    "no channels": (lambda q, k, v: (q[..., :0], k, v), {}, ValueError, "q must have elements"),
    "values": (lambda q, k, v: (q, k, v[:, :, 1:]), {}, ValueError, "k and v must have one shape"),
    "batch": (lambda q, k, v: (q[:1], k, v), {}, ValueError, "agree in batch and head size"),
    "head size": (lambda q, k, v: (q[..., 1:], k, v), {}, ValueError, "agree in batch and head size"),
    "heads": (lambda q, k, v: (q[:, 1:], k, v), {}, ValueError, "a multiple of the key heads, got 3 and 2"),
    "window": (lambda *x: x, {"window": 0}, ValueError, "window must be 1 or more, or None, got 0"),
    "scale": (lambda *x: x, {"scale": math.nan}, ValueError, "scale must be finite, got nan"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_a_sentence(case):
    change, options, error, says = BAD[case]
    with pytest.raises(error, match=says) as raised:
        attention(*change(*tensors()), **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_stays_none(value):
    q, k, v = tensors()
    q[0, 0, 3, 0] = value
    o, lse = attention(q, k, v, causal=True, return_lse=True)
    assert o[0, 0, 3].isnan().all() or not lse[0, 0, 3].isfinite()
    o[0, 0, 3], lse[0, 0, 3] = 0, 0
    assert o.isfinite().all()
    assert lse.isfinite().all()


# The generated kernels


@pytest.fixture
def emulated(monkeypatch):
    """As on a Hopper GPU, the generated kernels being emulated; what is declined is an error. Yields what was run."""
    ran = []

    @functools.cache
    def module(variant):
        return emulate.load(kernels_folder() / "generated" / "hopper" / f"{variant}.py")

    def launcher(variant, entry):
        ran.append(variant)
        return getattr(module(variant), entry)

    monkeypatch.setattr(dispatch, "launcher", launcher)
    monkeypatch.setattr(dispatch, "on_hopper", lambda *_: True)
    dispatch.decline.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield ran
    dispatch.decline.cache_clear()


LAUNCHED = [
    # size, causal, window, query heads, key heads, queries, keys
    (64, False, None, 4, 2, 256, 128),
    (64, False, None, 2, 1, 128, 256),
    (64, True, None, 2, 1, 256, 256),
    (128, False, None, 1, 1, 128, 128),
    (128, True, None, 1, 1, 128, 256),
]


@pytest.mark.parametrize(("size", "causal", "window", "heads", "kv_heads", "queries", "keys"), LAUNCHED)
def test_generated_kernels_do_the_same(emulated, size, causal, window, heads, kv_heads, queries, keys):
    q, k, v = (permuted(x) for x in tensors(1, heads, kv_heads, queries, keys, size, torch.float16))
    do = torch.randn(q.shape, generator=torch.Generator().manual_seed(1)).half()
    function = functools.partial(attention, causal=causal, window=window, return_lse=True)
    got = gradients(function, q, k, v, do, torch.ones(q.shape[:3]))
    o, lse = function(q, k, v)
    form = f"d{size}{'_causal' if causal else ''}_fp16"
    passes = ("fwd", "dkdv", "dq") if (size, causal) != (64, False) else ("fwd", "backward")
    assert emulated[: len(passes)] == [f"attention_{kernel}_{form}" for kernel in passes]
    want_o, want_lse = truth(q, k, v, causal, window)
    close(o, want_o, torch.float16, keys)
    close(lse, want_lse, torch.float16, keys)
    want = gradients(lambda *x: truth(*x, causal=causal, window=window), q, k, v, do, torch.ones(q.shape[:3]))
    for one, other in zip(got, want, strict=True):
        close(one, other.double(), torch.float16, queries + keys)


@pytest.fixture
def deterministic():
    """As after `torch.use_deterministic_algorithms(True)`."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def test_gradients_do_not_depend_on_an_order_where_they_must_not(emulated, deterministic):
    q, k, v = tensors(1, 2, 1, 128, 128, 64, torch.float16)
    do = torch.randn(q.shape, generator=torch.Generator().manual_seed(1)).half()
    got = gradients(lambda *x: attention(*x, return_lse=True), q, k, v, do)
    assert emulated == [f"attention_{kernel}_d64_fp16" for kernel in ("fwd", "dkdv", "dq")]
    for one, other in zip(got, gradients(truth, q, k, v, do), strict=True):
        close(one, other.double(), torch.float16, 256)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_the_single_pass_is_said_to_be_faster(dtype):
    """By the simulator, with what surrounds it: dq zeroed, read and written once more, 10 bytes an element."""
    heads, length, size = 128, 4096, 64
    seconds, bandwidth = {}, 0.0
    for kernel in ("backward", "dkdv", "dq"):
        (variant,) = [each for each in VARIANTS if each.name == f"attention_{kernel}_d{size}_{dtype}"]
        sizes = {"H": str(heads), "M": str(length), "N": str(length)}
        asked = subject(files.read(schedule_path(variant)), sizes)
        seconds[kernel] = asked.predict(asked.simulate()).seconds
        bandwidth = asked.machine.number("hbm_bandwidth") * 1e9
    around = 10 * heads * length * size / bandwidth
    assert seconds["backward"] + around < 0.95 * (seconds["dkdv"] + seconds["dq"])


WINDOWS = [
    # size, causal, queries, keys, window
    (64, True, 384, 256, 1),
    (64, False, 256, 384, 60),
    (128, True, 256, 256, 100),
    (128, True, 384, 128, 60),
    (128, False, 384, 256, 130),
    (256, True, 256, 128, 70),
]


@pytest.mark.parametrize(("size", "causal", "queries", "keys", "window"), WINDOWS)
def test_the_generated_sliding_window_does_the_same(emulated, size, causal, queries, keys, window):
    q, k, v = tensors(1, 1, 1, queries, keys, size, torch.float16)
    o, lse = attention(q, k, v, causal=causal, window=window, return_lse=True)
    assert emulated == [f"attention_fwd_d{size}{'_causal' if causal else ''}_windowed_fp16"]
    want_o, want_lse = truth(q, k, v, causal, window)
    close(o, want_o, torch.float16, keys)
    close(lse, want_lse, torch.float16, keys)


@pytest.mark.parametrize("causal", [False, True])
def test_a_head_size_of_256(emulated, causal):
    q, k, v = tensors(1, 2, 1, 128, 128, 256, torch.float16)
    o, lse = attention(q, k, v, causal=causal, return_lse=True)
    assert emulated == [f"attention_fwd_d256{'_causal' if causal else ''}_fp16"]
    want_o, want_lse = truth(q, k, v, causal)
    close(o, want_o, torch.float16, 256)
    close(lse, want_lse, torch.float16, 256)


def test_a_window_that_hides_nothing_is_none(emulated):
    q, k, v = tensors(1, 1, 1, 128, 128, 64, torch.float16)
    attention(q, k, v, causal=True, window=128)
    assert emulated == ["attention_fwd_d64_causal_fp16"]


def test_a_misaligned_tensor_is_copied(emulated):
    q, k, v = tensors(1, 1, 1, 128, 128, 64, torch.float16)
    odd = torch.empty(q.numel() + 1, dtype=q.dtype)[1:].view_as(q).copy_(q)
    assert odd.is_contiguous()
    torch.testing.assert_close(attention(odd, k, v), attention(q, k, v), rtol=0, atol=0)


DECLINED = [
    ({"dtype": torch.float32}, True, None, "causal attention of head size 64 in torch.float32"),
    ({"size": 96}, True, None, "head size 96 in torch.float16"),
    ({"queries": 130}, True, None, "a multiple of 128, not 130 queries and 128 keys"),
    ({"keys": 1}, False, None, "a multiple of 128, not 128 queries and 1 keys"),
    ({"size": 256}, False, 5, "attention of head size 256 in torch.float16 with a sliding window"),
    ({"size": 96}, True, 5, "causal attention of head size 96 in torch.float16 with a sliding window"),
    ({"batch": 40000, "heads": 2, "kv_heads": 1}, True, None, "80000 heads in the batch"),
]


@pytest.mark.parametrize(("changes", "causal", "window", "why"), DECLINED)
def test_what_the_kernels_do_not_cover_says_why(changes, causal, window, why):
    sizes = {"batch": 1, "heads": 1, "kv_heads": 1, "queries": 128, "keys": 128, "size": 64, **changes}
    dtype = sizes.pop("dtype", torch.float16)
    q = torch.empty([sizes[n] for n in ("batch", "heads", "queries", "size")], dtype=dtype, device="meta")
    k = torch.empty([sizes[n] for n in ("batch", "kv_heads", "keys", "size")], dtype=dtype, device="meta")
    assert why in attention_kernels.uncovered(q, k, causal, window)
    assert attention_kernels.uncovered_backward(q, k, causal, window)


def test_declining_is_said_once(emulated):
    q, k, v = (x.requires_grad_() for x in tensors(dtype=torch.float16))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(2):
            attention(q, k, v, causal=True).sum().backward()
    assert [str(each.message).split(" runs as torch operations")[0] for each in said] == [
        "twill.ops.attention", "twill.ops.attention's backward",
    ]  # fmt: skip
    assert not emulated


@pytest.mark.parametrize("dtype", attention_kernels.DTYPES)
@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("causal", [False, True])
def test_the_kernels_of_a_size_and_dtype_are_there(dtype, size, causal):
    q = torch.empty(1, 1, 128, size, dtype=dtype, device="meta")
    assert not attention_kernels.uncovered(q, q, causal, None)
    assert not attention_kernels.uncovered_backward(q, q, causal, None)
    modules = {variant.name: module_path(variant) for variant in VARIANTS}
    for kernel in ("fwd", "dq", "dkdv"):
        assert modules[attention_kernels.variant(kernel, q, causal)].is_file()


@pytest.mark.parametrize("dtype", attention_kernels.DTYPES)
@pytest.mark.parametrize(("size", "causal"), sorted({(size, causal) for size, causal, *_ in WINDOWS}))
def test_the_windowed_kernels_of_a_size_and_dtype_are_there(dtype, size, causal):
    q = torch.empty(1, 1, 128, size, dtype=dtype, device="meta")
    assert not attention_kernels.uncovered(q, q, causal, 100)
    modules = {variant.name: module_path(variant) for variant in VARIANTS}
    assert modules[attention_kernels.variant("fwd", q, causal, windowed=True)].is_file()


@pytest.fixture
def on_gpu(monkeypatch):
    """As on a GPU that is no Hopper; tensors stay where they are. Yields how torch's attention was called."""
    calls = []

    def call(*x, **options):
        calls.append(options)
        return torch_attention(*x, **options)

    torch_attention = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", call)
    monkeypatch.setattr(dispatch, "on_gpu", lambda _: True)
    return calls


@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("queries", "keys"), [(24, 24), (7, 40), (40, 7)])
def test_without_a_kernel_torch_s_attention_runs(on_gpu, dtype, causal, queries, keys):
    q, k, v = (permuted(x) for x in tensors(queries=queries, keys=keys, dtype=dtype))
    o = attention(q, k, v, causal=causal, scale=0.3)
    assert [call["is_causal"] for call in on_gpu] == [causal]
    assert (o.dtype, o.is_contiguous()) == (dtype, True)
    close(o, truth(q, k, v, causal, scale=0.3)[0], dtype, keys)


@pytest.mark.parametrize(("dtype", "options"), [
    (torch.float16, {"window": 3}),
    (torch.float16, {"return_lse": True}),
    (torch.float64, {}),
])  # fmt: skip
def test_what_torch_s_attention_has_not_runs_in_blocks(on_gpu, dtype, options):
    attention(*tensors(dtype=dtype), **options)
    assert on_gpu == []


def test_torch_s_attention_is_not_where_there_is_a_kernel(emulated, on_gpu):
    q, k, v = tensors(1, 1, 1, 128, 128, 128, torch.float16)
    attention(q, k, v)
    assert emulated == ["attention_fwd_d128_fp16"]
    with pytest.warns(UserWarning, match=r"attention runs as torch operations: .* multiple of 128, not 127 queries"):
        attention(q[:, :, 1:], k, v)
    assert len(on_gpu) == 1
    # There is a forward kernel for a head size of 256 but none for its gradient.
    q, k, v = (x.requires_grad_() for x in tensors(1, 1, 1, 128, 128, 256, torch.float16))
    with pytest.warns(UserWarning, match="attention's backward runs as torch operations"):
        attention(q, k, v).sum().backward()
    assert len(on_gpu) == 2
    assert len(emulated) == 1


def test_bad_input_is_refused_before_torch_s_attention(on_gpu):
    with pytest.raises(ValueError, match="q must be"):
        attention(*(x[0] for x in tensors()))
