"""Measurements: one module a question, its answer in results/*.json with the device, versions and commit.

python -m benchmarks.compile_time    how long each stage of the compiler takes (no GPU)
python -m benchmarks.gpu             generated kernels on a Hopper GPU: right, and how fast beside others
"""
