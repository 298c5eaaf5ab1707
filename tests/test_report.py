"""Progress on a terminal: the step's words, and a bar where the step says how far the work is."""

from __future__ import annotations

import pytest

from twill.report import progress
from twill.steps import Step


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def shown(capsys: pytest.CaptureFixture[str], message: str) -> str:
    with progress(enabled=True) as tell:
        tell(message)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.usefixtures("terminal")
def test_a_step_has_a_bar_with_its_numbers(capsys):
    text = shown(capsys, Step("solving [BLOCK_M=64]", 3, 12))
    assert "solving [BLOCK_M=64]" in text  # not taken for markup
    assert "3 of 12" in text


@pytest.mark.usefixtures("terminal")
def test_other_messages_have_none(capsys):
    text = shown(capsys, "writing the kernel")
    assert "writing the kernel" in text
    assert " of " not in text


def test_nothing_where_there_is_no_terminal(capsys):
    assert shown(capsys, Step("solving", 3, 12)) == ""


def test_a_step_is_its_words():
    assert Step("solving", 3, 12) == "solving"
