"""Stands where the GPU is: what happens to a candidate is told by its BLOCK_N in $FAKE_TIMES, and logged when it ends.

$FAKE_TIMES: JSON, for each BLOCK_N seconds, or one of the words below. $FAKE_LOG: a file to which each end is added.
"""

import json
import os
import time

DEVICE = "cpu"


def device():
    return {"name": os.environ.get("FAKE_DEVICE", "Fake GPU")}


def timed(module, entry, arguments, inspect):
    told = json.loads(os.environ["FAKE_TIMES"])[str(arguments["BLOCK_N"])]
    _log("FAKE_BEGUN", arguments["BLOCK_N"])
    if told == "crash":
        os.abort()
    if told == "hang":
        time.sleep(600)
    if told == "illegal":
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    exact = arguments["a"].double() @ arguments["b"].double()
    if told == "emulated":
        from twill.emulate import load

        getattr(load(module), entry)(**arguments)
    elif told == "unwritten":
        arguments["c"][:64].copy_(exact[:64])
    else:
        arguments["c"].copy_(exact)
    if told == "wrong":
        arguments["c"][3, 5] += 1.0
    if isinstance(told, list):
        time.sleep(told[1])
    inspect()
    _log("FAKE_LOG", arguments["BLOCK_N"])
    seconds = told[0] if isinstance(told, list) else told
    return [seconds if isinstance(seconds, float) else 1e-3] * 3


def _log(variable, block):
    """One line a candidate, written at once, so that lines of several processes do not mix."""
    path = os.environ.get(variable)
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{block} {os.getppid()}\n".encode())
        os.close(descriptor)
