"""The kernels that ship lower to a Graph whose names and places are the source's."""

from __future__ import annotations

from pathlib import Path

import pytest

from twill import frontend
from twill.ir.graph import Graph

KERNELS = Path(__file__).parents[2] / "kernels"

VARIANTS = (
    [
        (file, {"CAUSAL": causal, "D": d}, {"dtype": dtype})
        for file in ("attention.py", "attention_dq.py")
        for causal in (0, 1)
        for d in (64, 128)
        for dtype in ("fp16", "bf16")
    ]
    + [
        ("attention_fwd.py", {"CAUSAL": causal, "D": d, "WINDOWED": windowed}, {"dtype": "bf16"})
        for causal, d, windowed in ((0, 64, 0), (1, 128, 0), (1, 128, 1), (0, 128, 1), (0, 64, 1))
    ]
    + [
        ("matmul.py", {"ACTIVATION": activation}, {"dtype": dtype})
        for activation in ("silu", "gelu", "none")
        for dtype in ("fp16", "bf16")
    ]
)


def lower(file: str, constants: dict[str, object], options: dict[str, object]) -> Graph:
    graph, _ = frontend.lower(frontend.load(KERNELS / file), constants, example_options=options)
    return graph


def opcodes(graph: Graph) -> list[str]:
    return [op.opcode for op in graph.loop.body]


@pytest.mark.parametrize(("file", "constants", "options"), VARIANTS)
def test_every_operand_is_defined_before_it_is_used(
    file: str, constants: dict[str, object], options: dict[str, object]
) -> None:
    graph = lower(file, constants, options)
    defined = {value.name for value in graph.arguments}

    def walk(ops: tuple) -> None:
        for op in ops:
            assert set(op.operands) <= defined, op
            assert defined.isdisjoint(value.name for value in op.results), op
            defined.update(value.name for value in op.results)

    walk(graph.before)
    outside = set(defined)
    assert {graph.loop.lower, graph.loop.upper, graph.loop.step} <= defined
    assert {carried.initial for carried in graph.loop.carried} <= defined
    defined.update([graph.loop.index.name, *(carried.argument.name for carried in graph.loop.carried)])
    walk(graph.loop.body)
    assert {carried.yielded for carried in graph.loop.carried} <= defined
    defined = outside | {carried.result.name for carried in graph.loop.carried}
    walk(graph.after)


@pytest.mark.parametrize(("file", "constants", "options"), VARIANTS)
def test_tiles_have_the_shape_and_dtype_asked_for(
    file: str, constants: dict[str, object], options: dict[str, object]
) -> None:
    graph = lower(file, constants, options)
    loads = {op.result.name: op.result.type for op in graph.loop.body if op.opcode == "descriptor_load"}
    dtype = {"fp16": "f16", "bf16": "bf16"}[str(options["dtype"])]
    if file == "matmul.py":
        assert {name: kind.shape for name, kind in loads.items()} == {"a_tile": (128, 64), "b_tile": (64, 256)}
    else:
        rows = 64 if file == "attention_dq.py" or (constants.get("WINDOWED") and constants["D"] == 64) else 128
        assert {name: kind.shape for name, kind in loads.items()} == {
            "k_tile": (rows, constants["D"]),
            "v_tile": (rows, constants["D"]),
        }
    assert {kind.dtype for kind in loads.values()} == {dtype}


def test_the_attention_loop_is_the_source_loop() -> None:
    graph = lower("attention.py", {}, {})
    named = {op.result.name: op for op in graph.loop.body}
    assert [name for name, op in named.items() if op.opcode == "descriptor_load"] == ["k_tile", "v_tile"]
    assert [name for name, op in named.items() if op.opcode == "dot"] == ["s", "acc"]
    assert [(name, op.attributes["kind"]) for name, op in named.items() if op.opcode == "reduce"] == [
        ("m_new", "max"),
        ("l_i", "sum"),
    ]
    assert [name for name, op in named.items() if op.opcode == "exp2"] == ["p", "alpha"]
    assert graph.loop.index.name == "n"
    assert graph.loop.upper == "N"
    assert [(c.argument.name, c.result.name) for c in graph.loop.carried] == [
        ("m_i_prev", "m_i_out"),
        ("l_i_prev", "l_i_out"),
        ("acc_prev", "acc_out"),
    ]


def test_causal_masks_and_shortens_the_loop() -> None:
    plain, causal = (lower("attention.py", {"CAUSAL": flag}, {}) for flag in (0, 1))
    assert "select" not in opcodes(plain)
    assert "select" in opcodes(causal)
    assert causal.loop.upper == "end"


def test_backward_has_three_dots_and_k_feeds_two_of_them() -> None:
    graph = lower("attention_dq.py", {}, {})
    dots = [op for op in graph.loop.body if op.opcode == "dot"]
    transposed = next(op.result.name for op in graph.loop.body if op.opcode == "trans" and op.operands == ("k_tile",))
    assert [op.result.name for op in dots] == ["s", "dp", "acc"]
    assert dots[0].operands[1] == transposed
    assert dots[2].operands[1] == "k_tile"


