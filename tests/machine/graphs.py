"""Loops in the text form of the IR, of 64-row tiles, that the tests of this room lower."""

from __future__ import annotations

from twill.ir.graph import Graph
from twill.ir.text import parse_graph

_DESCRIPTORS = {"x": "f16[64, 128]", "y": "f16[128, 128]", "o": "f32[64, 128]"}
_HEAD = """
graph loop(%x: {x}, %y: {y}, %o: {o}, %N: i32, %rows: *f32[64]) subtiles 1 {{
  %c0 = constant {{value = 0}} : i32
  %step = constant {{value = 128}} : i32
  %zeros = constant {{value = 0.0}} : f32[64, 128]
  %zero = constant {{value = 0.0}} : f32[64]
  {before}
  for %n: i32 in [%c0, %N) step %step at "loop.py":5:1 {{
    {body}
  }}
  {after}
}}
"""


def loop(body: str, before: str = "", after: str = "") -> Graph:
    """A graph with descriptors %x [64, 128], %y [128, 128] and %o, zero constants, and this loop body."""
    types = {name: f"descriptor<{type}>" for name, type in _DESCRIPTORS.items()}
    return parse_graph(_HEAD.format(body=body.strip(), before=before.strip(), after=after.strip(), **types))


MATMUL = """
    carry %acc: f32[64, 128] from %zeros yields %sum gives %out: f32[64, 128]
    %a = descriptor_load %x, %c0, %n : f16[64, 128] at "loop.py":6:9
    %b = descriptor_load %y, %n, %c0 : f16[128, 128] at "loop.py":7:9
    %sum = dot %a, %b, %acc {precision = "tf32"} : f32[64, 128] at "loop.py":8:9
"""
STORE_OUT = "descriptor_store %o, %c0, %c0, %out"

SOFTMAX = """
    carry %m: f32[64] from %zero yields %m_new gives %m_out: f32[64]
    carry %l: f32[64] from %zero yields %l_new gives %l_out: f32[64]
    carry %acc: f32[64, 128] from %zeros yields %sum gives %out: f32[64, 128]
    %k = descriptor_load %y, %n, %c0 : f16[128, 128]
    %kt = trans %k {order = [1, 0]} : f16[128, 128]
    %s = dot %q, %kt, %zeros {precision = "tf32"} : f32[64, 128]
    %top = reduce %s {axis = 1, kind = "max"} : f32[64]
    %m_new = max %m, %top {propagate_nan = false} : f32[64]
    %m_col = expand_dims %m_new {axis = 1} : f32[64, 1]
    %m_all = broadcast %m_col : f32[64, 128]
    %t = sub %s, %m_all : f32[64, 128]
    %p = exp2 %t : f32[64, 128]
    %drop = sub %m, %m_new : f32[64]
    %alpha = exp2 %drop : f32[64]
    %kept = mul %l, %alpha : f32[64]
    %total = reduce %p {axis = 1, kind = "sum"} : f32[64]
    %l_new = add %kept, %total : f32[64]
    %a_col = expand_dims %alpha {axis = 1} : f32[64, 1]
    %a_all = broadcast %a_col : f32[64, 128]
    %scaled = mul %acc, %a_all : f32[64, 128]
    %v = descriptor_load %y, %n, %c0 : f16[128, 128]
    %p16 = cast %p : f16[64, 128]
    %sum = dot %p16, %v, %scaled {precision = "tf32"} : f32[64, 128]
"""
LOAD_Q = "%q = descriptor_load %x, %c0, %c0 : f16[64, 128]"
