"""Launches: what they record, their JSON form, and arguments made up from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from twill import frontend
from twill.errors import InputError
from twill.frontend.arguments import tensor_spec
from twill.frontend.launch import ArgumentSpec, Launch, from_json, to_json
from twill.frontend.materialize import materialize

KERNELS = Path(__file__).parents[2] / "kernels"


@pytest.mark.parametrize("file", ["attention.py", "attention_dq.py", "matmul.py"])
def test_json_round_trip(file: str) -> None:
    _, launch = frontend.lower(frontend.load(KERNELS / file))
    assert from_json(json.loads(json.dumps(to_json(launch)))) == launch


def test_what_attention_records() -> None:
    _, launch = frontend.lower(frontend.load(KERNELS / "attention.py"), {"D": "64"}, example_options={"dtype": "bf16"})
    assert launch.kernel == "attn_fwd"
    assert launch.argument("q") == ArgumentSpec(
        "q", "tensor", "bf16", (2, 512, 64), (512 * 64, 64, 1), alignment=16, access="r"
    )
    assert launch.argument("N") == ArgumentSpec("N", "scalar", "i32", value=512)
    assert launch.argument("scale").value == 0.125
    assert launch.constants == {"D": 64, "BLOCK_M": 128, "BLOCK_N": 128, "CAUSAL": False}
    assert launch.outputs == ("o",)
    assert launch.grid == (4, 2, 1)
    assert launch.grid_text == "lambda a: (a['M'] // a['BLOCK_M'], a['H'])"
    assert launch.multiple("N") == 128
    assert launch.with_values({"M": 256}).grid == (2, 2, 1)


@pytest.mark.parametrize("broken", [{}, {"kernel": "k"}, {"kernel": "k", "source": "s", "arguments": [{"nme": "x"}]}])
def test_broken_json_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        from_json(broken)


def test_made_up_arguments_match_the_launch_and_the_seed() -> None:
    import torch

    launch = Launch(
        "k",
        "k.py",
        (
            ArgumentSpec("x", "tensor", "f16", (64, 32), (40, 1)),
            ArgumentSpec("bias", "tensor", "f32", (4096,), (1,), mean=7.0, std=0.5),
            ArgumentSpec("index", "tensor", "i32", (100,), (1,), low=3, high=5),
            ArgumentSpec("n", "scalar", "i32", value=9),
            ArgumentSpec("B", "constexpr", value=64),
        ),
    )
    one, same, other = materialize(launch, 1), materialize(launch, 1), materialize(launch, 2)
    assert (one["x"].shape, one["x"].stride(), one["x"].dtype) == ((64, 32), (40, 1), torch.float16)
    assert torch.equal(one["x"], same["x"])
    assert not torch.equal(one["x"], other["x"])
    # The mean of 4096 draws strays by std / 64; five of those are ample.
    assert abs(float(one["bias"].mean()) - 7.0) < 5 * 0.5 / 64
    assert set(one["index"].tolist()) == {3, 4, 5}
    assert (one["n"], one["B"]) == (9, 64)


def test_a_launch_from_a_signature_has_no_values() -> None:
    launch = Launch("k", "k.py", (ArgumentSpec("x", "tensor", "f16"),))
    with pytest.raises(InputError, match="`x` is not known"):
        materialize(launch)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.0, 3e-4), (2e-5, 0.0), (-40.0, 1.5), (1e-9, 2e-8)])
def test_a_launch_keeps_the_spread_of_small_numbers(mean: float, std: float) -> None:
    import torch

    made = torch.randn(4096, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * std + mean
    spec = tensor_spec("x", made)
    assert spec.std == pytest.approx(std, rel=0.1)
    assert spec.mean == pytest.approx(mean, rel=0.01, abs=0.06 * std)
