"""A process with a time limit: how it ended, and the last line it wrote. What it does to itself costs nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_LONGEST = 500  # characters of a last line


@dataclass(frozen=True)
class Ended:
    """How a process ended. code: its exit code, or less than 0 the signal's number; None where it was killed at its
    limit. last_line: of what it wrote, "" for nothing."""

    code: int | None
    last_line: str = ""

    @property
    def how(self) -> str:
        """Its exit code or signal in words."""
        if self.code is None:
            return "its time limit"
        return f"exit code {self.code}" if self.code >= 0 else f"signal {signal_name(-self.code)}"


class Children:
    """The processes that run now, so that all of them can be ended; nothing starts after that.

    own_group: each leads a process group, which is killed with it. Else it stays in the group of its parent: whoever
    kills that whole group ends it too.
    """

    def __init__(self, own_group: bool = False) -> None:
        self._own_group = own_group
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def run(
        self,
        command: Sequence[str],
        seconds: float,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Ended | None:
        """Run a command to its end, or for so many seconds and then kill it; None once all were ended."""
        with tempfile.TemporaryFile() as words:
            with self._lock:
                if self._ended:
                    return None
                running = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, cwd=cwd, env=environment,
                    start_new_session=self._own_group,
                )  # fmt: skip
                self._running.add(running)
            try:
                code: int | None = running.wait(seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                if running.poll() is None:
                    self._kill(running)
                    running.wait()
                with self._lock:
                    self._running.discard(running)
            words.seek(0)
            return Ended(code, last_line(words.read().decode(errors="replace")))

    def end(self) -> None:
        """End all of them."""
        with self._lock:
            self._ended = True
            for running in self._running:
                self._kill(running)

    def _kill(self, running: subprocess.Popen[bytes]) -> None:
        os.killpg(running.pid, signal.SIGKILL) if self._own_group else running.kill()


def run(
    command: Sequence[str],
    seconds: float,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    *,
    own_group: bool = False,
) -> Ended:
    """`Children.run` of a process that nobody else ends."""
    ended = Children(own_group).run(command, seconds, cwd, environment)
    assert ended is not None
    return ended


def last_line(text: str) -> str:
    """The last line of a text that says something, shortened; "" for none."""
    lines = text.strip().splitlines()
    return lines[-1].strip()[:_LONGEST] if lines else ""


def signal_name(number: int) -> str:
    """SIGKILL for 9; the number itself for one that has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
