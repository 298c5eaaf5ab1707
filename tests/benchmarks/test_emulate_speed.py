"""The emulator's speed is measured on runs that are right."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from benchmarks import emulate_speed


def test_every_run_is_another_interleaving_with_the_right_result() -> None:
    runs = emulate_speed.measure("attention_d128_bf16", 3, 256)
    assert [run.seed for run in runs] == [0, 1, 2]
    assert all(run.failure is None and 0 < run.max_error <= run.tolerance for run in runs)
    assert len({run.steps for run in runs}) > 1


def test_the_result_file_says_whether_the_target_is_met(tmp_path: Path) -> None:
    target = tmp_path / "speed.json"
    ended = CliRunner().invoke(emulate_speed.main, ["--runs", "1", "--keys", "128", "--output", str(target)])
    assert ended.exit_code == 0, ended.output
    found = json.loads(target.read_text())
    assert set(found["results"]) == set(emulate_speed.MODULES)
    assert all(result["seconds"]["count"] == 1 for result in found["results"].values())
    assert found["provenance"]["keys"] == 128
