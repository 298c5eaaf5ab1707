"""The model's error over measurements, made up with known deviations."""

import json

import pytest

from benchmarks import model_error
from tests.measure.made_up import expected, shifted
from twill.measure.measurement import write


def test_without_measurements_it_says_so_and_writes_nothing(tmp_path, capsys):
    assert model_error.main(["--measured", str(tmp_path), "--output", str(tmp_path / "out.json")]) == 2
    words = capsys.readouterr().err
    assert words.count("\n") == 1
    assert "Nothing was measured" in words
    assert "make gpu" in words
    assert not (tmp_path / "out.json").exists()


def test_the_deviation_is_the_error(tmp_path, capsys):
    about = {"seconds": 1e-3, "sizes": {"M": 2048, "N": 4096, "K": 4096}}
    made = shifted(expected("matmul_fp16"), lambda probe, iteration: 30 * iteration)
    write(tmp_path / "matmul_fp16.measured.json", made.__class__(**{**vars(made), "about": about}))
    output = tmp_path / "out.json"
    assert model_error.main(["--measured", str(tmp_path), "--output", str(output)]) == 0
    (result,) = json.loads(output.read_text())["results"]["kernels"].values()
    assert result["ii"]["error"] == pytest.approx(30)
    assert result["summary"]["ii"] == pytest.approx(30 / result["ii"]["predicted"], abs=1e-4)
    assert result["launch"]["measured_seconds"] == 1e-3
    assert result["launch"]["error"] == pytest.approx(1e-3 / result["launch"]["predicted_seconds"] - 1)
    assert "matmul_fp16" in capsys.readouterr().out


def test_a_measurement_of_another_schedule_is_named_and_fails(tmp_path, capsys):
    write(tmp_path / "matmul_fp16.measured.json", expected("attention_d128_fp16"))
    output = tmp_path / "out.json"
    assert model_error.main(["--measured", str(tmp_path), "--output", str(output)]) == 1
    assert "matmul_fp16: " in capsys.readouterr().err
    assert "another schedule" in json.loads(output.read_text())["results"]["failures"]["matmul_fp16"]
