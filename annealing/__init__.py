"""Searches that prove nothing: simulated annealing of the LFA and the DLSA, the Buffer Allocator, the greedy DLSA."""
