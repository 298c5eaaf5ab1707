"""The kernels that ship with Twill: ordinary Triton, one file each."""
