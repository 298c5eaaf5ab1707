"""A cache that holds compiled candidates already, and the fake timer in child processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from twill import frontend
from twill.candidates import Request
from twill.tune.build import build
from twill.tune.executors import Executor, Local
from twill.tune.result import Result
from twill.tune.store import Store
from twill.tune.sweep import Options, _Sweep, request_of, tune
from twill.tune.target import target_json

TUNED = Path(__file__).resolve().parents[1] / "kernels_for_tests" / "tuned.py"
PREDICTED = {32: 3e-6, 64: 1e-6, 128: 2e-6}
"""Seconds that the candidates of the filled cache are predicted to take, by BLOCK_N."""


class InProcess:
    """Runs jobs in this process, one after the other: quick, for what does not end the process."""

    def run(self, jobs, stop):
        from twill.tune.child import answer

        for job in jobs:
            if stop():
                return
            yield job, json.loads(json.dumps(answer(job.request)))

    def why_no_gpu(self) -> str:
        return Local(1).why_no_gpu()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test touches the user's cache."""
    monkeypatch.setenv("TWILL_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def kernel_request() -> Request:
    """The product of matrices with three sizes of BLOCK_N, one sub-tile each."""
    return request_of(frontend.load(TUNED), "hopper", {"BLOCK_K": 64}, {}, subtiles=1)


@pytest.fixture(scope="session")
def compiled(kernel_request: Request) -> dict[str, Any]:
    """One candidate, compiled once."""
    asked = {
        "target": target_json(kernel_request.source), "arch": "hopper", "constants": {"BLOCK_K": 64, "BLOCK_N": 64},
        "example": {}, "subtiles": 1, "best": 1, "time_limit": 20.0,
    }  # fmt: skip
    (candidate,) = build(asked)["candidates"]
    return candidate


@pytest.fixture
def filled(kernel_request: Request, compiled: dict[str, Any], tmp_path: Path) -> Store:
    """A cache with a candidate for each BLOCK_N, as if each had been compiled; none is timed."""
    store = Store(tmp_path / "cache")
    store.prepare()
    problem = _Sweep(kernel_request, Options(), Local(1), store, print, bool).problem
    store.keep_problem(problem)
    for size, seconds in PREDICTED.items():
        one = {**compiled, "candidate": f"n{size}", "predicted_seconds": seconds}
        answer = {"status": "ok", "candidates": [one], "asked": {"best": 9, "time_limit": 999.0}}
        store.keep_build(problem.key, f"BLOCK_K=64 BLOCK_N={size} subtiles=1", answer)
    return store


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """times(sizes): what becomes of the candidates; returns the log of those that ended."""

    def tell(told: dict[int, Any]) -> Path:
        log = tmp_path / "ended"
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
        monkeypatch.syspath_prepend(str(Path(__file__).parent))
        monkeypatch.setenv("FAKE_TIMES", json.dumps({str(size): what for size, what in told.items()}))
        monkeypatch.setenv("FAKE_LOG", str(log))
        return log

    return tell


@pytest.fixture
def sweep(kernel_request: Request, filled: Store) -> Callable[..., Result]:
    """sweep(**options): a sweep over the filled cache with the fake timer, in this process unless told."""

    def run(
        executor: Executor | None = None, stop: Callable[[], bool] = bool, tell: Any = lambda message: None,
        **options: Any,
    ) -> Result:  # fmt: skip
        asked = Options(**{"timer": "fake_timer", "margin": 10.0, "seconds": 60.0, **options})
        return tune(kernel_request, asked, executor or InProcess(), filled, tell, stop)

    return run
