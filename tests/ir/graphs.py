"""Graphs in text form that the tests of this room share."""

from twill.ir.graph import Graph
from twill.ir.text import parse_graph


def attention(rows: int = 128, keys: int = 64, depth: int = 64, dtype: str = "bf16") -> Graph:
    """Causal attention; %offs numbers the rows and, when rows == keys, the columns as well."""
    columns = "%offs" if rows == keys else "%offs_n"
    offs_n = "" if rows == keys else f"%offs_n = arange {{start = 0, end = {keys}}} : i32[{keys}]"
    return parse_graph(f"""
graph attn(%q: *{dtype}, %k: *{dtype}, %v: *{dtype}, %o: *{dtype}, %H: i32, %S: i32, %scale: f32) {{
  %zeros = constant {{value = 0.0}} : f32[{rows}]
  %masked = constant {{value = -inf}} : f32[{rows}, {keys}] at "attn.py":4:2
  %log2e = constant {{value = 1.44269502}} : f32
  %zero_acc = constant {{value = 0.0}} : f32[{rows}, {depth}]
  %zero_s = constant {{value = 0.0}} : f32[{rows}, {keys}]
  %lowest = constant {{value = -inf}} : f32[{rows}]
  %c0 = constant {{value = 0}} : i32
  %c1 = constant {{value = 1}} : i32
  %one = constant {{value = 1}} : i64
  %stride = constant {{value = {depth}}} : i64
  %D = constant {{value = {depth}}} : i32
  %ROWS = constant {{value = {rows}}} : i32
  %KEYS = constant {{value = {keys}}} : i32
  %pid_m = program_id {{axis = 0}} : i32
  %head = program_id {{axis = 1}} : i32
  %HS = mul %H, %S : i32
  %qd = descriptor %q, %HS, %D, %stride, %one {{rank = 2}} : descriptor<{dtype}[{rows}, {depth}]>
  %kd = descriptor %k, %HS, %D, %stride, %one {{rank = 2}} : descriptor<{dtype}[{keys}, {depth}]>
  %vd = descriptor %v, %HS, %D, %stride, %one {{rank = 2}} : descriptor<{dtype}[{keys}, {depth}]>
  %od = descriptor %o, %HS, %D, %stride, %one {{rank = 2}} : descriptor<{dtype}[{rows}, {depth}]>
  %base = mul %head, %S : i32
  %block = mul %pid_m, %ROWS : i32
  %row = add %base, %block : i32
  %q_tile = descriptor_load %qd, %row, %c0 : {dtype}[{rows}, {depth}] at "attn.py":10:5
  %hi = add %block, %ROWS : i32
  %offs = arange {{start = 0, end = {rows}}} : i32[{rows}]
  {offs_n}
  %blocks = splat %block : i32[{rows}]
  %offs_m = add %blocks, %offs : i32[{rows}]
  for %n: i32 in [%c0, %hi) step %KEYS at "attn.py":12:3 {{
    carry %m: f32[{rows}] from %lowest yields %m_new gives %m_out: f32[{rows}]
    carry %l: f32[{rows}] from %zeros yields %l_new gives %l_out: f32[{rows}]
    carry %acc: f32[{rows}, {depth}] from %zero_acc yields %acc_new gives %acc_out: f32[{rows}, {depth}]
    %key = add %base, %n : i32
    %k_tile = descriptor_load %kd, %key, %c0 : {dtype}[{keys}, {depth}] at "attn.py":13:14
    %k_trans = trans %k_tile {{order = [1, 0]}} : {dtype}[{depth}, {keys}]
    %qk = dot %q_tile, %k_trans, %zero_s {{precision = "tf32"}} : f32[{rows}, {keys}] at "attn.py":14:9
    %factor = mul %scale, %log2e : f32
    %factors = splat %factor : f32[{rows}, {keys}]
    %scaled = mul %qk, %factors : f32[{rows}, {keys}]
    %m_axis = expand_dims %offs_m {{axis = 1}} : i32[{rows}, 1]
    %n_axis = expand_dims {columns} {{axis = 0}} : i32[1, {keys}]
    %n_start = splat %n : i32[1, {keys}]
    %n_index = add %n_start, %n_axis : i32[1, {keys}]
    %rows_of = broadcast %m_axis : i32[{rows}, {keys}]
    %columns_of = broadcast %n_index : i32[{rows}, {keys}]
    %visible = cmp %rows_of, %columns_of {{predicate = "ge", signed = true}} : i1[{rows}, {keys}]
    %s = select %visible, %scaled, %masked : f32[{rows}, {keys}]
    %s_max = reduce %s {{axis = 1, kind = "max"}} : f32[{rows}] at "attn.py":16:12
    %m_new = max %m, %s_max : f32[{rows}]
    %m_column = expand_dims %m_new {{axis = 1}} : f32[{rows}, 1]
    %m_tile = broadcast %m_column : f32[{rows}, {keys}]
    %shifted = sub %s, %m_tile : f32[{rows}, {keys}]
    %p = exp2 %shifted : f32[{rows}, {keys}]
    %drop = sub %m, %m_new : f32[{rows}]
    %alpha = exp2 %drop : f32[{rows}]
    %l_scaled = mul %l, %alpha : f32[{rows}]
    %p_sum = reduce %p {{axis = 1, kind = "sum"}} : f32[{rows}]
    %l_new = add %l_scaled, %p_sum : f32[{rows}]
    %alpha_column = expand_dims %alpha {{axis = 1}} : f32[{rows}, 1]
    %alpha_tile = broadcast %alpha_column : f32[{rows}, {depth}]
    %acc_scaled = mul %acc, %alpha_tile : f32[{rows}, {depth}]
    %v_tile = descriptor_load %vd, %key, %c0 : {dtype}[{keys}, {depth}] at "attn.py":19:14
    %p_cast = cast %p : {dtype}[{rows}, {keys}]
    %acc_new = dot %p_cast, %v_tile, %acc_scaled {{precision = "tf32"}} : f32[{rows}, {depth}] at "attn.py":20:9
  }}
  %l_column = expand_dims %l_out {{axis = 1}} : f32[{rows}, 1]
  %l_tile = broadcast %l_column : f32[{rows}, {depth}]
  %out = div %acc_out, %l_tile : f32[{rows}, {depth}]
  %out_cast = cast %out : {dtype}[{rows}, {depth}]
  descriptor_store %od, %row, %c0, %out_cast at "attn.py":23:3
}}
""")
