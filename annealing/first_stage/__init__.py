"""Searches over LFAs: soma-cp's own and the paper's."""
