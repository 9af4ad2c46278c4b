"""Searches over the DLSAs of one LFA: one greedy pass, and annealing."""
