"""Measurements as files, the page, and what is refused."""

import json
from dataclasses import replace

import pytest

from tests.measure.made_up import expected, shifted, stored
from twill.errors import InputError
from twill.measure.comparison import compare
from twill.measure.measurement import read, to_json, write
from twill.measure.page import page
from twill.measure.predicted import expected_of

NAME = "attention_d128_fp16"


def measured():
    return shifted(expected(NAME), lambda probe, iteration: 50 * iteration)


def test_a_measurement_survives_its_file(tmp_path):
    made = replace(measured(), about={"device": "a device", "sizes": {"M": 4096}}, notes=("less was kept",))
    write(tmp_path / "m.json", made)
    assert read(tmp_path / "m.json") == made


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data.pop("probes"), '"probes" is missing'),
        (lambda data: data["samples"][0]["cycles"].pop(), "cycles of 37 probes, the file names 38"),
        (lambda data: data["probes"][0].update(colour=1), "colour"),
        (lambda data: data.update(format="twill-measured/9"), "twill-measured/9"),
        (lambda data: data.update(samples=[1]), "cannot be read|can be read"),
    ],
)
def test_a_file_that_is_none_is_refused_with_its_reason(tmp_path, change, words):
    data = to_json(measured())
    change(data)
    (tmp_path / "m.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=words) as refused:
        read(tmp_path / "m.json")
    assert "m.json" in str(refused.value)


def test_a_measurement_of_another_schedule_is_refused():
    with pytest.raises(InputError, match="another schedule"):
        expected_of(stored("matmul_fp16"), measured(), "m.json")


def test_one_without_iterations_is_refused():
    with pytest.raises(InputError, match="no program that ran an iteration"):
        expected_of(stored(NAME), replace(measured(), samples=()), "m.json")


def test_the_page_shows_both_timelines_and_every_error():
    schedule, same = stored(NAME).schedule, expected(NAME)
    made = replace(measured(), about={"device": "<A GPU>", "clocks": {"MHz": 1700.5}}, notes=("kept & told",))
    found = compare(schedule, made, same)
    text = page(schedule, made, same, found)
    assert text.count("<svg") == 4  # labels and bars, twice
    assert "Measured on the GPU" in text
    assert "&lt;A GPU&gt;" in text
    assert "kept &amp; told" in text
    assert found.ii.measured == pytest.approx(found.ii.predicted + 50)
    assert f"<b>{found.ii.measured:.0f} cycles</b> where <b>{found.ii.predicted:.0f}</b> were predicted" in text
    table = text[text.index("<table>") : text.index("</table>")]
    for op in schedule.problem.ops:
        assert f'<td class="name">{op.id}</td>' in table
    assert "http" not in text.replace("http://www.w3.org", "")  # self-contained


def test_a_simulated_measurement_is_called_what_it_is():
    same = expected(NAME)
    text = page(stored(NAME).schedule, same, same, compare(stored(NAME).schedule, same, same))
    assert "Not measured: simulated" in text
    assert "Measured on the GPU" not in text
