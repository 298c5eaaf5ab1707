"""Stand-in for `gl.warp_specialize`: a thread block divides into roles, which run side by side until all have ended."""

from __future__ import annotations

import functools
import math
from typing import Any

from twill.emulate import cluster
from twill.emulate.accesses import join
from twill.emulate.columns import columns_of
from twill.emulate.constants import unwrap
from twill.emulate.scheduler import Task, active
from twill.emulate.values import refuse


def warp_specialize(functions_and_args: Any, worker_num_warps: Any, worker_num_regs: Any = None) -> Any:
    """Run the first function in this role and the others as roles of their own; returns its result."""
    scheduler = active()
    parent = scheduler.current()
    warps = [int(count) for count in unwrap(list(worker_num_warps))]
    registers = None if worker_num_regs is None else [int(count) for count in unwrap(list(worker_num_regs))]
    (default, default_args), *workers = functions_and_args
    _check_workers(parent.warps, len(workers), warps, registers)
    names = [function.__name__ for function, _ in functions_and_args]
    roles = [name if names.count(name) == 1 else f"{name}#{index}" for index, name in enumerate(names)]
    roles = [cluster.role_name(role, parent) for role in roles]
    cluster.enter_roles()
    scheduler.pause()
    tasks: list[Task] = []
    for (function, args), role, count in zip(workers, roles[1:], warps, strict=True):
        task = scheduler.spawn(role, count, functools.partial(function, *args), dict(parent.clock))
        task.cta, task.path = parent.cta, (*parent.path, len(tasks))
        tasks.append(task)
    parent.release()
    kernel, parent.role = parent.role, roles[0]
    result = default(*default_args)
    scheduler.end_role(parent)
    scheduler.block(lambda: all(task.ended for task in tasks), lambda: None, joins=True)
    parent.role = kernel
    cluster.leave_roles()
    columns_of(scheduler).join()
    for task in tasks:
        join(parent.clock, task.clock)
    return result


def _check_workers(default_warps: int, workers: int, warps: list[int], registers: list[int] | None) -> None:
    """Counts agree, and what the roles ask for exists on one SM."""
    if workers != len(warps) or (registers is not None and workers != len(registers)):
        counts = f"{len(warps)} warp counts" + ("" if registers is None else f" and {len(registers)} register counts")
        refuse(f"warp_specialize has {workers} workers, but {counts}.")
    if any(count not in (1, 2, 4, 8, 16) for count in warps) or default_warps + sum(warps) > 64:
        refuse(f"warp_specialize asks for {warps} warps beside {default_warps}.")
    if registers is None:
        return
    if any(count % 8 or not 24 <= count <= 256 for count in registers):
        refuse(f"registers per thread {registers} must be multiples of 8 from 24 to 256.")
    total = sum(4 * math.ceil(count / 4) * 32 * each for count, each in zip(warps, registers, strict=True))
    if total > 65536:
        refuse(f"the workers alone ask for {total} registers of 65536.")
