"""docs/machine.md states the numbers of the machine files."""

from pathlib import Path

import pytest

from twill.machine import load, rows

PAGE = (Path(__file__).parents[2] / "docs" / "machine.md").read_text()


@pytest.mark.parametrize(("name", "title"), [("hopper", "## Hopper"), ("blackwell", "## Blackwell")])
def test_every_number_is_on_the_page(name, title):
    section = PAGE.split(f"\n{title}\n")[1].split("\n## ")[0]
    facts = [row for row in rows(load(name)) if not row[0].startswith("instructions.")]
    assert [f"| `{n}` | {v} | {u} | {s} |" for n, v, u, s in facts] == section.strip().splitlines()[2:]


def test_instructions_are_on_the_page_and_the_same_on_both_machines():
    section = PAGE.split("\n## Instructions per element, both machines\n")[1]
    hopper, blackwell = (
        [r for r in rows(load(m)) if r[0].startswith("instructions.")] for m in ("hopper", "blackwell")
    )
    assert hopper == blackwell
    assert all(f"| `{name.split('.')[1]}` | {value} | {source} |" in section for name, value, _, source in hopper)


def test_example_file_loads(tmp_path):
    path = tmp_path / "b300.toml"
    path.write_text(PAGE.split("```toml\n")[1].split("```")[0])
    assert load(path).number("mufu_rate") == 32
    assert load(path).title == "NVIDIA B300"
