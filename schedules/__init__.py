"""Schedules of the shipped kernels, one file each, by architecture."""
