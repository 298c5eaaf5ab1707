"""Fixtures of the tests that type commands: a kernel compiled once, and refusal in plain text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from commands import GRAPH

from twill.cli import main

KERNELS = Path(__file__).parent / "kernels_for_tests"


@pytest.fixture(scope="session")
def compiled_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `twill compile` writes for kernels_for_tests/swiglu.py; not to be written to."""
    folder = tmp_path_factory.mktemp("compiled")
    done = CliRunner().invoke(main, ["compile", str(KERNELS / "swiglu.py"), "--no-verify", "-o", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph file whose II is 45."""
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(GRAPH))
    return path


@pytest.fixture(scope="session")
def refused() -> Callable[..., str]:
    """refused(code, says, *words): the command exits with `code` and says one paragraph with each of `says`.

    Nothing is on stdout; with --json the same paragraph is in the one object there. Returns the paragraph.
    """

    def run(code: int, says: list[str], *args: object) -> str:
        words = [str(arg) for arg in args]
        plain = CliRunner().invoke(main, words)
        assert plain.exit_code == code, plain.output
        assert plain.stdout == ""
        message = plain.stderr.strip()
        assert message.startswith("error: ")
        assert "Traceback" not in message
        assert "\n" not in message
        for part in says:
            assert part in message
        message = message.removeprefix("error: ")
        answer = CliRunner().invoke(main, [*words, "--json"])
        assert answer.exit_code == code
        assert json.loads(answer.stdout) == {"status": "error", "message": message, "exit_code": code}
        return message

    return run
