"""Simulated annealing of the LFA and of the DLSA, the Buffer Allocator, greedy construction."""
