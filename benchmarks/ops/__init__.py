"""The operators of `twill.ops`: right against float64, what their kernels are predicted to reach, how fast on a GPU.

`works` says on what an operator is run and what the right answer is, `correctness` judges it, `predictions` asks the
simulator about every shipped kernel; on a GPU `timings` times each operator beside its `contenders`, in a process of
its own (`child`).
"""
