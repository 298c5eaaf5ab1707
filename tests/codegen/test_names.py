"""Names of the user's that the emitted code also needs: neither hides the other."""

import re
from dataclasses import replace

import pytest

from twill.codegen.gluon import emit
from twill.codegen.names import RESERVED, legal
from twill.codegen.plan import plan
from twill.emulate import verify_file
from twill.errors import Unsupported
from twill.frontend.launch import from_json, to_json
from twill.ir.text import parse_graph, print_graph
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path


def renamed(**names):
    """(graph, schedule, launch) of the shipped matmul with values and arguments called otherwise."""
    (variant,) = [variant for variant in VARIANTS if variant.name == "matmul_fp16"]
    file = files.read(schedule_path(variant))
    text, launch = file.graph, from_json(file.launch)
    for old, new in names.items():
        text = re.sub(rf"%{old}(?![\w])", f"%{new}", text)
        spec = next((spec for spec in launch.arguments if spec.name == old), None)
        if spec is not None:
            arguments = tuple(replace(s, name=new) if s is spec else s for s in launch.arguments)
            grid = re.sub(rf"(['\"]){old}\1", repr(new), launch.grid_text)
            multiples = {new if key == old else key: value for key, value in launch.multiple_of.items()}
            launch = replace(launch, arguments=arguments, grid_text=grid, multiple_of=multiples)
    return parse_graph(text), file.schedule, launch


@pytest.mark.parametrize(("name", "wanted"), [
    ("acc", "acc"), ("acc.0", "acc_0"), ("n", "n_"), ("range", "range_"), ("lambda", "lambda_"), ("", "v"),
    ("m_prev", "m_prev_"), ("m_prev3", "m_prev3_"), ("k_ring", "k_ring_"), ("turn_2", "turn_2_"),
    ("consumer0", "consumer0_"), ("previous", "previous"), ("string", "string"),
])  # fmt: skip
def test_a_name_is_kept_unless_it_hides_something(name, wanted):
    assert legal(name) == wanted
    assert legal(wanted) == wanted


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_names_get_an_underscore(name):
    assert legal(name) == f"{name}_"


def test_arguments_and_values_named_like_the_code_s_own_still_compute(tmp_path):
    # The trip count, the loop variable, the barrier layout, a builtin, a token; a value like another's older copy.
    graph, schedule, launch = renamed(
        K="n", N="i", bias="turn_0", c_desc="barrier", x_5="float", offs_n="range", x="acc_prev", a_desc="slot"
    )
    source = emit(plan(graph, schedule, launch))
    module = tmp_path / "named.py"
    module.write_text(source)
    files.write(tmp_path / "named.json", schedule, graph=print_graph(graph), launch=to_json(launch))
    report = verify_file(module, seeds=(0,), trip_counts=(0, 1, 4), programs=1)
    assert report.passed, report.summary()


@pytest.mark.parametrize("name", ["grid", "torch", "gl", "max", "matmul_kernel"])
def test_a_parameter_the_launcher_could_not_have_is_refused(name):
    with pytest.raises(Unsupported, match=f"named `{name}`.*Rename the parameter"):
        emit(plan(*renamed(bias=name)))
