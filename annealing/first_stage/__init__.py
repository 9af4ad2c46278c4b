"""Searches over LFAs: ours, and the paper's."""
