"""One job in a process of its own, with a time limit: whatever it does to itself costs that job."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twill.processes import Children

COMMAND = (sys.executable, "-m", "twill.tune.child")
Answer = dict[str, Any]


def run_job(request: Mapping[str, Any], seconds: float, children: Children | None = None) -> Answer:
    """What the job answered, or what became of it: `status` is ok, wrong, failed, crashed, hung or ended.

    request: as JSON; its `job` names one of `twill.tune.child`. seconds: after which it counts as hung and is killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "request.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps(request))
        ended = (children or Children()).run([*COMMAND, str(asked), str(answered)], seconds)
        if ended is None:
            return {"status": "ended", "why": "the sweep was ended"}
        if ended.code is None:
            return {"status": "hung", "why": f"no answer within {seconds:g} seconds: it was killed"}
        if answered.is_file():
            answer: Answer = json.loads(answered.read_text())
            return answer
        return {"status": "crashed", "why": f"ended with {ended.how}: {ended.last_line or 'it said nothing'}"}
