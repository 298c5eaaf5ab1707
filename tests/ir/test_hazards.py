"""Loads that could overtake a store of their own loop are refused, with the load's place."""

import pytest

from twill.errors import Unsupported
from twill.ir.hazards import refuse_loads_of_stored_memory
from twill.ir.text import parse_graph
from twill.schedule import files
from twill.shipped import VARIANTS, schedule_path

GRAPH = """\
graph g(%x: *f32, %y: *f32, %n: i32) subtiles 1 {{
  %c0 = constant {{value = 0}} : i32
  %c64 = constant {{value = 64}} : i32
  %c64l = constant {{value = 64}} : i64
  %c1l = constant {{value = 1}} : i64
  %xd = descriptor %x, %c64, %n, %c64l, %c1l {{rank = 2}} : descriptor<f32[64, 64]>
  %yd = descriptor %y, %c64, %n, %c64l, %c1l {{rank = 2}} : descriptor<f32[64, 64]>
  for %i: i32 in [%c0, %n) step %c64 at "k.py":7:5 {{
    %t = descriptor_load {load}, %c0, %i : f32[64, 64] at "k.py":8:9
    %u = add %t, %t : f32[64, 64] at "k.py":9:9
    descriptor_store %xd, %c0, %i, %u at "k.py":10:9
  }}
}}
"""


def test_a_load_of_what_the_loop_stores_is_refused():
    with pytest.raises(Unsupported, match=r"k\.py:8:9: the loop stores to `x`"):
        refuse_loads_of_stored_memory(parse_graph(GRAPH.format(load="%xd")))


def test_another_tensor_is_fine():
    refuse_loads_of_stored_memory(parse_graph(GRAPH.format(load="%yd")))


def test_the_shipped_kernels_are_fine():
    for variant in VARIANTS:
        refuse_loads_of_stored_memory(parse_graph(files.read(schedule_path(variant)).graph))
