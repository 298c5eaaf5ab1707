"""Z3 on a System, so that Ctrl-C, `stop` and the time limit are seen while it works."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import z3

from twill.paper.system import System
from twill.solve.engine import Engine, Interrupted


class Solver:
    """One system, asked under different assumptions; what is learned under one serves the next.

    QF_FD is Z3's solver for Booleans with pseudo-Boolean sums. The time limit is the engine's.
    """

    def __init__(self, system: System, engine: Engine) -> None:
        self.engine = engine
        self.context = z3.Context()
        self.solver = z3.SolverFor("QF_FD", ctx=self.context)
        self.solver.set("random_seed", engine.seed)
        self.solver.set("ctrl_c", False)  # ours to hear: Z3's own handler outlives its check on another thread
        self.solver.from_string(system.text)

    def satisfied(self, assumptions: Sequence[str]) -> bool:
        """Whether the system has a solution in which the variables `assumptions` hold.

        Raises Interrupted when the limit, `stop` or Ctrl-C comes first.
        """
        literals = [z3.Bool(name, ctx=self.context) for name in assumptions]
        verdict: list[z3.CheckSatResult] = []
        done = threading.Event()

        def work() -> None:
            try:
                verdict.append(self.solver.check(*literals))
            finally:
                done.set()

        if self.engine.over:
            raise Interrupted
        threading.Thread(target=work, name="z3", daemon=True).start()
        while not done.is_set():
            try:
                done.wait(0.05)
            except KeyboardInterrupt:
                self.engine.interrupted = True
            if self.engine.over and not done.is_set():
                self.solver.interrupt()
        if not verdict or verdict[0] == z3.unknown:
            raise Interrupted
        return verdict[0] == z3.sat

    def true(self) -> frozenset[str]:
        """The variables that hold in the solution found last."""
        model = self.solver.model()
        return frozenset(str(variable) for variable in model.decls() if z3.is_true(model[variable]))

    def blamed(self) -> bool:
        """Whether the last refutation used any assumption; if not, no others help."""
        return bool(self.solver.unsat_core())