@pytest.mark.parametrize("causal", [0, 1])
def test_dk_and_dv_come_from_one_loop_over_the_heads_of_a_group(causal: int) -> None:
    graph = lower("attention_dkdv.py", {"CAUSAL": causal}, {})
    loads = {op.result.name: op.result.type.shape for op in graph.loop.body if op.opcode == "descriptor_load"}
    rows = 32 if causal else 64
    assert loads == {"q_tile": (rows, 128), "do_tile": (rows, 128), "lse_row": (1, rows), "delta_row": (1, rows)}
    assert [op.result.name for op in graph.loop.body if op.opcode == "dot"] == ["s", "dp", "dv_acc", "dk_acc"]
    assert ("select" in opcodes(graph)) == bool(causal)
    assert graph.loop.index.name == "t"


def test_one_backward_loop_gives_all_three_gradients() -> None:
    graph = lower("attention_backward.py", {}, {"dtype": "bf16"})
    dots = [op.result.name for op in graph.loop.body if op.opcode == "dot"]
    assert dots == ["s", "dp", "dv_acc", "dk_acc", "dq_part"]
    (added,) = [op for op in graph.loop.body if op.opcode == "atomic"]
    assert added.operands[1] == "dq_part"
    assert added.attributes["kind"] == "add"


@pytest.mark.parametrize("causal", [0, 1])
def test_packed_sequences_have_their_bounds_in_memory(causal: int) -> None:
    graph = lower("attention_varlen.py", {"CAUSAL": causal}, {})
    loads = {op.result.name: op.result.type.shape for op in graph.loop.body if op.opcode == "descriptor_load"}
    assert loads == {"k_tile": (128, 128), "v_tile": (128, 128)}
    # One comparison for the mask of the last tile and the causal one together.
    assert opcodes(graph).count("select") == 1
    read = [op for op in graph.before if op.opcode == "load"]
    assert len(read) == 4
    assert all(op.result.type.shape == () for op in read)


@pytest.mark.parametrize("causal", [0, 1])
def test_both_ends_of_a_window_are_one_comparison(causal: int) -> None:
    graph = lower("attention_fwd.py", {"CAUSAL": causal, "WINDOWED": 1}, {})
    masks = [op for op in graph.loop.body if op.opcode == "cmp" and op.result.type.shape == (128, 128)]
    assert [(op.attributes["predicate"], op.attributes["signed"]) for op in masks] == [("lt", False)]


def test_a_wide_output_leaves_without_shared_memory() -> None:
    stores = [op.opcode for op in lower("attention_fwd.py", {"D": 256}, {}).after if "store" in op.opcode]
    assert stores == ["store", "store"]
    stores = [op.opcode for op in lower("attention_fwd.py", {"D": 128}, {}).after if "store" in op.opcode]
    assert stores == ["descriptor_store", "store"]


def test_the_rows_of_an_expert_are_bounds_from_memory() -> None:
    for file, tiles in (
        ("grouped_matmul.py", {"x_tile": (128, 64), "w_tile": (64, 256)}),
        ("grouped_swiglu.py", {"x_tile": (128, 64), "gate_tile": (64, 128), "up_tile": (64, 128)}),
        ("grouped_weight_gradient.py", {"x_tile": (64, 128), "dy_tile": (64, 256)}),
    ):
        graph = lower(file, {}, {"dtype": "bf16"})
        loads = {op.result.name: op.result.type.shape for op in graph.loop.body if op.opcode == "descriptor_load"}
        assert loads == tiles
        producer = graph.producers()[graph.loop.upper]
        assert producer.opcode == ("load" if file == "grouped_weight_gradient.py" else "select")


@pytest.mark.parametrize(
    "file", ["attention.py", "attention_fwd.py", "attention_dq.py", "attention_dkdv.py", "matmul.py"]
)
def test_locations_point_at_the_source_line_of_the_name(file: str) -> None:
    graph = lower(file, {}, {})
    source = frontend.load(KERNELS / file)
    lines = (KERNELS / file).read_text().splitlines()
    heavy = [op for op in graph.loop.body if op.opcode in ("descriptor_load", "dot", "reduce", "exp2")]
    assert heavy
    for op in heavy:
        assert op.location is not None
        assert op.location.file == source.path
        assert lines[op.location.line - 1].strip().startswith(f"{op.result.name} ")
        called = lines[op.location.line - 1][op.location.column - 1 :]
        word = {"descriptor_load": "_desc.load", "dot": "tl.dot", "reduce": "tl.", "exp2": "tl.exp2"}[op.opcode]
        assert word in called.split("(")[0]
    assert graph.loop.location is not None
    assert lines[graph.loop.location.line - 1].strip().startswith("for ")


def test_the_decorated_kernel_is_still_tritons() -> None:
    from triton.runtime.jit import JITFunction

    from twill.frontend.source import load

    source = load(KERNELS / "attention.py")
    assert isinstance(source.function, JITFunction)
    assert callable(source.function[(1,)])


@pytest.mark.parametrize(
    "file",
    [
        "attention.py",
        "attention_dq.py",
        "matmul.py",
        "matmul_residual.py",
        "matmul_persistent.py",
        "sinkhorn.py",
        "sinkhorn_dense.py",
        "grouped_matmul.py",
        "grouped_swiglu.py",
        "grouped_weight_gradient.py",
    ],
)
def test_the_reference_is_float64_and_accepts_the_example(file: str) -> None:
    import torch

    from twill.frontend.specialize import example_arguments

    source = frontend.load(KERNELS / file)
    _, launch = frontend.lower(source)
    arguments = example_arguments(source)
    expected = source.info.reference(**arguments)
    assert tuple(expected) == launch.outputs
    for name, tensor in expected.items():
        assert tensor.dtype == torch.float64
        assert tensor.shape == arguments[name].shape
        assert bool(tensor.isfinite().all())
