"""The line that `twill compile` prints, and the same in its JSON."""

from dataclasses import replace
from pathlib import Path

import pytest

from twill import summary
from twill.compiler import compile
from twill.errors import InputError
from twill.simulate.report import prediction_of_compiled

SWIGLU = Path(__file__).parents[1] / "kernels_for_tests" / "swiglu.py"


@pytest.fixture(scope="module")
def compiled():
    return compile(str(SWIGLU), subtiles=2, tune=False)


def test_the_report_has_the_prediction(compiled, capsys):
    summary.print_compiled(compiled, [])
    out = " ".join(capsys.readouterr().out.split())
    assert "Predicted (modelled, not measured): " in out
    assert "of the dense peak; limited by too few programs: " in out


def test_the_json_has_the_prediction(compiled):
    data = summary.compiled_json(compiled, (), [])["predicted"]
    prediction = prediction_of_compiled(compiled)
    assert data == prediction.json()
    # a @ w and a @ v of the example, 128 x 128 x 256
    assert data["flop"] == 2 * 2 * 128 * 128 * 256
    assert 0 < data["share_of_peak"] < 0.05


def test_a_full_machine_is_predicted_too(compiled, capsys):
    prediction = prediction_of_compiled(compiled)
    summary.print_compiled(compiled, [])
    out = " ".join(capsys.readouterr().out.split())
    assert f"With every SM in its steady state: {prediction.steady_tflops:.0f} TFLOP/s" in out
    assert prediction.share_of_peak < prediction.steady_share_of_peak <= 1
    assert prediction.json()["steady_share_of_peak"] == round(prediction.steady_share_of_peak, 4)


def test_other_sizes(compiled, capsys):
    names = [spec.name for spec in compiled.launch.arguments if spec.kind == "scalar"]
    rows = {name: str(value * 64) for name, value in compiled.launch.scalars.items() if name == "M"}
    assert rows, names
    summary.print_compiled(compiled, [], rows)
    assert "With every SM" not in capsys.readouterr().out
    larger = summary.compiled_json(compiled, (), [], rows)["predicted"]
    assert larger["flop"] == 64 * prediction_of_compiled(compiled).flop
    with pytest.raises(InputError, match="no integer argument `Q`"):
        prediction_of_compiled(compiled, {"Q": "8"})


def test_a_launch_without_a_grid_has_none(compiled):
    assert prediction_of_compiled(replace(compiled, launch=replace(compiled.launch, grid=None))) is None
