"""Shared by tests: slow twins of the kernels, brute force, strategies that draw instances, cases and paths."""
