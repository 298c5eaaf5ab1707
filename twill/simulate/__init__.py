"""Runs a schedule on a model of the machine whose loads vary, and predicts the time of a whole launch.

Everything here is modelled, nothing measured: docs/simulator.md says what the model holds and what it leaves out.
"""

from twill.simulate.engine import Run, Wait, run
from twill.simulate.latency import LoadLatency
from twill.simulate.measure import Simulation, simulate

__all__ = ["LoadLatency", "Run", "Simulation", "Wait", "run", "simulate"]
