"""The dependence IR: its parts (graph), exact text form (text), structural rules (verify), sequential
meaning on NumPy (evaluate, tolerance), and the transformations that keep that meaning (simplify,
subtile)."""

from twill.ir.graph import Carried, Graph, Loop, Op, Type, Value
from twill.ir.text import parse_graph, print_graph

__all__ = ["Carried", "Graph", "Loop", "Op", "Type", "Value", "parse_graph", "print_graph"]
