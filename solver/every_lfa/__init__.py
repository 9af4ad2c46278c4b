"""Bounds and proofs over every LFA of a network."""
