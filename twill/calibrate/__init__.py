"""Measures the machine it runs on and writes its machine file.

`probes` lists the micro-benchmarks (Gluon kernels in `arithmetic`, `tensor_core`, `copies`, `hops`),
`child` runs them in a process of its own that `run` watches, `derive` turns the readings into facts and
judges each, `machine_file` writes them.
"""

from twill.calibrate.derive import Finding, derive
from twill.calibrate.machine_file import machine_text
from twill.calibrate.reading import Device, Reading
from twill.calibrate.run import measure

__all__ = ["Device", "Finding", "Reading", "derive", "machine_text", "measure"]
