"""Backward attention in one pass, as scheduling problems: a block of keys stays, blocks of queries go by.

S = Q K^T, P = exp2(S - lse), dP = dO V^T, dS = P (dP - delta), dV += P^T dO, dK += dS^T Q, and dQ = dS K, which is
added to global memory. Tiles of S and dP are computed transposed, a row a key, as FlashAttention 3 and 4 do.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.attention_draft import Draft
from twill.machine import cost, load
from twill.schedule.problem import Problem


def hopper_backward(queries: int = 80, keys: int = 128, depth: int = 128, shared: bool = False) -> Problem:
    """Two sub-tiles of keys / 2 rows, each a warp group, as row blocks of an ordinary Triton source divide.

    Each sub-tile adds its own keys' part of dQ; with `shared`, dS goes through shared memory to both groups, and
    each makes half of the columns of the whole dQ, as FlashAttention 3 does.
    """
    d = Draft(load("hopper"))
    rows, half = keys // 2, depth // 2
    square, held, out = rows * queries, rows * queries // 128, rows * depth // 128
    d.load("q", (queries, depth), "Q tile and lse")
    d.load("do", (queries, depth), "dO tile and delta")
    for i in (0, 1):
        s = d.dot(f"s.{i}", rows, queries, depth, "K Q^T", i, registers=held)
        arg = d.arithmetic(f"arg.{i}", square, "float_rate", "S * scale - lse", i, held)
        p = d.arithmetic(f"p.{i}", square, "mufu_rate", "exp2", i, held)
        p16 = d.arithmetic(f"p16.{i}", square, "narrow_rate", "P to 16 bits", i, held // 2)
        dv = d.dot(f"dv.{i}", rows, depth, queries, "dV += P^T dO", i, registers=out, a_in_registers=True)
        dp = d.dot(f"dp.{i}", rows, queries, depth, "V dO^T", i, registers=held)
        ds = d.arithmetic(f"ds.{i}", square, "float_rate", "P * (dP - delta)", i, held, passes=2)
        ds16 = d.arithmetic(f"ds16.{i}", square, "narrow_rate", "dS to 16 bits", i, held // 2)
        store = d.stage(f"ds.{i}.store", "f16", (rows, queries), "dS to shared memory", i)
        dk = d.dot(f"dk.{i}", rows, depth, queries, "dK += dS^T Q", i, registers=out, a_in_registers=True)
        d.use("q", s)
        d.use("do", dp)
        d.use(s, arg, in_place=True)
        d.use(arg, p)
        d.use(p, p16)
        d.use(p16, dv)
        d.use("do", dv)
        d.accumulate(dv)
        d.use(p, ds)
        d.use(dp, ds, in_place=True)
        d.use(ds, ds16)
        d.use(ds16, store)
        d.use(ds16, dk)
        d.use("q", dk)
        d.accumulate(dk)
    columns, contracted = (half, keys) if shared else (depth, rows)
    for i in (0, 1):
        held = queries * columns // 128
        dq = d.dot(f"dq.{i}", columns, queries, contracted, "dQ^T = K^T dS^T", i, registers=held)
        add = d.reduce_to_global(f"dq.{i}.add", (queries, columns), "dQ added to global memory", i)
        for source in (0, 1) if shared else (i,):
            d.use(f"ds.{source}.store", dq)
        d.use(dq, add)
    static = 2 * keys * depth * 2 + d.machine.count("barrier_bytes")  # K and V; dK and dV leave through them
    reserved = d.machine.count("reserved_registers")
    limits = d.machine.limits()
    limits = replace(
        limits,
        smem_bytes=limits.smem_bytes - static,
        registers_per_thread=limits.registers_per_thread - reserved,
        register_file=limits.register_file - reserved * 256,
        reserved_registers=reserved,
    )
    groups = tuple(tuple(op for op in d.ops if op.split(".")[1:2] == [str(i)]) for i in (0, 1))
    return d.problem("hopper_attention_backward", limits, colocate=groups,
                     separate=(tuple(group[0] for group in groups),))  # fmt: skip


def blackwell_backward(queries: int = 128, keys: int = 128, depth: int = 128, parts: int = 1) -> Problem:
    """Whole tiles on the tensor core; registers see them in two halves of the query columns. Any op, any group.

    dQ is read from tensor memory and added to global memory in `parts`.

    In tensor memory P lies over S, dQ over dP, and dV and dK stay: 512 columns.
    """
    d = Draft(load("blackwell"))
    half = (keys, queries // 2)
    square, held = keys * queries // 2, keys * queries // 2 // 128
    d.load("q", (queries, depth), "Q tile and lse")
    d.load("do", (queries, depth), "dO tile and delta")
    s = d.dot("s", keys, queries, depth, "K Q^T", tmem_columns=queries)
    dp = d.dot("dp", keys, queries, depth, "V dO^T", tmem_columns=queries)
    dv = d.dot("dv", keys, depth, queries, "dV += P^T dO")
    dk = d.dot("dk", keys, depth, queries, "dK += dS^T Q")
    dq = d.dot("dq", queries, depth, keys, "dQ = dS K, over dP")
    d.use("q", s)
    d.use("do", dp)
    d.use("do", dv)
    d.use("q", dk)
    d.accumulate(dv)
    d.accumulate(dk)
    d.use(s, dv)  # P lies over S until dV has read it
    for i in (0, 1):
        read = d.tmem_load(f"s.{i}.read", half, "S to registers", i, held)
        arg = d.arithmetic(f"arg.{i}", square, "float_rate", "S * scale - lse", i, held)
        p = d.arithmetic(f"p.{i}", square, "mufu_rate", "exp2", i, held)
        p16 = d.arithmetic(f"p16.{i}", square, "narrow_rate", "P to 16 bits", i, held // 2)
        write = d.tmem_store(f"p.{i}.write", "f16", half, "P over S", i)
        dp_read = d.tmem_load(f"dp.{i}.read", half, "dP to registers", i, held)
        ds = d.arithmetic(f"ds.{i}", square, "float_rate", "P * (dP - delta)", i, held, passes=2)
        ds16 = d.arithmetic(f"ds16.{i}", square, "narrow_rate", "dS to 16 bits", i, held // 2)
        store = d.stage(f"ds.{i}.store", "f16", half, "dS to shared memory", i)
        d.use(s, read)
        d.use(read, arg)
        d.use(arg, p)
        d.use(p, p16)
        d.use(p16, write)
        d.use(write, dv)
        d.use(dp, dp_read)
        d.use(p, ds)
        d.use(dp_read, ds)
        d.use(ds, ds16)
        d.use(ds16, store)
        d.use(store, dk)
        d.use(store, dq)
    for i in range(parts):
        part = (queries, depth // parts)
        dq_read = d.tmem_load(f"dq.{i}.read", part, "dQ to registers", i, queries * depth // parts // 128)
        add = d.reduce_to_global(f"dq.{i}.add", part, "dQ added to global memory", i, pieces=4 // parts)
        d.use(dq, dq_read)
        d.use(dp, dq_read)  # dQ lies over dP until it has been read
        d.use(dq_read, add)
    static = 2 * keys * depth * 2 + d.machine.count("barrier_bytes")
    limits = d.machine.limits()
    limits = replace(limits, smem_bytes=limits.smem_bytes - static, tmem_columns=limits.tmem_columns - 2 * depth,
                     value_hop=cost.value_hop(d.machine, square * 4))  # fmt: skip
    return d.problem("blackwell_attention_backward", limits)
