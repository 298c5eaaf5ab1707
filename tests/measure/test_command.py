"""`twill timeline` and the process that measures, with stand-ins for the device."""

import json
import sys
from pathlib import Path

import pytest
from commands import answer, twill

from tests.measure.made_up import expected, shifted
from twill.errors import CheckFailed
from twill.measure.device import measure_on_device
from twill.measure.measurement import to_json, write
from twill.shipped import VARIANTS, schedule_path

(MATMUL,) = [schedule_path(variant) for variant in VARIANTS if variant.name == "matmul_fp16"]


def late(probe, iteration):
    return 30 * iteration


def test_a_measurement_gives_a_page_and_its_errors(tmp_path):
    path = tmp_path / "m.json"
    write(path, shifted(expected("matmul_fp16"), late))
    data = answer("timeline", MATMUL, "--measured", path)
    assert data["ii"]["error"] == pytest.approx(30)
    assert data["source"] == "measured"
    assert {op["op"] for op in data["ops"]} == {"a_tile.0", "a_tile.1", "b_tile", "acc.0", "acc.1"}
    assert Path(data["page"]).read_text().startswith("<!DOCTYPE html>")
    shown = twill("timeline", MATMUL, "--measured", path, "-o", tmp_path / "page.html")
    said = f"every {data['ii']['measured']:.1f} cycles (measured), predicted {data['ii']['predicted']:.1f}, scheduled"
    assert said in " ".join(shown.output.split())


def test_without_a_gpu_nothing_is_measured(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = twill("timeline", MATMUL, "--measured", tmp_path / "new.json", code=3)
    assert "no CUDA device" in done.stderr
    assert not (tmp_path / "new.json").exists()


def child(tmp_path, text):
    path = tmp_path / "child.py"
    path.write_text(
        "import json, sys, time\nfrom pathlib import Path\nrequest, target = map(Path, sys.argv[1:3])\n" + text
    )
    return [sys.executable, str(path)]


def measure(tmp_path, text, seconds=20.0):
    return measure_on_device(
        MATMUL, {"K": "8192"}, iterations=8, samples=2, seconds=seconds, child=child(tmp_path, text),
        check_device=False,
    )  # fmt: skip


def test_the_process_is_told_what_to_do_and_its_file_is_read(tmp_path):
    made = shifted(expected("matmul_fp16"), late)
    (tmp_path / "made.json").write_text(json.dumps(to_json(made)))
    text = "asked = json.loads(request.read_text())\nassert asked['example'] == {'K': '8192'}, asked\n"
    text += f"assert (asked['iterations'], asked['samples']) == (8, 2)\nassert asked['schedule'] == {str(MATMUL)!r}\n"
    text += f"target.write_text(Path({str(tmp_path / 'made.json')!r}).read_text())\n"
    assert measure(tmp_path, text) == made


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sys.exit('illegal memory access')", "exit code 1: illegal memory access"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "signal 11"),
        ("pass", "exit code 0"),
    ],
)
def test_a_crash_is_reported(tmp_path, text, words):
    with pytest.raises(CheckFailed, match=words):
        measure(tmp_path, text)


def test_a_hang_is_stopped_and_reported(tmp_path):
    with pytest.raises(CheckFailed, match="did not end within 1 seconds"):
        measure(tmp_path, "time.sleep(60)", seconds=1.0)


def test_the_twin_alone_needs_a_python_name(tmp_path):
    done = twill("timeline", MATMUL, "--twin", tmp_path / "timed.txt", code=2)
    assert "ends in .py" in done.stderr


def test_the_twin_is_written(tmp_path):
    path = tmp_path / "timed.py"
    assert answer("timeline", MATMUL, "--twin", path)["details"] == dict.fromkeys(
        ("consumer0", "consumer1", "loader"), "every op"
    )
    assert "twill_stamp(twill_at" in path.read_text()
