"""The process that does one job of a sweep: `python -m twill.tune.child REQUEST.json ANSWER.json`.

It ends with the process that started it, and leaves Ctrl-C to that one.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twill.errors import TwillError

_PR_SET_PDEATHSIG = 1  # prctl(2)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The job's answer with its `status`, or why it has none."""
    try:
        if request["job"] == "build":
            from twill.tune.build import build

            return {"status": "ok", **build(request)}
        from twill.tune.timing import time_candidate

        return time_candidate(request)
    except TwillError as error:
        return {"status": "failed", "why": str(error), "exit_code": error.exit_code}
    except Exception as error:
        text = " ".join(str(error).split())[:500]
        return {"status": "failed", "why": f"{type(error).__name__}: {text}" if text else type(error).__name__}


def end_with_parent(parent: int) -> None:
    """Be killed when the process that started this one dies: a GPU is not left to an orphan. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before
            os._exit(1)


def main(asked: str, answered: str) -> None:
    """Do the job; the answer appears whole or not at all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent(os.getppid())
    found = answer(json.loads(Path(asked).read_text()))
    draft = Path(f"{answered}.draft")
    draft.write_text(json.dumps(found, allow_nan=False))
    draft.replace(answered)


if __name__ == "__main__":
    main(*sys.argv[1:3])
