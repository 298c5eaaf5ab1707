"""Generated kernels on a Hopper GPU: right against float64, and timed beside others.

`__main__` drives one process a kernel (`child`), so that a hang or an illegal access costs that kernel
only. `cases` says on what a kernel runs, `check` judges its results, `timing` times it beside the
`contenders`. Needs torch, triton, numpy, click and rich, and none of the compiler's other dependencies.
"""
