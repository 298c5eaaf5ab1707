"""Kernels that Twill wrote, by architecture."""
