"""One job in a process of its own, with a time limit: whatever it does to itself costs that job."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "twill.tune.child")
Answer = dict[str, Any]


class Children:
    """The processes that run now, so that all of them can be ended; nothing starts after that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def start(self, command: list[str], stream: Any) -> subprocess.Popen[bytes] | None:
        """The started process; None once all were ended."""
        with self._lock:
            if self._ended:
                return None
            running = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
            self._running.add(running)
            return running

    def forget(self, running: subprocess.Popen[bytes]) -> None:
        """It is over: make sure of that."""
        if running.poll() is None:
            running.kill()
            running.wait()
        with self._lock:
            self._running.discard(running)

    def end(self) -> None:
        """End all of them."""
        with self._lock:
            self._ended = True
            for running in self._running:
                running.kill()


def run_job(request: Mapping[str, Any], seconds: float, children: Children | None = None) -> Answer:
    """What the job answered, or what became of it: `status` is ok, wrong, failed, crashed, hung or ended.

    request: as JSON; its `job` names one of `twill.tune.child`. seconds: after which it counts as hung and is killed.
    """
    children = children or Children()
    with tempfile.TemporaryDirectory() as folder:
        asked, answered, words = Path(folder, "request.json"), Path(folder, "answer.json"), Path(folder, "words")
        asked.write_text(json.dumps(request))
        with words.open("wb") as stream:
            running = children.start([*COMMAND, str(asked), str(answered)], stream)
            if running is None:
                return {"status": "ended", "why": "the sweep was ended"}
            try:
                code = running.wait(seconds)
            except subprocess.TimeoutExpired:
                return {"status": "hung", "why": f"no answer within {seconds:g} seconds: it was killed"}
            finally:
                children.forget(running)
        if answered.is_file():
            answer: Answer = json.loads(answered.read_text())
            return answer
        said = words.read_text(errors="replace").strip().splitlines()
        return {"status": "crashed", "why": f"ended with {_how(code)}: {said[-1][:300] if said else 'it said nothing'}"}


def _how(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
