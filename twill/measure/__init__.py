"""Measured beside predicted: kernels that keep the time of each op, what they measured, and how far the model is off.

twin                     the instrumented twin of a kernel, made from its schedule file
measurement, decode      what a run of it left: a `twill-measured/1` file, read and written
observed                 when each op began and ended, from its events; the same for measured and predicted
predicted                the events that the simulator expects at the same places
comparison               interval, offsets, durations and latencies of both, and the differences
page                     both timelines and the table in one HTML page
timer                    seconds of work on a GPU, by CUDA events
device, child            the run on a GPU, in a process of its own
"""
