"""Measurements: one module a question, its answer in results/*.json with the device, versions and commit.

python -m benchmarks.compile_time    how long each stage of the compiler takes (no GPU)
python -m benchmarks.solve_time      the joint model beside the paper's formulation, on the same problems (no GPU)
python -m benchmarks.gpu             generated kernels on a Hopper GPU: right, and how fast beside others
"""
